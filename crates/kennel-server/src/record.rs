//! Finds out whether the daemon before this one ended as it should, and says so.

use std::sync::{Arc, Mutex, PoisonError};

use kennel_engine::Handle;
use kennel_engine::shutdown::{Running, Terminated};
use kennel_sys::home::Home;
use kennel_wire::EventKind;

/// The record of this daemon, until it ends.
#[derive(Debug, Clone)]
pub(crate) struct Record(Arc<Mutex<Option<Running>>>);

impl Record {
    /// Records that this daemon runs, and tells of those before it that were ended by force. Their records go once
    /// nothing is left of them. Before a `successor` there is one that still lives and has handed over.
    pub(crate) fn begin(home: &Home, boot_id: &str, engine: &Handle, successor: bool) -> Self {
        let running = match Running::begin(&home.state_dir, boot_id) {
            Ok((running, found)) => {
                found.iter().filter(|_| !successor).for_each(|terminated| tell(terminated, engine));
                let record = Self(Arc::new(Mutex::new(Some(running))));
                if !found.is_empty() {
                    tokio::spawn(record.clone().clear(engine.clone()));
                }
                return record;
            }
            // Services matter more than the record of who ran them.
            Err(error) => {
                tracing::error!(%error, "cannot record that the daemon runs");
                None
            }
        };
        Self(Arc::new(Mutex::new(running)))
    }

    /// Waits until nothing is left of those before.
    async fn clear(self, engine: Handle) {
        if engine.cleared().await.is_err() {
            return;
        }
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match running.as_mut().map(Running::cleared) {
            Some(Err(error)) => tracing::warn!(%error, "cannot clear the record of an earlier daemon"),
            Some(Ok(())) => tracing::info!("nothing is left of the daemon that was ended by force"),
            None => {}
        }
    }

    /// This daemon ends as it should.
    pub(crate) fn end(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = running.map(Running::end) {
            tracing::warn!(%error, "cannot remove the record of this daemon");
        }
    }
}

fn tell(terminated: &Terminated, engine: &Handle) {
    let Terminated { pid, started_at, during, boot_id: _ } = terminated.clone();
    tracing::warn!(pid, %started_at, during, "an earlier daemon was ended by force; what it left is being seen to");
    engine.tell(EventKind::DaemonTerminated { pid, started_at, during });
}
