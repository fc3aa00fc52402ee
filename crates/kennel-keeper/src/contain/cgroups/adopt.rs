//! Taking over a scope of a keeper that was lost: its leaf, its main process, its pipes.
//!
//! What is in it are no children of ours and never become that. So the end of the main process is learnt through a
//! descriptor, and how it ended while it waits to be reaped by somebody else, or later from a kernel that keeps it (Linux
//! 6.15); who left the leaf is found by the tag alone.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use kennel_sys::cgroup::Group;
use kennel_sys::identity::Identity;
use kennel_sys::tag::Tag;
use kennel_sys::{pidfd, pipe, zombie};
use rustix::event::epoll::EventFlags;

use super::{Cgroups, Live, Main};
use crate::contain::cgroups::escapes::Escapes;
use crate::contain::{FOREIGN, LAST_SCOPE, scope_of, token_of};
use crate::proto::{self, Adopt, AdoptError, Event, Exit, ScopeId, Usage};

/// How long the one who reaps a main process may take to do so before its exit counts as not known.
const REAPING: Duration = Duration::from_secs(1);
/// Pause between two looks meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// A main process that is not our child.
pub(super) struct Foreign {
    pid: u32,
    pidfd: OwnedFd,
    /// When it was seen to have ended, and when to ask again how.
    ended: Option<(Instant, Instant)>,
}

impl Foreign {
    pub(super) fn new(pid: u32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, ended: None }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(super) fn has_exited(&self) -> bool {
        pidfd::has_exited(&self.pidfd).unwrap_or(true)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.ended.map(|(_, again)| again)
    }

    /// How it ended, once that can be said.
    fn ask(&mut self, now: Instant) -> Option<Exit> {
        if !self.has_exited() {
            return None;
        }
        let (since, _) = self.ended.unwrap_or((now, now));
        self.ended = Some((since, now + PAUSE));
        let exit = zombie::exit(self.pid, &self.pidfd).map(Exit::from);
        exit.or_else(|| (now.duration_since(since) >= REAPING).then_some(Exit::Unknown))
    }
}

/// The scope of the token of an adopted main process.
pub(super) fn main_of(token: u64) -> Option<ScopeId> {
    (token & FOREIGN != 0).then(|| scope_of(token & !FOREIGN)).flatten()
}

impl Cgroups {
    /// Takes over a leaf that an earlier keeper was to keep, or that orphans were gathered in.
    pub(crate) fn adopt(&mut self, adopt: &Adopt, out: &mut Vec<Event>) -> Result<(), AdoptError> {
        let scope = adopt.scope;
        if scope.0 > LAST_SCOPE || self.live.contains_key(&scope) {
            return Err(AdoptError::Taken);
        }
        let group = self.take_stray(&adopt.leaf)?;
        match self.adopt_group(adopt, group, out) {
            Ok(()) => Ok(()),
            Err((group, error)) => {
                self.return_stray(group);
                Err(AdoptError::Os(error.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error())))
            }
        }
    }

    fn adopt_group(
        &mut self,
        adopt: &Adopt,
        group: Group,
        out: &mut Vec<Event>,
    ) -> Result<(), (Group, std::io::Error)> {
        let scope = adopt.scope;
        let watch = match self.watch(&group, scope) {
            Ok(watch) => watch,
            Err(error) => return Err((group, error)),
        };
        kennel_sys::crash_point!("adopt.taken");
        let main = self.main_of(adopt, &group);
        let members = group.members();
        let mut tags = members.iter().filter_map(|pid| self.own_tag(*pid)).filter(|tag| !self.holds_tag(*tag));
        let tag = tags.next().unwrap_or_else(|| self.tools.tags.next(true));
        let pipes = adopt.pipes.and_then(|inodes| find_pipes(&members, inodes));
        if let super::Watch::Inotify(watch) = watch {
            self.watches.insert(watch, scope);
        }
        self.leaves.insert(group.path().to_owned(), scope);
        self.tags.insert(tag, scope);
        let main_alive = main.is_some();
        let place = proto::Place::Cgroup(group.directory().to_owned());
        out.push(Event::Adopted { scope, place, pipes, main_alive });
        if !main_alive {
            out.push(Event::MainExited { scope, exit: Exit::Unknown, usage: Usage::default() });
        }
        let live = Live {
            group,
            pid: adopt.process.pid,
            main: main.map_or(Main::Ended, Main::Foreign),
            tag,
            adopted: true,
            watch,
            kill_escaped: adopt.kill_escaped,
            // What is bounded stays so, and its groups of version 1 go with the place.
            bounds: None,
            // Told at the first look if it is.
            frozen: false,
            escapes: Escapes::default(),
            killer: None,
            removed: None,
        };
        self.live.insert(scope, live);
        self.take_part(scope);
        // It may have become empty before it was watched.
        self.touched.push(scope);
        Ok(())
    }

    /// The main process, if it is the one that is meant and in the scope, or at least carries a mark of ours.
    fn main_of(&self, adopt: &Adopt, group: &Group) -> Option<Foreign> {
        let proto::Identity { pid, start_ticks, inode } = adopt.process;
        let pidfd = Identity { pid, start_ticks, inode }.open().ok()?;
        let is_ours = group.contains(pid, &pidfd) || self.own_tag(pid).is_some_and(Tag::is_kept);
        let foreign = Foreign::new(pid, pidfd);
        if !is_ours || foreign.has_exited() {
            return None;
        }
        self.watch_foreign(adopt.scope, &foreign);
        Some(foreign)
    }

    pub(super) fn watch_foreign(&self, scope: ScopeId, main: &Foreign) {
        // Without it the end is seen when the leaf is empty, or when it is looked at for another reason.
        let token = token_of(scope) | FOREIGN;
        let _unwatched = self.tools.watch(main.pidfd.as_fd(), token, EventFlags::IN | EventFlags::ET);
    }

    fn own_tag(&self, pid: u32) -> Option<Tag> {
        Tag::of(pid).filter(|tag| tag.instance() == self.tools.tags.instance())
    }

    /// Looks whether an adopted main process has ended, and tells how.
    pub(super) fn ask_foreign(&mut self, scope: ScopeId, now: Instant, out: &mut Vec<Event>) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        let Main::Foreign(main) = &mut live.main else { return };
        let Some(exit) = main.ask(now) else { return };
        self.tools.unwatch(main.fd());
        live.main = Main::Ended;
        out.push(Event::MainExited { scope, exit, usage: Usage::default() });
    }
}

/// New read ends of both pipes, through whoever still has them open. Of one that nobody has a pipe that has ended.
fn find_pipes(members: &[u32], inodes: [u64; 2]) -> Option<[OwnedFd; 2]> {
    let find = |inode: u64| members.iter().find_map(|pid| pipe::reader_through(*pid, inode));
    let ended = || {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        Some(rustix::pipe::pipe_with(flags).ok()?.0)
    };
    match inodes.map(find) {
        [None, None] => None,
        [out, err] => Some([out.or_else(ended)?, err.or_else(ended)?]),
    }
}
