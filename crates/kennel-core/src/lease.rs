//! Owners and leases: for whom things run, and for how long.
//!
//! An owner with leases is alive while one of them is. The loss of the last one begins its grace; one that is taken or
//! renewed within it ends the grace; after it the owner ends, and with it all of its descendants. An owner that never had a
//! lease lives until it is stopped. What has ended never begins again: it is known as ended until it is forgotten.
//!
//! Times are monotonic, since a zero that stays for one boot.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::limit::Limits;

mod restore;

pub use restore::Downtime;

/// How long an owner lives on without a lease, unless it is said.
pub const GRACE: Duration = Duration::from_secs(10);

/// Somebody or something for whom things run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its own owner, with which it ends at the latest.
    pub parent: Option<String>,
    /// How long it lives on after the loss of its last lease.
    pub grace: Duration,
    /// Whether it is alive, and for how long.
    pub state: State,
    /// What everything that runs for it and for those below it may use together.
    #[serde(default)]
    pub limits: Limits,
}

/// Whether an owner is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It never had a lease: it lives until it is stopped.
    Unbound,
    /// At least one lease is alive.
    Held,
    /// None is any more.
    Grace {
        /// When it ends, unless one is by then.
        until: Duration,
    },
    /// It starts nothing any more.
    Ended(Cause),
}

/// Why an owner ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Somebody asked.
    Stopped,
    /// Its last lease was lost, and no other came within the grace.
    Lease,
    /// This owner, its parent or one further up, ended.
    Parent(String),
}

/// What keeps an owner alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose it is.
    pub owner: String,
    /// What has to go on.
    pub kind: Kind,
}

/// What has to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A connection.
    Held,
    /// A process.
    Process {
        /// Process id.
        pid: u32,
        /// Its begin in clock ticks since boot.
        start_ticks: u64,
        /// Inode of its pidfd; 0 where the kernel has none.
        inode: u64,
    },
    /// Somebody who calls again and again.
    Heartbeat {
        /// The longest pause between two calls.
        ttl: Duration,
        /// When the last call wears off; none: it has, and the next call revives it.
        until: Option<Duration>,
    },
}

impl Kind {
    fn is_alive(&self) -> bool {
        match self {
            Self::Held | Self::Process { .. } | Self::Heartbeat { until: Some(_), .. } => true,
            Self::Heartbeat { until: None, .. } => false,
        }
    }
}

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Given back.
    Released,
    /// The connection closed.
    Closed,
    /// The process ended.
    Ended,
    /// No call came in time.
    Expired,
}

/// A timer of ours. Arming one again replaces its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The heartbeat of the lease with this id wears off.
    Heartbeat(String),
    /// The grace of this owner is over.
    Grace(String),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Arm a timer, to elapse at this time.
    Arm(Timer, Duration),
    /// Forget a timer.
    Disarm(Timer),
    /// Say that this owner is new.
    AnnounceOpened(String),
    /// Say that this owner has another lease, by its id.
    AnnounceTaken(String, String),
    /// Say that this owner has lost a lease, by its id.
    AnnounceLost(String, String, Loss),
    /// Say that this owner lives for so long yet.
    AnnounceGrace(String, Duration),
    /// Say that the grace of this owner is over because it has a lease again.
    AnnounceHeld(String),
    /// Say that this owner has ended, and stop all that runs for it.
    End(String, Cause),
    /// The record of this owner is another one, or none.
    RecordOwner(String),
    /// The record of this lease is another one, or none.
    RecordLease(String),
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No owner has this name.
    Unknown(String),
    /// It has ended, and nothing begins for it any more.
    Ended(String),
    /// It has this parent already.
    OtherParent(String, String),
    /// It would be its own ancestor.
    Cycle(String, String),
    /// It has no heartbeat that could be renewed.
    NoHeartbeat(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(owner) => write!(f, "no owner `{owner}`"),
            Self::Ended(owner) => write!(f, "owner `{owner}` has ended"),
            Self::OtherParent(owner, parent) => write!(f, "owner `{owner}` has the parent `{parent}` already"),
            Self::Cycle(owner, parent) => write!(f, "owner `{owner}` would be its own ancestor through `{parent}`"),
            Self::NoHeartbeat(owner) => write!(f, "owner `{owner}` has no heartbeat"),
        }
    }
}

/// All owners with their leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    owners: IndexMap<String, Owner>,
    leases: IndexMap<String, Lease>,
}

impl Owners {
    /// Every owner that is known, ended ones too, in the order in which they began.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Owner)> {
        self.owners.iter()
    }

    /// One owner.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Owner> {
        self.owners.get(name)
    }

    /// One lease by its id.
    #[must_use]
    pub fn lease(&self, id: &str) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// The leases of an owner with their ids, in the order in which they were taken.
    pub fn leases_of(&self, owner: &str) -> impl Iterator<Item = (&String, &Lease)> {
        self.leases.iter().filter(move |(_, lease)| lease.owner == owner)
    }

    /// Whether something may begin for this owner.
    ///
    /// # Errors
    /// `Unknown`, `Ended`.
    pub fn living(&self, name: &str) -> Result<&Owner, Refusal> {
        let owner = self.owners.get(name).ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
        match owner.state {
            State::Ended(_) => Err(Refusal::Ended(name.to_owned())),
            State::Unbound | State::Held | State::Grace { .. } => Ok(owner),
        }
    }

    /// The owner and all above it, the outermost first; empty if it is not known.
    #[must_use]
    pub fn with_ancestors(&self, name: &str) -> Vec<String> {
        let first = self.owners.get_key_value(name);
        let above = std::iter::successors(first, |(_, owner)| self.owners.get_key_value(owner.parent.as_deref()?));
        // A ring in a damaged record ends.
        let mut found: Vec<String> = above.take(self.owners.len()).map(|(name, _)| name.clone()).collect();
        found.reverse();
        found
    }

    /// Replaces what everything of an owner may use together.
    pub fn set_limits(&mut self, name: &str, limits: Limits) -> Vec<Action> {
        let Some(owner) = self.owners.get_mut(name) else { return Vec::new() };
        owner.limits = limits;
        vec![Action::RecordOwner(name.to_owned())]
    }

    /// The owner and all below it, itself first and every parent before its children.
    #[must_use]
    pub fn with_descendants(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = self.owners.contains_key(name).then(|| name.to_owned()).into_iter().collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).cloned() {
            let is_child =
                |(child, owner): &(&String, &Owner)| owner.parent.as_ref() == Some(&parent) && !found.contains(child);
            let children: Vec<String> = self.owners.iter().filter(is_child).map(|(child, _)| child.clone()).collect();
            found.extend(children);
            next += 1;
        }
        found
    }

    /// Makes an owner, or changes one: its parent if it has none, and its grace.
    ///
    /// # Errors
    /// `Ended` of the owner or the parent, `Unknown` of the parent, `OtherParent`, `Cycle`; then nothing has changed.
    pub fn open(&mut self, name: &str, parent: Option<&str>, grace: Option<Duration>) -> Result<Vec<Action>, Refusal> {
        let known = self.owners.get(name);
        if known.is_some() {
            self.living(name)?;
        }
        if let Some(parent) = parent {
            if self.with_descendants(name).iter().any(|below| below == parent) || name == parent {
                return Err(Refusal::Cycle(name.to_owned(), parent.to_owned()));
            }
            self.living(parent)?;
            match known.and_then(|owner| owner.parent.as_deref()) {
                Some(other) if other != parent => {
                    return Err(Refusal::OtherParent(name.to_owned(), other.to_owned()));
                }
                Some(_) | None => {}
            }
        }
        let mut actions = vec![Action::RecordOwner(name.to_owned())];
        let owner = self.owners.entry(name.to_owned()).or_insert_with(|| {
            actions.push(Action::AnnounceOpened(name.to_owned()));
            Owner { parent: None, grace: GRACE, state: State::Unbound, limits: Limits::default() }
        });
        let before = owner.grace;
        owner.grace = grace.unwrap_or(before);
        if let State::Grace { until } = &mut owner.state {
            // It counts from the loss of the last lease, also where it is changed after that.
            *until = until.saturating_sub(before).saturating_add(owner.grace);
            actions.push(Action::Arm(Timer::Grace(name.to_owned()), *until));
        }
        if let Some(parent) = parent {
            owner.parent = Some(parent.to_owned());
        }
        Ok(actions)
    }

    /// Gives an owner a lease. One with the same id is replaced.
    ///
    /// # Errors
    /// `Unknown`, `Ended`; then nothing has changed.
    pub fn take(&mut self, id: &str, lease: Lease) -> Result<Vec<Action>, Refusal> {
        let name = lease.owner.clone();
        self.living(&name)?;
        let mut actions = vec![Action::RecordLease(id.to_owned())];
        if let Kind::Heartbeat { until: Some(until), .. } = lease.kind {
            actions.push(Action::Arm(Timer::Heartbeat(id.to_owned()), until));
        }
        if self.leases.insert(id.to_owned(), lease).is_none() {
            actions.push(Action::AnnounceTaken(name.clone(), id.to_owned()));
        }
        actions.extend(self.hold(&name));
        Ok(actions)
    }

    /// Somebody calls: the heartbeats of the owner last for another while.
    ///
    /// # Errors
    /// `Unknown`, `Ended`, `NoHeartbeat`.
    pub fn renew(&mut self, name: &str, now: Duration) -> Result<Vec<Action>, Refusal> {
        self.living(name)?;
        let mut actions = Vec::new();
        for (id, lease) in self.leases.iter_mut().filter(|(_, lease)| lease.owner == name) {
            if let Kind::Heartbeat { ttl, until } = &mut lease.kind {
                let at = now.saturating_add(*ttl);
                *until = Some(at);
                actions.push(Action::Arm(Timer::Heartbeat(id.clone()), at));
                actions.push(Action::RecordLease(id.clone()));
            }
        }
        if actions.is_empty() {
            return Err(Refusal::NoHeartbeat(name.to_owned()));
        }
        actions.extend(self.hold(name));
        Ok(actions)
    }

    /// A lease is alive, so the owner is held.
    fn hold(&mut self, name: &str) -> Vec<Action> {
        let Some(owner) = self.owners.get_mut(name) else { return Vec::new() };
        match std::mem::replace(&mut owner.state, State::Held) {
            State::Grace { .. } => vec![
                Action::Disarm(Timer::Grace(name.to_owned())),
                Action::AnnounceHeld(name.to_owned()),
                Action::RecordOwner(name.to_owned()),
            ],
            State::Unbound => vec![Action::RecordOwner(name.to_owned())],
            State::Held => Vec::new(),
            // Whoever calls has asked whether it lives; an ended one stays so in any case.
            ended @ State::Ended(_) => {
                owner.state = ended;
                Vec::new()
            }
        }
    }

    /// A lease is lost. One that is not there is no error: it may be lost in several ways at once.
    pub fn lose(&mut self, id: &str, loss: Loss, now: Duration) -> Vec<Action> {
        let Some(lease) = self.leases.shift_remove(id) else { return Vec::new() };
        let mut actions = vec![Action::RecordLease(id.to_owned())];
        if matches!(lease.kind, Kind::Heartbeat { .. }) {
            actions.push(Action::Disarm(Timer::Heartbeat(id.to_owned())));
        }
        if lease.kind.is_alive() {
            actions.push(Action::AnnounceLost(lease.owner.clone(), id.to_owned(), loss));
        }
        actions.extend(self.let_go(&lease.owner, now));
        actions
    }

    /// A timer that an action armed has elapsed. A late one is harmless.
    pub fn elapsed(&mut self, timer: &Timer, now: Duration) -> Vec<Action> {
        match timer {
            Timer::Heartbeat(id) => self.wear_off(id, now),
            Timer::Grace(name) => match self.owners.get(name).map(|owner| &owner.state) {
                Some(State::Grace { until }) if *until <= now => self.end(name, &Cause::Lease),
                Some(State::Grace { until }) => vec![Action::Arm(timer.clone(), *until)],
                Some(State::Unbound | State::Held | State::Ended(_)) | None => Vec::new(),
            },
        }
    }

    fn wear_off(&mut self, id: &str, now: Duration) -> Vec<Action> {
        let Some(lease) = self.leases.get_mut(id) else { return Vec::new() };
        let Kind::Heartbeat { until, .. } = &mut lease.kind else { return Vec::new() };
        match *until {
            Some(at) if at <= now => *until = None,
            Some(at) => return vec![Action::Arm(Timer::Heartbeat(id.to_owned()), at)],
            None => return Vec::new(),
        }
        let owner = lease.owner.clone();
        let lost = Action::AnnounceLost(owner.clone(), id.to_owned(), Loss::Expired);
        let mut actions = vec![Action::RecordLease(id.to_owned()), lost];
        actions.extend(self.let_go(&owner, now));
        actions
    }

    /// Begins the grace if no lease is alive.
    fn let_go(&mut self, name: &str, now: Duration) -> Vec<Action> {
        let is_held = self.leases_of(name).any(|(_, lease)| lease.kind.is_alive());
        match self.owners.get_mut(name) {
            Some(owner) if owner.state == State::Held && !is_held => {
                let until = now.saturating_add(owner.grace);
                owner.state = State::Grace { until };
                vec![
                    Action::RecordOwner(name.to_owned()),
                    Action::AnnounceGrace(name.to_owned(), owner.grace),
                    Action::Arm(Timer::Grace(name.to_owned()), until),
                ]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Ends an owner and all below it, at once and for ever. Those that have ended stay as they are.
    pub fn end(&mut self, name: &str, cause: &Cause) -> Vec<Action> {
        let mut actions = Vec::new();
        for one in self.with_descendants(name) {
            let leases: Vec<String> = self.leases_of(&one).map(|(id, _)| id.clone()).collect();
            let Some(owner) = self.owners.get_mut(&one) else { continue };
            if matches!(owner.state, State::Ended(_)) {
                continue;
            }
            let why = if one == name { cause.clone() } else { Cause::Parent(name.to_owned()) };
            owner.state = State::Ended(why.clone());
            actions.push(Action::Disarm(Timer::Grace(one.clone())));
            for id in leases {
                self.leases.shift_remove(&id);
                actions.push(Action::Disarm(Timer::Heartbeat(id.clone())));
                actions.push(Action::RecordLease(id));
            }
            actions.push(Action::RecordOwner(one.clone()));
            actions.push(Action::End(one, why));
        }
        actions
    }

    /// Forgets an owner that has ended, so that its name is free. One with descendants that are known stays, since they end
    /// with it.
    pub fn forget(&mut self, name: &str) -> Vec<Action> {
        let has_children = self.owners.values().any(|owner| owner.parent.as_deref() == Some(name));
        match self.owners.get(name).map(|owner| &owner.state) {
            Some(State::Ended(_)) if !has_children => {
                self.owners.shift_remove(name);
                vec![Action::RecordOwner(name.to_owned())]
            }
            Some(_) | None => Vec::new(),
        }
    }
}
