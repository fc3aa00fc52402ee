//! The keeper itself in the table that it leaves to the program that replaces its own, and what that makes of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::process::Nofile;
use kennel_sys::signal::SignalFd;
use kennel_sys::spawn::Spawner;
use rustix::event::epoll::{self, EventFlags};

use super::exec::Exec;
use super::handover::HandOver;
use super::losses::Losses;
use super::records::Records;
use super::{BEGINNING, Keeper, SIGNALS};
use crate::codec::{Malformed, Reader, Writer, read_follows, write_follows};
use crate::contain::{Contain, Tools};
use crate::daemon::Daemon;
use crate::proto::VERSION;
use crate::saved::{read_path, read_time, until, write_path, write_remaining};
use crate::start::{Options, Setup};
use crate::tag::{Leftovers, Tags, Which};

impl Keeper {
    /// Everything that the next program needs. A hand-over is not among it: none is under way.
    pub(super) fn save(&self) -> Writer<'_> {
        let mut writer = Writer::new(VERSION);
        writer.u16(VERSION);
        save_setup(&mut writer, &self.options, &self.setup);
        self.tools.tags.save(&mut writer);
        self.contain.save(&mut writer);
        self.records.save(&mut writer);
        writer.length(self.held.len());
        for (name, fd) in &self.held {
            writer.bytes(name.as_bytes());
            writer.fd(fd);
        }
        writer.option(self.daemon.as_ref(), Daemon::save);
        write_follows(&mut writer, self.follows);
        writer.list(&self.discarded, |writer, pid| writer.u32(*pid));
        self.losses.save(&mut writer);
        writer.bool(self.leftovers.is_some());
        writer.list(&self.hunted, |writer, (name, _)| writer.bytes(name.as_bytes()));
        writer.option(self.next_start.as_ref(), |writer, next| write_remaining(writer, *next));
        writer
    }

    /// The keeper of a table with this body and these descriptors. Nothing is told to anybody yet, and a table that is
    /// malformed has changed nothing but that kills under way are begun anew.
    ///
    /// # Errors
    /// If the table is malformed or this process can watch nothing.
    pub(crate) fn load(body: &[u8], fds: Vec<OwnedFd>) -> io::Result<Self> {
        let version = body.first_chunk::<2>().map_or(0, |version| u16::from_le_bytes(*version));
        let mut reader = Reader::new(body, fds, version);
        reader.u16()?;
        let (options, setup) = load_setup(&mut reader)?;
        let tools = load_tools(&mut reader, &setup)?;
        let contain = Contain::load(&mut reader, &tools, setup.own_pidfd.try_clone()?)?;
        let records = Records::load(&mut reader)?;
        let held = reader.list(|reader| Ok((reader.text()?, reader.fd()?)))?;
        let daemon = reader.option(Daemon::load)?;
        let follows = read_follows(&mut reader)?;
        let discarded = reader.list(Reader::u32)?;
        let losses = Losses::load(&mut reader)?;
        let instance = tools.tags.instance();
        let leftovers = reader.bool()?.then(|| Leftovers::hunt(instance, Which::NotKept));
        let hunted = reader.list(Reader::text)?;
        let next_start = reader.option(read_time)?.map(until);
        reader.finish(())?;
        // Signals that came in between wait, for they are blocked all the time.
        let signals = SignalFd::all()?;
        tools.watch(signals.as_fd(), SIGNALS, EventFlags::IN)?;
        let mut this = Self {
            options,
            setup,
            tools,
            signals,
            spawner: Spawner::new()?,
            contain,
            records,
            held: held.into_iter().collect(),
            daemon: None,
            follows,
            handover: HandOver::None,
            exec: Exec::None,
            discarded,
            losses,
            leftovers,
            hunted: Vec::new(),
            told_left: BTreeSet::new(),
            next_start,
            rests_at: Some(Instant::now() + BEGINNING),
            // Who ended in between is to be reaped.
            unreaped: true,
            leaving: None,
            said_goodbye: false,
        };
        this.take_up(daemon)?;
        let mut out = Vec::new();
        hunted.into_iter().for_each(|leaf| this.kill_stray(leaf, &mut out));
        this.publish(out);
        Ok(this)
    }

    fn take_up(&mut self, daemon: Option<Daemon>) -> io::Result<()> {
        if let Some(daemon) = &daemon {
            // Also what waits to be sent, and what was said in between; closed already is no error.
            self.tools.watch(daemon.channel.as_fd(), daemon.token, EventFlags::IN)?;
        }
        self.daemon = daemon;
        self.tell_contain();
        Ok(())
    }
}

fn save_setup<'a>(writer: &mut Writer<'a>, options: &'a Options, setup: &'a Setup) {
    writer.bytes(options.name.as_bytes());
    write_path(writer, &options.state_dir);
    write_path(writer, &options.runtime_dir);
    writer.fds.push(setup.lock.as_fd());
    writer.bool(setup.follows_a_loss);
    writer.fd(&setup.null);
    writer.bool(setup.nofile.is_some());
    for limit in setup.nofile.iter().flat_map(|nofile| [nofile.current, nofile.maximum]) {
        writer.bool(limit.is_some());
        limit.into_iter().for_each(|limit| writer.u64(limit));
    }
    writer.fd(&setup.own_pidfd);
}

fn load_setup(reader: &mut Reader<'_>) -> Result<(Options, Setup), Malformed> {
    let options = Options {
        name: OsStr::from_bytes(reader.bytes()?).to_owned(),
        state_dir: read_path(reader)?,
        runtime_dir: read_path(reader)?,
        ready_fd: 0,
        lock_fd: None,
        is_heir: false,
        after_loss: false,
    };
    let setup = Setup {
        lock: reader.fd()?.into(),
        follows_a_loss: reader.bool()?,
        null: reader.fd()?,
        nofile: reader.option(|reader| {
            Ok(Nofile { current: reader.option(Reader::u64)?, maximum: reader.option(Reader::u64)? })
        })?,
        own_pidfd: reader.fd()?,
        asker: None,
    };
    Ok((options, setup))
}

fn load_tools(reader: &mut Reader<'_>, setup: &Setup) -> io::Result<Rc<Tools>> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let most = setup.nofile.and_then(|nofile| nofile.maximum);
    let tags = Tags::load(reader, &setup.lock)?;
    let (null, nofile) = (setup.null.try_clone()?, setup.nofile);
    Ok(Rc::new(Tools { epoll, null, nofile, most, tags, reapers: RefCell::default() }))
}
