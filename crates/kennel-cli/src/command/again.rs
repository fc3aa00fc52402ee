//! Going on with the daemon that follows one which was replaced or lost.

use std::time::Duration;

use kennel_client::{CallError, Daemon};
use kennel_wire::{Event, EventKind};

use crate::failure::Failure;

/// How long another daemon may take to answer.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(15);

/// The daemon that goes on where this one stopped; none if it has ended for good.
pub(super) async fn follower(daemon: &Daemon) -> Result<Option<Daemon>, Failure> {
    Ok(Daemon::connect_within(daemon.home(), FOLLOWS_WITHIN).await?)
}

/// Whether a stream that ended so may go on elsewhere: it broke, or ended without a word.
pub(super) fn may_go_on<T>(ended: &Result<Option<T>, CallError>) -> bool {
    match ended {
        Ok(None) | Err(CallError::Lost(_)) => true,
        Err(CallError::Problem(problem)) => problem.code == kennel_wire::Code::HandedOver,
        Ok(Some(_)) | Err(_) => false,
    }
}

/// How far a stream of events was read.
#[derive(Debug, Default)]
pub(super) struct EventCursor {
    /// Number of the last one.
    pub(super) last: u64,
    /// The daemon has said its last word.
    pub(super) over: bool,
}

impl EventCursor {
    pub(super) fn see(&mut self, event: &Event) {
        self.last = event.seq;
        self.over = matches!(event.kind, EventKind::ShutdownCompleted { .. });
    }
}
