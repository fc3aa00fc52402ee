//! What the keeper sends.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::request::{read_identity, write_identity};
use super::{Malformed, Reader, Writer};
use crate::proto::{
    Backend, Event, Exit, KillStage, Known, Place, Reason, Setting, SignalRefused, SpawnError, SpawnErrorKind,
    Survivor, Usage,
};

const WELCOME: u8 = 1;
const SPAWNED: u8 = 2;
const SPAWN_FAILED: u8 = 3;
const MAIN_EXITED: u8 = 4;
const REAPED: u8 = 5;
const EMPTIED: u8 = 6;
const STUCK: u8 = 7;
const STAGE: u8 = 8;
const ESCAPED: u8 = 9;
const SIGNALLED: u8 = 10;
const LEFTOVERS: u8 = 11;

const CGROUP: u8 = 1;
const REAPER: u8 = 2;

const CODE: u8 = 1;
const SIGNAL: u8 = 2;
const UNKNOWN: u8 = 3;

/// By number, from 1.
const KINDS: [SpawnErrorKind; 15] = [
    SpawnErrorKind::NotFound,
    SpawnErrorKind::NotExecutable,
    SpawnErrorKind::BadInterpreter,
    SpawnErrorKind::BadCwd,
    SpawnErrorKind::BadUser,
    SpawnErrorKind::TooLong,
    SpawnErrorKind::Scope,
    SpawnErrorKind::Resources,
    SpawnErrorKind::Setting(Setting::Limit),
    SpawnErrorKind::Setting(Setting::Nice),
    SpawnErrorKind::Setting(Setting::Cpus),
    SpawnErrorKind::Setting(Setting::IoPriority),
    SpawnErrorKind::Setting(Setting::OomScoreAdj),
    SpawnErrorKind::Setting(Setting::Capabilities),
    SpawnErrorKind::Isolation,
];

/// The bytes of an event, and the descriptors that go with them: any number with `Welcome`.
#[must_use]
pub fn encode_event(event: &Event) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
    let mut writer = Writer::default();
    match event {
        Event::Welcome { version, pid, backend, known } => {
            writer.u8(WELCOME);
            writer.u16(*version);
            writer.u32(*pid);
            write_backend(&mut writer, backend);
            writer.list(known, write_known);
        }
        Event::Spawned { scope, pid, identity, place, pipes } => {
            writer.u8(SPAWNED);
            writer.scope(*scope);
            writer.u32(*pid);
            write_identity(&mut writer, identity);
            write_place(&mut writer, place);
            writer.option(pipes.as_ref(), |writer, pipes| writer.fds(pipes));
        }
        Event::SpawnFailed { scope, error } => {
            writer.u8(SPAWN_FAILED);
            writer.scope(*scope);
            let index = KINDS.iter().position(|kind| *kind == error.kind).unwrap_or(KINDS.len());
            writer.u8(u8::try_from(index + 1).unwrap_or(u8::MAX));
            writer.i32(error.errno);
            writer.bytes(error.subject.as_bytes());
        }
        Event::MainExited { scope, exit, usage } => {
            writer.u8(MAIN_EXITED);
            writer.scope(*scope);
            write_exit(&mut writer, exit);
            writer.u64(usage.cpu_us);
            writer.u64(usage.max_rss_bytes);
        }
        Event::Reaped { scope, pid, exit } => {
            writer.u8(REAPED);
            writer.scope(*scope);
            writer.u32(*pid);
            write_exit(&mut writer, exit);
        }
        Event::Emptied { scope } => {
            writer.u8(EMPTIED);
            writer.scope(*scope);
        }
        Event::Stuck { scope, survivors } => {
            writer.u8(STUCK);
            writer.scope(*scope);
            writer.list(survivors, write_survivor);
        }
        Event::Stage { scope, stage } => {
            writer.u8(STAGE);
            writer.scope(*scope);
            writer.u8(match stage {
                KillStage::Sweep => 1,
                KillStage::Stuck => 2,
            });
        }
        Event::Escaped { scope, process, path } => {
            writer.u8(ESCAPED);
            writer.scope(*scope);
            write_survivor(&mut writer, process);
            writer.bytes(path.as_bytes());
        }
        Event::Leftovers { survivors } => {
            writer.u8(LEFTOVERS);
            writer.list(survivors, write_survivor);
        }
        Event::Signalled { scope, process, refused } => {
            writer.u8(SIGNALLED);
            writer.scope(*scope);
            write_identity(&mut writer, process);
            writer.option(refused.as_ref(), write_refused);
        }
    }
    (writer.bytes, writer.fds)
}

/// The event that these bytes and descriptors are.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_event`] does not make.
pub fn decode_event(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Event, Malformed> {
    let mut reader = Reader::new(bytes, fds);
    let event = match reader.u8()? {
        WELCOME => Event::Welcome {
            version: reader.u16()?,
            pid: reader.u32()?,
            backend: read_backend(&mut reader)?,
            known: reader.list(read_known)?,
        },
        SPAWNED => Event::Spawned {
            scope: reader.scope()?,
            pid: reader.u32()?,
            identity: read_identity(&mut reader)?,
            place: read_place(&mut reader)?,
            pipes: reader.option(Reader::fds)?,
        },
        SPAWN_FAILED => Event::SpawnFailed {
            scope: reader.scope()?,
            error: SpawnError { kind: read_kind(&mut reader)?, errno: reader.i32()?, subject: reader.text()? },
        },
        MAIN_EXITED => Event::MainExited {
            scope: reader.scope()?,
            exit: read_exit(&mut reader)?,
            usage: Usage { cpu_us: reader.u64()?, max_rss_bytes: reader.u64()? },
        },
        REAPED => Event::Reaped { scope: reader.scope()?, pid: reader.u32()?, exit: read_exit(&mut reader)? },
        EMPTIED => Event::Emptied { scope: reader.scope()? },
        STUCK => Event::Stuck { scope: reader.scope()?, survivors: reader.list(read_survivor)? },
        STAGE => Event::Stage {
            scope: reader.scope()?,
            stage: match reader.u8()? {
                1 => KillStage::Sweep,
                2 => KillStage::Stuck,
                other => return Err(Malformed::Unknown("stage", other)),
            },
        },
        ESCAPED => {
            Event::Escaped { scope: reader.scope()?, process: read_survivor(&mut reader)?, path: reader.text()? }
        }
        LEFTOVERS => Event::Leftovers { survivors: reader.list(read_survivor)? },
        SIGNALLED => Event::Signalled {
            scope: reader.scope()?,
            process: read_identity(&mut reader)?,
            refused: reader.option(read_refused)?,
        },
        other => return Err(Malformed::Unknown("event", other)),
    };
    reader.finish(event)
}

fn write_survivor<'a>(writer: &mut Writer<'a>, survivor: &'a Survivor) {
    writer.u32(survivor.pid);
    writer.u32(survivor.state.into());
    writer.bytes(survivor.wchan.as_bytes());
    writer.list(&survivor.stack, |writer, name| writer.bytes(name.as_bytes()));
    writer.u32(survivor.tracer);
    writer.bytes(survivor.command.as_bytes());
}

fn read_survivor(reader: &mut Reader<'_>) -> Result<Survivor, Malformed> {
    Ok(Survivor {
        pid: reader.u32()?,
        state: reader.char()?,
        wchan: reader.text()?,
        stack: reader.list(Reader::text)?,
        tracer: reader.u32()?,
        command: reader.text()?,
    })
}

fn write_refused(writer: &mut Writer<'_>, refused: &SignalRefused) {
    match refused {
        SignalRefused::Gone => writer.u8(1),
        SignalRefused::NotTheSame => writer.u8(2),
        SignalRefused::NotInScope => writer.u8(3),
        SignalRefused::Os(errno) => {
            writer.u8(4);
            writer.i32(*errno);
        }
    }
}

fn read_refused(reader: &mut Reader<'_>) -> Result<SignalRefused, Malformed> {
    match reader.u8()? {
        1 => Ok(SignalRefused::Gone),
        2 => Ok(SignalRefused::NotTheSame),
        3 => Ok(SignalRefused::NotInScope),
        4 => Ok(SignalRefused::Os(reader.i32()?)),
        other => Err(Malformed::Unknown("refusal", other)),
    }
}

fn write_known<'a>(writer: &mut Writer<'a>, known: &'a Known) {
    writer.scope(known.scope);
    writer.bytes(known.name.as_bytes());
    writer.u32(known.pid);
    writer.option(known.exit.as_ref(), write_exit);
    writer.bool(known.empty);
    writer.option(known.pipes.as_ref(), |writer, pipes| writer.fds(pipes));
}

fn read_known(reader: &mut Reader<'_>) -> Result<Known, Malformed> {
    Ok(Known {
        scope: reader.scope()?,
        name: reader.text()?,
        pid: reader.u32()?,
        exit: reader.option(read_exit)?,
        empty: reader.bool()?,
        pipes: reader.option(Reader::fds)?,
    })
}

fn write_backend(writer: &mut Writer<'_>, backend: &Backend) {
    match backend {
        Backend::Cgroup { root } => {
            writer.u8(CGROUP);
            write_path(writer, root);
        }
        Backend::Reaper { reason, because } => {
            writer.u8(REAPER);
            let index = Reason::ALL.iter().position(|it| it == reason).unwrap_or(Reason::ALL.len());
            writer.u8(u8::try_from(index + 1).unwrap_or(u8::MAX));
            writer.bytes(because.as_bytes());
        }
    }
}

fn read_backend(reader: &mut Reader<'_>) -> Result<Backend, Malformed> {
    match reader.u8()? {
        CGROUP => Ok(Backend::Cgroup { root: read_path(reader)? }),
        REAPER => Ok(Backend::Reaper { reason: read_reason(reader)?, because: reader.text()? }),
        other => Err(Malformed::Unknown("back end", other)),
    }
}

fn read_reason(reader: &mut Reader<'_>) -> Result<Reason, Malformed> {
    let number = reader.u8()?;
    let index = usize::from(number).checked_sub(1);
    index.and_then(|index| Reason::ALL.get(index)).copied().ok_or(Malformed::Unknown("reason", number))
}

fn write_place(writer: &mut Writer<'_>, place: &Place) {
    match place {
        Place::Cgroup(path) => {
            writer.u8(CGROUP);
            write_path(writer, path);
        }
        Place::Reaper(pid) => {
            writer.u8(REAPER);
            writer.u32(*pid);
        }
    }
}

fn read_place(reader: &mut Reader<'_>) -> Result<Place, Malformed> {
    match reader.u8()? {
        CGROUP => Ok(Place::Cgroup(read_path(reader)?)),
        REAPER => Ok(Place::Reaper(reader.u32()?)),
        other => Err(Malformed::Unknown("place", other)),
    }
}

fn write_exit(writer: &mut Writer<'_>, exit: &Exit) {
    match exit {
        Exit::Code(code) => {
            writer.u8(CODE);
            writer.i32(*code);
        }
        Exit::Signal(signal) => {
            writer.u8(SIGNAL);
            writer.i32(*signal);
        }
        Exit::Unknown => writer.u8(UNKNOWN),
    }
}

fn read_exit(reader: &mut Reader<'_>) -> Result<Exit, Malformed> {
    match reader.u8()? {
        CODE => Ok(Exit::Code(reader.i32()?)),
        SIGNAL => Ok(Exit::Signal(reader.i32()?)),
        UNKNOWN => Ok(Exit::Unknown),
        other => Err(Malformed::Unknown("end", other)),
    }
}

fn read_kind(reader: &mut Reader<'_>) -> Result<SpawnErrorKind, Malformed> {
    let number = reader.u8()?;
    let index = usize::from(number).checked_sub(1);
    index.and_then(|index| KINDS.get(index)).copied().ok_or(Malformed::Unknown("spawn error", number))
}

fn write_path(writer: &mut Writer<'_>, path: &Path) {
    writer.bytes(path.as_os_str().as_bytes());
}

fn read_path(reader: &mut Reader<'_>) -> Result<PathBuf, Malformed> {
    Ok(OsString::from_vec(reader.bytes()?.to_vec()).into())
}
