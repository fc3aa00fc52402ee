//! The end of everything, asked for with growing urgency.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use kennel_client::{CallError, Daemon};
use kennel_wire::{DownReport, DownRequest, Urgency};

use crate::parse::millis;

type Answer = Result<DownReport, CallError>;

/// A `down` under way. Each further request hastens the ones before; whichever is answered first counts.
pub(super) struct Stopping {
    daemon: Daemon,
    urgency: Urgency,
    asked: FuturesUnordered<Pin<Box<dyn Future<Output = Answer>>>>,
}

impl Stopping {
    /// Asks with all patience, or that of `timeout`.
    pub(super) fn begin(daemon: &Daemon, timeout: Option<Duration>) -> Self {
        let stopping = Self { daemon: daemon.clone(), urgency: Urgency::Graceful, asked: FuturesUnordered::new() };
        stopping.ask(DownRequest { urgency: Urgency::Graceful, timeout_ms: timeout.map(millis) });
        stopping
    }

    /// Asks once more, with less patience; answers with the word for it.
    pub(super) fn hasten(&mut self) -> &'static str {
        let (urgency, word) = match self.urgency {
            Urgency::Graceful => (Urgency::Hurry, "hurrying: one more second\n"),
            Urgency::Hurry | Urgency::Kill => (Urgency::Kill, "killing\n"),
        };
        self.urgency = urgency;
        self.ask(DownRequest { urgency, timeout_ms: None });
        word
    }

    fn ask(&self, request: DownRequest) {
        let daemon = self.daemon.clone();
        self.asked.push(Box::pin(async move { daemon.down(&request).await }));
    }

    /// The first good answer, or the last bad one: a request that comes too late to hasten anything is refused while
    /// the one before it is still being worked on. May be dropped while it waits.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            match self.asked.next().await {
                Some(Err(_)) if !self.asked.is_empty() => {}
                Some(answer) => return answer,
                // Never asked again after an answer.
                None => std::future::pending().await,
            }
        }
    }
}
