//! One rule over one figure, as its readings come.

use std::time::Duration;

use super::predict::Trend;
use super::{Act, CLEAR, Rule};

/// From this share of the threshold on it is worth to foresee that it is reached.
const NEAR: f64 = 0.5;

/// Growth by this share of the threshold is growth, of whoever was let go on and of others while one stands still.
const GROWTH: f64 = 0.1;

/// What was read of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When.
    pub at: Duration,
    /// In the unit of the measure; `None` if it could not be told, which changes nothing.
    pub value: Option<f64>,
    /// Whether whoever it is read of is frozen. A figure that falls because of that is no sign that anything is over.
    pub frozen: bool,
}

/// What follows from a reading, in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// An alert begins.
    Raised {
        /// The reading.
        value: f64,
        /// How soon it will be too much, if it is not yet.
        foreseen: Option<Duration>,
    },
    /// The next rung of the ladder is due.
    Due {
        /// Its number, from 0.
        rung: usize,
        /// What is to be done.
        act: Act,
        /// The reading.
        value: f64,
    },
    /// Whoever was frozen stands still, and it grows all the same.
    Again {
        /// The reading.
        value: f64,
    },
    /// The alert is over.
    Cleared {
        /// The reading; absent if there is nothing left to read.
        value: Option<f64>,
        /// How long it was.
        lasted: Duration,
    },
}

/// Where one rule stands with one figure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watch {
    trend: Trend,
    /// Since when it is too much, without having been clearly below since.
    above_since: Option<Duration>,
    /// The last reading.
    last: f64,
    /// How soon it will be too much, as of that.
    foreseen: Option<Duration>,
    alert: Option<Alert>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Alert {
    raised_at: Duration,
    /// Rungs that were taken.
    taken: usize,
    /// Since when nothing speaks for it any more.
    calm_since: Option<Duration>,
    reprieve: Option<Reprieve>,
    /// While whoever it is stands still: what would be more than that explains.
    held_below: Option<f64>,
}

/// Somebody has let go on what the rule had frozen. That is respected for a while, but not while it grows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reprieve {
    until: Duration,
    /// Unless it becomes more than this.
    most: f64,
    /// The rung that is next: the one that had frozen it.
    rung: usize,
}

impl Watch {
    /// Whether an alert has been raised and is not over.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.alert.is_some()
    }

    /// Whether the next readings may change something: it is too much, or not known to be over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.alert.is_some() || self.above_since.is_some()
    }

    /// Whether time alone changes something, so that readings are wanted though nothing happens: it has to last, a rung is to come, a cool-down runs. An
    /// alert that has taken all its rungs and stays too much waits for nothing.
    #[must_use]
    pub fn awaits_time(&self, rule: &Rule) -> bool {
        match &self.alert {
            None => self.above_since.is_some(),
            Some(alert) => self.above_since.is_none() || alert.taken < rule.ladder.len() || alert.reprieve.is_some(),
        }
    }

    /// How soon it will be too much at the pace of the last readings; `None` if that is not foreseen, or it is already.
    #[must_use]
    pub fn foreseen(&self) -> Option<Duration> {
        self.foreseen
    }

    /// Takes a reading; their times ascend.
    pub fn step(&mut self, rule: &Rule, reading: Reading) -> Vec<Outcome> {
        let Some(value) = reading.value else { return Vec::new() };
        let at = reading.at;
        // What is frozen cannot become less by itself.
        let held = reading.frozen && self.alert.is_some() && self.above_since.is_some();
        if value > rule.above {
            self.above_since.get_or_insert(at);
        } else if value <= rule.above * CLEAR && !held {
            self.above_since = None;
        }
        self.trend.push(at, value);
        let mut outcomes = Vec::new();
        let due = self.above_since.map(|since| at.saturating_sub(since)).filter(|held| *held >= rule.lasting);
        let foreseen = if self.above_since.is_some() { None } else { self.foresee(rule, value) };
        (self.foreseen, self.last) = (foreseen, value);
        if self.alert.is_none() && (due.is_some() || foreseen.is_some()) {
            self.alert = Some(Alert { raised_at: at, taken: 0, calm_since: None, reprieve: None, held_below: None });
            outcomes.push(Outcome::Raised { value, foreseen });
        }
        let Some(alert) = &mut self.alert else { return outcomes };
        let due = match (due, alert.reprieve) {
            (Some(held), Some(reprieve)) if at >= reprieve.until || value > reprieve.most => {
                alert.reprieve = None;
                alert.taken = reprieve.rung;
                // The ladder goes on from there, as if it had come so far just now.
                let so_far = rule.ladder.get(reprieve.rung).map_or(held, |rung| rule.lasting + rung.after);
                self.above_since = Some(at.saturating_sub(so_far));
                Some(so_far)
            }
            (_, Some(_)) => None,
            (due, None) => due,
        };
        if let Some(held) = due {
            while let Some(rung) = rule.ladder.get(alert.taken).filter(|rung| held >= rule.lasting + rung.after) {
                outcomes.push(Outcome::Due { rung: alert.taken, act: rung.act, value });
                alert.taken += 1;
            }
        }
        let grows = rule.measure.has_slope() && reading.frozen && last_freeze(rule, alert.taken).is_some();
        if !grows {
            alert.held_below = None;
        } else if value > *alert.held_below.get_or_insert(value + rule.above * GROWTH) {
            alert.held_below = None;
            outcomes.push(Outcome::Again { value });
        }
        if self.above_since.is_some() || foreseen.is_some() {
            alert.calm_since = None;
        } else if at.saturating_sub(*alert.calm_since.get_or_insert(at)) >= rule.cooldown {
            let lasted = at.saturating_sub(alert.raised_at);
            self.alert = None;
            // What led to it is no sign of another one.
            self.trend.clear();
            outcomes.push(Outcome::Cleared { value: Some(value), lasted });
        }
        outcomes
    }

    /// What the rule has frozen goes on, because somebody wants it. For the length of the cool-down nothing more is done, unless it
    /// grows; what is still too much then is frozen again, and the ladder goes on from there. Nothing follows if the rule has not frozen it.
    pub fn let_go_on(&mut self, rule: &Rule, at: Duration) {
        let Some(alert) = &mut self.alert else { return };
        if let Some(rung) = last_freeze(rule, alert.taken) {
            // What is spent a second was nothing while it stood still.
            let most = if rule.measure.has_slope() { self.last + rule.above * GROWTH } else { f64::INFINITY };
            alert.reprieve = Some(Reprieve { until: at + rule.cooldown, most, rung });
        }
    }

    /// There is nothing left to read: the instance is down.
    pub fn end(&mut self, at: Duration) -> Option<Outcome> {
        let alert = self.alert.take();
        *self = Self::default();
        alert.map(|alert| Outcome::Cleared { value: None, lasted: at.saturating_sub(alert.raised_at) })
    }

    fn foresee(&self, rule: &Rule, value: f64) -> Option<Duration> {
        if rule.predict.is_zero() || value < rule.above * NEAR {
            return None;
        }
        self.trend.reaches(rule.above).filter(|eta| *eta <= rule.predict)
    }
}

/// The last rung among those taken that has frozen somebody.
fn last_freeze(rule: &Rule, taken: usize) -> Option<usize> {
    rule.ladder.get(..taken)?.iter().rposition(|rung| rung.act == Act::Freeze)
}
