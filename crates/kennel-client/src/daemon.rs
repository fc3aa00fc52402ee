//! A daemon that answers, and every request it takes.

use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use kennel_sys::home::Home;
use kennel_wire::{
    ActionReport, ActionRequest, AdoptReport, AlertReport, DaemonInfo, DownReport, DownRequest, Event, FreezeReport,
    HealthReport, HistoryRequest, InstanceOrphans, LogLine, LogStream, OrphanAdoptRequest, OrphanStopRequest,
    PortStatus, ReloadReport, ReloadRequest, ServiceStatus, SignalReport, Summary, UpReport, UpRequest, UsageHistory,
    UsageReport, UsageRequest,
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::http::{self, encode};
use crate::succession::{CHANGES_WITHIN, is_handed_over};
use crate::{CallError, Lease, Lines};

/// As the `since` of [`Daemon::events`]: no event from the past, only those from now on.
pub const FROM_NOW: u64 = u64::MAX;

/// Pause before a request is sent again to a daemon that is being replaced.
const AGAIN: Duration = Duration::from_millis(10);

/// A daemon that has answered. Clones speak to the same one; each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Daemon {
    home: Home,
    info: DaemonInfo,
    /// Our own child, if we have started it.
    keeper: Option<Arc<Mutex<Child>>>,
}

/// Which log lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Names of services or replicas; empty: all.
    pub services: Vec<String>,
    /// Only the last so many lines; none: all.
    pub tail: Option<u64>,
    /// Only lines read at or after this RFC 3339 time.
    pub since: Option<String>,
    /// Only lines read at or before this RFC 3339 time.
    pub until: Option<String>,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
    /// Only those that do not match it.
    pub invert: bool,
    /// Only what was written there.
    pub stream: Option<LogStream>,
    /// Go on with new lines until the daemon ends.
    pub follow: bool,
}

impl LogQuery {
    fn target(&self) -> String {
        let mut parts: Vec<String> = self.services.iter().map(|name| format!("service={}", encode(name))).collect();
        parts.extend(self.tail.map(|tail| format!("tail={tail}")));
        parts.extend(self.since.as_ref().map(|since| format!("since={}", encode(since))));
        parts.extend(self.until.as_ref().map(|until| format!("until={}", encode(until))));
        parts.extend(self.grep.as_ref().map(|grep| format!("grep={}", encode(grep))));
        parts.extend(self.invert.then(|| "invert=true".to_owned()));
        parts.extend(self.stream.map(|stream| match stream {
            LogStream::Stdout => "stream=stdout".to_owned(),
            LogStream::Stderr => "stream=stderr".to_owned(),
        }));
        parts.push(format!("follow={}", self.follow));
        format!("/v1/logs?{}", parts.join("&"))
    }
}

impl Daemon {
    pub(crate) fn new(home: Home, info: DaemonInfo) -> Self {
        Self { home, info, keeper: None }
    }

    pub(crate) fn with_keeper(self, keeper: Child) -> Self {
        Self { keeper: Some(Arc::new(Mutex::new(keeper))), ..self }
    }

    /// Where it was reached: `runtime_dir` is the daemon's, which may differ from what the environment says.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// What it said about itself when we connected.
    #[must_use]
    pub fn known(&self) -> &DaemonInfo {
        &self.info
    }

    /// Takes note of the end of a keeper that we started, so that it is no zombie of ours.
    pub(crate) fn reap_keeper(&self) {
        if let Some(keeper) = &self.keeper {
            let _status = keeper.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        }
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<T, CallError> {
        let begin = Instant::now();
        loop {
            match self.exchange(method.clone(), target, body.clone()).await {
                // What it had begun goes on in the other one, and what is asked is the same.
                Err(error) if is_handed_over(&error) && begin.elapsed() < CHANGES_WITHIN => {
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    /// What it says about itself now.
    ///
    /// # Errors
    /// See [`CallError`], as for every request.
    pub async fn info(&self) -> Result<DaemonInfo, CallError> {
        self.call(Method::GET, "/v1/info", Vec::new()).await
    }

    /// Loads a configuration and starts services; answered once each is ready, completed or failed.
    ///
    /// # Errors
    /// `config_invalid`, `unknown_service`, `shutting_down`.
    pub async fn up(&self, request: &UpRequest) -> Result<UpReport, CallError> {
        self.call(Method::POST, "/v1/up", http::json(request)?).await
    }

    /// Starts services of the loaded configuration.
    ///
    /// # Errors
    /// `unknown_service`, `config_missing`.
    pub async fn start_services(&self, request: &ActionRequest) -> Result<UpReport, CallError> {
        self.call(Method::POST, "/v1/start", http::json(request)?).await
    }

    /// Stops services; answered when each is down, or stuck.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn stop(&self, request: &ActionRequest) -> Result<ActionReport, CallError> {
        self.call(Method::POST, "/v1/stop", http::json(request)?).await
    }

    /// Stops services and starts them again.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn restart(&self, request: &ActionRequest) -> Result<ActionReport, CallError> {
        self.call(Method::POST, "/v1/restart", http::json(request)?).await
    }

    /// Kills services, or sends them a signal.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn kill(&self, request: &ActionRequest) -> Result<ActionReport, CallError> {
        self.call(Method::POST, "/v1/kill", http::json(request)?).await
    }

    /// Has all of these services stand still, until they are thawed; answered once they do.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn freeze(&self, request: &ActionRequest) -> Result<FreezeReport, CallError> {
        self.call(Method::POST, "/v1/freeze", http::json(request)?).await
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn thaw(&self, request: &ActionRequest) -> Result<FreezeReport, CallError> {
        self.call(Method::POST, "/v1/thaw", http::json(request)?).await
    }

    /// Signals one process of a service: nothing is sent to any other.
    ///
    /// # Errors
    /// `process_gone`, `process_not_ours`, `process_is_kennel`, `process_is_zombie`, `forbidden`.
    pub async fn signal_process(&self, pid: u32, signal: i32) -> Result<SignalReport, CallError> {
        self.call(Method::POST, &format!("/v1/processes/{pid}/signal?signal={signal}"), Vec::new()).await
    }

    /// Loads the configuration again; answered when all that follows from it is done.
    ///
    /// # Errors
    /// `config_missing`, `config_invalid`, `containment_too_weak`, `shutting_down`.
    pub async fn reload(&self, request: &ReloadRequest) -> Result<ReloadReport, CallError> {
        self.call(Method::POST, "/v1/reload", http::json(request)?).await
    }

    /// Stops everything; then daemon and keeper end. See [`Daemon::departure`].
    ///
    /// # Errors
    /// `shutting_down` if it is about to end anyway.
    pub async fn down(&self, request: &DownRequest) -> Result<DownReport, CallError> {
        self.call(Method::POST, "/v1/down", http::json(request)?).await
    }

    /// All services, each replica by itself, in the file's order.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn services(&self) -> Result<Vec<ServiceStatus>, CallError> {
        self.call(Method::GET, "/v1/services", Vec::new()).await
    }

    /// Every port that a service declares or listens on, and who has it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ports(&self) -> Result<Vec<PortStatus>, CallError> {
        self.call(Method::GET, "/v1/ports", Vec::new()).await
    }

    /// One replica, or all of one service, with processes and last receipts.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn service(&self, name: &str) -> Result<Vec<ServiceStatus>, CallError> {
        self.call(Method::GET, &format!("/v1/services/{}", encode(name)), Vec::new()).await
    }

    /// Whether services are well; without names all that are wanted or have run.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn health(&self, names: &[String]) -> Result<HealthReport, CallError> {
        let parts: Vec<String> = names.iter().map(|name| format!("service={}", encode(name))).collect();
        let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
        self.call(Method::GET, &format!("/v1/health{query}"), Vec::new()).await
    }

    /// Totals over all services.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn summary(&self) -> Result<Summary, CallError> {
        self.call(Method::GET, "/v1/summary", Vec::new()).await
    }

    /// What services use now.
    ///
    /// # Errors
    /// `unknown_service`.
    pub async fn usage(&self, request: &UsageRequest) -> Result<UsageReport, CallError> {
        let mut parts: Vec<String> = request.services.iter().map(|name| format!("service={}", encode(name))).collect();
        parts.push(format!("processes={}&pss={}&at_once={}", request.processes, request.pss, request.at_once));
        // Not known to older daemons, which refuse what they do not know.
        parts.extend(request.zombies.then(|| "zombies=true".to_owned()));
        self.call(Method::GET, &format!("/v1/usage?{}", parts.join("&")), Vec::new()).await
    }

    /// What services used over time.
    ///
    /// # Errors
    /// `bad_request`; `internal` if what is recorded cannot be read.
    pub async fn usage_history(&self, request: &HistoryRequest) -> Result<UsageHistory, CallError> {
        let mut parts: Vec<String> = request.services.iter().map(|name| format!("service={}", encode(name))).collect();
        parts.extend(request.since.map(|since| format!("since={since}")));
        parts.extend(request.until.map(|until| format!("until={until}")));
        parts.extend(request.step_ms.map(|step| format!("step_ms={step}")));
        self.call(Method::GET, &format!("/v1/usage/history?{}", parts.join("&")), Vec::new()).await
    }

    /// What rules have raised.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn alerts(&self) -> Result<AlertReport, CallError> {
        self.call(Method::GET, "/v1/alerts", Vec::new()).await
    }

    /// Log lines in the order they were read.
    ///
    /// # Errors
    /// `unknown_service`, `bad_request`.
    pub async fn logs(&self, query: &LogQuery) -> Result<Lines<LogLine>, CallError> {
        Ok(Lines::new(self.stream(Method::GET, &query.target(), Vec::new()).await?))
    }

    /// Events after number `since`; [`FROM_NOW`] for none from the past.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn events(&self, since: u64, follow: bool) -> Result<Lines<Event>, CallError> {
        let target = format!("/v1/events?since={since}&follow={follow}");
        Ok(Lines::new(self.stream(Method::GET, &target, Vec::new()).await?))
    }

    /// Processes of the instance that nobody tracks.
    ///
    /// # Errors
    /// `internal` if the machine cannot be looked at, `bad_request` from a daemon that knows no orphans.
    pub async fn orphans(&self) -> Result<InstanceOrphans, CallError> {
        self.call(Method::GET, "/v1/orphans", Vec::new()).await
    }

    /// Ends such processes; answered when another look finds none of them.
    ///
    /// # Errors
    /// `process_not_ours` if one that is meant is none; as for [`Daemon::orphans`].
    pub async fn stop_orphans(&self, request: &OrphanStopRequest) -> Result<InstanceOrphans, CallError> {
        self.call(Method::POST, "/v1/orphans/stop", http::json(request)?).await
    }

    /// Has such a process held again, with everybody of its scope.
    ///
    /// # Errors
    /// `process_gone`, `process_not_ours`, `not_certain`, `cannot_adopt`, `unknown_service`, `conflict`.
    pub async fn adopt_orphan(&self, request: &OrphanAdoptRequest) -> Result<AdoptReport, CallError> {
        self.call(Method::POST, "/v1/orphans/adopt", http::json(request)?).await
    }

    /// Binds the stack to this process: see [`Lease`].
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn lease(&self) -> Result<Lease, CallError> {
        Ok(Lease::new(self.stream(Method::POST, "/v1/lease", Vec::new()).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_query_is_spelled_out() {
        let query = LogQuery {
            services: vec!["web".into(), "worker.2".into()],
            tail: Some(5),
            since: Some("2026-01-02T03:04:05+01:00".into()),
            until: None,
            grep: Some("a b|c".into()),
            invert: true,
            stream: Some(LogStream::Stderr),
            follow: true,
        };
        assert_eq!(
            query.target(),
            "/v1/logs?service=web&service=worker.2&tail=5&since=2026-01-02T03%3A04%3A05%2B01%3A00&grep=a%20b%7Cc&invert=true&stream=stderr&follow=true"
        );
        assert_eq!(LogQuery::default().target(), "/v1/logs?follow=false");
    }
}
