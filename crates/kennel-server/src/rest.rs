//! Gives back what was needed for a moment, once nobody has asked for anything for another one.
//!
//! A start reads a configuration, opens the store and starts services; then, mostly, nothing happens for hours.

use std::time::Duration;

use kennel_engine::Handle;
use kennel_sys::memory;
use tokio::sync::watch;

/// How long no connection may have come or gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Below this much more than after the last time it is not worth the faults that bring some of it back, KiB. Looks like
/// `ps` stay below it.
const WORTH: u64 = 1536;

/// Watches; it sleeps without a timer once it has given back what came with the last connection.
pub(crate) async fn watch(engine: Handle, mut connections: watch::Receiver<usize>) {
    let mut least = 0;
    loop {
        while let Ok(result) = tokio::time::timeout(PATIENCE, connections.changed()).await {
            if result.is_err() {
                return;
            }
        }
        if memory::resident_kib().is_some_and(|resident| resident >= least + WORTH) {
            engine.release_memory();
            memory::release();
            least = memory::resident_kib().unwrap_or(least);
        }
        if connections.changed().await.is_err() {
            return;
        }
    }
}
