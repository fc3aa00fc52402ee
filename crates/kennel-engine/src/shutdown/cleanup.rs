//! One cleanup: what it is called, when it has its turn, and what it does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kennel_core::shutdown::{self as machine, Patience, Phase, Urgency};
use tokio::sync::watch;

/// How long a cleanup may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
pub(super) type Run = Box<dyn FnOnce(Call) -> Work + Send>;

/// Something to be done at a shutdown.
pub struct Cleanup {
    pub(super) fixed: machine::Cleanup,
    pub(super) run: Run,
}

impl Cleanup {
    /// Does `run` in this phase, within ten seconds. Its error is one line for people.
    pub fn new<F>(name: &str, phase: Phase, run: impl FnOnce(Call) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let patience = Patience::new(TIMEOUT);
        let fixed = machine::Cleanup { name: name.to_owned(), phase, after: Vec::new(), patience };
        // Within the work, so that a panic of the closure itself is a panic of the cleanup.
        Self { fixed, run: Box::new(|call| Box::pin(async move { run(call).await })) }
    }

    /// Not before these have ended, however; they are of the same phase or an earlier one.
    #[must_use]
    pub fn after(mut self, names: &[&str]) -> Self {
        self.fixed.after.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// How long it may take; one second after a second request, no more after a third.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.patience(Patience::new(timeout))
    }

    /// How long it may take, by urgency.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.fixed.patience = patience;
        self
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup").field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

/// What a running cleanup can learn and tell.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) urgency: watch::Receiver<Urgency>,
    pub(super) left: Arc<AtomicU32>,
}

impl Call {
    /// How urgent the shutdown is now.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        *self.urgency.borrow()
    }

    /// Waits until the shutdown becomes more urgent than it was at the last look; answers with how urgent it is.
    pub async fn hastened(&mut self) -> Urgency {
        if self.urgency.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.urgency.borrow_and_update()
    }

    /// Tells that living processes are left; the report has the sum. One is too many for a good end.
    pub fn leave(&self, processes: u32) {
        self.left.fetch_add(processes, Ordering::Relaxed);
    }
}
