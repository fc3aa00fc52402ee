//! What several parts of a table are made of. Times are kept as milliseconds from now, for no clock of a process goes on
//! in another program.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_sys::cgroup::Group;

use crate::codec::{Malformed, Reader, Writer};

pub(crate) fn write_path(writer: &mut Writer<'_>, path: &Path) {
    writer.bytes(path.as_os_str().as_bytes());
}

pub(crate) fn read_path(reader: &mut Reader<'_>) -> Result<PathBuf, Malformed> {
    Ok(OsString::from_vec(reader.bytes()?.to_vec()).into())
}

pub(crate) fn write_group<'a>(writer: &mut Writer<'a>, group: &'a Group) {
    write_path(writer, group.directory());
    write_path(writer, group.path());
    writer.fd(group.fd());
}

pub(crate) fn read_group(reader: &mut Reader<'_>) -> Result<Group, Malformed> {
    Ok(Group::opened(read_path(reader)?, read_path(reader)?, reader.fd()?))
}

/// Time since a moment in the past.
pub(crate) fn write_elapsed(writer: &mut Writer<'_>, moment: Instant) {
    writer.u64(millis(moment.elapsed()));
}

/// Time until a moment in the future.
pub(crate) fn write_remaining(writer: &mut Writer<'_>, moment: Instant) {
    writer.u64(millis(moment.saturating_duration_since(Instant::now())));
}

pub(crate) fn read_time(reader: &mut Reader<'_>) -> Result<Duration, Malformed> {
    Ok(Duration::from_millis(reader.u64()?))
}

/// The moment that was so long ago; as long ago as this machine can tell, if it was off in between.
pub(crate) fn since(elapsed: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(elapsed).unwrap_or(now)
}

/// The moment that is so far ahead; without an overflow now.
pub(crate) fn until(remaining: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(remaining).unwrap_or(now)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
