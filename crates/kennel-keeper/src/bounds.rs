//! What one scope may use: set in its own group where that has the controllers, else in groups of version 1 beside it.
//!
//! The kernel lets nobody be born in a group of version 1, so the new process enters it by itself before it executes. Whoever
//! is in a scope already when a bound comes is moved there one by one.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_sys::cgroup::bounds::{self, Controller, OutOfMemory, Resource};
use kennel_sys::cgroup::{self, Group};
use rustix::event::epoll::EventFlags;

use crate::contain::{Tools, token_of};
use crate::place::Place;
use crate::proto::{Applied, Bound, Event, HeldBy, ScopeId};
use crate::start::note;

/// Version 1 says that memory is short before anybody is killed for it; so long after that it is asked who was.
const KILLING: Duration = Duration::from_millis(50);

/// The bounds of one scope that the kernel holds.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    held: BTreeMap<Resource, (Bound, HeldBy)>,
    /// Its groups of version 1.
    groups: BTreeMap<Controller, PathBuf>,
    /// Whether one of them was made, and the members are not in it.
    is_new: bool,
    /// Whether it is a group of groups.
    is_pool: bool,
    /// What it may use together with others, the outermost first.
    above: Vec<Above>,
    /// Kills for want of memory that were told.
    kills: u64,
    /// How often its own bound of memory was hit.
    hits: u64,
    /// Readable when memory is short in the group of version 1.
    short: Option<OwnedFd>,
    /// When to ask for kills once more.
    recheck: Option<Instant>,
}

/// Bounded memory of everything of some owners, or of all scopes.
#[derive(Debug, Clone)]
pub(crate) struct Above {
    pub(crate) owners: Vec<String>,
    pub(crate) limit: u64,
    by: HeldBy,
    /// Its group, of the version that holds it.
    group: PathBuf,
    hits: u64,
}

impl Bounds {
    /// Sets bounds of the group of this directory, and says what became of each.
    pub(crate) fn set(&mut self, place: &Place, group: &Path, wanted: &[Bound]) -> Vec<Applied> {
        let mut wanted = wanted.to_vec();
        wanted.sort_by_key(|bound| bound.resource);
        let mut applied = Vec::new();
        for bound in wanted {
            let by = self.set_one(place, group, bound);
            if !matches!(by, HeldBy::Nobody { .. }) {
                let is_watched = self.memory_by().is_some();
                self.held.insert(bound.resource, (bound, by.clone()));
                if !is_watched {
                    self.begin_to_count(group);
                }
            }
            applied.push(Applied { bound, by });
        }
        applied
    }

    /// The same of a group that others are below.
    pub(crate) fn set_together(&mut self, place: &Place, group: &Path, wanted: &[Bound]) -> Vec<Applied> {
        self.is_pool = true;
        // Where it was removed meanwhile, its groups of version 1 were as well.
        self.groups.retain(|_, group| group.exists());
        self.set(place, group, wanted)
    }

    /// Who was killed until now was told, or is not ours to tell of.
    fn begin_to_count(&mut self, group: &Path) {
        self.kills = self.out_of_memory(group).map_or(0, |found| found.kills);
    }

    fn set_one(&mut self, place: &Place, group: &Path, bound: Bound) -> HeldBy {
        let Bound { resource, value } = bound;
        let controller = resource.controller();
        let mut result = bounds::set(group, resource, value);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            place.pass_on(group, controller);
            result = bounds::set(group, resource, value);
        }
        let Err(error) = result else { return HeldBy::Cgroup };
        if self.is_pool && matches!(resource, Resource::IoRead | Resource::IoWrite) {
            return HeldBy::Nobody { why: "version 1 bounds disks for each group by itself".to_owned() };
        }
        let in_1 = self.group_1(place, group, controller).and_then(|in_1| {
            let memory = self.held.get(&Resource::Memory).and_then(|(bound, _)| bound.value);
            bounds::set_1(&in_1, resource, value, memory)
        });
        match in_1 {
            Ok(()) => HeldBy::CgroupV1,
            Err(error_1) if error_1.kind() == io::ErrorKind::NotFound => {
                HeldBy::Nobody { why: refused(controller, &error) }
            }
            Err(error_1) => HeldBy::Nobody { why: refused(controller, &error_1) },
        }
    }

    /// The group of version 1 for a controller, which is made if it is not there.
    fn group_1(&mut self, place: &Place, group: &Path, controller: Controller) -> io::Result<PathBuf> {
        if let Some(there) = self.groups.get(&controller) {
            return Ok(there.clone());
        }
        let path = place.group_1(group, controller).ok_or(io::ErrorKind::NotFound)?;
        self.is_new |= !path.exists();
        std::fs::create_dir_all(&path)?;
        self.groups.insert(controller, path.clone());
        Ok(path)
    }

    /// The bound of memory of this group, for those below it.
    pub(crate) fn above(&self, owners: &[String], group: &Path) -> Option<Above> {
        let (bound, by) = self.held.get(&Resource::Memory)?;
        let limit = bound.value?;
        let group = match by {
            HeldBy::Cgroup => group.to_owned(),
            HeldBy::CgroupV1 => self.groups.get(&Controller::Memory)?.clone(),
            HeldBy::Nobody { .. } => return None,
        };
        let mut above = Above { owners: owners.to_owned(), limit, by: by.clone(), group, hits: 0 };
        above.is_hit();
        Some(above)
    }

    /// Controllers that hold bounds of it in version 1.
    pub(crate) fn controllers_1(&self) -> impl Iterator<Item = Controller> {
        self.groups.keys().copied()
    }

    /// Takes part in what groups above it are bounded to, which in version 1 takes groups of its own for these controllers.
    pub(crate) fn join(
        &mut self,
        place: &Place,
        group: &Path,
        above: Vec<Above>,
        controllers: impl Iterator<Item = Controller>,
    ) {
        let is_watched = self.memory_by().is_some();
        self.above = above;
        if self.above.iter().any(|above| above.by == HeldBy::Cgroup) {
            // So that it is known of whom somebody is killed.
            place.pass_on(group, Controller::Memory);
        }
        for controller in controllers {
            if let Err(error) = self.group_1(place, group, controller) {
                note!("{} is outside of what is bounded above it: {error}", group.display());
            }
        }
        if !is_watched {
            self.begin_to_count(group);
        }
    }

    /// Who bounds its memory, if anybody does: it is of one kind on a machine.
    fn memory_by(&self) -> Option<&HeldBy> {
        let own = self.held.get(&Resource::Memory).map(|(_, by)| by);
        own.or_else(|| self.above.first().map(|above| &above.by))
    }

    /// What a process has to write itself to so that it is in the groups of version 1.
    pub(crate) fn tasks(&self) -> Vec<CString> {
        let files = self.groups.values().map(|group| group.join("tasks"));
        files.filter_map(|file| CString::new(file.as_os_str().as_bytes()).ok()).collect()
    }

    /// The members are in all groups, or will be.
    pub(crate) fn entered(&mut self) {
        self.is_new = false;
    }

    /// Moves the members of a group into its groups of version 1. Each takes some milliseconds; who ends meanwhile is no loss, who
    /// is born meanwhile is born there once its parent is.
    pub(crate) fn move_in(&mut self, group: &Group) {
        let passes = if std::mem::take(&mut self.is_new) { 2 } else { 0 };
        for _ in 0..passes {
            for pid in group.members() {
                for in_1 in self.groups.values() {
                    let _ended = std::fs::write(in_1.join("cgroup.procs"), pid.to_string());
                }
            }
        }
    }

    /// Has news of kills come to the loop with the token of the scope; a file to watch with inotify instead.
    pub(crate) fn watch(&mut self, tools: &Tools, group: &Group, scope: ScopeId) -> Option<PathBuf> {
        match self.memory_by()? {
            HeldBy::Cgroup => Some(group.directory().join("memory.events")),
            HeldBy::CgroupV1 if self.short.is_none() => {
                let in_1 = self.groups.get(&Controller::Memory)?;
                let watched = bounds::watch_memory_1(in_1).and_then(|short| {
                    tools.watch(short.as_fd(), token_of(scope), EventFlags::IN | EventFlags::ET)?;
                    Ok(short)
                });
                match watched {
                    Ok(short) => self.short = Some(short),
                    // Then it is asked whenever one of the scope was killed.
                    Err(error) => note!("cannot watch the memory of {}: {error}", in_1.display()),
                }
                None
            }
            _ => None,
        }
    }

    /// Memory may have been short: looks once more a little later.
    pub(crate) fn may_be_short(&mut self, now: Instant) {
        if self.short.is_some() {
            self.recheck = Some(now + KILLING);
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.recheck
    }

    /// Kills that were not told yet.
    pub(crate) fn news(&mut self, scope: ScopeId, group: &Group, now: Instant) -> Option<Event> {
        self.recheck = self.recheck.filter(|due| *due > now);
        let OutOfMemory { kills, peak } = self.out_of_memory(group.directory())?;
        let new = kills.checked_sub(self.kills).filter(|new| *new > 0)?;
        self.kills = kills;
        let (limit, of) = self.whose(group.directory());
        Some(Event::OutOfMemory { scope, kills: new, limit, peak, of })
    }

    /// Which bound it was that somebody was killed for, its own or one above, and whose that is.
    fn whose(&mut self, group: &Path) -> (Option<u64>, Option<Vec<String>>) {
        let own = self.held.get(&Resource::Memory).and_then(|(bound, _)| bound.value);
        let hits = match self.memory_by() {
            Some(HeldBy::Cgroup) => bounds::hits(group),
            _ => self.groups.get(&Controller::Memory).map_or(0, |group| bounds::hits_1(group)),
        };
        let is_own = std::mem::replace(&mut self.hits, hits) < hits;
        // All of them are asked, so that what was hit before counts no more the next time.
        let hit: Vec<usize> =
            self.above.iter_mut().enumerate().filter_map(|(at, it)| it.is_hit().then_some(at)).collect();
        let above = hit.last().and_then(|at| self.above.get(*at)).or(self.above.last());
        match above {
            Some(above) if own.is_none() || !is_own => (Some(above.limit), Some(above.owners.clone())),
            _ => (own, None),
        }
    }

    /// Where memory is bounded.
    fn out_of_memory(&self, group: &Path) -> Option<OutOfMemory> {
        match self.memory_by()? {
            HeldBy::Cgroup => Some(bounds::out_of_memory(group)),
            HeldBy::CgroupV1 => Some(bounds::out_of_memory_1(self.groups.get(&Controller::Memory)?)),
            HeldBy::Nobody { .. } => None,
        }
    }

    /// Removes the groups of version 1; answers whether all of them are gone. Zombies do not hold them.
    pub(crate) fn remove(&mut self, tools: &Tools) -> bool {
        if let Some(short) = self.short.take() {
            tools.unwatch(&short);
        }
        self.remove_groups()
    }

    /// The same of those that were never watched.
    pub(crate) fn remove_groups(&mut self) -> bool {
        self.groups.retain(|_, group| cgroup::remove_tree(group).is_err());
        self.groups.is_empty()
    }

    /// Those that are held, to be taken up by [`Bounds::again`].
    pub(crate) fn held(&self) -> Vec<Bound> {
        self.held.values().map(|(bound, _)| *bound).collect()
    }

    /// The bounds of a group that another program had set.
    pub(crate) fn again(place: &Place, group: &Path, held: &[Bound]) -> Option<Self> {
        if held.is_empty() {
            return None;
        }
        let mut this = Self::default();
        this.set(place, group, held);
        this.entered();
        Some(this)
    }
}

impl Above {
    /// Whether it was hit since this was asked last.
    fn is_hit(&mut self) -> bool {
        let hits = if self.by == HeldBy::Cgroup { bounds::hits(&self.group) } else { bounds::hits_1(&self.group) };
        std::mem::replace(&mut self.hits, hits) < hits
    }
}

fn refused(controller: Controller, error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match error.kind() {
        io::ErrorKind::NotFound => missing(controller),
        _ => format!("the `{}` controller refuses: {text}", controller.name()),
    }
}

/// Why nobody holds what a controller would.
pub(crate) fn missing(controller: Controller) -> String {
    format!("no `{}` controller can be used here", controller.name())
}

/// Every bound, held by nobody for one reason.
pub(crate) fn by_nobody(wanted: &[Bound], why: &str) -> Vec<Applied> {
    wanted.iter().map(|bound| Applied { bound: *bound, by: HeldBy::Nobody { why: why.to_owned() } }).collect()
}
