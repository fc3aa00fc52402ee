//! One scope and the process that holds it together: what it is asked, what it says.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kennel_sys::cgroup::Group;
use kennel_sys::pidfd;
use rustix::process::Signal;

use crate::bounds::Bounds;
use crate::channel::{Channel, send_now};
use crate::codec;
use crate::launch::inodes;
use crate::proto::{Event, Identity, Place, Request, ScopeId};
use crate::start::note;

/// A first process that has neither ended its namespace nor said that it cannot after this time is held up itself.
pub(super) const SILENCE: Duration = Duration::from_secs(8);

/// Pauses between looks at a group that is to freeze or to thaw, which takes a fraction of a millisecond mostly.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A scope whose reaper runs.
pub(super) struct Live {
    pub(super) reaper: u32,
    pub(super) channel: Channel,
    /// Version of the protocol that it speaks: it is a copy of the program that was the keeper when it was made.
    pub(super) version: u16,
    pub(super) name: String,
    pub(super) pipes: Option<[OwnedFd; 2]>,
    /// The group that the members are in, with cgroups.
    pub(super) group: Option<Group>,
    /// What the members may use, if that is bounded.
    pub(super) bounds: Option<Box<Bounds>>,
    /// Whether the reaper is the first process of a PID namespace: then nothing survives it.
    pub(super) is_init: bool,
    pub(super) main: Option<u32>,
    /// The main process of a namespace: when its first process is killed nobody else can tell how it ended.
    pub(super) main_pidfd: Option<OwnedFd>,
    pub(super) main_exited: bool,
    /// When a first process that was asked to end its namespace is no longer waited for.
    pub(super) silent: Option<Instant>,
    /// The group is to stand still or to go on, and has not been seen to: which, when to look, and the pause after that.
    pub(super) freezing: Option<Freezing>,
    /// The last word of a reaper that ends as it should; told when the reaper itself is gone.
    pub(super) last: Option<Event>,
}

/// A group that takes its time to freeze or to thaw.
pub(super) struct Freezing {
    frozen: bool,
    pub(super) due: Instant,
    pause: Duration,
}

impl Live {
    /// Has every member stand still, or go on.
    pub(super) fn freeze(&mut self, scope: ScopeId, frozen: bool, now: Instant, out: &mut Vec<Event>) {
        if let Some(group) = &self.group {
            // Its reaper is not in it.
            if frozen {
                if let Err(error) = group.freeze(true) {
                    note!("cannot freeze {}: {error}", group.directory().display());
                }
            } else {
                group.thaw();
            }
            self.freezing = Some(Freezing { frozen, due: now, pause: FIRST_LOOK });
            return self.look_at_freezing(scope, now, out);
        }
        if let Err(error) = self.ask(&Request::Freeze { scope, frozen }) {
            // A copy of a program that could not do that, or one that does not listen.
            note!("cannot freeze {}: {error}", self.name);
            out.push(Event::Frozen { scope, frozen: false });
        }
    }

    /// Tells once the group has done what it was told to do.
    pub(super) fn look_at_freezing(&mut self, scope: ScopeId, now: Instant, out: &mut Vec<Event>) {
        let (Some(freezing), Some(group)) = (&mut self.freezing, &self.group) else { return };
        let condition = group.condition().unwrap_or_default();
        if condition.frozen == freezing.frozen {
            out.push(Event::Frozen { scope, frozen: freezing.frozen });
            self.freezing = None;
        } else if !condition.populated {
            self.freezing = None;
        } else {
            freezing.due = now + freezing.pause;
            freezing.pause = (freezing.pause * 2).min(LAST_LOOK);
        }
    }

    pub(super) fn ask(&self, request: &Request) -> io::Result<()> {
        let (bytes, fds) = codec::encode_request(request, self.version)?;
        send_now(self.channel.socket(), &bytes, &fds)
    }

    pub(super) fn kill(&mut self, scope: ScopeId) {
        if self.is_init {
            self.silent.get_or_insert_with(|| Instant::now() + SILENCE);
        }
        let asked = self.ask(&Request::Kill { scope });
        kennel_sys::crash_point!("stop.kill-asked");
        let Err(error) = asked else { return };
        if error.kind() == io::ErrorKind::WouldBlock {
            // It does not listen. Without it the members become ours, and are ended by ourselves.
            note!("the reaper of {} does not listen", self.name);
            self.end_reaper();
        }
    }

    pub(super) fn end_reaper(&self) {
        // Our child, and not reaped as long as this record exists: the number is its own.
        if let Ok(fd) = pidfd::open(self.reaper) {
            let _gone = pidfd::send_signal(&fd, Signal::KILL.as_raw());
        }
    }

    /// The first process was asked to end its namespace and says nothing: something holds it up. Without it the
    /// kernel does the same.
    pub(super) fn hasten(&mut self, scope: ScopeId, now: Instant, out: &mut Vec<Event>) {
        note!("the first process of {} does not do its work", self.name);
        // Who is there before that: afterwards some are dead already.
        let survivors = self.survivors();
        self.end_reaper();
        self.silent = Some(now + SILENCE);
        out.push(Event::Stuck { scope, survivors });
    }

    /// Where its members can be found.
    pub(super) fn place(&self) -> Place {
        match &self.group {
            Some(group) => Place::Cgroup(group.directory().to_owned()),
            None => Place::Reaper(self.reaper),
        }
    }

    pub(super) fn survivors(&self) -> Vec<crate::proto::Survivor> {
        let in_group = self.group.as_ref().map(Group::members).unwrap_or_default();
        let pids = if in_group.is_empty() {
            // Also those that only wait to be reaped, for that is what is left of some.
            kennel_sys::proc::descendants(self.reaper).iter().map(|stat| stat.pid).collect()
        } else {
            in_group
        };
        crate::contain::reported(&pids)
    }

    /// Takes hold of the main process; gone already is no harm.
    pub(super) fn hold_main(&mut self, identity: Identity) {
        let Identity { pid, start_ticks, inode } = identity;
        self.main_pidfd = kennel_sys::identity::Identity { pid, start_ticks, inode }.open().ok();
    }

    /// Takes what the reaper says; what it says last is kept until the reaper itself is gone.
    pub(super) fn hear(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::Spawned { scope, pid, identity, .. } => {
                self.main = Some(pid);
                if self.is_init {
                    self.hold_main(identity);
                }
                let (place, pipes) = (self.place(), self.pipes.take());
                let inodes = pipes.as_ref().and_then(inodes);
                out.push(Event::Spawned { scope, pid, identity, place, pipes, inodes });
            }
            Event::Stuck { scope, .. } if self.is_init => {
                self.silent = Some(Instant::now() + SILENCE);
                out.push(Event::Stuck { scope, survivors: self.survivors() });
            }
            Event::MainExited { scope, .. } => {
                self.main_exited = true;
                if let (Some(bounds), Some(group)) = (&mut self.bounds, &self.group) {
                    out.extend(bounds.news(scope, group, Instant::now()));
                }
                out.push(event);
            }
            Event::SpawnFailed { .. } | Event::Emptied { .. } => self.last = Some(event),
            Event::Reaped { .. }
            | Event::Stuck { .. }
            | Event::Stage { .. }
            | Event::Escaped { .. }
            | Event::Frozen { .. }
            | Event::Bounded { .. }
            | Event::PoolBounded { .. }
            | Event::OutOfMemory { .. }
            | Event::Signalled { .. } => out.push(event),
            Event::Welcome { .. }
            | Event::Leftovers { .. }
            | Event::Held { .. }
            | Event::Adopted { .. }
            | Event::AdoptRefused { .. }
            | Event::Strays { .. }
            | Event::StrayEnded { .. }
            | Event::Successor(_)
            | Event::Executed { .. } => {}
        }
    }
}
