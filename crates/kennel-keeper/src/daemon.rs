//! A daemon as the keeper's child: how it is started, and how it is spoken to.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Instant;

use kennel_sys::spawn::{Exec, Spawner};
use kennel_sys::{packet, pidfd};
use rustix::event::epoll::{self, EventFlags};

use crate::channel::Channel;
use crate::codec::{self, Malformed, Reader, Writer};
use crate::contain::Tools;
use crate::proto::{Event, VERSION};
use crate::saved::{read_time, since, write_elapsed};
use crate::start::{Options, Setup, note};

/// As what a daemon is started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner<'a> {
    /// The first one; it reports to this descriptor.
    First(&'a OwnedFd),
    /// After the loss of one, or of a successor.
    Again,
    /// Beside one that hands over to it; this program, or that of the keeper.
    Successor(Option<&'a OwnedFd>),
}

/// A daemon that runs.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
    pub(crate) channel: Channel,
    /// Version of the protocol that it speaks.
    pub(crate) version: u16,
    /// Of its channel, in the keeper's epoll.
    pub(crate) token: u64,
    pub(crate) begun: Instant,
    /// It was welcomed once.
    pub(crate) was_welcomed: bool,
    /// It is told what happens: from its welcome on, until the connection is of no use any more.
    pub(crate) listens: bool,
    /// What it says is heard: nothing has come yet that cannot be understood, nor its end.
    pub(crate) is_heard: bool,
    /// It does not take its events as fast as they come.
    is_behind: bool,
}

impl Daemon {
    /// Starts the program that we are ourselves, or the one that is to succeed it.
    pub(crate) fn start(
        options: &Options,
        setup: &Setup,
        spawner: &mut Spawner,
        manner: Manner<'_>,
        token: u64,
    ) -> io::Result<Self> {
        let (ours, theirs) = packet::pair()?;
        let null = setup.null.as_fd();
        // 2 stays the log; 3, 4 and 5 by contract.
        let errors = rustix::stdio::stderr();
        let ready_fd = match manner {
            Manner::First(ready) => ready.as_fd(),
            Manner::Again | Manner::Successor(_) => null,
        };
        let fds = [null, null, errors, theirs.as_fd(), ready_fd, setup.lock.as_fd()];
        let argv = arguments(options, manner)?;
        let env = environment()?;
        let exec = Exec { nofile: setup.nofile, ..Exec::new(&argv, &env, &fds) };
        let child = spawner.spawn(&exec).map_err(|failure| io::Error::from_raw_os_error(failure.errno))?;
        Ok(Self {
            pid: child.pid,
            pidfd: child.pidfd,
            channel: Channel::new(ours),
            version: VERSION,
            token,
            begun: Instant::now(),
            was_welcomed: false,
            listens: false,
            is_heard: true,
            is_behind: false,
        })
    }

    /// Ends it; its exit is reported like any other.
    pub(crate) fn kill(&self) {
        self.signal(rustix::process::Signal::KILL.as_raw());
    }

    pub(crate) fn signal(&self, signal: i32) {
        // It may have ended already, which is what this is for.
        let _gone = pidfd::send_signal(&self.pidfd, signal);
    }

    pub(crate) fn save<'a>(writer: &mut Writer<'a>, daemon: &'a Self) {
        writer.u32(daemon.pid);
        writer.fd(&daemon.pidfd);
        daemon.channel.save(writer);
        writer.u16(daemon.version);
        writer.u64(daemon.token);
        write_elapsed(writer, daemon.begun);
        writer.bool(daemon.was_welcomed);
        writer.bool(daemon.listens);
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            pid: reader.u32()?,
            pidfd: reader.fd()?,
            channel: Channel::load(reader)?,
            version: reader.u16()?,
            token: reader.u64()?,
            begun: since(read_time(reader)?),
            was_welcomed: reader.bool()?,
            listens: reader.bool()?,
            // Both are found out again.
            is_heard: true,
            is_behind: false,
        })
    }

    /// Puts an event into its queue, if it is told any.
    pub(crate) fn tell(&mut self, event: &Event) {
        if !self.listens {
            return;
        }
        let (bytes, fds) = codec::encode_event(event);
        if let Err(error) = self.channel.queue(&bytes, &fds) {
            // Out of descriptors: one that misses an event is worse than one that starts anew and asks.
            note!("cannot tell the daemon what happened: {error}");
            self.kill();
        }
    }

    /// Sends what is queued, and asks to be woken if it does not take it all.
    pub(crate) fn flush(&mut self, tools: &Tools) {
        let waiting = match self.channel.flush() {
            Ok(waiting) => waiting,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
                    note!("cannot tell the daemon what happened: {error}");
                    self.kill();
                }
                // Else it is gone, or about to be: reported when it is reaped.
                self.listens = false;
                return;
            }
        };
        if std::mem::replace(&mut self.is_behind, waiting) == waiting {
            return;
        }
        let flags = if waiting { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        let data = epoll::EventData::new_u64(self.token);
        // Fails only after it was taken out of the set, because the connection is closed.
        let _closed = epoll::modify(&tools.epoll, &self.channel, data, flags);
    }
}

/// A file that is open, for a new process: by our own entry, for it has no descriptor of that number. The interpreter of a
/// script opens it as well.
pub(crate) fn path_of(program: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), program.as_raw_fd())
}

fn arguments(options: &Options, manner: Manner<'_>) -> io::Result<Vec<CString>> {
    let program = match manner {
        Manner::Successor(Some(program)) => path_of(program),
        // The program file itself, whatever its name is by now: an upgrade replaces the name.
        Manner::First(_) | Manner::Again | Manner::Successor(None) => "/proc/self/exe".to_owned(),
    };
    let words: [&OsStr; 8] = [
        OsStr::new(&program),
        OsStr::new("__daemon"),
        OsStr::new("--name"),
        &options.name,
        OsStr::new("--state-dir"),
        options.state_dir.as_os_str(),
        OsStr::new("--runtime-dir"),
        options.runtime_dir.as_os_str(),
    ];
    let manner = match manner {
        Manner::First(_) => None,
        Manner::Again => Some(OsStr::new("--recovered")),
        Manner::Successor(_) => Some(OsStr::new("--successor")),
    };
    words.into_iter().chain(manner).map(|word| Ok(CString::new(word.as_bytes())?)).collect()
}

/// Ours, as `KEY=value` entries.
pub(crate) fn environment() -> io::Result<Vec<CString>> {
    std::env::vars_os()
        .map(|(mut entry, value): (OsString, OsString)| {
            entry.push("=");
            entry.push(value);
            Ok(CString::new(entry.into_vec())?)
        })
        .collect()
}
