//! What a welcome tells of the time before.

use super::backend::{read_place, write_place};
use super::event::{read_exit, write_exit};
use super::request::{read_identity, write_identity};
use super::{Malformed, Reader, Writer};
use crate::proto::{Follows, Identity, Known, Started};

pub(crate) fn write_follows(writer: &mut Writer<'_>, follows: Follows) {
    writer.u8(match follows {
        Follows::Fresh => 1,
        Follows::Loss => 2,
        Follows::HandOver => 3,
    });
}

pub(crate) fn read_follows(reader: &mut Reader<'_>) -> Result<Follows, Malformed> {
    match reader.u8()? {
        1 => Ok(Follows::Fresh),
        2 => Ok(Follows::Loss),
        3 => Ok(Follows::HandOver),
        other => Err(Malformed::Unknown("predecessor", other)),
    }
}

/// What a keeper of version 3 does not say: it knows only losses, and keeps nothing over them.
pub(super) fn follows_of(known: &[Known]) -> Follows {
    if known.is_empty() { Follows::Fresh } else { Follows::Loss }
}

pub(super) fn write_known<'a>(writer: &mut Writer<'a>, known: &'a Known) {
    writer.scope(known.scope);
    writer.bytes(known.name.as_bytes());
    writer.bool(known.keep);
    writer.bytes(&known.note);
    writer.option(known.started.as_ref(), |writer, started| {
        write_identity(writer, &started.identity);
        writer.option(started.place.as_ref(), write_place);
        writer.option(started.pipes.as_ref(), |writer, pipes| writer.fds(pipes));
        writer.option(started.exit.as_ref(), write_exit);
        writer.bool(started.ending);
        writer.bool(started.empty);
        writer.bool(started.frozen);
    });
}

pub(super) fn read_known(reader: &mut Reader<'_>) -> Result<Known, Malformed> {
    if reader.version < 4 {
        return read_known_3(reader);
    }
    Ok(Known {
        scope: reader.scope()?,
        name: reader.text()?,
        keep: reader.bool()?,
        note: reader.bytes()?.to_vec(),
        started: reader.option(|reader| {
            Ok(Started {
                identity: read_identity(reader)?,
                place: reader.option(read_place)?,
                pipes: reader.option(Reader::fds)?,
                exit: reader.option(read_exit)?,
                ending: reader.bool()?,
                empty: reader.bool()?,
                frozen: reader.version >= 5 && reader.bool()?,
            })
        })?,
    })
}

/// Version 3: number, name, process id, exit, whether it is empty, pipes. Whatever is not empty is being emptied.
fn read_known_3(reader: &mut Reader<'_>) -> Result<Known, Malformed> {
    let (scope, name, pid) = (reader.scope()?, reader.text()?, reader.u32()?);
    let (exit, empty) = (reader.option(read_exit)?, reader.bool()?);
    let pipes = reader.option(Reader::fds)?;
    let identity = Identity { pid, start_ticks: 0, inode: 0 };
    let started = Started { identity, place: None, pipes, exit, ending: true, empty, frozen: false };
    Ok(Known { scope, name, keep: false, note: Vec::new(), started: Some(started) })
}
