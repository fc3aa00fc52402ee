//! Owners: what the pure machine of `kennel_core::lease` decides is carried out, recorded and shown here.

use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::instance::{Event as RunEvent, Reason};
use kennel_core::lease::{self, Action, Cause, Downtime, Kind, Loss, Refusal, State, Timer};
use kennel_core::limit::{LimitAction, Limits};
use kennel_core::slot::Event;
use kennel_store::Change;
use kennel_sys::proc;
use kennel_wire::{Code, EventKind, LeaseKind, LeaseStatus, OwnerEnd, OwnerRequest, OwnerState, OwnerStatus, Problem};
use serde_json::Value;
use tokio::sync::oneshot;

use super::lease::{NewLease, Watch, open_process};
use super::{Driver, Reply, TimerKey, Work};
use crate::clock;
use crate::receipt::millis;
use crate::records::{LeaseRecord, OwnerRecord, read};

/// How many owners that have ended stay known, so that they cannot begin again by mistake.
const ENDED: usize = 100;
const COMMAND_CHARS: usize = 200;

/// All owners, and what the outside has of them.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) all: lease::Owners,
    since: HashMap<String, Timestamp>,
    /// By id of the lease.
    pub(super) watches: HashMap<String, Watch>,
    /// Connections that are told of the end of their owner, by id of the lease.
    pub(super) holders: HashMap<String, (String, oneshot::Sender<OwnerEnd>)>,
    /// Held leases so far.
    pub(super) held: u64,
}

/// An owner that was made ready for a start which may fail.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) owner: Option<String>,
    is_new: bool,
    /// Leases that are taken once the start has succeeded.
    later: Vec<NewLease>,
}

impl Driver {
    /// Makes or changes the owner that something is to be started for. What a start that fails must not leave behind waits
    /// for [`Driver::settle`], or is taken back by [`Driver::undo`].
    pub(super) fn prepare_owner(&mut self, request: &OwnerRequest) -> Result<Opened, Problem> {
        check_name(&request.name)?;
        let leases = self.new_leases(request)?;
        let is_new = self.owners.all.get(&request.name).is_none();
        let grace = request.grace_ms.map(Duration::from_millis);
        let opened = self.owners.all.open(&request.name, request.parent.as_deref(), grace);
        let mut actions = opened.map_err(refused)?;
        if let Some(limits) = &request.limits {
            actions.extend(self.owners.all.set_limits(&request.name, limits_of(limits).together()));
        }
        self.obey(actions);
        self.sync_pools();
        let mut opened = Opened { owner: Some(request.name.clone()), is_new, later: Vec::new() };
        // A new one is held from the start: were the daemon lost now, it would live on for nobody.
        if is_new {
            leases.into_iter().for_each(|lease| self.take_lease(lease));
        } else {
            opened.later = leases;
        }
        Ok(opened)
    }

    /// The start has succeeded.
    pub(super) fn settle(&mut self, opened: Opened) {
        opened.later.into_iter().for_each(|lease| self.take_lease(lease));
    }

    /// The start has failed: an owner that was made for it, and for nothing else since, is not there.
    pub(super) fn undo(&mut self, opened: Opened) {
        let Some(name) = opened.owner.filter(|_| opened.is_new) else { return };
        if self.runs_of(&name) == 0 && self.owners.all.with_descendants(&name).len() == 1 {
            let mut actions = self.owners.all.end(&name, &Cause::Stopped);
            actions.extend(self.owners.all.forget(&name));
            self.obey(actions);
        }
    }

    /// `POST /v1/owners`.
    pub(super) fn open_owner(&mut self, request: &OwnerRequest, reply: Reply<Result<OwnerStatus, Problem>>) {
        let opened = self.refuse_while_ending().map_or_else(|| self.prepare_owner(request), Err);
        let status = opened.and_then(|opened| {
            self.settle(opened);
            self.owner_status(&request.name).ok_or_else(|| refused(Refusal::Unknown(request.name.clone())))
        });
        self.answer_when_durable(reply, status);
    }

    pub(super) fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Arm(timer, at) => self.timers.arm(TimerKey::Owner(timer), clock::instant(at)),
                Action::Disarm(timer) => self.timers.disarm(&TimerKey::Owner(timer)),
                Action::AnnounceOpened(owner) => {
                    let parent = self.owners.all.get(&owner).and_then(|it| it.parent.clone());
                    self.tell(EventKind::OwnerOpened { owner, parent });
                }
                Action::AnnounceTaken(owner, lease) => self.tell(EventKind::LeaseTaken { owner, lease }),
                Action::AnnounceLost(owner, lease, loss) => {
                    self.tell(EventKind::LeaseLost { owner, lease, why: word(loss).to_owned() });
                }
                Action::AnnounceGrace(owner, grace) => {
                    self.tell(EventKind::OwnerGrace { owner, ends_in_ms: millis(grace) });
                }
                Action::AnnounceHeld(owner) => self.tell(EventKind::OwnerHeld { owner }),
                Action::End(owner, cause) => self.owner_ended(&owner, &cause),
                Action::RecordOwner(owner) => {
                    match self.owners.all.get(&owner) {
                        Some(_) => drop(self.owners.since.entry(owner.clone()).or_insert_with(Timestamp::now)),
                        None => drop(self.owners.since.remove(&owner)),
                    }
                    self.dirty.owner(owner);
                }
                Action::RecordLease(id) => {
                    if self.owners.all.lease(&id).is_none() {
                        self.owners.watches.remove(&id);
                        self.tell_holder(&id);
                    }
                    self.dirty.lease(id);
                }
            }
        }
    }

    fn tell(&self, kind: EventKind) {
        self.events.publish(None, None, kind);
    }

    /// A connection that held its owner hears why it ended; one that lost its lease otherwise just sees its own end.
    fn tell_holder(&mut self, id: &str) {
        let Some((owner, holder)) = self.owners.holders.remove(id) else { return };
        if let Some(State::Ended(cause)) = self.owners.all.get(&owner).map(|it| &it.state) {
            // It may have gone at the same time.
            let _gone = holder.send(wire_end(cause));
        }
    }

    fn owner_ended(&mut self, owner: &str, cause: &Cause) {
        self.tell(EventKind::OwnerEnded { owner: owner.to_owned(), why: wire_end(cause) });
        let reason = Reason::OwnerEnded;
        for (name, _) in self.slots.iter().filter(|(_, slot)| slot.owner() == Some(owner)) {
            self.queue.push_back(Work::Slot(name.clone(), Event::Stop { reason, limit: None }));
        }
        for (id, _) in self.runs.iter().filter(|(_, run)| run.owner.as_deref() == Some(owner)) {
            self.queue.push_back(Work::Run(*id, RunEvent::StopRequested { reason, limit: None }));
        }
        self.forget_old_owners();
    }

    fn forget_old_owners(&mut self) {
        let is_over = |state: &State| matches!(state, State::Ended(_));
        let ended: Vec<String> =
            self.owners.all.iter().filter(|(_, it)| is_over(&it.state)).map(|(name, _)| name.clone()).collect();
        let mut surplus = ended.len().saturating_sub(ENDED);
        for name in ended {
            if surplus == 0 {
                return;
            }
            if self.is_unused(&name) {
                let actions = self.owners.all.forget(&name);
                surplus -= usize::from(!actions.is_empty());
                self.obey(actions);
            }
        }
    }

    /// Whether nothing is known that runs or ran for it.
    pub(super) fn is_unused(&self, owner: &str) -> bool {
        self.slots.values().all(|slot| slot.owner() != Some(owner))
            && self.runs.values().all(|run| run.owner.as_deref() != Some(owner))
    }

    pub(super) fn owner_timer(&mut self, timer: &Timer) {
        let actions = self.owners.all.elapsed(timer, clock::now());
        self.obey(actions);
    }

    pub(super) fn has_living_owner(&self) -> bool {
        self.owners.all.iter().any(|(_, owner)| !matches!(owner.state, State::Ended(_)))
    }

    /// Whether what is in this slot ended with its owner.
    pub(super) fn is_of_ended_owner(&self, slot: &str) -> bool {
        let owner = self.slots.get(slot).and_then(|slot| slot.owner());
        owner.is_some_and(|owner| self.owners.all.living(owner).is_err())
    }

    /// Runs of this owner that go on.
    fn runs_of(&self, owner: &str) -> u32 {
        let slots = self.slots.values().filter(|slot| slot.owner() == Some(owner) && !slot.is_at_rest()).count();
        let calls = self.runs.values().filter(|run| run.owner.as_deref() == Some(owner)).count();
        u32::try_from(slots + calls).unwrap_or(u32::MAX)
    }

    pub(super) fn owner_statuses(&self) -> Vec<OwnerStatus> {
        let roots = self.owners.all.iter().filter(|(_, owner)| owner.parent.is_none());
        let names = roots.flat_map(|(name, _)| self.owners.all.with_descendants(name));
        names.filter_map(|name| self.owner_status(&name)).collect()
    }

    pub(super) fn owner_status(&self, name: &str) -> Option<OwnerStatus> {
        let owner = self.owners.all.get(name)?;
        let now = clock::now();
        let (state, ended, ends_in_ms) = match &owner.state {
            State::Unbound => (OwnerState::Unbound, None, None),
            State::Held => (OwnerState::Held, None, None),
            State::Grace { until } => (OwnerState::Grace, None, Some(millis(until.saturating_sub(now)))),
            State::Ended(cause) => (OwnerState::Ended, Some(wire_end(cause)), None),
        };
        let leases = self.owners.all.leases_of(name);
        Some(OwnerStatus {
            name: name.to_owned(),
            parent: owner.parent.clone(),
            state,
            ended,
            since: self.owners.since.get(name).copied().unwrap_or(self.started_at),
            grace_ms: millis(owner.grace),
            ends_in_ms,
            leases: leases.map(|(id, it)| LeaseStatus { id: id.clone(), kind: shown(&it.kind, now) }).collect(),
            runs: self.runs_of(name),
            limits: self.pool_status(&self.owners.all.with_ancestors(name)),
            runs_with_descendants: self.owners.all.with_descendants(name).iter().map(|one| self.runs_of(one)).sum(),
        })
    }

    pub(super) fn owner_record(&self, name: &str) -> Option<OwnerRecord> {
        let owner = self.owners.all.get(name)?.clone();
        let since = self.owners.since.get(name).copied().unwrap_or(self.started_at);
        Some(OwnerRecord { owner, since, boot_id: self.boot_id.clone() })
    }

    pub(super) fn lease_record(&self, id: &str) -> Option<LeaseRecord> {
        Some(LeaseRecord { lease: self.owners.all.lease(id)?.clone(), boot_id: self.boot_id.clone() })
    }

    /// Nothing is wanted of the next daemon.
    pub(super) fn forget_owners(&self) {
        for (name, _) in self.owners.all.iter() {
            self.events.change(Change::Owner { name: name.clone(), body: None });
            for (id, _) in self.owners.all.leases_of(name) {
                self.events.change(Change::Lease { id: id.clone(), body: None });
            }
        }
    }

    /// Goes on with the owners of an earlier daemon: connections have their grace to come back, processes are found again by
    /// their identity, heartbeats keep their deadline.
    pub(super) fn restore_owners(&mut self, owners: IndexMap<String, Value>, leases: IndexMap<String, Value>) {
        let now = clock::now();
        let (mut known, mut held) = (IndexMap::new(), IndexMap::new());
        for (name, body) in owners {
            let Some(record) = read::<OwnerRecord>("owner", &name, body) else { continue };
            self.owners.since.insert(name.clone(), record.since);
            known.insert(name, of_this_boot(record, &self.boot_id));
        }
        let mut processes = Vec::new();
        for (id, body) in leases {
            let Some(LeaseRecord { mut lease, boot_id }) = read::<LeaseRecord>("lease", &id, body) else { continue };
            match &mut lease.kind {
                Kind::Process { pid, start_ticks, inode } if boot_id == self.boot_id => {
                    match open_process(*pid, Some(*start_ticks), Some(*inode)) {
                        Ok((kind, process)) => processes.push((id.clone(), kind, process)),
                        Err(problem) => tracing::info!(lease = id, reason = problem.detail, "the lease is lost"),
                    }
                }
                Kind::Heartbeat { until, .. } if boot_id != self.boot_id => *until = None,
                Kind::Process { .. } | Kind::Heartbeat { .. } | Kind::Held => {}
            }
            held.insert(id, lease);
        }
        let (all, actions) = lease::Owners::restore(known, held, now, |kind| match kind {
            Kind::Held => Downtime::Lost(Loss::Closed),
            Kind::Process { .. } if processes.iter().any(|(_, living, _)| living == kind) => Downtime::GoesOn,
            Kind::Process { .. } => Downtime::Lost(Loss::Ended),
            Kind::Heartbeat { .. } => Downtime::GoesOn,
        });
        self.owners.all = all;
        self.obey(actions);
        for (id, _, process) in
            processes.into_iter().filter(|(id, ..)| self.owners.all.lease(id).is_some()).collect::<Vec<_>>()
        {
            self.watch(&id, process);
        }
        self.restore_owned(now);
    }

    /// Everything that runs for somebody has an owner that lives, or ends.
    fn restore_owned(&mut self, now: Duration) {
        let owned = |slot: &super::slots::Slot| Some(slot.owner()?.to_owned()).filter(|_| !slot.is_at_rest());
        let owned: Vec<(String, String)> =
            self.slots.iter().filter_map(|(name, slot)| Some((name.clone(), owned(slot)?))).collect();
        for (name, owner) in owned {
            let actions = self.owners.all.find(&owner, now);
            self.obey(actions);
            if self.owners.all.living(&owner).is_err() {
                let stop = Event::Stop { reason: Reason::OwnerEnded, limit: None };
                self.queue.push_back(Work::Slot(name, stop));
            }
        }
    }
}

/// The engine's word for it.
pub(super) fn limits_of(wire: &kennel_wire::Limits) -> Limits {
    let action = match wire.action {
        Some(kennel_wire::LimitAction::Warn) => LimitAction::Warn,
        Some(kennel_wire::LimitAction::Freeze) => LimitAction::Freeze,
        Some(kennel_wire::LimitAction::Restart) => LimitAction::Restart,
        Some(kennel_wire::LimitAction::Stop) => LimitAction::Stop,
        Some(kennel_wire::LimitAction::Kill) => LimitAction::Kill,
        None => LimitAction::default(),
    };
    let kennel_wire::Limits { memory, memory_high, swap, pids, cpus, .. } = *wire;
    let kennel_wire::Limits { cpu_weight, io_weight, io_read, io_write, open_files, log_rate, .. } = *wire;
    Limits {
        memory,
        memory_high,
        swap,
        pids,
        cpus,
        cpu_weight,
        io_weight,
        io_read,
        io_write,
        open_files,
        log_rate,
        action,
    }
}

/// Points in time of another boot say nothing in this one: whoever was in its grace has all of it again.
fn of_this_boot(record: OwnerRecord, boot_id: &str) -> lease::Owner {
    let mut owner = record.owner;
    if let State::Grace { until } = &mut owner.state
        && record.boot_id != boot_id
    {
        *until = Duration::ZERO;
    }
    owner
}

fn check_name(name: &str) -> Result<(), Problem> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good) && name.len() <= 63 {
        return Ok(());
    }
    let text = format!("`{}` cannot be the name of an owner", name.escape_debug().take(80).collect::<String>());
    let hint = "1 to 63 letters, digits, `_`, `-` and `.`, beginning with a letter or digit";
    Err(Problem::new(Code::BadRequest, text).hint(hint))
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let (code, hint) = match &refusal {
        Refusal::Unknown(_) => (Code::UnknownOwner, "`kennel owners` lists those that are there".to_owned()),
        Refusal::Ended(owner) => {
            (Code::OwnerEnded, format!("`kennel clean --owner {owner}` makes its name free again"))
        }
        Refusal::OtherParent(..) => (Code::Conflict, "an owner keeps its parent".to_owned()),
        Refusal::Cycle(..) => (Code::Conflict, "owners form a tree".to_owned()),
        Refusal::NoHeartbeat(_) => (Code::Conflict, "`kennel run --lease-ttl TIME` takes one".to_owned()),
    };
    Problem::new(code, refusal.to_string()).hint(hint)
}

fn word(loss: Loss) -> &'static str {
    match loss {
        Loss::Released => "released",
        Loss::Closed => "closed",
        Loss::Ended => "ended",
        Loss::Expired => "expired",
    }
}

fn wire_end(cause: &Cause) -> OwnerEnd {
    match cause {
        Cause::Stopped => OwnerEnd::Stopped,
        Cause::Lease => OwnerEnd::LeaseLost,
        Cause::Parent(ancestor) => OwnerEnd::ParentEnded { ancestor: ancestor.clone() },
    }
}

fn shown(kind: &Kind, now: Duration) -> LeaseKind {
    match kind {
        Kind::Held => LeaseKind::Held,
        Kind::Process { pid, start_ticks, .. } => {
            let command = proc::command(*pid, COMMAND_CHARS);
            LeaseKind::Process { pid: *pid, start_ticks: *start_ticks, command }
        }
        Kind::Heartbeat { ttl, until } => LeaseKind::Heartbeat {
            ttl_ms: millis(*ttl),
            expires_in_ms: until.map(|until| millis(until.saturating_sub(now))),
        },
    }
}
