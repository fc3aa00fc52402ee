//! Ends a daemon that nobody would miss: nothing loaded, nothing running, nobody connected.

use std::time::Duration;

use kennel_engine::Handle;
use tokio::sync::watch;

use crate::ending::Ending;
use crate::web::Web;

/// How long nobody may be connected.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches; it sleeps without a timer while somebody is connected or something is loaded.
pub(crate) async fn watch(engine: Handle, ending: Ending, web: Web, mut connections: watch::Receiver<usize>) {
    loop {
        if connections.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        let came = tokio::time::timeout(PATIENCE, connections.wait_for(|count| *count > 0)).await.is_ok();
        if came {
            continue;
        }
        // Whoever opened the door expects to find somebody behind it.
        if !web.is_open() && engine.is_idle().await {
            tracing::info!("nothing is loaded and nobody is connected: the daemon ends");
            ending.idle();
            return;
        }
        if connections.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
    }
}
