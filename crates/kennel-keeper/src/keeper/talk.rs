//! What the daemon asks, and what it is told.

use std::io;
use std::time::Instant;

use super::{BATCH, GOODBYE, HandOver, Keeper};
use crate::channel::Incoming;
use crate::codec;
use crate::contain;
use crate::daemon::Daemon;
use crate::proto::{Event, Request, VERSION};
use crate::start::note;
use crate::tag::Leftovers;
use std::collections::BTreeSet;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// The one that decides.
    Daemon,
    /// Started beside it.
    Successor,
    /// It has handed over.
    Old,
}

impl Keeper {
    /// Reads what a daemon says.
    pub(super) fn hear(&mut self, token: u64, out: &mut Vec<Event>) {
        for _ in 0..BATCH {
            // Looked up each time: by what it says its part may have changed.
            let Some((speaker, daemon)) = self.speaker(token) else { return };
            let request = match daemon.channel.receive() {
                Ok(Incoming::Message(bytes, fds)) => codec::decode_request(&bytes, fds).map_err(io::Error::from),
                Ok(Incoming::Closed) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => Err(error),
            };
            match (request, speaker) {
                (Ok(request), Speaker::Daemon) => self.obey(request, out),
                (Ok(request), Speaker::Successor) => self.hear_successor(&request),
                (Ok(_), Speaker::Old) => note!("a daemon asks for something that has handed over"),
                (Err(error), _) => return self.hear_no_more(token, &error),
            }
        }
        self.flush();
    }

    fn speaker(&mut self, token: u64) -> Option<(Speaker, &mut Daemon)> {
        if self.daemon.as_ref().is_some_and(|daemon| daemon.token == token) {
            return Some((Speaker::Daemon, self.daemon.as_mut()?));
        }
        let speaker = match &self.handover {
            HandOver::None => return None,
            HandOver::Starting { .. } | HandOver::Ready { .. } => Speaker::Successor,
            HandOver::Settling { .. } | HandOver::Leaving { .. } => Speaker::Old,
        };
        let other = self.handover.other_mut().filter(|other| other.token == token)?;
        Some((speaker, other))
    }

    /// Without a connection a daemon is of no use. Its end is dealt with when it is reaped.
    fn hear_no_more(&mut self, token: u64, error: &io::Error) {
        let leaving = self.leaving.is_some();
        let tools = self.tools.clone();
        let Some((speaker, daemon)) = self.speaker(token) else { return };
        if error.kind() != io::ErrorKind::UnexpectedEof {
            note!("the daemon cannot be understood: {error}");
        }
        tools.unwatch(&daemon.channel);
        (daemon.listens, daemon.is_heard) = (false, false);
        // One that has said goodbye, or has handed over, is on its way out by itself.
        if !leaving && speaker != Speaker::Old {
            daemon.kill();
        }
    }

    fn obey(&mut self, request: Request, out: &mut Vec<Event>) {
        match request {
            Request::Hello { version } => {
                if version != VERSION {
                    note!("the daemon speaks version {version} of the protocol, we speak {VERSION}");
                }
                kennel_sys::crash_point!("start.hello-heard");
                // What has happened until now is part of the welcome; what comes after it is told.
                self.publish(std::mem::take(out));
                if let Some(daemon) = &mut self.daemon {
                    daemon.version = version;
                }
                self.welcome();
                self.told_left.clear();
                self.tell_leftovers(out);
                kennel_sys::crash_point!("start.welcomed");
            }
            Request::Spawn(spawn) => {
                self.records.begin(&spawn);
                self.contain.spawn(spawn, out);
            }
            Request::Signal { scope, signal, everyone } => {
                self.contain.signal(scope, signal, everyone, out);
                kennel_sys::crash_point!("stop.signalled");
            }
            Request::SignalProcess { scope, process, signal } => {
                self.contain.signal_process(scope, process, signal, out);
            }
            Request::Freeze { scope, frozen } => self.contain.freeze(scope, frozen, out),
            Request::Bound { scope, bounds } => self.contain.bound(scope, &bounds, out),
            Request::BoundPool { owners, bounds } => self.contain.bound_pool(owners, &bounds, out),
            Request::Kill { scope } => {
                self.records.ending(scope);
                self.contain.kill(scope, out);
            }
            Request::Forget { scope } => self.records.forget(scope),
            Request::Hold { name, fd } => drop(self.held.insert(name, fd)),
            Request::Release { name } => drop(self.held.remove(&name)),
            Request::Adopt(adopt) => self.adopt(&adopt, out),
            Request::Settled => {
                self.settled();
                out.push(Event::Strays { strays: self.strays() });
            }
            Request::KillStray { leaf } => self.kill_stray(leaf, out),
            Request::Succeed { program } => self.succeed(program.as_ref()),
            Request::HandOver => {
                // The last that the old daemon is told, and part of what the new one is welcomed with.
                self.publish(std::mem::take(out));
                self.hand_over();
                self.told_left.clear();
                self.tell_leftovers(out);
            }
            Request::Exec { program } => self.exec(program),
            Request::Bye => {
                self.say_goodbye(out);
                self.leaving = Some(Instant::now() + GOODBYE);
                kennel_sys::crash_point!("end.bye-heard");
            }
        }
    }

    /// Says who is left of an earlier keeper, if that has changed.
    pub(super) fn tell_leftovers(&mut self, out: &mut Vec<Event>) {
        let strays = self.hunted.iter().map(|(_, hunt)| hunt);
        let hunted = self.leftovers.iter().chain(strays).flat_map(Leftovers::left);
        let left: BTreeSet<u32> = hunted.chain(self.contain.leftovers()).collect();
        if left != self.told_left {
            let pids: Vec<u32> = left.iter().copied().collect();
            out.push(Event::Leftovers { survivors: contain::reported(&pids) });
            self.told_left = left;
        }
    }

    /// From here on the daemon is told what happens.
    pub(super) fn welcome(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        (daemon.was_welcomed, daemon.listens) = (true, true);
        daemon.tell(&Event::Welcome {
            version: VERSION,
            pid: std::process::id(),
            backend: self.contain.backend(),
            follows: self.follows,
            known: self.records.known(),
            held: u32::try_from(self.held.len()).unwrap_or(u32::MAX),
        });
        // Sent as they are and not duplicated: the channel does that for those that cannot go at once.
        self.held = std::mem::take(&mut self.held)
            .into_iter()
            .filter_map(|(name, fd)| {
                let event = Event::Held { name, fd };
                daemon.tell(&event);
                if let Event::Held { name, fd } = event { Some((name, fd)) } else { None }
            })
            .collect();
        daemon.flush(&self.tools);
    }

    /// Keeps what an event says, and tells it to the daemon.
    pub(super) fn publish(&mut self, events: Vec<Event>) {
        for event in events {
            if let Some(daemon) = &mut self.daemon {
                daemon.tell(&event);
            }
            match &event {
                Event::Spawned { .. } => kennel_sys::crash_point!("spawn.answered"),
                Event::Emptied { .. } => kennel_sys::crash_point!("stop.told"),
                Event::Stuck { scope, survivors } => note!("scope {} will not empty: {survivors:?}", scope.0),
                _ => {}
            }
            self.records.keep(event);
        }
        self.flush();
    }

    fn flush(&mut self) {
        for daemon in self.daemon.iter_mut().chain(self.handover.other_mut()) {
            daemon.flush(&self.tools);
        }
    }
}
