//! Scopes with a process of their own in the table of a keeper that replaces its program. Those processes stay what they
//! are, copies of the program before, so each goes on to be spoken to in its own version.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::cgroup::Killer;
use rustix::event::epoll::EventFlags;

use super::{Closing, Live, Lost, Reapers, SILENCE};
use crate::channel::Channel;
use crate::codec::{self, Malformed, Reader, Writer};
use crate::contain::{Tools, token_of};
use crate::proto::Event;
use crate::saved::{read_group, write_group};

impl Reapers {
    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        writer.length(self.live.len());
        for (scope, live) in &self.live {
            writer.scope(*scope);
            live.save(writer);
        }
        writer.list(&self.lost, |writer, lost| {
            writer.scope(lost.scope);
            writer.bytes(lost.name.as_bytes());
            writer.option(lost.main.as_ref(), |writer, main| writer.u32(*main));
            writer.bool(lost.main_exited);
        });
        writer.list(&self.closing, |writer, closing| {
            write_group(writer, &closing.group);
            write_event(writer, &closing.last);
        });
    }

    /// # Errors
    /// If the table is malformed or this process can watch nothing.
    pub(crate) fn load(reader: &mut Reader<'_>, tools: Rc<Tools>, own_pidfd: OwnedFd) -> io::Result<Self> {
        let live: HashMap<_, _> =
            reader.list(|reader| Ok((reader.scope()?, Live::load(reader)?)))?.into_iter().collect();
        let reapers: HashMap<_, _> = live.iter().map(|(scope, live)| (live.reaper, *scope)).collect();
        for (scope, live) in &live {
            tools.watch(live.channel.as_fd(), token_of(*scope), EventFlags::IN)?;
        }
        tools.reapers.borrow_mut().extend(reapers.keys());
        let lost = reader.list(|reader| {
            Ok(Lost {
                scope: reader.scope()?,
                name: reader.text()?,
                main: reader.option(Reader::u32)?,
                main_exited: reader.bool()?,
            })
        })?;
        let closing = reader.list(|reader| {
            let (group, last) = (read_group(reader)?, read_event(reader)?);
            let killer = Killer::start(&group, Instant::now()).0;
            Ok(Closing { group, killer, last })
        })?;
        Ok(Self { tools, own_pidfd, live, reapers, daemons: Vec::new(), lost, hunt: None, closing })
    }
}

impl Live {
    fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        writer.u32(self.reaper);
        writer.fd(self.channel.socket());
        writer.u16(self.version);
        writer.bytes(self.name.as_bytes());
        writer.option(self.pipes.as_ref(), |writer, pipes| writer.fds(pipes));
        writer.option(self.group.as_ref(), write_group);
        writer.option(self.main.as_ref(), |writer, main| writer.u32(*main));
        writer.option(self.main_pidfd.as_ref(), Writer::fd);
        for flag in [self.is_init, self.main_exited, self.silent.is_some()] {
            writer.bool(flag);
        }
        writer.option(self.last.as_ref(), write_event);
    }

    fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (reaper, channel, version) = (reader.u32()?, Channel::new(reader.fd()?), reader.u16()?);
        let (name, pipes) = (reader.text()?, reader.option(Reader::fds)?);
        let group = reader.option(read_group)?;
        let (main, main_pidfd) = (reader.option(Reader::u32)?, reader.option(Reader::fd)?);
        let (is_init, main_exited, is_silent) = (reader.bool()?, reader.bool()?, reader.bool()?);
        let silent = is_silent.then(|| Instant::now() + SILENCE);
        let last = reader.option(read_event)?;
        Ok(Self {
            reaper,
            channel,
            version,
            name,
            pipes,
            group,
            // What is bounded stays so, and its groups of version 1 go with the place.
            bounds: None,
            is_init,
            main,
            main_pidfd,
            main_exited,
            silent,
            freezing: None,
            last,
        })
    }
}

/// The last word of a scope, which never brings a descriptor.
fn write_event<'a>(writer: &mut Writer<'a>, event: &'a Event) {
    let (bytes, fds) = codec::encode_event(event);
    debug_assert!(fds.is_empty());
    writer.bytes(&bytes);
}

fn read_event(reader: &mut Reader<'_>) -> Result<Event, Malformed> {
    codec::decode_event(reader.bytes()?, Vec::new(), reader.version)
}
