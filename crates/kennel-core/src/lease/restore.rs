//! Owners and leases after the loss or the change of the daemon.

use std::time::Duration;

use indexmap::IndexMap;

use crate::limit::Limits;

use super::{Action, Cause, GRACE, Kind, Lease, Loss, Owner, Owners, State, Timer};

/// What the time without a daemon means for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downtime {
    /// It goes on.
    GoesOn,
    /// It is lost: what held it is gone.
    Lost(Loss),
}

impl Owners {
    /// Takes over what an earlier daemon recorded. `judge` says what has become of a connection or a process; heartbeats keep
    /// their deadline.
    ///
    /// Nobody could call while there was no daemon, so no owner ends sooner than its grace after `now`: one whose last
    /// lease is lost begins its grace now, and one that was in its grace has at least all of it again. A record that
    /// contradicts the tree (a parent that is not there, a cycle) makes its owner one without a parent.
    pub fn restore(
        owners: IndexMap<String, Owner>,
        leases: IndexMap<String, Lease>,
        now: Duration,
        judge: impl Fn(&Kind) -> Downtime,
    ) -> (Self, Vec<Action>) {
        let mut all = Self { owners, leases: IndexMap::new() };
        let mut actions = all.mend();
        let mut lost = Vec::new();
        for (id, lease) in leases {
            if all.living(&lease.owner).is_err() {
                actions.push(Action::RecordLease(id));
                continue;
            }
            match (&lease.kind, judge(&lease.kind)) {
                (Kind::Heartbeat { until: Some(until), .. }, _) => {
                    actions.push(Action::Arm(Timer::Heartbeat(id.clone()), *until));
                }
                (Kind::Held | Kind::Process { .. }, Downtime::Lost(loss)) => lost.push((id.clone(), loss)),
                (Kind::Heartbeat { until: None, .. } | Kind::Held | Kind::Process { .. }, _) => {}
            }
            all.leases.insert(id, lease);
        }
        for (id, loss) in lost {
            actions.extend(all.lose(&id, loss, now));
        }
        let names: Vec<String> = all.owners.keys().cloned().collect();
        for name in names {
            // Held by a lease whose record is lost.
            actions.extend(all.let_go(&name, now));
            actions.extend(all.extend_grace(&name, now));
        }
        (all, actions)
    }

    /// Makes an owner that things run for and that no record tells of: it has its grace for somebody to come back.
    pub fn find(&mut self, name: &str, now: Duration) -> Vec<Action> {
        if self.owners.contains_key(name) {
            return Vec::new();
        }
        let owner = Owner { parent: None, grace: GRACE, state: State::Held, limits: Limits::default() };
        self.owners.insert(name.to_owned(), owner);
        self.let_go(name, now)
    }

    fn extend_grace(&mut self, name: &str, now: Duration) -> Vec<Action> {
        let Some(owner) = self.owners.get_mut(name) else { return Vec::new() };
        let at_least = now.saturating_add(owner.grace);
        match &mut owner.state {
            State::Grace { until } => {
                *until = at_least.max(*until);
                vec![Action::RecordOwner(name.to_owned()), Action::Arm(Timer::Grace(name.to_owned()), *until)]
            }
            State::Unbound | State::Held | State::Ended(_) => Vec::new(),
        }
    }

    /// Makes a forest of what was read, in which nobody outlives a parent that has ended.
    fn mend(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let names: Vec<String> = self.owners.keys().cloned().collect();
        for name in &names {
            if self.is_astray(name)
                && let Some(owner) = self.owners.get_mut(name)
            {
                owner.parent = None;
                actions.push(Action::RecordOwner(name.clone()));
            }
        }
        for name in &names {
            let ended = matches!(self.owners.get(name).map(|owner| &owner.state), Some(State::Ended(_)));
            if ended {
                actions.extend(self.end(name, &Cause::Stopped));
            }
        }
        actions
    }

    /// Whether the way up from an owner leads nowhere, or back to itself.
    fn is_astray(&self, name: &str) -> bool {
        let mut at = name;
        for _ in 0..=self.owners.len() {
            match self.owners.get(at).map(|owner| owner.parent.as_deref()) {
                None => return true,
                Some(None) => return false,
                Some(Some(parent)) => at = parent,
            }
        }
        true
    }
}
