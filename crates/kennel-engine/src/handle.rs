//! What the rest of the program can ask of the engine.

mod looks;
mod runs;
mod succession;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::instance::Reason;
use kennel_core::model::Project;
use kennel_logs::told::Query;
use kennel_sys::home::Home;
use kennel_wire::{
    ActionReport, ActionRequest, Code, DownReport, DownRequest, EventKind, FreezeReport, Outcome, OutcomeKind, Problem,
    ReloadReport, UpReport,
};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::runs::StdioGuard;
use crate::announce::Announcer;
use crate::desktop::Desktop;
use crate::driver::{End, Input, Started};
use crate::events::Events;
use crate::logs::Recorder;
use crate::webhooks::Webhooks;

/// How many of its last lines explain a failed service.
const FAILURE_LINES: usize = 10;

/// A hand on the engine. Every call fails with `shutting_down` once the engine has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) inbox: mpsc::UnboundedSender<Input>,
    pub(crate) events: Events,
    pub(crate) announcer: Announcer,
    pub(crate) webhooks: Webhooks,
    pub(crate) desktop: Desktop,
    pub(crate) recorder: Recorder,
    pub(crate) logs_dir: Arc<PathBuf>,
    pub(crate) home: Arc<Home>,
    /// Of the daemon before, by key.
    pub(crate) facts: Arc<IndexMap<String, serde_json::Value>>,
    pub(crate) finished: watch::Receiver<Option<End>>,
    /// Held by whoever adopts an orphan.
    pub(crate) adoptions: Arc<tokio::sync::Mutex<()>>,
}

/// A configuration and what is to be started of it.
#[derive(Debug)]
pub struct Up {
    /// The checked model.
    pub project: Project,
    /// Where it was read.
    pub config: PathBuf,
    /// The caller's environment, the base of every service's own.
    pub environment: BTreeMap<String, String>,
    /// Chosen profiles.
    pub profiles: Vec<String>,
    /// Only these and what they depend on; empty: all.
    pub services: Vec<String>,
}

/// Where the configuration was read, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedFrom {
    /// The file.
    pub config: PathBuf,
    /// For `${VAR}`.
    pub environment: BTreeMap<String, String>,
}

/// A configuration that is loaded again.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The checked model.
    pub project: Project,
    /// Where it was read.
    pub config: PathBuf,
    /// The caller's environment; none: it stays as it is.
    pub environment: Option<BTreeMap<String, String>>,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// New services that nobody has asked to be up. Where this is not none, nothing need be loaded before.
    pub resting: Option<Vec<String>>,
}

impl Handle {
    pub(crate) async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(make(reply)).map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())
    }

    fn gone(&self) -> Problem {
        match *self.finished.borrow() {
            Some(End::HandedOver | End::Orphaned) => handed_over(),
            Some(End::Said | End::WithoutKeeper) | None => {
                Problem::new(Code::ShuttingDown, "the daemon is shutting down")
            }
        }
    }

    /// Lets go of memory that is kept for later, after which the next requests are a little slower.
    pub fn release_memory(&self) {
        self.events.release_memory();
    }

    /// Loads a configuration and starts services; answers when each is ready, completed or failed.
    ///
    /// # Errors
    /// `unknown_service`, `conflict`, `shutting_down`.
    pub async fn up(&self, up: Up) -> Result<UpReport, Problem> {
        let since = Timestamp::now();
        let started = self.ask(|reply| Input::Up(Box::new(up), reply)).await??;
        Ok(self.report(started, since).await)
    }

    /// Starts services of the loaded configuration.
    ///
    /// # Errors
    /// `config_missing`, `unknown_service`, `shutting_down`.
    pub async fn start(&self, request: ActionRequest) -> Result<UpReport, Problem> {
        let since = Timestamp::now();
        let started = self.ask(|reply| Input::Start(request, reply)).await??;
        Ok(self.report(started, since).await)
    }

    /// Stops services; answers when each is down, or stuck.
    ///
    /// # Errors
    /// `unknown_service`, `shutting_down`.
    pub async fn stop(&self, request: ActionRequest) -> Result<ActionReport, Problem> {
        self.ask(|reply| Input::Stop(request, reply)).await?
    }

    /// Kills services at once, or sends them a signal.
    ///
    /// # Errors
    /// `unknown_service`, `bad_request`, `shutting_down`.
    pub async fn kill(&self, request: ActionRequest) -> Result<ActionReport, Problem> {
        self.ask(|reply| Input::Kill(request, reply)).await?
    }

    /// Has all of these services stand still; answers once they do.
    ///
    /// # Errors
    /// `unknown_service`, `bad_request`, `shutting_down`.
    pub async fn freeze(&self, request: ActionRequest) -> Result<FreezeReport, Problem> {
        self.ask(|reply| Input::Freeze(request, true, reply)).await?
    }

    /// Lets them go on; answers once they do.
    ///
    /// # Errors
    /// As [`Handle::freeze`].
    pub async fn thaw(&self, request: ActionRequest) -> Result<FreezeReport, Problem> {
        self.ask(|reply| Input::Freeze(request, false, reply)).await?
    }

    /// Stops services and starts them again.
    ///
    /// # Errors
    /// `config_missing`, `unknown_service`, `shutting_down`.
    pub async fn restart(&self, request: ActionRequest) -> Result<ActionReport, Problem> {
        let since = Timestamp::now();
        let (mut report, started) = self.ask(|reply| Input::Restart(request, reply)).await??;
        let started = self.report(started, since).await;
        report.ok &= started.ok;
        report.started = started.services;
        Ok(report)
    }

    /// Where the configuration was read, and the environment it was read with.
    ///
    /// # Errors
    /// `config_missing`, `shutting_down`.
    pub async fn loaded_from(&self) -> Result<LoadedFrom, Problem> {
        self.ask(Input::LoadedFrom).await?
    }

    /// Takes over a configuration that was loaded again; answers when all that follows from it is done.
    ///
    /// # Errors
    /// `config_missing`, `config_invalid`, `containment_too_weak`, `shutting_down`: nothing has changed then.
    pub async fn reload(&self, reload: Reload) -> Result<ReloadReport, Problem> {
        let since = Timestamp::now();
        let (mut report, started) = self.ask(|reply| Input::Reload(Box::new(reload), reply)).await??;
        let started = self.report(started, since).await;
        report.ok &= started.ok;
        report.started = started.services;
        Ok(report)
    }

    /// Stops everything; when nothing is left, the engine ends. The request is made by the call itself, in the order of
    /// the calls; the future only waits for the answer.
    ///
    /// # Errors
    /// `shutting_down` if it has ended.
    pub fn down(
        &self,
        request: DownRequest,
        reason: Reason,
    ) -> impl Future<Output = Result<DownReport, Problem>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inbox.send(Input::Down(request, reason, reply));
        async move {
            let gone = || Problem::new(Code::ShuttingDown, "the daemon is shutting down");
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())
        }
    }

    /// Ends the engine with whatever is left, which the keeper goes on with.
    pub fn give_up(&self) {
        let _ended_already = self.inbox.send(Input::GiveUp);
    }

    /// Waits until everything that has happened so far is recorded.
    ///
    /// # Errors
    /// `shutting_down` if it has ended; then it is recorded as well.
    pub async fn persist(&self) -> Result<(), Problem> {
        self.ask(Input::Persist).await
    }

    /// Publishes something that happened outside of the engine.
    pub fn tell(&self, kind: EventKind) {
        let _ended = self.inbox.send(Input::Tell(kind));
    }

    /// Waits until nothing is left of an earlier daemon or keeper that was lost.
    ///
    /// # Errors
    /// `shutting_down` if it has ended before.
    pub async fn cleared(&self) -> Result<(), Problem> {
        self.ask(Input::Cleared).await
    }

    /// Adds the last lines that what failed has written since it was asked to start, now that they are in its file.
    async fn report(&self, started: Started, since: Timestamp) -> UpReport {
        let mut services = started.0;
        let failed = |outcome: &Outcome| matches!(outcome.kind, OutcomeKind::Failed { .. });
        if services.iter().any(failed) {
            self.recorder.drain().await;
        }
        for outcome in &mut services {
            if let OutcomeKind::Failed { logs, .. } = &mut outcome.kind {
                let query = Query {
                    names: vec![outcome.service.clone()],
                    tail: Some(FAILURE_LINES),
                    since: Some(since),
                    ..Query::default()
                };
                *logs = self.logs(&query).rest(FAILURE_LINES);
            }
        }
        UpReport { ok: !services.iter().any(failed), services }
    }
}

/// For whoever waits as another daemon takes this one's place.
pub(crate) fn handed_over() -> Problem {
    Problem::new(Code::HandedOver, "another daemon goes on; ask again")
}
