//! From one daemon to the next while both live: the new one is started beside the old one, and takes over only once the
//! old one has let go. Until then the old one can go on as if nothing had been; after that a new one that fails is
//! replaced by one of the keeper's own program. Nothing that runs is ended on any of these ways.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kennel_sys::wait;

use super::Keeper;
use super::exec::Exec;
use super::losses::described;
use crate::daemon::{Daemon, Manner};
use crate::proto::{Event, Follows, Request, Successor, VERSION};
use crate::start::note;

/// How long a successor may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long the old daemon may take to let go once there is a successor.
const LET_GO: Duration = Duration::from_secs(60);
/// How long a successor may take to be settled, once it was welcomed.
const SETTLE: Duration = Duration::from_secs(10);
/// A daemon that has nothing left to do and does not exit is ended after this time.
const EXIT: Duration = Duration::from_secs(10);

/// Where a hand-over stands.
#[derive(Debug)]
pub(super) enum HandOver {
    None,
    /// A successor was started and has not said hello.
    Starting {
        successor: Daemon,
        until: Instant,
    },
    /// It has, and waits for the old one to let go.
    Ready {
        successor: Daemon,
        until: Instant,
    },
    /// It is the daemon now; the old one, if it still lives, waits to hear how it goes.
    Settling {
        old: Option<Daemon>,
        until: Instant,
    },
    /// All is said to the old one.
    Leaving {
        old: Daemon,
        until: Instant,
    },
}

impl HandOver {
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Starting { until, .. }
            | Self::Ready { until, .. }
            | Self::Settling { until, .. }
            | Self::Leaving { until, .. } => Some(*until),
        }
    }

    /// The second daemon that lives: the successor, or the old one.
    pub(super) fn other(&self) -> Option<&Daemon> {
        match self {
            Self::None => None,
            Self::Starting { successor, .. } | Self::Ready { successor, .. } => Some(successor),
            Self::Settling { old, .. } => old.as_ref(),
            Self::Leaving { old, .. } => Some(old),
        }
    }

    pub(super) fn other_mut(&mut self) -> Option<&mut Daemon> {
        match self {
            Self::None => None,
            Self::Starting { successor, .. } | Self::Ready { successor, .. } => Some(successor),
            Self::Settling { old, .. } => old.as_mut(),
            Self::Leaving { old, .. } => Some(old),
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::None)
    }
}

impl Keeper {
    /// Starts a daemon beside the one that asks for it. An earlier one that has not taken over is ended.
    pub(super) fn succeed(&mut self, program: Option<&OwnedFd>) {
        if let HandOver::Settling { .. } = self.handover {
            return self.tell_failed("the last hand-over is not over".to_owned());
        }
        if !matches!(self.exec, Exec::None) {
            return self.tell_failed("the keeper's own program is being replaced".to_owned());
        }
        self.drop_successor();
        match self.launch(Manner::Successor(program)) {
            Ok(successor) => {
                self.handover = HandOver::Starting { successor, until: Instant::now() + HELLO };
                self.tell_contain();
                kennel_sys::crash_point!("handover.successor-started");
            }
            Err(error) => self.tell_failed(format!("the program cannot be started: {error}")),
        }
    }

    /// What a successor says before it takes over, which can only be its greeting.
    pub(super) fn hear_successor(&mut self, request: &Request) {
        match (request, self.handover.take()) {
            (Request::Hello { version }, HandOver::Starting { mut successor, .. }) if *version >= VERSION => {
                successor.version = *version;
                self.handover = HandOver::Ready { successor, until: Instant::now() + LET_GO };
                self.tell_current(&Event::Successor(Successor::Ready));
                kennel_sys::crash_point!("handover.told");
            }
            (Request::Hello { version }, handover @ HandOver::Starting { .. }) => {
                self.handover = handover;
                let why = format!("it speaks version {version} of the protocol, and the keeper version {VERSION}");
                self.fail(why);
            }
            (_, handover) => {
                self.handover = handover;
                self.fail("it does something before it has taken over".to_owned());
            }
        }
    }

    /// The old daemon has let go: the successor takes over.
    pub(super) fn hand_over(&mut self) {
        match self.handover.take() {
            HandOver::Ready { successor, .. } => {
                kennel_sys::crash_point!("handover.released");
                let old = self.daemon.replace(successor);
                self.handover = HandOver::Settling { old, until: Instant::now() + SETTLE };
                self.follows = Follows::HandOver;
                // It has other things to do before it reads.
                self.records.enlarge_pipes();
                self.welcome();
            }
            handover => {
                // It failed just now, and the old one could not know.
                self.handover = handover;
                self.drop_successor();
                let old = self.daemon.take();
                self.handover = HandOver::Settling { old, until: Instant::now() };
                self.roll_back("there is no successor that is ready");
            }
        }
    }

    /// The daemon serves; if it is a successor, it has taken over.
    pub(super) fn settled(&mut self) {
        match self.handover.take() {
            HandOver::Settling { old, .. } => {
                kennel_sys::crash_point!("handover.settled");
                self.dismiss(old, Successor::Done);
            }
            handover => self.handover = handover,
        }
    }

    /// The successor did not take over, after the old daemon had let go: one of our own program does.
    pub(super) fn roll_back(&mut self, why: &str) {
        note!("the hand-over has failed, starting this keeper's own daemon: {why}");
        if let Some(failed) = self.daemon.take() {
            self.discard(failed);
        }
        if let HandOver::Settling { old, .. } = self.handover.take() {
            self.dismiss(old, Successor::Failed { why: why.to_owned() });
        }
        self.follows = Follows::HandOver;
        self.next_start = Some(Instant::now());
    }

    /// The second daemon, successor or old one, was reaped.
    pub(super) fn other_ended(&mut self, exit: Option<wait::Exit>) {
        match self.handover.take() {
            HandOver::Starting { .. } => {
                self.tell_failed(format!("it ended before it said hello ({})", described(exit)));
            }
            HandOver::Ready { .. } => {
                self.tell_failed(format!("it ended before it took over ({})", described(exit)));
            }
            // It had let go; nothing depends on it.
            HandOver::Settling { until, .. } => self.handover = HandOver::Settling { old: None, until },
            HandOver::Leaving { .. } | HandOver::None => {}
        }
    }

    /// Does what is due.
    pub(super) fn hasten_handover(&mut self, now: Instant) {
        if self.handover.due().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.handover {
            HandOver::None => {}
            HandOver::Starting { .. } => self.fail(format!("it said nothing for {} s", HELLO.as_secs())),
            HandOver::Ready { .. } => {
                self.fail(format!("the old daemon did not let go within {} s", LET_GO.as_secs()));
            }
            HandOver::Settling { .. } => {
                self.roll_back(&format!("the new daemon was not settled within {} s", SETTLE.as_secs()));
            }
            HandOver::Leaving { old, until } => {
                note!("the old daemon does not exit");
                old.kill();
                *until = now + EXIT;
            }
        }
    }

    /// Ends a successor that has not taken over, and an old daemon that still is there.
    pub(super) fn drop_successor(&mut self) {
        match self.handover.take() {
            HandOver::None | HandOver::Settling { old: None, .. } => {}
            HandOver::Starting { successor: other, .. }
            | HandOver::Ready { successor: other, .. }
            | HandOver::Settling { old: Some(other), .. }
            | HandOver::Leaving { old: other, .. } => self.discard(other),
        }
    }

    /// Gives up a successor that has not taken over; for the daemon that there is nothing has changed.
    fn fail(&mut self, why: String) {
        self.drop_successor();
        self.tell_failed(why);
    }

    fn tell_failed(&mut self, why: String) {
        note!("there is no successor of the daemon: {why}");
        self.tell_current(&Event::Successor(Successor::Failed { why }));
    }

    fn tell_current(&mut self, event: &Event) {
        if let Some(daemon) = &mut self.daemon {
            daemon.tell(event);
            daemon.flush(&self.tools);
        }
    }

    /// Tells the old daemon how it went; then it only has to exit.
    fn dismiss(&mut self, old: Option<Daemon>, news: Successor) {
        let Some(mut old) = old else { return };
        old.tell(&Event::Successor(news));
        old.flush(&self.tools);
        self.handover = HandOver::Leaving { old, until: Instant::now() + EXIT };
    }

    /// Ends a daemon that is of no use any more; it is waited for beside everything else.
    fn discard(&mut self, daemon: Daemon) {
        self.tools.unwatch(&daemon.channel);
        daemon.kill();
        self.discarded.push(daemon.pid);
        self.tell_contain();
    }
}
