//! What the daemon sends.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::{Malformed, Reader, Writer};
use crate::proto::{Ids, Request, Spawn, Stdio};

const HELLO: u8 = 1;
const SPAWN: u8 = 2;
const SIGNAL: u8 = 3;
const KILL: u8 = 4;
const FORGET: u8 = 5;
const BYE: u8 = 6;

const CAPTURE: u8 = 1;
const PASSED: u8 = 2;

/// The bytes of a request, and the descriptors that go with them.
#[must_use]
pub fn encode_request(request: &Request) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
    let mut writer = Writer::default();
    match request {
        Request::Hello { version } => {
            writer.u8(HELLO);
            writer.u16(*version);
        }
        Request::Spawn(spawn) => {
            writer.u8(SPAWN);
            write_spawn(&mut writer, spawn);
        }
        Request::Signal { scope, signal, everyone } => {
            writer.u8(SIGNAL);
            writer.scope(*scope);
            writer.i32(*signal);
            writer.bool(*everyone);
        }
        Request::Kill { scope } => {
            writer.u8(KILL);
            writer.scope(*scope);
        }
        Request::Forget { scope } => {
            writer.u8(FORGET);
            writer.scope(*scope);
        }
        Request::Bye => writer.u8(BYE),
    }
    (writer.bytes, writer.fds)
}

/// The request that these bytes and descriptors are.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_request`] does not make.
pub fn decode_request(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Request, Malformed> {
    let mut reader = Reader::new(bytes, fds);
    let request = match reader.u8()? {
        HELLO => Request::Hello { version: reader.u16()? },
        SPAWN => Request::Spawn(Box::new(read_spawn(&mut reader)?)),
        SIGNAL => Request::Signal { scope: reader.scope()?, signal: reader.i32()?, everyone: reader.bool()? },
        KILL => Request::Kill { scope: reader.scope()? },
        FORGET => Request::Forget { scope: reader.scope()? },
        BYE => Request::Bye,
        other => return Err(Malformed::Unknown("request", other)),
    };
    reader.finish(request)
}

fn write_spawn<'a>(writer: &mut Writer<'a>, spawn: &'a Spawn) {
    writer.scope(spawn.scope);
    writer.bytes(spawn.name.as_bytes());
    writer.list(&spawn.argv, |writer, arg| writer.bytes(arg.to_bytes()));
    writer.list(&spawn.env, |writer, entry| writer.bytes(entry.to_bytes()));
    writer.bytes(spawn.cwd.to_bytes());
    writer.option(spawn.user.as_ref(), |writer, ids| {
        writer.u32(ids.uid);
        writer.u32(ids.gid);
        writer.list(&ids.groups, |writer, group| writer.u32(*group));
    });
    writer.option(spawn.umask.as_ref(), |writer, mask| writer.u32(*mask));
    match &spawn.stdio {
        Stdio::Capture => writer.u8(CAPTURE),
        Stdio::Passed(fds) => {
            writer.u8(PASSED);
            writer.fds(fds);
        }
    }
}

fn read_spawn(reader: &mut Reader<'_>) -> Result<Spawn, Malformed> {
    Ok(Spawn {
        scope: reader.scope()?,
        name: reader.text()?,
        argv: reader.list(Reader::c_string)?,
        env: reader.list(Reader::c_string)?,
        cwd: reader.c_string()?,
        user: reader
            .option(|reader| Ok(Ids { uid: reader.u32()?, gid: reader.u32()?, groups: reader.list(Reader::u32)? }))?,
        umask: reader.option(Reader::u32)?,
        stdio: match reader.u8()? {
            CAPTURE => Stdio::Capture,
            PASSED => Stdio::Passed(reader.fds()?),
            other => return Err(Malformed::Unknown("way of input and output", other)),
        },
    })
}
