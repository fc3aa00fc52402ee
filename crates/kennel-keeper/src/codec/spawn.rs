//! A process to start.

use super::bound::{read_bound, write_bound};
use super::{Malformed, Reader, Writer};
use crate::proto::{Ids, Isolation, Limit, Privileges, Spawn, Stdio};

const CAPTURE: u8 = 1;
const PASSED: u8 = 2;

pub(super) fn write_spawn<'a>(writer: &mut Writer<'a>, spawn: &'a Spawn) {
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
    if writer.version >= 4 {
        writer.bool(spawn.keep);
        writer.bytes(&spawn.note);
    }
    // An older keeper bounds nothing, and tells of none.
    if writer.version >= 5 {
        writer.list(&spawn.bounds, write_bound);
    }
    if writer.version >= 6 {
        writer.list(&spawn.owners, |writer, owner| writer.bytes(owner.as_bytes()));
    }
}

pub(super) fn read_spawn(reader: &mut Reader<'_>) -> Result<Spawn, Malformed> {
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
        keep: reader.bool()?,
        note: reader.bytes()?.to_vec(),
        bounds: if reader.version >= 5 { reader.list(read_bound)? } else { Vec::new() },
        owners: if reader.version >= 6 { reader.list(Reader::text)? } else { Vec::new() },
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
