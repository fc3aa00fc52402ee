//! What `ps` and `status` show: the observed state in the wire's words.

use std::sync::atomic::Ordering;
use std::time::Instant;

use jiff::Timestamp;
use kennel_core::instance::{Health as RunHealth, State as RunState};
use kennel_core::model::{Condition, Dependency, Exit};
use kennel_core::slot::{Failure, Rest, State};
use kennel_keeper::proto::{self, Backend};
use kennel_sys::proc;
use kennel_wire::{Advice, Containment, DaemonInfo, Health, ServiceStatus, State as Shown, StopReason, Survivor};

use super::bounds;
use super::health::Finding;
use super::runs::Run;
use super::slots::Slot;
use super::usage::{COMMAND_CHARS, Machine, Usage};
use super::{Driver, hang, storm};
use crate::receipt::millis;

impl Driver {
    /// One line of `status`, with the processes and the last receipt.
    pub(super) fn status(&mut self, name: &str) -> Option<ServiceStatus> {
        let run = self.slots.get(name)?.run;
        if let Some(id) = run {
            self.look_for_zombie(id);
        }
        let zombies = self.zombies_of(name);
        let usage = run
            .and_then(|id| self.to_look_at(id))
            .map(|look| look.now(&mut Machine::default(), true))
            .unwrap_or_default();
        Some(ServiceStatus { zombies, ..self.status_with(name, true, usage)? })
    }

    /// All lines of `ps`, without a look at their processes.
    pub(super) fn facts(&self) -> Vec<ServiceStatus> {
        self.slots.keys().filter_map(|name| self.status_with(name, false, Usage::default())).collect()
    }

    pub(super) fn status_with(&self, name: &str, detail: bool, usage: Usage) -> Option<ServiceStatus> {
        let slot = self.slots.get(name)?;
        let run = slot.run.and_then(|id| self.runs.get(&id));
        let (state, reason) = shown(slot, run);
        let Finding { word: health, reason: health_reason, .. } = self.health(slot, run, true);
        let health_since = if slot.health.word == health { slot.health.since } else { Some(Timestamp::now()) };
        let stuck = slot.run.zip(run).filter(|(_, run)| run.is_stuck);
        let stuck = stuck.map(|(id, run)| run.receipt_now(id, &self.boot_id, false));
        let running = run.filter(|run| run.pid.is_some());
        let frozen = running.and_then(|run| run.frozen.as_ref()).map(|by| format!("frozen by {by}"));
        Some(ServiceStatus {
            name: name.to_owned(),
            service: slot.service_name.clone(),
            wanted: slot.wanted,
            state,
            health,
            health_reason,
            health_since,
            activity: run.and_then(|run| run.hang.as_ref()?.activity()).map(hang::wire),
            activity_since: run
                .and_then(|run| run.hang.as_ref())
                .filter(|it| it.activity().is_some())
                .map(|it| it.since),
            probe_ms: run.and_then(|run| run.probe_took).map(|took| (took.as_secs_f64() * 1e6).round() / 1e3),
            reason: stuck.as_ref().map(|receipt| who_is_left(&receipt.survivors)).or(reason).or(frozen),
            frozen: running.is_some_and(|run| run.frozen.is_some()),
            log_bytes: running.map(|run| run.activity.bytes.load(Ordering::Relaxed)),
            log_lost_bytes: running.map(|run| run.activity.lost.load(Ordering::Relaxed)).filter(|lost| *lost > 0),
            alerts: self.alerts_of(name),
            foreseen: self.foreseen_of(name),
            instance: slot.last_run,
            pid: running.and_then(|run| run.pid),
            identity: running.and_then(|run| Some(wire_identity(run.identity.as_ref()?, &self.boot_id, &run.scope))),
            containment: word(&self.backend, slot.service.isolation.pid),
            processes: running.map(|_| usage.processes),
            cpu_percent: usage.cpu_percent,
            memory_bytes: running.map(|_| usage.memory_bytes),
            started_at: running.map(|run| run.started_at),
            uptime_ms: running.map(|run| millis(run.begun.elapsed())),
            ready_after_ms: run.and_then(|run| run.ready_after_ms),
            restarts: slot.history.total(),
            next_at: slot.armed.as_ref().and_then(|armed| armed.next_at()),
            next_in_ms: slot.armed.as_ref().and_then(|armed| armed.next_in()).map(millis),
            retry_in_ms: slot.retry_at.map(|at| millis(at.saturating_duration_since(Instant::now()))),
            last_exit: slot.last_exit.map(wire_exit),
            ports: slot.ports(),
            command: run.map_or(&slot.service, |run| &run.service).command.clone(),
            working_dir: Some(run.map_or(&slot.service, |run| &run.service).working_dir.clone()),
            color: slot.service.color.clone(),
            depends_on: slot.service.depends_on.iter().map(wire_dependency).collect(),
            ad_hoc: slot.ad_hoc.as_ref().map(|ad_hoc| ad_hoc.about.clone()),
            limits: self.limits_of(slot, run),
            survivors: stuck.as_ref().map(|receipt| receipt.survivors.clone()).unwrap_or_default(),
            tree: usage.tree,
            zombies: Vec::new(),
            last_receipt: stuck.or_else(|| slot.last_receipt.clone()).filter(|_| detail),
        })
    }

    /// Its own, and those that it shares with others.
    fn limits_of(&self, slot: &Slot, run: Option<&Run>) -> Vec<kennel_wire::LimitStatus> {
        let mut limits = match run {
            Some(run) => run.bounded.status(&run.service.limits),
            None => slot.bounded.status(&slot.service.limits),
        };
        let owners = slot.owner().map(|owner| self.owners.all.with_ancestors(owner)).unwrap_or_default();
        limits.extend(self.shared_limits(&owners));
        limits
    }

    pub(super) fn info(&self) -> DaemonInfo {
        DaemonInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            keeper_pid: self.keeper_pid,
            instance: self.home.name.clone(),
            directory: self.loaded.as_ref().map(|loaded| loaded.project.directory.clone()),
            config: self.loaded.as_ref().map(|loaded| loaded.config.clone()),
            state_dir: self.home.state_dir.clone(),
            started_at: self.started_at,
            containment: self.containment.clone(),
            trouble: self.events.trouble(),
        }
    }
}

/// What is shown of a service that was ended with a lost daemon, until a configuration is loaded again.
pub(super) fn lost(name: &str, id: u64, exit: Option<kennel_wire::Exit>, backend: &Backend) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        service: name.to_owned(),
        wanted: false,
        state: Shown::Failed,
        health: Health::Failed,
        health_reason: None,
        health_since: None,
        activity: None,
        activity_since: None,
        probe_ms: None,
        reason: Some("stopped because the daemon was lost; `kennel up` starts it again".into()),
        frozen: false,
        log_bytes: None,
        log_lost_bytes: None,
        alerts: Vec::new(),
        foreseen: None,
        instance: Some(id),
        pid: None,
        identity: None,
        containment: word(backend, false),
        processes: None,
        cpu_percent: None,
        memory_bytes: None,
        started_at: None,
        uptime_ms: None,
        ready_after_ms: None,
        restarts: 0,
        retry_in_ms: None,
        next_at: None,
        next_in_ms: None,
        last_exit: exit,
        ports: indexmap::IndexMap::new(),
        command: Vec::new(),
        working_dir: None,
        color: None,
        depends_on: Vec::new(),
        ad_hoc: None,
        limits: Vec::new(),
        survivors: Vec::new(),
        tree: Vec::new(),
        zombies: Vec::new(),
        last_receipt: None,
    }
}

/// The same edge in the wire's words.
fn wire_dependency(edge: &Dependency) -> kennel_wire::Dependency {
    let condition = match edge.condition {
        Condition::Started => kennel_wire::Condition::Started,
        Condition::Healthy => kennel_wire::Condition::Healthy,
        Condition::Completed => kennel_wire::Condition::Completed,
        Condition::CompletedSuccessfully => kennel_wire::Condition::CompletedSuccessfully,
    };
    kennel_wire::Dependency { service: edge.service.clone(), condition }
}

/// What holds a service's processes together, in one word.
pub(super) fn word(backend: &Backend, pidns: bool) -> String {
    let word = backend.word();
    if pidns { format!("{word}+pidns") } else { word.to_owned() }
}

/// The same process in the wire's words.
pub(super) fn wire_identity(process: &proto::Identity, boot_id: &str, scope: &str) -> kennel_wire::Identity {
    kennel_wire::Identity {
        boot_id: boot_id.to_owned(),
        pid: process.pid,
        start_ticks: process.start_ticks,
        inode: Some(process.inode).filter(|inode| *inode != 0),
        scope: scope.to_owned(),
    }
}

/// `cannot be ended: 812 (dd), in uninterruptible sleep`
fn who_is_left(survivors: &[Survivor]) -> String {
    let one = |one: &Survivor| match (one.state, one.tracer) {
        (_, tracer @ 1..) => {
            let by = one.tracer_command.as_deref().unwrap_or("gone");
            format!("{} ({}), held by tracer {tracer} ({by})", one.pid, one.command)
        }
        ('D', _) => format!("{} ({}), in uninterruptible sleep", one.pid, one.command),
        (state, _) => format!("{} ({}), state {state}", one.pid, one.command),
    };
    match survivors {
        [] => "cannot be ended".to_owned(),
        [only] => format!("cannot be ended: {}", one(only)),
        [first, rest @ ..] => format!("cannot be ended: {}, and {} more", one(first), rest.len()),
    }
}

/// The same process in the wire's words, with what can be told of its tracer.
pub(super) fn wire_survivor(one: proto::Survivor) -> Survivor {
    let tracer_command = (one.tracer != 0).then(|| proc::command(one.tracer, COMMAND_CHARS)).flatten();
    Survivor {
        pid: one.pid,
        command: one.command,
        state: one.state,
        wchan: one.wchan,
        stack: one.stack,
        tracer: one.tracer,
        tracer_command,
    }
}

pub(super) fn shown(slot: &Slot, run: Option<&Run>) -> (Shown, Option<String>) {
    match &slot.state {
        State::Rest(rest) if slot.armed.is_some() && slot.service.is_timed() => (Shown::Scheduled, last_time(rest)),
        State::Rest(Rest::Stopped) => (Shown::Stopped, why_stopped(slot)),
        State::Rest(Rest::Completed) => (Shown::Completed, None),
        State::Rest(Rest::Failed(Failure::DaemonLost)) if slot.ad_hoc.is_some() => {
            (Shown::Failed, Some("stopped because the daemon was lost, with which it ends".into()))
        }
        State::Rest(Rest::Failed(_)) if let Some(why) = slot.last_receipt.as_ref().and_then(bounds::explained) => {
            (Shown::Failed, Some(why))
        }
        State::Rest(Rest::Failed(failure)) => (Shown::Failed, Some(failure.to_string())),
        State::Rest(Rest::GivenUp(failure)) => (Shown::GivenUp, Some(failure.to_string())),
        State::Pending => (Shown::Pending, Some(format!("waits for {}", slot.waiting_for.join(", ")))),
        State::Waiting if let Some(restarts) = slot.held_back => (Shown::Waiting, Some(storm::held_back(restarts))),
        State::Waiting if let Some(why) = slot.last_receipt.as_ref().and_then(bounds::explained) => {
            (Shown::Waiting, Some(why))
        }
        State::Waiting => (Shown::Waiting, slot.last_exit.map(|exit| format!("ended: {}", wire_exit(exit)))),
        State::Active { .. } => match run.map(|run| (&run.state, run)) {
            None | Some((RunState::Starting { .. }, _)) => (Shown::Starting, None),
            Some((RunState::Running { health: RunHealth::Starting }, run)) => (Shown::Up, run.probe_said.clone()),
            Some((RunState::Running { health: RunHealth::Ready }, run)) => match failing(run) {
                Some(why) => (Shown::Unhealthy, Some(why)),
                None => (Shown::Ready, None),
            },
            Some((RunState::Running { health: RunHealth::Unhealthy }, run)) => {
                (Shown::Unhealthy, run.probe_said.clone())
            }
            Some((RunState::Stopping(_) | RunState::Down(_), run)) if run.is_stuck => (Shown::Stuck, None),
            Some((RunState::Stopping(_) | RunState::Down(_), _)) => (Shown::Stopping, None),
        },
    }
}

/// What became of the run before, of a service that waits for its time.
fn last_time(rest: &Rest) -> Option<String> {
    match rest {
        Rest::Stopped | Rest::Completed => None,
        Rest::Failed(failure) => Some(format!("the last run failed: {failure}")),
        Rest::GivenUp(failure) => Some(format!("the last run was given up: {failure}")),
    }
}

/// Why it was stopped if nobody did it by hand.
fn why_stopped(slot: &Slot) -> Option<String> {
    let receipt = slot.last_receipt.as_ref()?;
    match receipt.reason {
        StopReason::OwnerEnded => Some(format!("owner `{}` ended", slot.owner().unwrap_or("none"))),
        StopReason::NotAlive => Some("its `liveness` failed".into()),
        StopReason::Hung => Some("it hung".into()),
        StopReason::LogBound => Some("its log is full".into()),
        StopReason::Idle => Some("wrote nothing for its `idle_timeout`".into()),
        StopReason::Limit => bounds::explained(receipt),
        StopReason::Rule => Some("a rule ended it, see `kennel alerts`".into()),
        StopReason::Requested
        | StopReason::Restart
        | StopReason::Down
        | StopReason::MainExited
        | StopReason::StartTimeout
        | StopReason::DaemonLost
        | StopReason::KeeperLost
        | StopReason::ClientGone
        | StopReason::MaxRuntime => None,
    }
}

/// Why it does not work although it can serve, if that is known.
fn failing(run: &Run) -> Option<String> {
    let dead = run.live.as_ref().and_then(|live| live.failing.clone());
    dead.or_else(|| run.hang.as_ref()?.why.clone())
}

/// The same fact in the wire's words.
pub(super) fn wire_exit(exit: Exit) -> kennel_wire::Exit {
    match exit {
        Exit::Code(code) => kennel_wire::Exit::Code { code },
        Exit::Signal(signal) => kennel_wire::Exit::Signal { signal },
        Exit::Unknown => kennel_wire::Exit::Unknown,
    }
}

/// What the containment promises, in the wire's words. Reads a few files, so once is enough.
pub(super) fn containment(backend: &Backend) -> Containment {
    let (because, reason) = match backend {
        Backend::Cgroup { .. } => (None, None),
        Backend::Reaper { reason, because } => (Some(because.clone()), Some(*reason)),
    };
    let advice = reason.and_then(|reason| kennel_keeper::advise(reason, &kennel_keeper::Situation::here()));
    Containment {
        backend: backend.word().into(),
        promise: backend.promise(),
        limits: backend.limits().iter().map(|limit| (*limit).to_owned()).collect(),
        because,
        reason: reason.map(|reason| reason.as_str().into()),
        advice: advice.map(|it| Advice { text: it.text, command: it.command }),
    }
}
