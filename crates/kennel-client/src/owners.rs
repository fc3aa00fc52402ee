//! Owners, their leases, and runs that outlive their request.

use hyper::Method;
use kennel_wire::{CleanReport, CleanRequest, DetachReport, DetachRequest, LeaseNews, OwnerRequest, OwnerStatus};

use crate::http::{self, encode};
use crate::stream::Lines;
use crate::{CallError, Daemon};

impl Daemon {
    /// Starts one command that outlives this call; answered when it is executed.
    ///
    /// # Errors
    /// `Problem` with `not_found`, `not_executable`, `spawn_failed`, `conflict`, `owner_ended` and others; then nothing is left
    /// of it.
    pub async fn run_detached(&self, request: &DetachRequest) -> Result<DetachReport, CallError> {
        // Sent again to another daemon, it must not start twice.
        let id = || kennel_sys::random::token().map_err(CallError::Lost);
        let request = match &request.request {
            Some(_) => request.clone(),
            None => DetachRequest { request: Some(id()?), ..request.clone() },
        };
        self.call(Method::POST, "/v1/runs", http::json(&request)?).await
    }

    /// All owners that are known, parents before their children.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn owners(&self) -> Result<Vec<OwnerStatus>, CallError> {
        self.call(Method::GET, "/v1/owners", Vec::new()).await
    }

    /// Makes or changes an owner.
    ///
    /// # Errors
    /// `bad_request`, `conflict`, `unknown_owner`, `owner_ended`, `process_gone`.
    pub async fn open_owner(&self, request: &OwnerRequest) -> Result<OwnerStatus, CallError> {
        self.call(Method::POST, "/v1/owners", http::json(request)?).await
    }

    /// The same, and holds it for as long as the answer is kept.
    ///
    /// # Errors
    /// As [`Daemon::open_owner`].
    pub async fn hold_owner(&self, request: &OwnerRequest) -> Result<Lines<LeaseNews>, CallError> {
        let target = format!("/v1/owners/{}/hold", encode(&request.name));
        let answer = self.stream(Method::POST, &target, http::json(request)?).await?;
        Ok(Lines::new(answer))
    }

    /// Renews the heartbeat of an owner.
    ///
    /// # Errors
    /// `unknown_owner`, `owner_ended`, `conflict` if it has none.
    pub async fn renew_owner(&self, name: &str) -> Result<OwnerStatus, CallError> {
        self.call(Method::POST, &format!("/v1/owners/{}/renew", encode(name)), Vec::new()).await
    }

    /// Forgets runs that have ended; with an owner, ends all of it first.
    ///
    /// # Errors
    /// `unknown_owner`.
    pub async fn clean(&self, request: &CleanRequest) -> Result<CleanReport, CallError> {
        self.call(Method::POST, "/v1/clean", http::json(request)?).await
    }
}
