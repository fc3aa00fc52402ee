//! What is looked at, and where it comes from.

use kennel_client::{CallError, Daemon};
use kennel_wire::{Alert, Code, MachineUsage, OwnUsage, ServiceStatus, ServiceUsage, Usage, UsageReport, UsageRequest};

/// One look at everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// All services in the order of `ps`, also those that do not run.
    pub services: Vec<ServiceStatus>,
    /// What those that run use.
    pub usage: UsageReport,
    /// What is too much now, or will be soon, the oldest first.
    pub alerts: Vec<Alert>,
}

/// How closely services are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Their sums.
    Services,
    /// Each process as well.
    Processes,
    /// With the zombies among them, which is more to read.
    Zombies,
}

impl Look {
    /// Asks a daemon about these services, or all.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask(daemon: &Daemon, services: &[String], detail: Detail) -> Result<Self, CallError> {
        let processes = detail != Detail::Services;
        let zombies = detail == Detail::Zombies;
        let request = UsageRequest { services: services.to_vec(), processes, zombies, ..UsageRequest::default() };
        let (all, usage, alerts) = tokio::join!(daemon.services(), daemon.usage(&request), daemon.alerts());
        let mut chosen = all?;
        if !services.is_empty() {
            chosen.retain(|one| services.iter().any(|name| *name == one.name || *name == one.service));
        }
        let usage = match usage {
            // A daemon of an older kennel knows the sums alone.
            Err(CallError::Problem(problem)) if problem.code == Code::BadRequest && problem.status == 404 => {
                from_sums(&chosen)
            }
            answer => answer?,
        };
        // A daemon that knows of none is older, and the rest is as good.
        let mut alerts = alerts.map(|report| report.alerts).unwrap_or_default();
        let is_chosen = |name: &String| chosen.iter().any(|one| one.name == *name);
        alerts.retain(|alert| alert.cleared_at.is_none() && alert.action != "event");
        alerts.retain(|alert| alert.service.as_ref().is_none_or(is_chosen));
        Ok(Self { services: chosen, usage, alerts })
    }

    /// What the current run of a service uses.
    #[must_use]
    pub fn usage_of(&self, service: &ServiceStatus) -> Option<&ServiceUsage> {
        self.usage.services.iter().find(|one| one.name == service.name && Some(one.instance) == service.instance)
    }
}

/// The limit of its memory, bytes: as it was read, else as it was declared.
pub(crate) fn memory_limit(status: &ServiceStatus, usage: &ServiceUsage) -> Option<u64> {
    let declared = || status.limits.iter().find(|limit| limit.name == "memory").map(|limit| limit.value);
    usage.usage.memory_limit_bytes.or_else(declared)
}

/// What `ps` tells, as usage.
fn from_sums(services: &[ServiceStatus]) -> UsageReport {
    let of = |one: &ServiceStatus| {
        let usage = Usage {
            cpu_percent: one.cpu_percent,
            memory_bytes: one.memory_bytes,
            processes: one.processes.unwrap_or(0),
            ..Usage::default()
        };
        let (name, state, health) = (one.name.clone(), one.state, one.health);
        Some(ServiceUsage {
            name,
            instance: one.instance?,
            state,
            health,
            frozen: false,
            usage,
            cpu_recent: Vec::new(),
            source: one.containment.clone(),
            processes_detail: Vec::new(),
        })
    };
    let services: Vec<ServiceUsage> = services.iter().filter(|one| one.pid.is_some()).filter_map(of).collect();
    let total = Usage {
        cpu_percent: Some(services.iter().filter_map(|one| one.usage.cpu_percent).sum()),
        memory_bytes: Some(services.iter().filter_map(|one| one.usage.memory_bytes).sum()),
        processes: services.iter().map(|one| one.usage.processes).sum(),
        ..Usage::default()
    };
    let (own, machine) = (OwnUsage::default(), MachineUsage::default());
    UsageReport { time: jiff::Timestamp::now(), services, total, own, machine }
}
