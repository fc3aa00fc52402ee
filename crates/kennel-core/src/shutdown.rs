//! The order of a shutdown, as a pure machine: which cleanup begins, which is given up, and when all is over.
//!
//! 1. Cleanups stand in [`Phase`]s; a phase begins when every cleanup of the earlier ones has ended, however.
//! 2. Within a phase, a cleanup begins when all that it names in [`Cleanup::after`] have ended, however: a shutdown
//!    must go on, so what depends on a failed one still runs. Whatever can run at the same time does.
//! 3. Each has a time, and so has the whole. A more urgent request shortens what is left, see [`Patience`].
//! 4. The time of the whole being over is the same as the most urgent request.

mod plan;

use std::time::Duration;

pub use plan::{Plan, RegisterError};

/// When a cleanup has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// State is saved before anything is touched that it describes.
    Persist,
    /// Trackers of resources are set back.
    Reset,
    /// Every registered service, workflow or connection is cleaned up.
    Cleanup,
    /// What goes on in the background comes to its end.
    Drain,
    /// Last words; nothing runs any more.
    End,
}

/// How urgent a shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Each cleanup has its own time.
    #[default]
    Graceful,
    /// Each has [`Patience::hurried`] at most.
    Hurry,
    /// Each has [`Patience::forced`] at most.
    Force,
}

/// How long a cleanup may take, from its begin or from the moment that the shutdown became that urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// While nobody is in a hurry.
    pub graceful: Duration,
    /// After a second request.
    pub hurried: Duration,
    /// After a third one. Zero: it is given up at once, and not begun if it has not been.
    pub forced: Duration,
}

impl Patience {
    /// This long; a second after a second request, and no more after a third.
    #[must_use]
    pub fn new(graceful: Duration) -> Self {
        Self { graceful, hurried: graceful.min(Duration::from_secs(1)), forced: Duration::ZERO }
    }

    fn at(self, urgency: Urgency) -> Duration {
        match urgency {
            Urgency::Graceful => self.graceful,
            Urgency::Hurry => self.hurried.min(self.graceful),
            Urgency::Force => self.forced,
        }
    }
}

/// What is fixed for one cleanup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    /// Unique within a plan.
    pub name: String,
    /// When it has its turn.
    pub phase: Phase,
    /// Names of those that must have ended before.
    pub after: Vec<String>,
    /// How long it may take.
    pub patience: Patience,
}

/// How a cleanup ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was to do.
    Ok,
    /// It said why not.
    Failed(String),
    /// It panicked, with this message.
    Panicked(String),
    /// It took too long and was given up.
    TimedOut,
    /// It was not begun: the shutdown was forced before.
    Skipped,
}

/// Where a cleanup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Its turn has not come.
    Waiting,
    /// It runs.
    Running {
        /// Monotonic time.
        since: Duration,
        /// Monotonic time at which it is given up.
        until: Duration,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// How long it ran.
        took: Duration,
    },
}

/// What can happen to a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The cleanup at this position of the plan has ended.
    Ended(usize, Outcome),
    /// Somebody asks (again), with this urgency. A shutdown never becomes less urgent.
    Asked(Urgency),
    /// Time has passed; see [`Shutdown::due`].
    Elapsed,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin the cleanup at this position of the plan.
    Begin(usize),
    /// Let it be; its end does not matter any more.
    Abandon(usize),
    /// All cleanups have an outcome.
    Finish,
}

/// One shutdown under way.
#[derive(Debug, Clone)]
pub struct Shutdown {
    plan: Plan,
    urgency: Urgency,
    began: Duration,
    statuses: Vec<Status>,
    finished: bool,
}

impl Shutdown {
    /// Begins. `now` is monotonic time, as everywhere here.
    #[must_use]
    pub fn begin(plan: Plan, urgency: Urgency, now: Duration) -> (Self, Vec<Action>) {
        let statuses = vec![Status::Waiting; plan.cleanups().len()];
        let mut shutdown = Self { plan, urgency, began: now, statuses, finished: false };
        let actions = shutdown.step(Event::Elapsed, now);
        (shutdown, actions)
    }

    /// One transition. Total: late and repeated events change nothing.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            // One that was given up meanwhile is not running any more.
            Event::Ended(index, outcome) => self.end(index, outcome, now),
            Event::Asked(urgency) => self.escalate(urgency, now),
            Event::Elapsed => {}
        }
        if now >= self.whole() {
            self.escalate(Urgency::Force, now);
        }
        self.give_up(now, &mut actions);
        self.begin_ready(now, &mut actions);
        if !self.finished && self.statuses.iter().all(|status| matches!(status, Status::Ended { .. })) {
            self.finished = true;
            actions.push(Action::Finish);
        }
        actions
    }

    /// When to say [`Event::Elapsed`] at the latest; `None` once it is finished.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let until = self.statuses.iter().filter_map(|status| match status {
            Status::Running { until, .. } => Some(*until),
            Status::Waiting | Status::Ended { .. } => None,
        });
        let whole = Some(self.whole()).filter(|_| !self.finished && self.urgency < Urgency::Force);
        until.chain(whole).min()
    }

    /// How urgent it has become.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Each cleanup with where it is, in the order of the phases.
    pub fn report(&self) -> impl Iterator<Item = (&Cleanup, &Status)> {
        let mut all: Vec<_> = self.plan.cleanups().iter().zip(&self.statuses).collect();
        all.sort_by_key(|(cleanup, _)| cleanup.phase);
        all.into_iter()
    }

    /// When the time of the whole is over.
    fn whole(&self) -> Duration {
        self.began.saturating_add(self.plan.overall())
    }

    fn escalate(&mut self, urgency: Urgency, now: Duration) {
        if urgency <= self.urgency {
            return;
        }
        self.urgency = urgency;
        for (cleanup, status) in self.plan.cleanups().iter().zip(&mut self.statuses) {
            if let Status::Running { until, .. } = status {
                *until = (*until).min(now.saturating_add(cleanup.patience.at(urgency)));
            }
        }
    }

    fn end(&mut self, index: usize, outcome: Outcome, now: Duration) {
        if let Some(status) = self.statuses.get_mut(index)
            && let Status::Running { since, .. } = *status
        {
            *status = Status::Ended { outcome, took: now.saturating_sub(since) };
        }
    }

    fn give_up(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for (index, status) in self.statuses.iter_mut().enumerate() {
            if let Status::Running { since, until } = *status
                && until <= now
            {
                *status = Status::Ended { outcome: Outcome::TimedOut, took: now.saturating_sub(since) };
                actions.push(Action::Abandon(index));
            }
        }
    }

    /// Begins all that can begin. What is skipped may be what another one waits for, so until nothing changes.
    fn begin_ready(&mut self, now: Duration, actions: &mut Vec<Action>) {
        while let Some(index) = (0..self.statuses.len()).find(|index| self.is_ready(*index)) {
            let patience = self.plan.cleanups().get(index).map_or(Duration::ZERO, |one| one.patience.at(self.urgency));
            let status = if self.urgency == Urgency::Force && patience.is_zero() {
                Status::Ended { outcome: Outcome::Skipped, took: Duration::ZERO }
            } else {
                actions.push(Action::Begin(index));
                Status::Running { since: now, until: now.saturating_add(patience) }
            };
            if let Some(slot) = self.statuses.get_mut(index) {
                *slot = status;
            }
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        let (Some(cleanup), Some(Status::Waiting)) = (self.plan.cleanups().get(index), self.statuses.get(index)) else {
            return false;
        };
        let mut others = self.plan.cleanups().iter().zip(&self.statuses);
        others.all(|(other, status)| {
            let comes_first = other.phase < cleanup.phase || cleanup.after.contains(&other.name);
            !comes_first || matches!(status, Status::Ended { .. })
        })
    }
}
