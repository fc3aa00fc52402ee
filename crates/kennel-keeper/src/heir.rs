//! A daemon whose keeper was lost, and which has services that are to run on, becomes a keeper itself: the same process, another
//! program. So the lock is never free, and nobody else comes in between.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::FdFlags;

/// Turns this process into the keeper of the instance with these directories, as after `exec`. `lock` is the lock that the
/// daemon has inherited. Nothing else stays open.
///
/// # Errors
/// What the system says of the exec; this process is what it was before.
#[expect(clippy::disallowed_methods, reason = "no new process: this one becomes a keeper, which is in no scope")]
pub fn inherit(name: &str, state_dir: &Path, runtime_dir: &Path, lock: &OwnedFd) -> io::Result<Infallible> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in [lock.as_raw_fd(), null.as_raw_fd()] {
        if fd >= 64 {
            return Err(io::Error::other(format!("descriptor {fd} is too high to be named")));
        }
    }
    rustix::io::fcntl_setfd(lock, FdFlags::empty())?;
    rustix::io::fcntl_setfd(&null, FdFlags::empty())?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("__keeper").arg("--name").arg(name).arg("--state-dir").arg(state_dir);
    command.arg("--runtime-dir").arg(runtime_dir).arg("--ready-fd").arg(null.as_raw_fd().to_string());
    command.arg("--heir-lock-fd").arg(lock.as_raw_fd().to_string());
    // Answers only if it fails.
    Err(command.exec())
}
