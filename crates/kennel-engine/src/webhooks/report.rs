//! What is told of webhooks, without their secrets.

use jiff::Timestamp;
use kennel_core::model::Webhook;
use kennel_core::model::webhook::Secret;
use kennel_wire::{DeliveryState, DeliveryStatus, WebhookState, WebhookStatus};

use super::hook::{Delivery, Hook, Stage};

impl Hook {
    /// None if it is not declared.
    pub(super) fn status(&self) -> Option<WebhookStatus> {
        let declared = self.declared.as_ref()?;
        let count = |is: fn(&Stage) -> bool| self.deliveries.values().filter(|one| is(&one.stage)).count();
        let failed = self.last.as_ref().is_some_and(|last| last.error.is_some());
        let state = match () {
            () if !self.is_on() => WebhookState::Disabled,
            () if failed => WebhookState::Failing,
            () => WebhookState::Ok,
        };
        let due = self.deliveries.values().filter_map(|one| match &one.stage {
            Stage::Waiting(waiting) => Some(waiting.due),
            Stage::Delivered { .. } | Stage::Dead { .. } => None,
        });
        Some(WebhookStatus {
            name: self.name.clone(),
            receiver: receiver(declared),
            events: declared.events.clone(),
            services: declared.services.clone(),
            secret: place(&declared.secret).to_owned(),
            state,
            waiting: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            dead: u32::try_from(count(|stage| matches!(stage, Stage::Dead { .. }))).unwrap_or(u32::MAX),
            delivered: self.record.delivered,
            next_at: due.min().and_then(time),
            last: self.last.clone(),
            seen: self.record.seen,
            // Whoever asks knows.
            registered: false,
        })
    }

    /// The newest messages, oldest first.
    pub(super) fn log(&self, limit: usize) -> Vec<DeliveryStatus> {
        let mut newest: Vec<_> = self.deliveries.values().rev().take(limit).map(|one| self.told(one)).collect();
        newest.reverse();
        newest
    }

    fn told(&self, one: &Delivery) -> DeliveryStatus {
        let (state, tries, due, reason) = match &one.stage {
            Stage::Waiting(waiting) => (DeliveryState::Waiting, waiting.tries, time(waiting.due), None),
            Stage::Delivered { tries } => (DeliveryState::Delivered, *tries, None, None),
            Stage::Dead { tries, reason } => (DeliveryState::Dead, *tries, None, Some(reason.clone())),
        };
        DeliveryStatus {
            id: self.id(one.seq),
            webhook: self.name.clone(),
            kind: one.kind.clone(),
            seq: one.seq,
            service: one.service.clone(),
            time: one.time,
            state,
            tries,
            next_at: due,
            last: one.last.clone(),
            reason,
        }
    }
}

/// Scheme, host and port: the rest may be a secret.
fn receiver(declared: &Webhook) -> String {
    let begin = declared.url.find("://").map_or(0, |at| at + 3);
    let end = declared.url[begin..].find(['/', '?']).map_or(declared.url.len(), |at| begin + at);
    declared.url[..end].to_owned()
}

fn place(secret: &Secret) -> &'static str {
    match secret {
        Secret::Generated => "generated",
        Secret::Env(_) => "env",
        Secret::File(_) => "file",
    }
}

fn time(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}
