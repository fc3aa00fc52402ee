//! One webhook: how far in the stream it is, what is on its way, and what became of the rest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kennel_core::delivery::{Heard, Limits, Next, Queue, Verdict, Waiting};
use kennel_core::model::Webhook;
use kennel_store::Change;
use kennel_webhook::Outcome;
use kennel_wire::{Event, EventKind, WebhookTry};
use serde::{Deserialize, Serialize};

use super::payload;
use crate::records::body;

/// Messages that arrived, of which is known that they did: the newest.
const DELIVERED: usize = 20;
/// Messages that did not, which can be tried again: the newest.
const DEAD: usize = 200;
/// For how long they are kept, and a webhook that nobody declares any more.
const DEAD_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);
/// After so many events that are not for it, its place in the stream is recorded all the same.
const FAR: u64 = 1000;

/// What is recorded of a webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HookRecord {
    /// Number of the newest event that was looked at.
    pub(super) seen: u64,
    /// Makes its messages other ones than those of any other webhook, for ever.
    pub(super) salt: String,
    /// Messages that arrived.
    #[serde(default)]
    pub(super) delivered: u64,
    /// Which address wants nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<String>,
    /// Whether the secret that kennel made was shown.
    #[serde(default)]
    pub(super) shown: bool,
    /// Since when no configuration declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) away: Option<Timestamp>,
}

/// What is recorded of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) seq: u64,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    pub(super) time: Timestamp,
    pub(super) stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<WebhookTry>,
}

/// How far a message is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Waiting(Waiting),
    Delivered { tries: u32 },
    Dead { tries: u32, reason: String },
}

/// A webhook that is declared, or was when something was recorded of it.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) declared: Option<Webhook>,
    pub(super) record: HookRecord,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    pub(super) queue: Queue,
    pub(super) last: Option<WebhookTry>,
    /// Its place in the stream as it is recorded.
    recorded_at: u64,
}

/// What there is to record and to tell.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) changes: Vec<Change>,
    pub(super) told: Vec<EventKind>,
}

impl Hook {
    pub(super) fn new(name: &str, record: HookRecord) -> Self {
        let recorded_at = record.seen;
        let (deliveries, queue) = (BTreeMap::new(), Queue::default());
        Self { name: name.to_owned(), declared: None, record, deliveries, queue, last: None, recorded_at }
    }

    /// Takes in what another daemon recorded of a message.
    pub(super) fn restore(&mut self, delivery: Delivery) {
        if let Stage::Waiting(waiting) = delivery.stage {
            self.queue.add(delivery.seq, waiting);
        }
        if delivery.last.as_ref().map(|last| last.at) > self.last.as_ref().map(|last| last.at) {
            self.last.clone_from(&delivery.last);
        }
        self.deliveries.insert(delivery.seq, delivery);
    }

    /// Whether its receiver is asked.
    pub(super) fn is_on(&self) -> bool {
        self.declared.as_ref().is_some_and(|declared| self.record.gone.as_ref() != Some(&declared.url))
    }

    /// Whether it reads on in the stream.
    pub(super) fn reads(&self) -> bool {
        self.is_on() && self.queue.room() > 0
    }

    /// Under which key a message is recorded.
    pub(super) fn key(&self, seq: u64) -> String {
        format!("{}/{seq}", self.name)
    }

    /// What its receiver gets as `webhook-id`.
    pub(super) fn id(&self, seq: u64) -> String {
        format!("msg_{}_{seq}", self.record.salt)
    }

    /// The message with such an id.
    pub(super) fn seq_of(&self, id: &str) -> Option<u64> {
        let seq = id.strip_prefix("msg_")?.strip_prefix(&self.record.salt)?.strip_prefix('_')?.parse().ok()?;
        self.deliveries.contains_key(&seq).then_some(seq)
    }

    /// Looks at the next event of the stream.
    pub(super) fn look(&mut self, event: &Event, instance: &str, now: u64, news: &mut News) {
        self.record.seen = event.seq;
        let is_for_it = self.declared.as_ref().is_some_and(|it| it.takes(event.kind.name(), event.service.as_deref()));
        if !is_for_it || is_about(&event.kind, &self.name) {
            if self.record.seen >= self.recorded_at + FAR {
                self.note(news);
            }
            return;
        }
        let since = millis(event.time).min(now);
        let waiting = Waiting { since, tries: 0, due: now, fault: None };
        let delivery = Delivery {
            seq: event.seq,
            kind: event.kind.name().to_owned(),
            service: event.service.clone(),
            time: event.time,
            stage: Stage::Waiting(waiting),
            last: None,
        };
        self.queue.add(event.seq, waiting);
        self.deliveries.insert(event.seq, delivery);
        let id = self.key(event.seq);
        news.changes.push(Change::Payload { id, body: Some(payload::of(event, instance)) });
        self.note_delivery(event.seq, news);
        self.note(news);
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: u64) -> Next {
        if self.is_on() { self.queue.next(now) } else { Next::Rest }
    }

    /// Takes in what came of a try. `jitter` is from 0 to 1.
    pub(super) fn heard(&mut self, seq: u64, outcome: &Outcome, now: Timestamp, jitter: f64, news: &mut News) {
        // What was on its way when it was declared no more has its end all the same.
        let limits = self.declared.as_ref().map_or_else(Limits::default, |declared| declared.limits);
        let heard = match &outcome.answer {
            Ok(answer) => Heard::Answer { status: answer.status, retry_after: answer.retry_after },
            Err(_) => Heard::Nothing,
        };
        let last = tried(outcome, now);
        let reason = last.error.clone().unwrap_or_default();
        let tries = self.queue.get(seq).map_or(1, |waiting| waiting.tries + 1);
        let verdict = self.queue.heard(seq, heard, limits, millis(now), jitter);
        self.last = Some(last.clone());
        let Some(delivery) = self.deliveries.get_mut(&seq) else { return };
        delivery.last = Some(last);
        match verdict {
            Verdict::Again(_) => {
                if let Some(waiting) = self.queue.get(seq) {
                    delivery.stage = Stage::Waiting(waiting);
                }
            }
            Verdict::Delivered => {
                delivery.stage = Stage::Delivered { tries };
                self.record.delivered += 1;
                news.changes.push(Change::Payload { id: self.key(seq), body: None });
                self.note(news);
            }
            Verdict::Dead => {
                let kind = delivery.kind.clone();
                delivery.stage = Stage::Dead { tries, reason: reason.clone() };
                // What tells of a webhook never makes another event of its kind, or two that are dead would tell of each other for ever.
                if !kind.starts_with("webhook.") {
                    let (webhook, id) = (self.name.clone(), self.id(seq));
                    news.told.push(EventKind::WebhookDead { webhook, id, kind, tries, reason });
                }
            }
            Verdict::Gone => {
                delivery.stage = Stage::Dead { tries, reason };
                self.record.gone = self.declared.as_ref().map(|declared| declared.url.clone());
                self.bury("its receiver wants nothing any more", news);
                news.told.push(EventKind::WebhookDisabled { webhook: self.name.clone() });
                self.note(news);
            }
        }
        self.note_delivery(seq, news);
        self.forget_old(now, news);
    }

    /// Tries these again, or all that are dead, and at once. How many those are.
    pub(super) fn retry(&mut self, ids: &[u64], newest: u64, now: Timestamp, news: &mut News) -> u32 {
        if self.record.gone.take().is_some() {
            // What came meanwhile, nobody wanted.
            self.record.seen = newest;
            self.note(news);
        }
        let mut count = 0;
        let chosen: Vec<u64> = if ids.is_empty() { self.deliveries.keys().copied().collect() } else { ids.to_vec() };
        for seq in chosen {
            let room = self.queue.room();
            let Some(delivery) = self.deliveries.get_mut(&seq) else { continue };
            let waiting = match &delivery.stage {
                Stage::Waiting(_) => self.queue.hurry(seq, millis(now)),
                Stage::Dead { .. } if room > 0 => {
                    Some(Waiting { since: millis(now), tries: 0, due: millis(now), fault: None })
                }
                Stage::Dead { .. } | Stage::Delivered { .. } => None,
            };
            let Some(waiting) = waiting else { continue };
            delivery.stage = Stage::Waiting(waiting);
            self.queue.add(seq, waiting);
            self.note_delivery(seq, news);
            count += 1;
        }
        count
    }

    /// Forgets what is too old or too much of what is over.
    pub(super) fn forget_old(&mut self, now: Timestamp, news: &mut News) {
        let newest_first = || self.deliveries.values().rev();
        let delivered = newest_first().filter(|it| matches!(it.stage, Stage::Delivered { .. })).skip(DELIVERED);
        let dead = newest_first().filter(|it| matches!(it.stage, Stage::Dead { .. }));
        let dead = dead.enumerate().filter(|(at, it)| *at >= DEAD || is_old(it.time, now)).map(|(_, it)| it);
        let gone: Vec<u64> = delivered.chain(dead).map(|it| it.seq).collect();
        gone.into_iter().for_each(|seq| self.forget(seq, news));
    }

    /// It is declared, from now on: what is for it are events after this number, and what waited for it.
    pub(super) fn declare(&mut self, declared: &Webhook, since: u64, news: &mut News) {
        if self.record.away.take().is_some() {
            self.record.seen = since;
        }
        self.declared = Some(declared.clone());
        self.note(news);
    }

    /// It is declared no more. What is known of it is kept for whoever declares it again; whether it has been kept long enough.
    pub(super) fn leave(&mut self, now: Timestamp, news: &mut News) -> bool {
        self.declared = None;
        let Some(since) = self.record.away else {
            self.record.away = Some(now);
            self.note(news);
            return false;
        };
        is_old(since, now)
    }

    /// Forgets all of it.
    pub(super) fn remove(&mut self, news: &mut News) {
        self.queue.take();
        let all: Vec<u64> = self.deliveries.keys().copied().collect();
        all.into_iter().for_each(|seq| self.forget(seq, news));
        news.changes.push(Change::Webhook { name: self.name.clone(), body: None });
    }

    /// Records its place in the stream, and the rest of it.
    pub(super) fn note(&mut self, news: &mut News) {
        self.recorded_at = self.record.seen;
        news.changes.push(Change::Webhook { name: self.name.clone(), body: Some(body(&self.record)) });
    }

    fn note_delivery(&self, seq: u64, news: &mut News) {
        let id = self.key(seq);
        news.changes.push(Change::Delivery { id, body: self.deliveries.get(&seq).map(body) });
    }

    fn forget(&mut self, seq: u64, news: &mut News) {
        self.deliveries.remove(&seq);
        self.note_delivery(seq, news);
        news.changes.push(Change::Payload { id: self.key(seq), body: None });
    }

    /// Gives up all that waits.
    fn bury(&mut self, reason: &str, news: &mut News) {
        for (seq, waiting) in self.queue.take() {
            if let Some(delivery) = self.deliveries.get_mut(&seq) {
                delivery.stage = Stage::Dead { tries: waiting.tries, reason: reason.to_owned() };
            }
            self.note_delivery(seq, news);
        }
    }
}

fn is_old(time: Timestamp, now: Timestamp) -> bool {
    now.duration_since(time) > DEAD_FOR
}

/// A webhook never tells of itself.
fn is_about(kind: &EventKind, name: &str) -> bool {
    match kind {
        EventKind::WebhookDead { webhook, .. } | EventKind::WebhookDisabled { webhook } => webhook == name,
        _ => false,
    }
}

/// A try as it is told of.
pub(super) fn tried(outcome: &Outcome, at: Timestamp) -> WebhookTry {
    let took_ms = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
    let (status, error) = match &outcome.answer {
        Ok(answer) if (200..300).contains(&answer.status) => (Some(answer.status), None),
        Ok(answer) => (Some(answer.status), Some(format!("the answer is {}", answer.words()))),
        Err(failure) => (None, Some(failure.to_string())),
    };
    WebhookTry { at, took_ms, status, error }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn one_that_nobody_declares_is_kept_for_thirty_days() {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = |number: i64| begin + jiff::SignedDuration::from_hours(24 * number);
        let record = HookRecord { seen: 5, salt: "s".to_owned(), delivered: 0, gone: None, shown: true, away: None };
        let (mut hook, mut news) = (Hook::new("ops", record), News::default());
        assert!(!hook.leave(day(0), &mut news) && !hook.leave(day(29), &mut news), "it counts from the first day");
        assert_eq!(news.changes.len(), 1, "and is recorded then");
        assert!(hook.leave(day(31), &mut news));
    }
}
