//! Shapes that make a place of their own: a namespace, a subreaper, a cgroup, another user.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::Uid;
use rustix::thread::UnshareFlags;

use crate::os::{self, Muster};

/// Processes in a PID namespace of their own, with an init that ignores TERM.
pub(crate) fn pid_namespace() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        unshare_pid();
        os::fork(|| {
            os::ignore(libc::SIGTERM);
            for _ in 0..2 {
                os::fork(|| {
                    os::new_session();
                    muster.here();
                    os::forever()
                });
            }
            muster.here();
            os::forever()
        });
        os::forever()
    });
    muster.up(3);
    os::forever()
}

fn unshare_pid() {
    // SAFETY: one thread, and no descriptors are unshared.
    if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }.is_ok() {
        return;
    }
    // An ordinary user is root in a user namespace of its own, where those are allowed.
    // SAFETY: as above.
    if let Err(error) = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWPID) } {
        os::fail("unshare", error);
    }
}

/// A child that adopts what its descendants leave, and waits for none of them: one of them is a zombie.
pub(crate) fn subreaper() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        os::ignore(libc::SIGTERM);
        let me = rustix::process::getpid();
        if let Err(error) = rustix::process::set_child_subreaper(Some(me)) {
            os::fail("subreaper", error);
        }
        for _ in 0..2 {
            let between = os::fork(|| {
                os::new_session();
                os::fork(|| {
                    os::ignore(libc::SIGTERM);
                    muster.here();
                    os::forever()
                });
                os::leave(0)
            });
            os::wait_for(between);
        }
        os::fork(|| os::leave(0));
        os::forever()
    });
    muster.up(2);
    os::forever()
}

/// Two children in cgroups that the service made below its own.
pub(crate) fn sub_cgroups() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let own = own_cgroup().unwrap_or_else(|| os::fail("cgroup", "none of version 2"));
    let muster = Muster::new();
    for below in ["sub", "sub/deep"] {
        let dir = own.join(below);
        if let Err(error) = std::fs::create_dir(&dir) {
            os::fail(&dir.to_string_lossy(), error);
        }
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::ignore(libc::SIGTERM);
            enter(&dir);
            muster.here();
            os::forever()
        });
    }
    muster.up(2);
    os::forever()
}

/// A child that moves itself to a cgroup which is not the service's.
pub(crate) fn other_cgroup(dir: &str) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        os::ignore(libc::SIGTERM);
        enter(Path::new(dir));
        muster.here();
        os::forever()
    });
    muster.up(1);
    os::forever()
}

pub(crate) fn enter(dir: &Path) {
    if let Err(error) = std::fs::write(dir.join("cgroup.procs"), "0") {
        os::fail(&dir.to_string_lossy(), error);
    }
}

/// The directory of our cgroup of version 2.
fn own_cgroup() -> Option<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(Path::new(mount.split(' ').nth(4)?).join(own))
}

/// A child that executes a setuid copy of this program, which takes all rights it gets.
pub(crate) fn executes_setuid(program: &str) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let Ok(path) = CString::new(program) else { return ExitCode::from(2) };
    let muster = Muster::new();
    os::fork(|| {
        // The byte comes first: after the execution there is nobody left who could send it.
        muster.here();
        os::execute(&path, &["kennel-badchild", "takes-rights"], true)
    });
    muster.up(1);
    os::forever()
}

/// What the setuid copy does: all three user ids are those of its owner, and TERM is ignored.
pub(crate) fn takes_rights() -> ExitCode {
    os::ignore(libc::SIGTERM);
    if rustix::process::geteuid().is_root()
        && let Err(error) = os::become_user(Uid::ROOT)
    {
        os::fail("setresuid", error);
    }
    os::forever()
}
