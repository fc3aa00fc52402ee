//! Commands on request, for whom they run, and signals.

use std::os::fd::OwnedFd;

use kennel_wire::{
    CleanReport, CleanRequest, DetachReport, DetachRequest, OwnerRequest, OwnerStatus, Problem, RunReport, RunRequest,
    SignalReport,
};
use tokio::sync::mpsc;

use super::Handle;
use crate::driver::{Grant, Input};

impl Handle {
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
