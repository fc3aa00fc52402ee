//! Scopes and their groups in the table of a keeper that replaces its program. Watches and kills that were under way are
//! begun anew: a second kill of a group does no harm, and every scope is looked at once.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::cgroup::Killer;
use kennel_sys::spawn::Spawner;
use kennel_sys::tag::Tag;
use rustix::event::epoll::EventFlags;
use rustix::fs::inotify;

use super::adopt::Foreign;
use super::escapes::Escapes;
use super::look::Pace;
use super::strays::Stray;
use super::{Cgroups, INOTIFY, Live, Main, PATIENCE, Pools, Watch};
use crate::bounds::Bounds;
use crate::codec::{Malformed, Reader, Writer, read_bound, write_bound};
use crate::contain::Tools;
use crate::place::Place;
use crate::proto::ScopeId;
use crate::saved::{read_group, write_group};

const CHILD: u8 = 1;
const FOREIGN: u8 = 2;
const ENDED: u8 = 3;

impl Cgroups {
    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        self.place.save(writer);
        writer.length(self.live.len());
        for (scope, live) in &self.live {
            writer.scope(*scope);
            live.save(writer);
            let held = live.bounds.as_ref().map(|bounds| bounds.held()).unwrap_or_default();
            writer.length(held.len());
            held.iter().for_each(|bound| write_bound(writer, bound));
        }
        writer.list(&self.stale, |writer, (group, _)| write_group(writer, group));
        writer.list(&self.strays, Stray::save);
        self.pools.save(writer);
    }

    /// # Errors
    /// If the table is malformed or this process can watch nothing.
    pub(crate) fn load(reader: &mut Reader<'_>, tools: Rc<Tools>) -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        tools.watch(inotify.as_fd(), INOTIFY, EventFlags::IN)?;
        let place = Place::load(reader)?;
        let loaded = reader.list(|reader| {
            let (scope, live) = (reader.scope()?, Live::load(reader)?);
            Ok((scope, live, if reader.version >= 5 { reader.list(read_bound)? } else { Vec::new() }))
        })?;
        let now = Instant::now();
        let stale = reader.list(read_group)?;
        let stale = stale.into_iter().map(|group| {
            let killer = Killer::start(&group, now).0;
            (group, killer)
        });
        let mut this = Self {
            tools,
            place,
            spawner: Spawner::new()?,
            inotify,
            live: HashMap::new(),
            mains: HashMap::new(),
            leaves: HashMap::new(),
            watches: HashMap::new(),
            tags: HashMap::new(),
            daemons: Vec::new(),
            touched: Vec::new(),
            pace: Pace::default(),
            pools: Pools::default(),
            stale: stale.collect(),
            used: Vec::new(),
            strays: reader.list(Stray::load)?,
        };
        if reader.version >= 6 {
            this.pools = Pools::load(reader, &this.place)?;
        }
        for (scope, mut live, held) in loaded {
            live.bounds = Bounds::again(&this.place, live.group.directory(), &held).map(Box::new);
            this.take_up(scope, live)?;
            this.take_part(scope);
        }
        Ok(this)
    }

    /// Goes on with a scope.
    fn take_up(&mut self, scope: ScopeId, mut live: Live) -> io::Result<()> {
        if live.removed.is_none() {
            live.watch = self.watch(&live.group, scope)?;
        }
        match &live.watch {
            Watch::Inotify(watch) => drop(self.watches.insert(*watch, scope)),
            Watch::File(_) | Watch::Removed => {}
        }
        match &live.main {
            Main::Child(_) => drop(self.mains.insert(live.pid, scope)),
            Main::Foreign(main) => self.watch_foreign(scope, main),
            Main::Ended => {}
        }
        self.leaves.insert(live.group.path().to_owned(), scope);
        self.tags.insert(live.tag, scope);
        self.live.insert(scope, live);
        self.touched.push(scope);
        Ok(())
    }
}

impl Live {
    fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        write_group(writer, &self.group);
        writer.u32(self.pid);
        match &self.main {
            Main::Child(fd) => {
                writer.u8(CHILD);
                writer.fd(fd);
            }
            Main::Foreign(main) => {
                writer.u8(FOREIGN);
                writer.fd(main.fd());
            }
            Main::Ended => writer.u8(ENDED),
        }
        writer.u64(self.tag.value());
        for flag in [self.adopted, self.kill_escaped, self.killer.is_some(), self.removed.is_some()] {
            writer.bool(flag);
        }
        writer.length(self.escapes.told.len());
        for (pid, start_ticks) in &self.escapes.told {
            writer.u32(*pid);
            writer.u64(*start_ticks);
        }
    }

    /// Its watch is missing yet.
    fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (group, pid) = (read_group(reader)?, reader.u32()?);
        let main = match reader.u8()? {
            CHILD => Main::Child(reader.fd()?),
            FOREIGN => Main::Foreign(Foreign::new(pid, reader.fd()?)),
            ENDED => Main::Ended,
            other => return Err(Malformed::Unknown("main process", other)),
        };
        let tag = Tag::with_value(reader.u64()?).ok_or(Malformed::Number)?;
        let (adopted, kill_escaped, is_killed, is_removed) =
            (reader.bool()?, reader.bool()?, reader.bool()?, reader.bool()?);
        let told = reader.list(|reader| Ok((reader.u32()?, reader.u64()?)))?;
        let now = Instant::now();
        let killer = (is_killed && !is_removed).then(|| Killer::start(&group, now).0);
        Ok(Self {
            group,
            pid,
            main,
            tag,
            adopted,
            watch: Watch::Removed,
            kill_escaped,
            bounds: None,
            // Told once more if it is.
            frozen: false,
            escapes: Escapes { told: told.into_iter().collect(), hunt: None },
            killer,
            removed: is_removed.then(|| now + PATIENCE),
        })
    }
}
