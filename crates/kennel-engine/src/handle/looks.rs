//! What is looked at: services, what they use, events and logs.

use std::sync::Arc;

use jiff::Timestamp;
use kennel_core::model::Service;
use kennel_logs::told::Query;
use kennel_wire::{
    AlertReport, Code, DaemonInfo, HealthReport, HistoryRequest, Problem, ServiceStatus, UsageHistory, UsageReport,
    UsageRequest,
};

use super::Handle;
use crate::driver::Input;
use crate::events::Events;
use crate::history::{self, Span};
use crate::logs::Reader;

impl Handle {
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
}
