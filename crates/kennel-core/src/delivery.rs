//! When a message is sent to a webhook, when again, and when no more.
//!
//! One message at a time for each receiver, the oldest that is due: so they come in order as long as nothing fails. A receiver
//! that answers again gets at once what it had missed; a message that it alone refuses waits for its own time.
//!
//! Source of what answers mean: Standard Webhooks, "Status codes and what to do about them".

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Pause after the first try that failed; doubled with each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_mins(15);
/// The longest time that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// Most messages that wait for one receiver. Whatever comes then is read when there is room again.
pub const MOST_WAITING: usize = 256;

/// How often and for how long a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Tries after the first one.
    pub retries: u32,
    /// No further try of a message that is older than this.
    pub max_age: Duration,
}

impl Default for Limits {
    /// 100 tries more, within a day.
    fn default() -> Self {
        Self { retries: 100, max_age: Duration::from_hours(24) }
    }
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// An answer: its status, and for how long it asks to be left alone.
    Answer {
        /// Status of HTTP.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// None, or nothing that can be understood.
    Nothing,
}

/// Whose fault it is that a try failed, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The receiver refuses this message; others it may take.
    Message,
    /// It takes none at the moment.
    Receiver,
}

/// What follows from a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The message has arrived.
    Delivered,
    /// It is tried again, at this time.
    Again(u64),
    /// It is not tried again.
    Dead,
    /// The receiver wants no message any more.
    Gone,
}

/// A message that waits. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// When it happened.
    pub since: u64,
    /// Tries so far.
    pub tries: u32,
    /// When it is tried next.
    pub due: u64,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What there is to do for a receiver now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send this message.
    Send(u64),
    /// Nothing before this time.
    At(u64),
    /// Nothing before something happens.
    Rest,
}

/// The messages that wait for one receiver, by their numbers, which rise with time.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    sending: Option<u64>,
    /// It asked to be left alone until then.
    not_before: u64,
}

impl Queue {
    /// Puts a message into it: a new one, or one that waited already for a daemon before this one.
    pub fn add(&mut self, number: u64, waiting: Waiting) {
        self.waiting.insert(number, waiting);
    }

    /// How many more may wait.
    #[must_use]
    pub fn room(&self) -> usize {
        MOST_WAITING.saturating_sub(self.waiting.len())
    }

    /// How many wait, the one that is being sent included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What is known of one.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Waiting> {
        self.waiting.get(&number).copied()
    }

    /// Whether one is being sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// What to do now. With [`Next::Send`] the message counts as being sent, until [`Queue::heard`].
    pub fn next(&mut self, now: u64) -> Next {
        if self.sending.is_some() {
            return Next::Rest;
        }
        let first =
            self.waiting.iter().min_by_key(|(number, waiting)| (waiting.due.max(self.not_before).max(now), **number));
        let Some((&number, waiting)) = first else { return Next::Rest };
        let due = waiting.due.max(self.not_before);
        if due > now {
            return Next::At(due);
        }
        self.sending = Some(number);
        Next::Send(number)
    }

    /// Takes in what came of the try of a message. `jitter` is a random number from 0 to 1.
    ///
    /// All but [`Verdict::Again`] take it out of the queue, and [`Verdict::Gone`] everything.
    pub fn heard(&mut self, number: u64, heard: Heard, limits: Limits, now: u64, jitter: f64) -> Verdict {
        if self.sending == Some(number) {
            self.sending = None;
        }
        let Some(waiting) = self.waiting.get_mut(&number) else { return Verdict::Dead };
        waiting.tries += 1;
        let fault = match heard {
            Heard::Answer { status: 200..=299, .. } => {
                self.waiting.remove(&number);
                self.not_before = 0;
                self.receiver_is_back(now);
                return Verdict::Delivered;
            }
            Heard::Answer { status: 410, .. } => {
                self.waiting.remove(&number);
                return Verdict::Gone;
            }
            Heard::Answer { status: 408 | 429 | 500.., .. } | Heard::Nothing => Fault::Receiver,
            Heard::Answer { .. } => Fault::Message,
        };
        let age = Duration::from_millis(now.saturating_sub(waiting.since));
        if waiting.tries > limits.retries || age >= limits.max_age {
            self.waiting.remove(&number);
            return Verdict::Dead;
        }
        let asked = match heard {
            Heard::Answer { retry_after, .. } => retry_after.map(|time| millis(time.min(LONGEST_ASKED))),
            Heard::Nothing => None,
        };
        waiting.fault = Some(fault);
        waiting.due = now + asked.unwrap_or(0).max(millis(pause(waiting.tries, jitter)));
        let due = waiting.due;
        if let Some(asked) = asked {
            self.not_before = self.not_before.max(now + asked);
        }
        Verdict::Again(due)
    }

    /// Has a message tried as soon as can be, whatever it waited for.
    pub fn hurry(&mut self, number: u64, now: u64) -> Option<Waiting> {
        self.not_before = 0;
        let waiting = self.waiting.get_mut(&number)?;
        waiting.due = now;
        Some(*waiting)
    }

    /// Takes all out that waits, and forgets what is being sent.
    pub fn take(&mut self) -> BTreeMap<u64, Waiting> {
        self.sending = None;
        std::mem::take(&mut self.waiting)
    }

    /// What waited for it alone is due.
    fn receiver_is_back(&mut self, now: u64) {
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.fault == Some(Fault::Receiver)) {
            waiting.due = waiting.due.min(now);
        }
    }
}

/// The pause after so many tries have failed: doubled each time, give or take a fifth, so that many who fail together do not come back
/// together.
#[must_use]
pub fn pause(tries: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(20));
    doubled.min(LONGEST).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
