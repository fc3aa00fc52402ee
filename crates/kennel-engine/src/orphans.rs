//! Orphans beside a running engine: it tells what it tracks, a thread of its own looks for the rest.

use std::time::Duration;

use kennel_orphans::{Error, Tracking, Whom, Wish};
use kennel_wire::{Code, InstanceOrphans, OrphanStopRequest, Problem};
use tokio::sync::oneshot;

use crate::driver::Input;
use crate::handle::Handle;

impl Handle {
    /// Processes of this instance that nobody tracks. Each is told as an event when it is found first.
    ///
    /// # Errors
    /// `internal` if the machine cannot be looked at, `shutting_down`.
    pub async fn orphans(&self) -> Result<InstanceOrphans, Problem> {
        let (home, ask) = (self.home.clone(), self.tracking());
        let found = blocking(move || kennel_orphans::find_beside(&home, ask), problem).await?;
        self.record(&found)?;
        Ok(found)
    }

    /// Ends orphans; answers when another look finds none of them, or when they cannot be ended.
    ///
    /// # Errors
    /// `process_not_ours` if one that is meant is no orphan; `internal`, `shutting_down`.
    pub async fn stop_orphans(&self, request: OrphanStopRequest) -> Result<InstanceOrphans, Problem> {
        let (home, ask) = (self.home.clone(), self.tracking());
        let OrphanStopRequest { pids, timeout_ms } = request;
        let whom = if pids.is_empty() { Whom::All } else { Whom::These(pids.into_iter().collect()) };
        let wish = Wish { whom, grace: Duration::from_millis(timeout_ms.unwrap_or(0)), for_a_start: false };
        let told = blocking(move || kennel_orphans::stop_beside(&home, ask, &wish), problem).await?;
        self.record(&told)?;
        Ok(told)
    }

    /// Asks the engine, for a thread that may wait; nothing once it has ended.
    pub(crate) fn tracking(&self) -> impl FnMut() -> Option<Tracking> + Send + 'static {
        let inbox = self.inbox.clone();
        move || {
            let (reply, answer) = oneshot::channel();
            inbox.send(Input::Tracking(reply)).ok()?;
            answer.blocking_recv().ok()
        }
    }

    fn record(&self, told: &InstanceOrphans) -> Result<(), Problem> {
        let news = Input::Orphans { found: told.orphans.clone(), ended: told.ended.clone() };
        self.inbox.send(news).map_err(|_| gone())
    }
}

/// Does on a thread of its own what may wait.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
    problem: fn(&E) -> Problem,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| problem(&error)),
        Err(error) => Err(Problem::new(Code::Internal, error.to_string())),
    }
}

fn gone() -> Problem {
    Problem::new(Code::ShuttingDown, "the daemon is shutting down")
}

pub(crate) fn problem(error: &Error) -> Problem {
    match error {
        Error::NoOrphan { .. } => Problem::new(Code::ProcessNotOurs, error.to_string())
            .hint("`kennel ps --orphans` lists them; `kennel kill --pid` signals a process of a service"),
        Error::Look { source, .. } => Problem::new(Code::Internal, format!("{error}: {source}")),
        Error::Held { .. } | Error::Inside { .. } => Problem::new(Code::Internal, error.to_string()),
    }
}
