//! Passes events on to the log of the machine, for as long as the configuration asks for it.
//!
//! One more reader of the stream: it may be as slow as that log is, and what it has not passed on yet waits in the store.

mod journal;
mod syslog;
mod told;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_core::model::LogEvents;
use kennel_wire::Event;
use tokio::net::UnixDatagram;
use tokio::sync::watch;

use self::told::Told;
use crate::events::Events;

/// Events that are read at a time.
const PAGE: usize = 100;
/// Pause before a log that is not there is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Who passes them on. Clones speak for the same one.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    events: Events,
    /// Name of the kennel instance.
    instance: Arc<str>,
    wish: watch::Sender<LogEvents>,
    /// Number of the last event that needs nothing any more.
    passed: watch::Sender<u64>,
    /// Whether there is a task: there is none until somebody wishes for it.
    begun: Arc<AtomicBool>,
}

impl Announcer {
    pub(crate) fn new(events: Events, instance: &str) -> Self {
        let (wish, passed) = (watch::Sender::new(LogEvents::None), watch::Sender::new(0));
        Self { events, instance: instance.into(), wish, passed, begun: Arc::default() }
    }

    /// Where events go from now on.
    pub(crate) fn wish(&self, to: LogEvents) {
        if *self.wish.borrow() == to {
            return;
        }
        if *self.wish.borrow() == LogEvents::None {
            self.passed.send_replace(self.events.newest());
        }
        self.wish.send_replace(to);
        if !self.begun.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().pass_on());
        }
    }

    /// Waits until every event is passed on that is published by now. Whoever calls it has a limit.
    pub(crate) async fn is_done(&self) {
        if *self.wish.borrow() != LogEvents::None {
            let newest = self.events.newest();
            let mut passed = self.passed.subscribe();
            let _task_gone = passed.wait_for(|passed| *passed >= newest).await;
        }
    }

    async fn pass_on(self) {
        let (mut wish, mut published) = (self.wish.subscribe(), self.events.watch());
        loop {
            let to = *wish.borrow_and_update();
            let Some(log) = Log::of(to) else {
                // Whoever wishes for it again begins with what is new then.
                if wish.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                () = self.pass_to(log, &mut published) => return,
                changed = wish.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    /// Ends with the stream.
    async fn pass_to(&self, log: Log, published: &mut watch::Receiver<u64>) {
        let mut socket = None;
        loop {
            published.borrow_and_update();
            let since = *self.passed.borrow();
            let page = self.events.after(since, PAGE).await;
            if page.is_empty() && published.changed().await.is_err() {
                return;
            }
            for event in page {
                self.insist(&log, &mut socket, &event).await;
                self.passed.send_replace(event.seq);
            }
        }
    }

    /// Passes one on, however often that has to be tried.
    async fn insist(&self, log: &Log, socket: &mut Option<UnixDatagram>, event: &Event) {
        let message = log.message(&Told::of(event, &self.instance));
        let mut pause = PAUSE.0;
        let mut is_told = false;
        while let Err(error) = log.send(socket, &message).await {
            *socket = None;
            match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                // This one will never fit; others will.
                Some(rustix::io::Errno::MSGSIZE) => {
                    tracing::warn!(seq = event.seq, "an event is too long for the log of the machine");
                    return;
                }
                // It was there a moment ago, and may be again: it was restarted.
                Some(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::CONNRESET | rustix::io::Errno::NOTCONN)
                    if pause == PAUSE.0 && !is_told => {}
                _ if !is_told => {
                    tracing::warn!(%error, log = %log.path.display(), "the log of the machine takes no events now");
                    is_told = true;
                }
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// A log of the machine.
struct Log {
    path: PathBuf,
    encode: fn(&Told) -> Vec<u8>,
}

impl Log {
    fn of(to: LogEvents) -> Option<Self> {
        // Another place is for machines whose log is not where it usually is, and for tests.
        let syslog = || std::env::var_os("KENNEL_SYSLOG_SOCKET").map_or_else(|| syslog::SOCKET.into(), PathBuf::from);
        match to {
            LogEvents::None => None,
            LogEvents::Journald => Some(Self { path: crate::journal::socket(), encode: journal::encode }),
            LogEvents::Syslog => Some(Self { path: syslog(), encode: syslog::encode }),
        }
    }

    fn message(&self, told: &Told) -> Vec<u8> {
        (self.encode)(told)
    }

    /// Waits while the log has no room. Connected, since only then the kernel says when there is room again.
    async fn send(&self, socket: &mut Option<UnixDatagram>, message: &[u8]) -> io::Result<()> {
        let socket = match socket {
            Some(socket) => socket,
            None => {
                let new = UnixDatagram::unbound()?;
                new.connect(&self.path)?;
                socket.insert(new)
            }
        };
        socket.send(message).await.map(drop)
    }
}
