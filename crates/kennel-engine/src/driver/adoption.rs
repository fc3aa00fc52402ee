//! Orphans that are adopted on request: in whose place they are held from then on, and as what.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use kennel_core::liveness::Check;
use kennel_core::model::{Isolation, OnDaemonLoss, OnEscape, ProbeKind, Service};
use kennel_core::slot::{Rest, State, Then};
use kennel_keeper::orphans::keeps_leaf;
use kennel_keeper::proto::{ADOPTS_GATHERED, Adopt, AdoptError, Backend, Identity, Request, ScopeId};
use kennel_wire::{self as wire, AdoptReport, Code, Lifetime, Problem};

use super::runs::Kind;
use super::slots::Slot;
use super::takeover::counter;
use super::{Driver, Reply, view};
use crate::records::AdHoc;

/// An orphan that somebody wants to be held again.
#[derive(Debug)]
pub(crate) struct WantsAdoption {
    /// The service that it is to be a run of, if that was said.
    pub(crate) service: Option<String>,
    /// The name that it had, where that is known.
    pub(crate) was: Option<String>,
    pub(crate) pid: u32,
    /// The group of its scope, if it is in that.
    pub(crate) group: Option<PathBuf>,
    /// Whether nothing that it carries lets a later keeper end it.
    pub(crate) outlives: bool,
}

/// How it is to be held.
#[derive(Debug, Default)]
pub(crate) struct AdoptionPlan {
    /// Number of the run.
    pub(crate) id: u64,
    /// The slot; one that is not there is made.
    pub(crate) name: String,
    /// The keeper's group.
    pub(crate) root: PathBuf,
    /// Name of the leaf that it is in, or is to be gathered in.
    pub(crate) leaf: String,
    pub(crate) gathers: bool,
    /// Whether it outlives the keeper.
    pub(crate) kept: bool,
    is_ad_hoc: bool,
}

/// An orphan in the leaf that the keeper is to hold.
#[derive(Debug)]
pub(crate) struct Adoption {
    pub(crate) plan: AdoptionPlan,
    pub(crate) main: Identity,
    /// For eyes: it is never executed, for the process may have written it.
    pub(crate) command: String,
    pub(crate) directory: PathBuf,
    pub(crate) since: Option<Timestamp>,
    pub(crate) pipes: Option<[u64; 2]>,
    pub(crate) processes: Vec<u32>,
}

/// Somebody who waits until the keeper holds it.
#[derive(Debug)]
pub(super) struct Asked {
    reply: Reply<Result<AdoptReport, Problem>>,
    report: AdoptReport,
    is_ad_hoc: bool,
}

impl Driver {
    pub(super) fn plan_adoption(&mut self, wants: &WantsAdoption) -> Result<AdoptionPlan, Problem> {
        if let Some(problem) = self.refuse_while_ending() {
            return Err(problem);
        }
        let Backend::Cgroup { root } = self.backend.clone() else {
            let text = "without cgroups nobody can hold what is not its own child, and this daemon has none";
            let hint = "`kennel sweep --stop` ends it; `kennel doctor` says what would give cgroups";
            return Err(Problem::new(Code::CannotAdopt, text).hint(hint));
        };
        let leaf = wants.group.as_deref().and_then(|group| group.file_name()?.to_str().map(str::to_owned));
        let is_stray = leaf.as_ref().is_some_and(|leaf| self.strays.contains_key(leaf));
        if !is_stray && self.link.version() < ADOPTS_GATHERED {
            let text = "the keeper is of an older version, which cannot adopt it";
            return Err(Problem::new(Code::CannotAdopt, text).hint("`kennel upgrade` gives it the present one"));
        }
        let (name, is_ad_hoc) = self.place_of(wants)?;
        let in_root = wants.group.as_deref().and_then(|group| keeps_leaf(&root, group));
        let there = leaf.filter(|_| is_stray || in_root.is_some());
        let id = self.next_instance;
        self.next_instance += 1;
        let is_wanted = self.slots.get(&name).filter(|_| !is_ad_hoc).is_none_or(|slot| slot.service.is_kept());
        Ok(AdoptionPlan {
            gathers: there.is_none(),
            kept: if there.is_some() { in_root.unwrap_or(true) } else { is_wanted && wants.outlives },
            leaf: there.unwrap_or_else(|| format!("{name}.{id}")),
            id,
            name,
            root,
            is_ad_hoc,
        })
    }

    /// The slot that it is to be held in, and whether that is one on request.
    fn place_of(&self, wants: &WantsAdoption) -> Result<(String, bool), Problem> {
        let slots = |wanted: &str| {
            let is_it = |(name, slot): &(&String, &Slot)| *name == wanted || slot.service_name == wanted;
            let declared = self.slots.iter().filter(|(_, slot)| slot.ad_hoc.is_none());
            declared.filter(is_it).collect::<Vec<_>>()
        };
        let Some(wanted) = wants.service.as_ref().or(wants.was.as_ref()) else {
            return Ok((self.free_name(Some(&format!("adopted-{}", wants.pid)))?, true));
        };
        let slots = slots(wanted);
        if let Some((name, _)) = slots.iter().find(|(name, slot)| slot.is_at_rest() && !self.leaving.contains(*name)) {
            return Ok(((*name).clone(), false));
        }
        if !slots.is_empty() {
            let hint = format!("`kennel stop {wanted}` first, or another one by `--service NAME`");
            return Err(Problem::new(Code::Conflict, format!("the service `{wanted}` already runs")).hint(hint));
        }
        match &wants.service {
            Some(service) => Err(self.unknown_service(service)),
            None => {
                let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
                let name: String = wanted.chars().map(plain).take(63).collect();
                Ok((self.free_name(Some(&name))?, true))
            }
        }
    }

    pub(super) fn adopt_orphan(&mut self, adoption: Adoption, reply: Reply<Result<AdoptReport, Problem>>) {
        match self.hold_orphan(&adoption) {
            Ok(report) => {
                let asked = Asked { reply, report, is_ad_hoc: adoption.plan.is_ad_hoc };
                self.asked_adoptions.insert(adoption.plan.id, asked);
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    /// Makes the run and asks the keeper.
    fn hold_orphan(&mut self, adoption: &Adoption) -> Result<AdoptReport, Problem> {
        let Adoption { plan, main, command, directory, since, pipes, processes } = adoption;
        let AdoptionPlan { id, name, leaf, kept, is_ad_hoc, .. } = plan;
        if let Some(problem) = self.refuse_while_ending() {
            return Err(problem);
        }
        if self.slots.get(name).is_some_and(|slot| !slot.is_at_rest()) {
            return Err(Problem::new(Code::Conflict, format!("`{name}` was started meanwhile")));
        }
        if *is_ad_hoc {
            self.slots.shift_remove(name);
            self.slots.insert(name.clone(), ad_hoc(name, command, directory, *kept));
            self.dirty.ad_hoc(name);
        }
        let Some(slot) = self.slots.get_mut(name) else { return Err(super::ad_hoc::gone_meanwhile(name)) };
        slot.run = Some(*id);
        slot.last_run = Some(*id);
        slot.wanted = true;
        slot.refused = None;
        slot.state = State::Active { then: Then::Decide };
        let about = slot.ad_hoc.as_ref().map(|ad_hoc| ad_hoc.about.clone());
        let definition = Arc::new(as_it_is(&slot.service));
        let mut run = self.new_run(name, Kind::Slot, &definition, std::slice::from_ref(command));
        run.policy.probed = definition.readiness.is_some();
        run.counter = counter(&definition, &run.state);
        run.pid = Some(main.pid);
        run.identity = Some(*main);
        run.scope.clone_from(leaf);
        run.started_at = since.unwrap_or_else(Timestamp::now);
        run.pipes = *pipes;
        run.receipt.spawned(main);
        let adopt = Adopt {
            scope: ScopeId(*id),
            leaf: leaf.clone(),
            process: *main,
            kill_escaped: definition.on_escape == OnEscape::Kill,
            note: self.note_of(&run),
            pipes: *pipes,
        };
        self.runs.insert(*id, run);
        self.adopting.insert(*id);
        self.dirty.slot(name);
        self.dirty.run(*id);
        self.link.send(Request::Adopt(Box::new(adopt)));
        Ok(AdoptReport {
            name: name.clone(),
            instance: *id,
            pid: main.pid,
            identity: view::wire_identity(main, &self.boot_id, leaf),
            processes: processes.clone(),
            moved: plan.gathers,
            output: false,
            kept: *kept,
            ad_hoc: about,
        })
    }

    /// The keeper holds it: its limits count from now on, and whoever asked is told.
    pub(super) fn orphan_adopted(&mut self, id: u64, has_output: bool) {
        let Some(Asked { reply, mut report, .. }) = self.asked_adoptions.remove(&id) else { return };
        self.arm_limits(id);
        self.ask_bounds(id);
        self.strays.retain(|_, list| {
            list.retain(|orphan| !report.processes.contains(&orphan.pid));
            !list.is_empty()
        });
        self.note_damage();
        self.told_orphans.retain(|(pid, _)| !report.processes.contains(pid));
        report.output = has_output;
        self.answer_when_durable(reply, Ok(report));
    }

    /// Nothing has changed but where its processes are. Answers whether it was asked for.
    pub(super) fn orphan_not_adopted(&mut self, id: u64, error: &AdoptError) -> bool {
        let Some(Asked { reply, report, is_ad_hoc }) = self.asked_adoptions.remove(&id) else { return false };
        self.runs.remove(&id);
        self.dirty.run(id);
        if is_ad_hoc {
            self.forget_slot(&report.name);
        } else if let Some(slot) = self.slots.get_mut(&report.name).filter(|slot| slot.run == Some(id)) {
            slot.run = None;
            slot.wanted = false;
            slot.state = State::Rest(Rest::Stopped);
            self.dirty.slot(&report.name);
        }
        let text = match error {
            AdoptError::Gone => "all of it has ended meanwhile".to_owned(),
            AdoptError::NoCgroups => "the keeper has no cgroups".to_owned(),
            AdoptError::Taken => "the keeper holds or ends it already".to_owned(),
            AdoptError::Os(errno) => format!("the keeper cannot hold it: {}", super::spawn::system(*errno)),
        };
        let code = if *error == AdoptError::Gone { Code::ProcessGone } else { Code::CannotAdopt };
        self.answer_when_durable(reply, Err(Problem::new(code, text)));
        true
    }
}

/// The service as far as it can be true of a process that somebody else has started: what it would have said at its start it has
/// said to a daemon that is gone, to a socket that is gone.
fn as_it_is(service: &Service) -> Service {
    let says_it = |kind: &ProbeKind| matches!(kind, ProbeKind::Notify | ProbeKind::LogLine(_));
    let mut it = service.clone();
    it.readiness.take_if(|probe| says_it(&probe.kind));
    it.liveness.take_if(|liveness| matches!(liveness.check, Check::Watchdog(_)));
    it.isolation = Isolation::default();
    it
}

/// A run on request that was never requested.
fn ad_hoc(name: &str, command: &str, directory: &std::path::Path, kept: bool) -> Slot {
    let service = Service {
        on_daemon_loss: if kept { OnDaemonLoss::Keep } else { OnDaemonLoss::Stop },
        ..Service::plain(vec![command.to_owned()], directory.to_owned())
    };
    let lifetime = if kept { Lifetime::Keep } else { Lifetime::Daemon };
    let about = wire::AdHoc { owner: None, lifetime, created_at: Timestamp::now() };
    let mut slot = Slot::new(name, 1, Arc::new(service));
    slot.ad_hoc = Some(Box::new(AdHoc { about, environment: BTreeMap::new(), request: None, adopted: true }));
    slot
}
