//! What the daemon sends.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::{Malformed, Reader, Writer};
use crate::proto::{Identity, Ids, Isolation, Limit, Privileges, Request, Spawn, Stdio};

const HELLO: u8 = 1;
const SPAWN: u8 = 2;
const SIGNAL: u8 = 3;
const KILL: u8 = 4;
const FORGET: u8 = 5;
const BYE: u8 = 6;
const SIGNAL_PROCESS: u8 = 7;

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
        Request::SignalProcess { scope, process, signal } => {
            writer.u8(SIGNAL_PROCESS);
            writer.scope(*scope);
            write_identity(&mut writer, process);
            writer.i32(*signal);
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
        SIGNAL_PROCESS => Request::SignalProcess {
            scope: reader.scope()?,
            process: read_identity(&mut reader)?,
            signal: reader.i32()?,
        },
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
    let Isolation { pid, proc, tmp, network } = spawn.isolation;
    for part in [pid, proc, tmp, network] {
        writer.bool(part);
    }
    write_privileges(writer, &spawn.privileges);
    writer.bool(spawn.kill_escaped);
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
        isolation: Isolation {
            pid: reader.bool()?,
            proc: reader.bool()?,
            tmp: reader.bool()?,
            network: reader.bool()?,
        },
        privileges: read_privileges(reader)?,
        kill_escaped: reader.bool()?,
        stdio: match reader.u8()? {
            CAPTURE => Stdio::Capture,
            PASSED => Stdio::Passed(reader.fds()?),
            other => return Err(Malformed::Unknown("way of input and output", other)),
        },
    })
}

fn write_privileges<'a>(writer: &mut Writer<'a>, privileges: &'a Privileges) {
    writer.bool(privileges.no_new_privs);
    writer.option(privileges.capabilities.as_ref(), |writer, mask| writer.u64(*mask));
    writer.u64(privileges.added_capabilities);
    writer.list(&privileges.limits, |writer, limit| {
        writer.u32(limit.resource);
        writer.u64(limit.soft);
        writer.u64(limit.hard);
    });
    writer.option(privileges.nice.as_ref(), |writer, nice| writer.i32(*nice));
    writer.list(&privileges.cpus, |writer, cpu| writer.u32(*cpu));
    writer.option(privileges.io_priority.as_ref(), |writer, priority| writer.u32(*priority));
    writer.option(privileges.oom_score_adj.as_ref(), |writer, score| writer.i32(*score));
    writer.bool(privileges.dedicated_user);
}

fn read_privileges(reader: &mut Reader<'_>) -> Result<Privileges, Malformed> {
    Ok(Privileges {
        no_new_privs: reader.bool()?,
        capabilities: reader.option(Reader::u64)?,
        added_capabilities: reader.u64()?,
        limits: reader
            .list(|reader| Ok(Limit { resource: reader.u32()?, soft: reader.u64()?, hard: reader.u64()? }))?,
        nice: reader.option(Reader::i32)?,
        cpus: reader.list(Reader::u32)?,
        io_priority: reader.option(Reader::u32)?,
        oom_score_adj: reader.option(Reader::i32)?,
        dedicated_user: reader.bool()?,
    })
}

pub(super) fn write_identity(writer: &mut Writer<'_>, identity: &Identity) {
    writer.u32(identity.pid);
    writer.u64(identity.start_ticks);
    writer.u64(identity.inode);
}

pub(super) fn read_identity(reader: &mut Reader<'_>) -> Result<Identity, Malformed> {
    Ok(Identity { pid: reader.u32()?, start_ticks: reader.u64()?, inode: reader.u64()? })
}
