//! What is left to do when nothing runs any more: the last words, in the order that the shutdown has for them.

use std::io;
use std::path::Path;
use std::time::Duration;

use kennel_keeper::proto::{Backend, Request};
use kennel_sys::cgroup;
use kennel_wire::{EventKind, ShutdownReport};
use tokio::sync::watch;

use super::link::AsyncLink;
use super::{Driver, End};
use crate::events::Events;

/// The engine after its last turn.
#[derive(Debug)]
pub struct Ended {
    /// `None` once goodbye is said.
    link: Option<AsyncLink>,
    events: Events,
    backend: Backend,
    end: End,
    left: u32,
    finished: watch::Sender<Option<End>>,
}

impl Ended {
    pub(super) fn new(driver: Driver) -> Self {
        let (left, end) = (driver.left(), driver.end());
        let Driver { link, events, backend, finished, .. } = driver;
        Self { link: Some(link), events, backend, end, left, finished }
    }

    /// How it ended.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Living processes that could not be ended; the keeper goes on with them.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Tells the keeper that the daemon is about to exit; a lost one's empty cgroups are removed instead.
    ///
    /// # Errors
    /// The keeper cannot be told, or a cgroup not be removed.
    pub async fn goodbye(&mut self) -> io::Result<()> {
        let Some(mut link) = self.link.take() else { return Ok(()) };
        match self.end {
            End::WithoutKeeper => self.clear_place().await,
            End::Said => {
                link.send(Request::Bye);
                kennel_sys::crash_point!("daemon.bye");
                link.finish().await
            }
            // Somebody goes on.
            End::Orphaned | End::HandedOver => Ok(()),
        }
    }

    /// Publishes the report as the last event; whoever follows the engine sees its end.
    pub fn complete(self, report: ShutdownReport) {
        let kind = EventKind::ShutdownCompleted { left: report.left, report: Some(Box::new(report)) };
        self.events.publish(None, None, kind);
        self.events.close();
        self.finished.send_replace(Some(self.end));
    }

    /// Does what the keeper does at its end, so that no empty cgroup stays behind a lost one.
    async fn clear_place(&self) -> io::Result<()> {
        let Backend::Cgroup { root } = &self.backend else { return Ok(()) };
        let mut left = enter_outside(root);
        let mut pause = Duration::from_millis(1);
        if left.is_ok() {
            left = cgroup::remove_tree(root);
            // A keeper that dies lets go of its channel before it leaves its cgroup.
            while left.is_err() && pause < Duration::from_secs(1) {
                tokio::time::sleep(pause).await;
                pause *= 2;
                left = cgroup::remove_tree(root);
            }
        }
        if let Some(kennel) = root.parent() {
            // Shared with other kennels: the last one succeeds.
            let _used = std::fs::remove_dir(kennel);
        }
        left
    }
}

/// Leaves the cgroup of the keeper: `root` is `…/kennel/<name>`, and we sit in a leaf of it.
pub(super) fn enter_outside(root: &Path) -> io::Result<()> {
    let outside = root.parent().and_then(Path::parent);
    outside.map_or(Ok(()), cgroup::enter)
}

impl Driver {
    /// Who could not be ended, if it ends now.
    fn left(&self) -> u32 {
        let stuck = self.runs.iter().map(|(id, run)| run.receipt_now(*id, &self.boot_id, false).left);
        stuck.sum::<u32>() + self.leftovers_left()
    }
}
