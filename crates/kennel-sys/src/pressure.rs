//! Being told by the kernel that something happens in a cgroup, without looking.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The least time of waiting for a CPU that is told of, and within what, microseconds. Whoever gets to run has waited for that a moment,
/// so this is any activity at all, told at most every two seconds. Who is not root may only use multiples of those.
const ANY: &str = "some 1 2000000";

/// A descriptor that becomes ready with `POLLPRI` once a process of a cgroup, or of one below it, has been active. While all of them
/// sleep the kernel does nothing for it, and nobody wakes up.
///
/// # Errors
/// What the system says: `NotFound` or `Unsupported` where the kernel has no pressure stall information or it is switched off.
///
/// Source: the kernel's `accounting/psi.rst`, "Monitoring for pressure thresholds" and "Cgroup2 interface"; per cgroup since Linux 5.2.
pub fn activity(group: &Path) -> io::Result<OwnedFd> {
    let path = group.join("cpu.pressure");
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    file.write_all(ANY.as_bytes())?;
    Ok(file.into())
}
