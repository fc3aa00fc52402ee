//! What the daemon sends.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::bound::{read_bound, write_bound};
use super::spawn::{read_spawn, write_spawn};
use super::{Malformed, Reader, Unsupported, Writer};
use crate::proto::{Adopt, Identity, Request, VERSION};

const HELLO: u8 = 1;
const SPAWN: u8 = 2;
const SIGNAL: u8 = 3;
const KILL: u8 = 4;
const FORGET: u8 = 5;
const BYE: u8 = 6;
const SIGNAL_PROCESS: u8 = 7;
// Since version 4.
const HOLD: u8 = 8;
const RELEASE: u8 = 9;
const ADOPT: u8 = 10;
const SETTLED: u8 = 11;
const KILL_STRAY: u8 = 12;
const SUCCEED: u8 = 13;
const HAND_OVER: u8 = 14;
const EXEC: u8 = 15;
// Since version 5.
const FREEZE: u8 = 16;
const BOUND: u8 = 17;
// Since version 6.
const BOUND_POOL: u8 = 18;

/// The bytes of a request to a keeper of this version, and the descriptors that go with them.
///
/// # Errors
/// [`Unsupported`] for what that version cannot be asked for.
pub fn encode_request(request: &Request, version: u16) -> Result<(Vec<u8>, Vec<BorrowedFd<'_>>), Unsupported> {
    let (known_since, what) = since(request);
    if version < known_since {
        return Err(Unsupported { what, version });
    }
    let mut writer = Writer::new(version);
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
        Request::SignalProcess { scope, process, signal } => {
            writer.u8(SIGNAL_PROCESS);
            writer.scope(*scope);
            write_identity(&mut writer, process);
            writer.i32(*signal);
        }
        Request::Freeze { scope, frozen } => {
            writer.u8(FREEZE);
            writer.scope(*scope);
            writer.bool(*frozen);
        }
        Request::Bound { scope, bounds } => {
            writer.u8(BOUND);
            writer.scope(*scope);
            writer.list(bounds, write_bound);
        }
        Request::BoundPool { owners, bounds } => {
            writer.u8(BOUND_POOL);
            writer.list(owners, |writer, owner| writer.bytes(owner.as_bytes()));
            writer.list(bounds, write_bound);
        }
        Request::Forget { scope } => {
            writer.u8(FORGET);
            writer.scope(*scope);
        }
        Request::Bye => writer.u8(BYE),
        Request::Hold { name, fd } => {
            writer.u8(HOLD);
            writer.bytes(name.as_bytes());
            writer.fd(fd);
        }
        Request::Release { name } => {
            writer.u8(RELEASE);
            writer.bytes(name.as_bytes());
        }
        Request::Adopt(adopt) => {
            writer.u8(ADOPT);
            write_adopt(&mut writer, adopt);
        }
        Request::Settled => writer.u8(SETTLED),
        Request::KillStray { leaf } => {
            writer.u8(KILL_STRAY);
            writer.bytes(leaf.as_bytes());
        }
        Request::Succeed { program } => {
            writer.u8(SUCCEED);
            writer.option(program.as_ref(), Writer::fd);
        }
        Request::HandOver => writer.u8(HAND_OVER),
        Request::Exec { program } => {
            writer.u8(EXEC);
            writer.fd(program);
        }
    }
    Ok((writer.bytes, writer.fds))
}

/// The version that a request is known since, and what it is for a human.
fn since(request: &Request) -> (u16, &'static str) {
    match request {
        Request::Spawn(spawn) if spawn.keep => (4, "`on_daemon_loss: keep`"),
        Request::Hello { .. }
        | Request::Spawn(_)
        | Request::Signal { .. }
        | Request::Kill { .. }
        | Request::SignalProcess { .. }
        | Request::Forget { .. }
        | Request::Bye => (3, "basic requests"),
        Request::Hold { .. } | Request::Release { .. } => (4, "held descriptors"),
        Request::Adopt(_) | Request::Settled | Request::KillStray { .. } => (4, "adoption"),
        Request::Succeed { .. } | Request::HandOver => (4, "hand-over between daemons"),
        Request::Exec { .. } => (4, "upgrade of the keeper"),
        Request::Freeze { .. } => (5, "freezing"),
        Request::Bound { .. } => (5, "limits"),
        Request::BoundPool { .. } => (6, "limits of several services together"),
    }
}

/// The request that these bytes and descriptors are.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_request`] of this version does not make.
pub fn decode_request(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Request, Malformed> {
    let mut reader = Reader::new(bytes, fds, VERSION);
    let request = match reader.u8()? {
        HELLO => Request::Hello { version: reader.u16()? },
        SPAWN => Request::Spawn(Box::new(read_spawn(&mut reader)?)),
        SIGNAL => Request::Signal { scope: reader.scope()?, signal: reader.i32()?, everyone: reader.bool()? },
        KILL => Request::Kill { scope: reader.scope()? },
        FREEZE => Request::Freeze { scope: reader.scope()?, frozen: reader.bool()? },
        BOUND => Request::Bound { scope: reader.scope()?, bounds: reader.list(read_bound)? },
        BOUND_POOL => Request::BoundPool { owners: reader.list(Reader::text)?, bounds: reader.list(read_bound)? },
        FORGET => Request::Forget { scope: reader.scope()? },
        BYE => Request::Bye,
        SIGNAL_PROCESS => Request::SignalProcess {
            scope: reader.scope()?,
            process: read_identity(&mut reader)?,
            signal: reader.i32()?,
        },
        HOLD => Request::Hold { name: reader.text()?, fd: reader.fd()? },
        RELEASE => Request::Release { name: reader.text()? },
        ADOPT => Request::Adopt(Box::new(read_adopt(&mut reader)?)),
        SETTLED => Request::Settled,
        KILL_STRAY => Request::KillStray { leaf: reader.text()? },
        SUCCEED => Request::Succeed { program: reader.option(Reader::fd)? },
        HAND_OVER => Request::HandOver,
        EXEC => Request::Exec { program: reader.fd()? },
        other => return Err(Malformed::Unknown("request", other)),
    };
    reader.finish(request)
}

fn write_adopt(writer: &mut Writer<'_>, adopt: &Adopt) {
    writer.scope(adopt.scope);
    writer.bytes(adopt.leaf.as_bytes());
    write_identity(writer, &adopt.process);
    writer.bool(adopt.kill_escaped);
    writer.bytes(&adopt.note);
    writer.bool(adopt.pipes.is_some());
    adopt.pipes.into_iter().for_each(|inodes| writer.two(inodes));
}

fn read_adopt(reader: &mut Reader<'_>) -> Result<Adopt, Malformed> {
    Ok(Adopt {
        scope: reader.scope()?,
        leaf: reader.text()?,
        process: read_identity(reader)?,
        kill_escaped: reader.bool()?,
        note: reader.bytes()?.to_vec(),
        pipes: reader.option(Reader::two)?,
    })
}

pub(crate) fn write_identity(writer: &mut Writer<'_>, identity: &Identity) {
    writer.u32(identity.pid);
    writer.u64(identity.start_ticks);
    writer.u64(identity.inode);
}

pub(crate) fn read_identity(reader: &mut Reader<'_>) -> Result<Identity, Malformed> {
    Ok(Identity { pid: reader.u32()?, start_ticks: reader.u64()?, inode: reader.u64()? })
}
