//! Whether all is well, in one answer: quick for scripts, and as totals.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Activity, Health, ServiceStatus, State};

/// Whether services are well. No process is looked at for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthReport {
    /// Whether every one of them is.
    pub ok: bool,
    /// Those that were asked for; without names all that are wanted or have run.
    pub services: Vec<ServiceHealth>,
}

/// How one service is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceHealth {
    /// Name in `ps`.
    pub name: String,
    /// Whether there is nothing to worry about or to wait for.
    pub ok: bool,
    /// As in `ps`.
    pub state: State,
    /// As in `ps`.
    pub health: Health,
    /// Why it is like that, where that needs words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What it is doing, where that is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// Whether it stands still.
    #[serde(default)]
    pub frozen: bool,
}

/// Totals over all services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Whether all is well, as [`HealthReport::ok`].
    pub ok: bool,
    /// Services, each replica by itself.
    pub services: u32,
    /// How many are in each state; those that none is in are absent.
    pub by_state: IndexMap<State, u32>,
    /// The same by health.
    pub by_health: IndexMap<Health, u32>,
    /// Living processes.
    pub processes: u32,
    /// Resident memory, bytes.
    pub memory_bytes: u64,
    /// Percent of one CPU, over the time since each was looked at last.
    pub cpu_percent: f64,
    /// Restarts nobody asked for.
    pub restarts: u32,
}

/// Whether a service in this state is as it should be.
#[must_use]
pub fn is_well(state: State, health: Health, wanted: bool, frozen: bool) -> bool {
    match state {
        State::Ready | State::Up => health.is_well() && !frozen,
        // Its time has not come.
        State::Completed | State::Scheduled => true,
        State::Stopped => !wanted,
        State::Pending
        | State::Starting
        | State::Unhealthy
        | State::Stopping
        | State::Stuck
        | State::Waiting
        | State::Failed
        | State::GivenUp => false,
    }
}

impl Summary {
    /// The totals of these.
    #[must_use]
    pub fn of(services: &[ServiceStatus]) -> Self {
        let mut summary = Self {
            ok: true,
            services: 0,
            by_state: IndexMap::new(),
            by_health: IndexMap::new(),
            processes: 0,
            memory_bytes: 0,
            cpu_percent: 0.0,
            restarts: 0,
        };
        for one in services {
            // One that was never to run is no trouble.
            summary.ok &= is_well(one.state, one.health, one.wanted, one.frozen);
            summary.services = summary.services.saturating_add(1);
            *summary.by_state.entry(one.state).or_default() += 1;
            *summary.by_health.entry(one.health).or_default() += 1;
            summary.processes = summary.processes.saturating_add(one.processes.unwrap_or(0));
            summary.memory_bytes = summary.memory_bytes.saturating_add(one.memory_bytes.unwrap_or(0));
            summary.cpu_percent += one.cpu_percent.unwrap_or(0.0);
            summary.restarts = summary.restarts.saturating_add(one.restarts);
        }
        summary.cpu_percent = (summary.cpu_percent * 10.0).round() / 10.0;
        summary
    }
}
