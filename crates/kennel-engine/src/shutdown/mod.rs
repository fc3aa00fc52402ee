//! The coordinator of a shutdown: for the daemon, and for any program that embeds it, without HTTP or a keeper.
//!
//! What begins when, and what is given up, is decided by [`kennel_core::shutdown`]; here it is done.

mod cleanup;
mod drive;
mod running;
mod signals;
mod state;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_core::shutdown::Plan;
use kennel_wire::ShutdownReport;
use tokio::sync::watch;

pub use cleanup::{Call, Cleanup};
pub use kennel_core::shutdown::{Patience, Phase, RegisterError, Urgency};
pub use running::{Running, Terminated};
pub use signals::on_signals;
pub use state::{STATE_FILE, last};

use cleanup::Run;

/// Longest time for saving what is known of a shutdown: a disk that hangs must not hold it up.
const SAVE: Duration = Duration::from_secs(2);

/// Runs named cleanups once, in order, whoever asks for it and how often. Cloning it gives another hand on the same
/// one. Everything here is to be called within a Tokio runtime.
///
/// A cleanup has a task of its own, so an error or a panic of it stops no other one; one that takes too long is
/// dropped at its next `await`. Code that blocks its thread cannot be given up: put it on
/// `tokio::task::spawn_blocking`, whose end nobody has to wait for.
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Mutex<Registry>,
    /// The most urgent request so far; `None` before the first.
    asked: watch::Sender<Option<Urgency>>,
    report: watch::Sender<Option<ShutdownReport>>,
}

enum Registry {
    Open { plan: Plan, runs: Vec<Run>, state_dir: Option<Box<Path>> },
    Begun,
}

impl Coordinator {
    /// No cleanup yet. After `overall` from its begin a shutdown is forced: what is left gets what
    /// [`Patience::forced`] says, which is nothing unless asked for.
    #[must_use]
    pub fn new(overall: Duration) -> Self {
        let registry = Registry::Open { plan: Plan::new(overall), runs: Vec::new(), state_dir: None };
        let shared = Shared {
            registry: Mutex::new(registry),
            asked: watch::Sender::new(None),
            report: watch::Sender::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Saves time and reason of a shutdown when it begins, before anything else, and its report when it ends, in
    /// [`STATE_FILE`] in this directory. Replaces the directory that was set before.
    #[must_use]
    pub fn saved_in(self, directory: &Path) -> Self {
        if let Registry::Open { state_dir, .. } = &mut *self.registry() {
            *state_dir = Some(directory.into());
        }
        self
    }

    /// Adds a cleanup.
    ///
    /// # Errors
    /// See [`RegisterError`]; nothing is added then.
    pub fn register(&self, cleanup: Cleanup) -> Result<(), RegisterError> {
        self.register_all(vec![cleanup])
    }

    /// Adds cleanups that may name each other: all of them or none.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register_all(&self, cleanups: Vec<Cleanup>) -> Result<(), RegisterError> {
        match &mut *self.registry() {
            Registry::Begun => {
                let name = cleanups.into_iter().next().map_or_else(String::new, |cleanup| cleanup.fixed.name);
                Err(RegisterError::TooLate(name))
            }
            Registry::Open { plan, runs, .. } => {
                let (fixed, new): (Vec<_>, Vec<_>) = cleanups.into_iter().map(|one| (one.fixed, one.run)).unzip();
                plan.register(fixed)?;
                runs.extend(new);
                Ok(())
            }
        }
    }

    /// Begins the shutdown, or joins the one that has begun, and waits for its end.
    pub async fn shutdown(&self, reason: &str) -> ShutdownReport {
        self.begin(reason, Urgency::Graceful);
        self.report().await
    }

    /// Begins the shutdown. If it has begun, its reason stays and it becomes as urgent as this, never less.
    pub fn begin(&self, reason: &str, urgency: Urgency) {
        let before = std::mem::replace(&mut *self.registry(), Registry::Begun);
        if let Registry::Open { plan, runs, state_dir } = before {
            self.shared.asked.send_replace(Some(urgency));
            let begun = drive::Begun { reason: reason.to_owned(), urgency, plan, runs, state_dir };
            tokio::spawn(drive::drive(begun, self.shared.asked.subscribe(), self.shared.report.clone()));
        } else {
            self.shared.asked.send_if_modified(|asked| {
                let more = asked.is_none_or(|asked| asked < urgency);
                if more {
                    *asked = Some(urgency);
                }
                more
            });
        }
    }

    /// What a signal means: the first begins the shutdown, the second hurries it, the third forces it. Answers with
    /// what it has become.
    pub fn interrupt(&self, reason: &str) -> Urgency {
        let urgency = match *self.shared.asked.borrow() {
            None => Urgency::Graceful,
            Some(Urgency::Graceful) => Urgency::Hurry,
            Some(Urgency::Hurry | Urgency::Force) => Urgency::Force,
        };
        self.begin(reason, urgency);
        urgency
    }

    /// Waits for the end of the shutdown, which somebody else begins.
    pub async fn report(&self) -> ShutdownReport {
        let mut report = self.shared.report.subscribe();
        loop {
            if let Some(report) = &*report.borrow_and_update() {
                return report.clone();
            }
            // We hold a sender, so there will be changes or none for ever.
            if report.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.shared.asked.borrow().is_some()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator").field("asked", &*self.shared.asked.borrow()).finish_non_exhaustive()
    }
}
