//! Containment and places.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Malformed, Reader, Writer};
use crate::proto::{Backend, Place, Reason};

const CGROUP: u8 = 1;
const REAPER: u8 = 2;

pub(crate) fn write_backend(writer: &mut Writer<'_>, backend: &Backend) {
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

pub(crate) fn read_backend(reader: &mut Reader<'_>) -> Result<Backend, Malformed> {
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

pub(crate) fn write_place(writer: &mut Writer<'_>, place: &Place) {
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

pub(crate) fn read_place(reader: &mut Reader<'_>) -> Result<Place, Malformed> {
    match reader.u8()? {
        CGROUP => Ok(Place::Cgroup(read_path(reader)?)),
        REAPER => Ok(Place::Reaper(reader.u32()?)),
        other => Err(Malformed::Unknown("place", other)),
    }
}

fn write_path(writer: &mut Writer<'_>, path: &Path) {
    writer.bytes(path.as_os_str().as_bytes());
}

fn read_path(reader: &mut Reader<'_>) -> Result<PathBuf, Malformed> {
    Ok(OsString::from_vec(reader.bytes()?.to_vec()).into())
}
