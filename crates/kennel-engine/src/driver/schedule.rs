//! What the clock starts: when it is due next, and what becomes of a time that has come.
//!
//! Which time is due and what it does is decided by `core::schedule`. An interval goes by the monotonic clock and its timer stands with the
//! others; the calendar goes by the wall clock, by one alarm for all.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use kennel_calendar::Calendar;
use kennel_core::model::{Missed, Schedule, When};
use kennel_core::schedule::{self, Every, Fire, Found, Plan, Times};
use kennel_core::slot::{Event, State};
use kennel_wire::EventKind;

use super::{Driver, TimerKey, Work};
use crate::clock;

/// A schedule that counts.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    /// As it was when it began to count.
    schedule: Schedule,
    /// Where an interval is counted from.
    anchor: Duration,
    plan: Plan,
}

impl Armed {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let anchor = clock::now();
        let mut armed = Self { schedule: schedule.clone(), anchor, plan: Plan::default() };
        armed.plan = armed.times().map_or_else(Plan::default, |times| Plan::begin(&times, armed.now()));
        armed
    }

    /// Goes on where another daemon was.
    pub(super) fn resume(schedule: &Schedule, plan: Plan) -> Self {
        let fresh = Self::new(schedule);
        match (&schedule.when, plan.next) {
            // Of this boot, and at most one interval ahead.
            (When::Every(every), Some(next)) if next <= fresh.anchor.saturating_add(*every) => {
                Self { anchor: next.saturating_sub(*every), plan, ..fresh }
            }
            (When::Every(_), _) => fresh,
            (When::Cron(_), _) => Self { plan, ..fresh },
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    /// By the clock that this one goes by.
    fn now(&self) -> Duration {
        match self.schedule.when {
            When::Every(_) => clock::now(),
            When::Cron(_) => wall(),
        }
    }

    fn times(&self) -> Option<Clockwork> {
        match &self.schedule.when {
            When::Every(every) => Some(Clockwork::Every(Every { anchor: self.anchor, every: *every })),
            // Checked when it was loaded; the database of time zones may have gone since.
            When::Cron(expression) => Calendar::new(expression, self.schedule.timezone.as_deref())
                .inspect_err(|error| tracing::error!(%error, expression, "cannot tell the next time"))
                .map(|calendar| Clockwork::Calendar(Box::new(calendar)))
                .ok(),
        }
    }

    /// How long until the next time.
    pub(super) fn next_in(&self) -> Option<Duration> {
        self.plan.next.map(|next| next.saturating_sub(self.now()))
    }

    /// When that is.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        match self.schedule.when {
            When::Every(_) => Timestamp::now().checked_add(SignedDuration::try_from(self.next_in()?).ok()?).ok(),
            When::Cron(_) => Timestamp::from_duration(SignedDuration::try_from(self.plan.next?).ok()?).ok(),
        }
    }
}

enum Clockwork {
    Every(Every),
    Calendar(Box<Calendar>),
}

impl Times for Clockwork {
    fn after(&self, at: Duration) -> Option<Duration> {
        match self {
            Self::Every(every) => every.after(at),
            Self::Calendar(calendar) => calendar.after(at),
        }
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Driver {
    /// Has the clock start a service that nobody else is to start.
    pub(super) fn arm(&mut self, name: &str) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.wanted = true;
            self.dirty.slot(name);
            self.sync_schedule(name);
        }
    }

    /// Lets the schedule of a slot count if it is wanted, and no longer if it is not.
    pub(super) fn sync_schedule(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let wanted = slot.service.schedule.as_ref().filter(|_| slot.wanted);
        match (wanted, slot.armed.as_deref()) {
            (None, None) => return,
            (None, Some(_)) => slot.armed = None,
            (Some(schedule), Some(armed)) if armed.schedule == *schedule => return,
            (Some(schedule), _) => {
                let armed = Armed::new(schedule);
                let next_at = armed.next_at();
                slot.armed = Some(Box::new(armed));
                if slot.service.is_timed() {
                    self.events.publish(Some(name), None, EventKind::ScheduleArmed { next_at });
                }
            }
        }
        self.dirty.slot(name);
        self.wind(name);
    }

    pub(super) fn sync_schedules(&mut self) {
        let timed = self.slots.iter().filter(|(_, slot)| slot.armed.is_some() || slot.service.schedule.is_some());
        let names: Vec<String> = timed.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.sync_schedule(&name);
        }
    }

    /// Sets the timer of a slot, or the alarm of all, for what is next.
    pub(super) fn wind(&mut self, name: &str) {
        let armed = self.slots.get(name).and_then(|slot| slot.armed.as_deref());
        let key = TimerKey::Schedule(name.to_owned());
        match armed.map(|armed| (&armed.schedule.when, armed.plan.next)) {
            Some((When::Every(_), Some(next))) => self.timers.arm(key, clock::instant(next)),
            Some((When::Cron(_), _) | (When::Every(_), None)) | None => self.timers.disarm(&key),
        }
        let by_calendar = |armed: &Armed| matches!(armed.schedule.when, When::Cron(_));
        let armed = self.slots.values().filter_map(|slot| slot.armed.as_deref()).filter(|armed| by_calendar(armed));
        self.alarm.set(armed.filter_map(|armed| armed.plan.next).min());
    }

    /// The alarm has gone off: something is due, or the clock was set.
    pub(super) fn look_at_calendar(&mut self) {
        let is_meant = |armed: &Armed| matches!(armed.schedule.when, When::Cron(_));
        let timed = self.slots.iter().filter(|(_, slot)| slot.armed.as_deref().is_some_and(is_meant));
        let names: Vec<String> = timed.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.look_at_schedule(&name);
        }
    }

    /// Whether a time has come, and what it does.
    pub(super) fn look_at_schedule(&mut self, name: &str) {
        let Some(armed) = self.slots.get_mut(name).and_then(|slot| slot.armed.as_deref_mut()) else { return };
        if self.keeper_lost {
            return;
        }
        if let Some(times) = armed.times() {
            let (plan, found) = schedule::look(armed.plan, &times, armed.now());
            armed.plan = plan;
            let makes_up = armed.schedule.missed == Missed::Run;
            match found {
                Found::Nothing => {}
                Found::Due(_) => self.fire(name),
                Found::Missed(_) if makes_up => self.fire(name),
                Found::Missed(_) => self.skip(name, "nobody was there when it was due"),
            }
        }
        self.dirty.slot(name);
        self.wind(name);
    }

    fn fire(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name).filter(|slot| slot.wanted) else { return };
        let Some(armed) = slot.armed.as_deref_mut() else { return };
        let event = match schedule::fire(&armed.schedule, &slot.state, armed.plan.queued) {
            Fire::Start => Event::Start,
            Fire::Restart => Event::Restart { limit: None },
            Fire::Queue => {
                armed.plan.queued = true;
                return;
            }
            Fire::Skip(why) => return self.skip(name, why),
        };
        let next_at = armed.next_at();
        self.events.publish(Some(name), slot.run, EventKind::ScheduleFired { next_at });
        self.queue.push_back(Work::Slot(name.to_owned(), event));
    }

    fn skip(&mut self, name: &str, why: &str) {
        let next_at = self.slots.get(name).and_then(|slot| slot.armed.as_deref()).and_then(Armed::next_at);
        self.events.publish(Some(name), None, EventKind::ScheduleSkipped { why: why.to_owned(), next_at });
    }

    /// A slot has come to rest: a run that was queued follows.
    pub(super) fn start_queued(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name).filter(|slot| matches!(slot.state, State::Rest(_))) else { return };
        let Some(armed) = slot.armed.as_deref_mut().filter(|_| slot.wanted) else { return };
        if std::mem::take(&mut armed.plan.queued) {
            let next_at = armed.next_at();
            self.events.publish(Some(name), None, EventKind::ScheduleFired { next_at });
            self.queue.push_back(Work::Slot(name.to_owned(), Event::Start));
        }
    }
}
