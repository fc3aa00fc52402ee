//! What the keeper sends.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::backend::{read_backend, read_place, write_backend, write_place};
use super::bound::{read_applied, write_applied};
use super::known::{follows_of, read_follows, read_known, write_follows, write_known};
use super::request::{read_identity, write_identity};
use super::{Malformed, Reader, Writer};
use crate::proto::{
    AdoptError, Event, Exit, KillStage, OLDEST, Setting, SignalRefused, SpawnError, SpawnErrorKind, Stray, Successor,
    Survivor, Usage, VERSION,
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
// Since version 4.
const HELD: u8 = 12;
const ADOPTED: u8 = 13;
const ADOPT_REFUSED: u8 = 14;
const STRAYS: u8 = 15;
const STRAY_ENDED: u8 = 16;
const SUCCESSOR: u8 = 17;
const EXECUTED: u8 = 18;
// Since version 5.
const FROZEN: u8 = 19;
const BOUNDED: u8 = 20;
const OUT_OF_MEMORY: u8 = 21;
// Since version 6.
const POOL_BOUNDED: u8 = 22;

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
    let mut writer = Writer::new(VERSION);
    match event {
        Event::Welcome { version, pid, backend, follows, known, held } => {
            writer.u8(WELCOME);
            writer.u16(*version);
            writer.u32(*pid);
            write_backend(&mut writer, backend);
            write_follows(&mut writer, *follows);
            writer.list(known, write_known);
            writer.u32(*held);
        }
        Event::Spawned { scope, pid, identity, place, pipes, inodes } => {
            writer.u8(SPAWNED);
            writer.scope(*scope);
            writer.u32(*pid);
            write_identity(&mut writer, identity);
            write_place(&mut writer, place);
            writer.option(pipes.as_ref(), |writer, pipes| writer.fds(pipes));
            writer.option(inodes.as_ref(), |writer, inodes| writer.two(*inodes));
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
        Event::Frozen { scope, frozen } => {
            writer.u8(FROZEN);
            writer.scope(*scope);
            writer.bool(*frozen);
        }
        Event::Bounded { scope, applied } => {
            writer.u8(BOUNDED);
            writer.scope(*scope);
            writer.list(applied, write_applied);
        }
        Event::OutOfMemory { scope, kills, limit, peak, of } => {
            writer.u8(OUT_OF_MEMORY);
            writer.scope(*scope);
            writer.u64(*kills);
            for bytes in [limit, peak] {
                writer.option(bytes.as_ref(), |writer, bytes| writer.u64(*bytes));
            }
            writer.option(of.as_deref(), write_owners);
        }
        Event::PoolBounded { owners, applied } => {
            writer.u8(POOL_BOUNDED);
            write_owners(&mut writer, owners);
            writer.list(applied, write_applied);
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
        Event::Held { name, fd } => {
            writer.u8(HELD);
            writer.bytes(name.as_bytes());
            writer.fd(fd);
        }
        Event::Adopted { scope, place, pipes, main_alive } => {
            writer.u8(ADOPTED);
            writer.scope(*scope);
            write_place(&mut writer, place);
            writer.option(pipes.as_ref(), |writer, pipes| writer.fds(pipes));
            writer.bool(*main_alive);
        }
        Event::AdoptRefused { scope, error } => {
            writer.u8(ADOPT_REFUSED);
            writer.scope(*scope);
            write_adopt_error(&mut writer, error);
        }
        Event::Strays { strays } => {
            writer.u8(STRAYS);
            writer.list(strays, |writer, Stray { leaf, processes }| {
                writer.bytes(leaf.as_bytes());
                writer.list(processes, write_survivor);
            });
        }
        Event::StrayEnded { leaf } => {
            writer.u8(STRAY_ENDED);
            writer.bytes(leaf.as_bytes());
        }
        Event::Successor(news) => {
            writer.u8(SUCCESSOR);
            write_successor(&mut writer, news);
        }
        Event::Executed { version, refused } => {
            writer.u8(EXECUTED);
            writer.u16(*version);
            writer.option(refused.as_ref(), |writer, why| writer.bytes(why.as_bytes()));
        }
    }
    (writer.bytes, writer.fds)
}

/// The event that these bytes and descriptors are, from a keeper of this version. A welcome tells its own.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_event`] of that version does not make. Of a keeper of another version the
/// welcome as well, as far as its layout is not known: then it is [`Malformed::Version`].
pub fn decode_event(bytes: &[u8], fds: Vec<OwnedFd>, version: u16) -> Result<Event, Malformed> {
    let mut reader = Reader::new(bytes, fds, version);
    let event = match reader.u8()? {
        WELCOME => read_welcome(&mut reader)?,
        SPAWNED => Event::Spawned {
            scope: reader.scope()?,
            pid: reader.u32()?,
            identity: read_identity(&mut reader)?,
            place: read_place(&mut reader)?,
            pipes: reader.option(Reader::fds)?,
            inodes: if reader.version < 4 { None } else { reader.option(Reader::two)? },
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
        FROZEN => Event::Frozen { scope: reader.scope()?, frozen: reader.bool()? },
        BOUNDED => Event::Bounded { scope: reader.scope()?, applied: reader.list(read_applied)? },
        OUT_OF_MEMORY => Event::OutOfMemory {
            scope: reader.scope()?,
            kills: reader.u64()?,
            limit: reader.option(Reader::u64)?,
            peak: reader.option(Reader::u64)?,
            of: if reader.version < 6 { None } else { reader.option(|reader| reader.list(Reader::text))? },
        },
        POOL_BOUNDED => Event::PoolBounded { owners: reader.list(Reader::text)?, applied: reader.list(read_applied)? },
        LEFTOVERS => Event::Leftovers { survivors: reader.list(read_survivor)? },
        SIGNALLED => Event::Signalled {
            scope: reader.scope()?,
            process: read_identity(&mut reader)?,
            refused: reader.option(read_refused)?,
        },
        HELD => Event::Held { name: reader.text()?, fd: reader.fd()? },
        ADOPTED => Event::Adopted {
            scope: reader.scope()?,
            place: read_place(&mut reader)?,
            pipes: reader.option(Reader::fds)?,
            main_alive: reader.bool()?,
        },
        ADOPT_REFUSED => Event::AdoptRefused { scope: reader.scope()?, error: read_adopt_error(&mut reader)? },
        STRAYS => Event::Strays {
            strays: reader.list(|reader| Ok(Stray { leaf: reader.text()?, processes: reader.list(read_survivor)? }))?,
        },
        STRAY_ENDED => Event::StrayEnded { leaf: reader.text()? },
        SUCCESSOR => Event::Successor(read_successor(&mut reader)?),
        EXECUTED => Event::Executed { version: reader.u16()?, refused: reader.option(Reader::text)? },
        other => return Err(Malformed::Unknown("event", other)),
    };
    reader.finish(event)
}

fn read_welcome(reader: &mut Reader<'_>) -> Result<Event, Malformed> {
    let version = reader.u16()?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Malformed::Version(version));
    }
    reader.version = version;
    let (pid, backend) = (reader.u32()?, read_backend(reader)?);
    let told = if version < 4 { None } else { Some(read_follows(reader)?) };
    let known = reader.list(read_known)?;
    let follows = told.unwrap_or_else(|| follows_of(&known));
    let held = if version < 4 { 0 } else { reader.u32()? };
    Ok(Event::Welcome { version, pid, backend, follows, known, held })
}

fn write_owners<'a>(writer: &mut Writer<'a>, owners: &'a [String]) {
    writer.list(owners, |writer, owner| writer.bytes(owner.as_bytes()));
}

fn write_adopt_error(writer: &mut Writer<'_>, error: &AdoptError) {
    match error {
        AdoptError::Gone => writer.u8(1),
        AdoptError::NoCgroups => writer.u8(2),
        AdoptError::Taken => writer.u8(3),
        AdoptError::Os(errno) => {
            writer.u8(4);
            writer.i32(*errno);
        }
    }
}

fn read_adopt_error(reader: &mut Reader<'_>) -> Result<AdoptError, Malformed> {
    match reader.u8()? {
        1 => Ok(AdoptError::Gone),
        2 => Ok(AdoptError::NoCgroups),
        3 => Ok(AdoptError::Taken),
        4 => Ok(AdoptError::Os(reader.i32()?)),
        other => Err(Malformed::Unknown("refusal", other)),
    }
}

fn write_successor(writer: &mut Writer<'_>, news: &Successor) {
    match news {
        Successor::Ready => writer.u8(1),
        Successor::Failed { why } => {
            writer.u8(2);
            writer.bytes(why.as_bytes());
        }
        Successor::Done => writer.u8(3),
    }
}

fn read_successor(reader: &mut Reader<'_>) -> Result<Successor, Malformed> {
    match reader.u8()? {
        1 => Ok(Successor::Ready),
        2 => Ok(Successor::Failed { why: reader.text()? }),
        3 => Ok(Successor::Done),
        other => Err(Malformed::Unknown("news of a successor", other)),
    }
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

pub(crate) fn write_exit(writer: &mut Writer<'_>, exit: &Exit) {
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

pub(crate) fn read_exit(reader: &mut Reader<'_>) -> Result<Exit, Malformed> {
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
