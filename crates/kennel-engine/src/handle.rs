//! What the rest of the program can ask of the engine.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::instance::Reason;
use kennel_core::model::{Project, Service};
use kennel_logs::told::Query;
use kennel_store::Change;
use kennel_sys::home::Home;
use kennel_wire::{
    ActionReport, ActionRequest, AlertReport, CleanReport, CleanRequest, Code, DaemonInfo, DetachReport, DetachRequest,
    DownReport, DownRequest, EventKind, FreezeReport, HealthReport, HistoryRequest, Outcome, OutcomeKind, OwnerRequest,
    OwnerStatus, Problem, ReloadReport, RunReport, RunRequest, ServiceStatus, SignalReport, UpReport, UsageHistory,
    UsageReport, UsageRequest,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::announce::Announcer;
use crate::desktop::Desktop;
use crate::driver::{End, Grant, Input, Started};
use crate::events::Events;
use crate::history::{self, Span};
use crate::logs::{Reader, Recorder};
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

    /// Takes over the descriptors of a coming `run`; the returned guard ends the run when dropped.
    #[must_use]
    pub fn stdio(&self, token: String, stdio: [OwnedFd; 3]) -> StdioGuard {
        let _shutting_down = self.inbox.send(Input::Stdio(token.clone(), stdio));
        StdioGuard { token, inbox: self.inbox.clone() }
    }

    /// The client of a run has come from another daemon: the returned guard ends the run when dropped.
    ///
    /// # Errors
    /// `handed_over` if this daemon has let go as well, and somebody else is to be told; `shutting_down`.
    pub async fn hold_again(&self, token: String) -> Result<StdioGuard, Problem> {
        self.ask(|reply| Input::Reheld(token.clone(), reply)).await?;
        Ok(StdioGuard { token, inbox: self.inbox.clone() })
    }

    /// Answers as [`Handle::run`] for a command that was begun by another daemon.
    ///
    /// # Errors
    /// `unknown_run` if there is no such run, else as of [`Handle::run`].
    pub async fn await_run(&self, token: String) -> Result<RunReport, Problem> {
        self.ask(|reply| Input::AwaitRun(token, reply)).await?
    }

    /// Runs one command in a scope of its own; answers when that is empty.
    ///
    /// # Errors
    /// `not_found`, `not_executable`, `spawn_failed`, `unknown_service`, `unknown_run`, `shutting_down`.
    pub async fn run(&self, request: RunRequest) -> Result<RunReport, Problem> {
        self.ask(|reply| Input::Run(Box::new(request), reply)).await?
    }

    /// Starts one command that outlives the request; answers when it is executed.
    ///
    /// # Errors
    /// As [`Handle::run`], and `conflict`, `unknown_owner`, `owner_ended`, `process_gone`; then nothing is left of it.
    pub async fn run_detached(&self, request: DetachRequest) -> Result<DetachReport, Problem> {
        self.ask(|reply| Input::RunDetached(Box::new(request), reply)).await?
    }

    /// All owners that are known, parents before their children.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn owners(&self) -> Result<Vec<OwnerStatus>, Problem> {
        self.ask(Input::Owners).await
    }

    /// Makes or changes an owner.
    ///
    /// # Errors
    /// `bad_request`, `conflict`, `unknown_owner`, `owner_ended`, `process_gone`, `shutting_down`.
    pub async fn open_owner(&self, request: OwnerRequest) -> Result<OwnerStatus, Problem> {
        self.ask(|reply| Input::OpenOwner(request, reply)).await?
    }

    /// The same, and holds it until the grant is dropped.
    ///
    /// # Errors
    /// As [`Handle::open_owner`].
    pub async fn hold_owner(&self, request: OwnerRequest) -> Result<Grant, Problem> {
        self.ask(|reply| Input::HoldOwner(request, reply)).await?
    }

    /// Renews the heartbeat of an owner.
    ///
    /// # Errors
    /// `unknown_owner`, `owner_ended`, `conflict` if it has none, `shutting_down`.
    pub async fn renew_owner(&self, name: String) -> Result<OwnerStatus, Problem> {
        self.ask(|reply| Input::RenewOwner(name, reply)).await?
    }

    /// Forgets what is over; with an owner, ends all of it first.
    ///
    /// # Errors
    /// `unknown_owner`, `shutting_down`.
    pub async fn clean(&self, request: CleanRequest) -> Result<CleanReport, Problem> {
        self.ask(|reply| Input::Clean(request, reply)).await?
    }

    /// Signals every process of a run.
    ///
    /// # Errors
    /// `unknown_run`, `shutting_down`.
    pub async fn signal_run(&self, token: String, signal: i32) -> Result<(), Problem> {
        self.ask(|reply| Input::SignalRun(token, signal, reply)).await?
    }

    /// Signals one process of a service, whichever of its processes that is; if it is said when it began (clock ticks since
    /// boot), no other one that has its number since.
    ///
    /// # Errors
    /// `process_gone`, `process_not_ours`, `process_is_kennel`, `process_is_zombie`, `forbidden`, `shutting_down`.
    pub async fn signal_process(&self, pid: u32, began: Option<u64>, signal: i32) -> Result<SignalReport, Problem> {
        self.ask(|reply| Input::SignalProcess { pid, began, signal, reply }).await?
    }

    /// All services, in the file's order.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn services(&self) -> Result<Vec<ServiceStatus>, Problem> {
        self.ask(Input::Services).await
    }

    /// Whether services are well; without names all that are wanted or have run.
    ///
    /// # Errors
    /// `unknown_service`, `shutting_down`.
    pub async fn health(&self, names: Vec<String>) -> Result<HealthReport, Problem> {
        self.ask(|reply| Input::Health(names, reply)).await?
    }

    /// All services without what they use, which costs no look at their processes.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn facts(&self) -> Result<Vec<ServiceStatus>, Problem> {
        self.ask(Input::Facts).await
    }

    /// One service or replica with its processes and its last receipt.
    ///
    /// # Errors
    /// `unknown_service`, `shutting_down`.
    pub async fn service(&self, name: String) -> Result<Vec<ServiceStatus>, Problem> {
        self.ask(|reply| Input::Service(name, reply)).await?
    }

    /// What is declared of a service or a run on request, as its next run would have it.
    ///
    /// # Errors
    /// `unknown_service`, `shutting_down`.
    pub async fn declared(&self, name: String) -> Result<Arc<Service>, Problem> {
        self.ask(|reply| Input::Declared(name, reply)).await?
    }

    /// What services use now. A first question takes a quarter of a second, for a share of the CPU is one of a time.
    ///
    /// # Errors
    /// `unknown_service`, `shutting_down`.
    pub async fn usage(&self, request: UsageRequest) -> Result<UsageReport, Problem> {
        let looked = self.ask(|reply| Input::Usage(request, reply)).await??;
        looked.report().await.ok_or_else(|| self.gone())
    }

    /// What services used over time.
    ///
    /// # Errors
    /// `bad_request` if the end is before the begin, `internal` if what is recorded cannot be read, `shutting_down`.
    pub async fn usage_history(&self, request: HistoryRequest) -> Result<UsageHistory, Problem> {
        let span = Span::of(&request, Timestamp::now())?;
        let recollected = self.ask(|reply| Input::UsageHistory(request, reply)).await?;
        let state_dir = self.home.state_dir.clone();
        let history = tokio::task::spawn_blocking(move || history::put_together(&state_dir, &span, recollected)).await;
        history.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
    }

    /// What rules have raised.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn alerts(&self) -> Result<AlertReport, Problem> {
        self.ask(Input::Alerts).await
    }

    /// Who answers.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn info(&self) -> Result<DaemonInfo, Problem> {
        self.ask(Input::Info).await
    }

    /// Whether nothing is loaded and nothing runs, so that nobody would miss the daemon.
    pub async fn is_idle(&self) -> bool {
        self.ask(Input::IsIdle).await.unwrap_or(false)
    }

    /// The event stream.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Opens logs for reading; no name means every service that has a log.
    #[must_use]
    pub fn logs(&self, query: &Query) -> Reader {
        Reader::open(&self.logs_dir, query, self.recorder.watch())
    }

    /// Waits until everything written so far can be read back.
    pub async fn flush_logs(&self) {
        self.recorder.drain().await;
    }

    /// Resolves when the engine has ended.
    pub async fn finished(&self) {
        let mut finished = self.finished.clone();
        let _sender_gone = finished.wait_for(Option::is_some).await;
    }

    /// Waits until the log of the machine has every event that is published by now, if the configuration sends them there.
    /// That log may never answer: whoever calls it has a limit.
    pub async fn announced(&self) {
        self.announcer.is_done().await;
    }

    /// Whether the engine has ended, or has handed over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.finished.borrow().is_some()
    }

    /// Has a small fact recorded for the daemon after this one; none: forgotten. It is forgotten with the end of the stack as well.
    pub fn remember(&self, key: &'static str, fact: Option<serde_json::Value>) {
        let _ended_already = self.inbox.send(Input::Remember(key, fact));
    }

    /// What the daemon before this one had recorded so.
    #[must_use]
    pub fn remembered(&self, key: &str) -> Option<&serde_json::Value> {
        self.facts.get(key)
    }

    /// Has recorded who asked for what, and how it went. Nothing is any more once the engine has ended.
    pub fn audit(&self, actor: String, action: String, subject: String, outcome: String) {
        let _ended_already = self.inbox.send(Input::Audit(Change::Audit { actor, action, subject, outcome }));
    }

    /// Says that requests are answered from now on, so that a daemon before this one may go.
    pub fn serving(&self) {
        let _ended_already = self.inbox.send(Input::Serving);
    }

    /// Has the keeper keep a descriptor for the daemon after this one.
    pub fn hold(&self, name: &str, fd: OwnedFd) {
        let _ended_already = self.inbox.send(Input::Hold(name.to_owned(), fd));
    }

    /// Has the keeper keep it no longer.
    pub fn release(&self, name: &str) {
        let _ended_already = self.inbox.send(Input::Release(name.to_owned()));
    }

    /// Has another daemon take this one's place: of `program`, or of the keeper's own. Answers when it is about to.
    ///
    /// # Errors
    /// `handover_failed`: nothing has changed. `conflict` while another is under way, `shutting_down`.
    pub async fn succeed(&self, program: Option<OwnedFd>) -> Result<(), Problem> {
        self.ask(|reply| Input::Succeed(program, reply)).await?
    }

    /// Has the keeper run `program` from now on, in the same process, with all that it holds.
    ///
    /// # Errors
    /// `handover_failed`: it goes on as it was. `conflict`, `shutting_down`.
    pub async fn replace_keeper(&self, program: OwnedFd) -> Result<(), Problem> {
        self.ask(|reply| Input::ReplaceKeeper(program, reply)).await?
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

/// Ends a run when dropped, if it has not ended.
#[derive(Debug)]
pub struct StdioGuard {
    token: String,
    inbox: mpsc::UnboundedSender<Input>,
}

impl Drop for StdioGuard {
    fn drop(&mut self) {
        let _ended_already = self.inbox.send(Input::StdioClosed(std::mem::take(&mut self.token)));
    }
}
