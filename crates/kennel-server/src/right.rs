//! A right that was shown, for as long as something goes on by it.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use kennel_access::Digest;
use tokio::sync::watch;

/// So often it is looked whether it still is one: a clock may have been set, the machine may have slept, or somebody has edited a file.
const LOOK: Duration = Duration::from_secs(30);

/// One that was good when it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) digest: Digest,
    pub(crate) is_session: bool,
}

/// Waits until it is one no more: taken back, closed, or over. `lasts` tells its end if it still is one, `changed` wakes when rights
/// have changed.
pub(crate) async fn ended(lasts: impl Fn(Timestamp) -> Option<Timestamp>, mut changed: watch::Receiver<()>) {
    loop {
        changed.borrow_and_update();
        let now = Timestamp::now();
        let Some(end) = lasts(now) else { return };
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(left.min(LOOK)) => {}
        }
    }
}

/// An answer that ends with what `ended` waits for, if it has no end of its own.
pub(crate) fn until(response: Response, ended: impl Future<Output = ()> + Send + 'static) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
}
