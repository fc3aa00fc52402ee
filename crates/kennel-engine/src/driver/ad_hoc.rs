//! Runs on request that outlive their request: slots as those of the configuration, with an owner and a lifetime.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kennel_core::model::{OnDaemonLoss, Project, RestartMode, Service};
use kennel_core::slot::{Event, State};
use kennel_wire::{self as wire, Code, DetachReport, DetachRequest, Lifetime, Problem};

use super::owners::{Opened, limits_of, refused};
use super::slots::Slot;
use super::waiters::WaitsFor;
use super::{Driver, Reply, Work, view};
use crate::records::AdHoc;

/// Longest name of a request, bytes.
const REQUEST: usize = 64;

impl Driver {
    pub(super) fn run_detached(&mut self, request: DetachRequest, reply: Reply<Result<DetachReport, Problem>>) {
        if let Some(name) = request.request.as_ref().and_then(|id| self.asked_before(id)) {
            return self.wait(vec![name], WaitsFor::Begun { opened: Opened::default(), reply });
        }
        match self.admit(request) {
            Ok((name, opened)) => {
                self.queue.push_back(Work::Slot(name.clone(), Event::Start));
                self.wait(vec![name], WaitsFor::Begun { opened, reply });
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    /// The run of a request that is sent again, since its answer was lost.
    fn asked_before(&self, request: &str) -> Option<String> {
        let same = |slot: &Slot| slot.ad_hoc.as_ref().is_some_and(|it| it.request.as_deref() == Some(request));
        self.slots.iter().find(|(_, slot)| same(slot)).map(|(name, _)| name.clone())
    }

    /// Makes the slot of a run, unless something about it is wrong; then nothing has changed.
    fn admit(&mut self, request: DetachRequest) -> Result<(String, Opened), Problem> {
        if let Some(problem) = self.refuse_while_ending() {
            return Err(problem);
        }
        let lifetime = lifetime(&request)?;
        check(&request)?;
        let name = self.free_name(request.name.as_deref())?;
        if let Some(problem) = self.too_weak_beside(false) {
            return Err(problem);
        }
        let opened = match &request.owner {
            Some(owner) => self.prepare_owner(owner)?,
            None => Opened::default(),
        };
        if self.slots.contains_key(&name) {
            // Its result goes, its log goes on.
            self.slots.shift_remove(&name);
        }
        let service = Arc::new(service(&request, lifetime));
        let about = wire::AdHoc { owner: opened.owner.clone(), lifetime, created_at: Timestamp::now() };
        let ad_hoc = AdHoc { about, environment: request.environment, request: request.request, adopted: false };
        let mut slot = Slot::new(&name, 1, service);
        slot.ad_hoc = Some(Box::new(ad_hoc));
        self.slots.insert(name.clone(), slot);
        self.dirty.slot(&name);
        self.dirty.ad_hoc(&name);
        Ok((name, opened))
    }

    /// The name that is asked for, or one that nobody has.
    pub(super) fn free_name(&self, asked: Option<&str>) -> Result<String, Problem> {
        let is_declared = |name: &str| {
            self.loaded.as_ref().is_some_and(|loaded| loaded.project.services.contains_key(name))
                || self.slots.values().any(|slot| slot.ad_hoc.is_none() && slot.service_name == name)
        };
        let Some(name) = asked else {
            let mut names = (self.next_instance..).map(|number| format!("run-{number}"));
            let free = |name: &String| !self.slots.contains_key(name) && !is_declared(name);
            return names.find(free).ok_or_else(|| Problem::new(Code::Internal, "no name is free"));
        };
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) || name.len() > 63 {
            let text = format!("`{}` cannot be the name of a run", name.escape_debug().take(80).collect::<String>());
            let hint = "1 to 63 letters, digits, `_` and `-`, beginning with a letter or digit";
            return Err(Problem::new(Code::BadRequest, text).hint(hint));
        }
        if is_declared(name) {
            return Err(Problem::new(Code::Conflict, format!("`{name}` is a service of the configuration")));
        }
        match self.slots.get(name) {
            Some(slot) if !slot.is_at_rest() => {
                let hint = format!("`kennel stop {name}` stops it, and another name is free");
                Err(Problem::new(Code::Conflict, format!("a run with the name `{name}` goes on")).hint(hint))
            }
            Some(_) | None => Ok(name.to_owned()),
        }
    }

    pub(super) fn is_ad_hoc(&self, name: &str) -> bool {
        self.slots.get(name).is_some_and(|slot| slot.ad_hoc.is_some())
    }

    /// Why a configuration cannot be loaded beside the runs that go on.
    pub(super) fn taken_by_ad_hoc(&self, project: &Project) -> Option<Problem> {
        let goes_on =
            |name: &String| self.slots.get(name).is_some_and(|slot| slot.ad_hoc.is_some() && !slot.is_at_rest());
        let name = project.services.keys().find(|name| goes_on(name))?;
        let text = format!("a run that goes on has the name of the service `{name}`");
        Some(Problem::new(Code::Conflict, text).hint(format!("`kennel stop {name}` stops it")))
    }

    /// Whether a run may be started again.
    pub(super) fn may_begin(&self, name: &str) -> Result<(), Problem> {
        if self.slots.get(name).and_then(|slot| slot.ad_hoc.as_ref()).is_some_and(|ad_hoc| ad_hoc.adopted) {
            let text = format!("`{name}` was adopted as it ran, and nobody knows what it was started with");
            return Err(Problem::new(Code::Conflict, text).hint("`kennel run --detach` starts a command"));
        }
        match self.slots.get(name).and_then(|slot| slot.owner()) {
            Some(owner) => self.owners.all.living(owner).map(drop).map_err(refused),
            None => Ok(()),
        }
    }

    /// Whether it is known what has become of a start.
    pub(super) fn has_begun(&self, slot: &Slot) -> bool {
        match slot.state {
            State::Rest(_) | State::Waiting => true,
            State::Pending => false,
            State::Active { .. } => slot.run.and_then(|id| self.runs.get(&id)).is_some_and(|run| run.pid.is_some()),
        }
    }

    /// The answer to whoever started it. A start that failed leaves nothing behind.
    pub(super) fn begun(&mut self, name: &str, opened: Opened) -> Result<DetachReport, Problem> {
        let Some(slot) = self.slots.get(name) else {
            self.undo(opened);
            return Err(gone_meanwhile(name));
        };
        let failed = match (&slot.refused, slot.last_run) {
            (Some((code, error)), _) => Some(Problem::new(*code, error.clone())),
            (None, None) => Some(gone_meanwhile(name)),
            (None, Some(_)) => None,
        };
        if let Some(problem) = failed {
            self.forget_slot(name);
            self.undo(opened);
            return Err(problem);
        }
        let report = self.detach_report(name).ok_or_else(|| gone_meanwhile(name));
        self.settle(opened);
        report
    }

    fn detach_report(&self, name: &str) -> Option<DetachReport> {
        let slot = self.slots.get(name)?;
        let run = slot.run.and_then(|id| self.runs.get(&id));
        let identity = run.and_then(|run| Some(view::wire_identity(run.identity.as_ref()?, &self.boot_id, &run.scope)));
        Some(DetachReport {
            name: name.to_owned(),
            instance: slot.last_run?,
            pid: run.and_then(|run| run.pid),
            identity,
            ad_hoc: slot.ad_hoc.as_ref()?.about.clone(),
        })
    }
}

pub(super) fn gone_meanwhile(name: &str) -> Problem {
    Problem::new(Code::Conflict, format!("`{name}` was stopped before it began"))
}

fn check(request: &DetachRequest) -> Result<(), Problem> {
    let bad = |text: &str| Err(Problem::new(Code::BadRequest, text));
    if request.command.is_empty() {
        return bad("no command is given");
    }
    if !request.directory.is_absolute() {
        return bad("`directory` is not an absolute path");
    }
    if request.request.as_ref().is_some_and(|id| id.is_empty() || id.len() > REQUEST) {
        return bad("`request` has 1 to 64 characters");
    }
    if request.max_runtime_ms == Some(0) || request.idle_timeout_ms == Some(0) {
        return bad("a limit of no time at all lets nothing run");
    }
    Ok(())
}

fn lifetime(request: &DetachRequest) -> Result<Lifetime, Problem> {
    let bad = |text: &str, hint: &str| Err(Problem::new(Code::BadRequest, text).hint(hint));
    match (request.lifetime, request.owner.is_some()) {
        (None | Some(Lifetime::Owner), true) => Ok(Lifetime::Owner),
        (None, false) | (Some(Lifetime::Daemon), _) => Ok(Lifetime::Daemon),
        (Some(Lifetime::Keep), false) => Ok(Lifetime::Keep),
        (Some(Lifetime::Owner), false) => bad("the lifetime `owner` needs an owner", "`--owner NAME` names it"),
        (Some(Lifetime::Keep), true) => {
            bad("what is kept until it is stopped cannot end with an owner", "leave out the owner or the lifetime")
        }
        (Some(Lifetime::Call), _) => {
            bad("what ends with its request cannot be detached", "leave out `--detach` or `--lifetime`")
        }
    }
}

fn service(request: &DetachRequest, lifetime: Lifetime) -> Service {
    let keeps = match lifetime {
        Lifetime::Owner | Lifetime::Keep => OnDaemonLoss::Keep,
        Lifetime::Daemon | Lifetime::Call => OnDaemonLoss::Stop,
    };
    Service {
        restart: match request.restart {
            wire::RestartMode::No => RestartMode::No,
            wire::RestartMode::OnFailure => RestartMode::OnFailure,
            wire::RestartMode::Always => RestartMode::Always,
        },
        on_daemon_loss: keeps,
        max_runtime: request.max_runtime_ms.map(Duration::from_millis),
        idle_timeout: request.idle_timeout_ms.map(Duration::from_millis),
        limits: request.limits.as_ref().map(limits_of).unwrap_or_default(),
        ..Service::plain(request.command.clone(), request.directory.clone())
    }
}
