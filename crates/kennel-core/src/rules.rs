//! Rules against runaways: what is watched, what is done when it is too much, and when it is over.
//!
//! A rule watches one figure of an instance or of the whole stack. Above its threshold for long enough it raises an alert,
//! and goes up its ladder rung by rung while the figure stays there. Before that it may foresee the alert from the slope.
//! The alert is over once the figure has been clearly below for the whole cool-down; until then it goes on where it was,
//! so that a figure that swings about its threshold is one alert and not many.
//!
//! Times are monotonic, since any zero.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limit::Limits;

pub mod culprit;
mod measure;
pub mod pace;
mod predict;
mod watch;

pub use measure::Measure;
pub use watch::{Outcome, Reading, Watch};

/// Below this share of its threshold a figure is clearly below.
pub const CLEAR: f64 = 0.9;

/// How long a figure has to be clearly below until an alert is over, unless the rule says.
pub const COOLDOWN: Duration = Duration::from_secs(60);

/// How far ahead an alert is foreseen, unless the rule says.
pub const PREDICT: Duration = Duration::from_secs(60);

/// Processes of a stack above which the built-in rule alerts.
pub const STACK_PROCESSES: f64 = 100.0;

/// Memory of a stack above which the built-in rule alerts, bytes: 8 GiB.
pub const STACK_MEMORY: f64 = 8_589_934_592.0;

/// Name of the built-in rule of a service whose memory is limited.
pub const LIMIT_MEMORY: &str = "limit-memory";

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique among the rules of one service or of the project.
    pub name: String,
    /// What is watched.
    pub measure: Measure,
    /// Too much is more than this, in the measure's unit.
    pub above: f64,
    /// How long it has to be too much before anything happens.
    pub lasting: Duration,
    /// Of whom.
    pub extent: Extent,
    /// What happens, in this order; `after` never goes back. Not empty.
    pub ladder: Vec<Rung>,
    /// How long it has to be clearly below until the alert is over.
    pub cooldown: Duration,
    /// How far ahead the alert is foreseen, for figures that have a slope; zero: not at all.
    pub predict: Duration,
}

/// Whose figure a rule watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Each instance by itself.
    Service,
    /// All instances together. What is done is done to the one that the growth comes from.
    Stack,
}

/// One rung of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What is done.
    pub act: Act,
    /// How long after the alert, if it is still too much.
    pub after: Duration,
}

/// What a rule does, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// It is recorded.
    Event,
    /// It is shown as well, until it is over.
    Warn,
    /// The CPU time that the instance gets is cut, until it is over.
    Throttle,
    /// The instance is stopped where it is, until somebody thaws or ends it.
    Freeze,
    /// It is stopped like on request, and stays down.
    Stop,
    /// It is killed at once, and stays down.
    Kill,
}

impl Act {
    /// Its word in configuration and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Warn => "warn",
            Self::Throttle => "throttle",
            Self::Freeze => "freeze",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }

    /// Whether it changes anything for the processes.
    #[must_use]
    pub fn intervenes(self) -> bool {
        self >= Self::Throttle
    }
}

impl Rule {
    /// One that only warns, with the usual times.
    #[must_use]
    pub fn new(name: &str, measure: Measure, above: f64, extent: Extent) -> Self {
        Self {
            name: name.to_owned(),
            measure,
            above,
            lasting: measure.lasting(),
            extent,
            ladder: vec![Rung { act: Act::Warn, after: Duration::ZERO }],
            cooldown: COOLDOWN,
            predict: if measure.has_slope() { PREDICT } else { Duration::ZERO },
        }
    }
}

/// What a service with these limits has unless its file says otherwise: a warning that its memory is about to reach the limit. What happens
/// there is the limit's own business.
#[must_use]
pub fn of_limits(limits: &Limits) -> Vec<Rule> {
    #[expect(clippy::cast_precision_loss, reason = "limits end where this is exact")]
    let memory = limits.memory.map(|bytes| Rule::new(LIMIT_MEMORY, Measure::Memory, bytes as f64, Extent::Service));
    memory.into_iter().collect()
}

/// What every stack has unless its file says otherwise: a warning above 100 processes, and above 8 GiB.
#[must_use]
pub fn defaults() -> Vec<Rule> {
    vec![
        Rule::new("stack-processes", Measure::Processes, STACK_PROCESSES, Extent::Stack),
        Rule::new("stack-memory", Measure::Memory, STACK_MEMORY, Extent::Stack),
    ]
}
