//! What is different where the process that holds a scope together is the first of a PID namespace: no member can
//! leave, all of them can be signalled at once, and the kernel ends them with it. Only its numbers mean nothing
//! outside, so none of them is ever told.

use std::fs;
use std::io;

use kennel_sys::namespace::{Init, Namespaces, Newborn, needs_user_namespace};
use kennel_sys::pidfd;
use kennel_sys::spawn::Child;
use rustix::io::Errno;

use crate::proto::{Identity, Isolation, SpawnError, SpawnErrorKind};

/// What the first process gets beside its PID namespace.
pub(crate) fn namespaces(isolation: Isolation) -> Namespaces {
    Namespaces { mounts: isolation.proc }
}

/// Sets up the first process, before anything else runs in its namespace.
pub(crate) fn settle(newborn: Newborn, isolation: Isolation) -> Result<Init, SpawnError> {
    let init = newborn.settle().map_err(|error| refused(&error))?;
    if isolation.proc {
        init.mount_proc().map_err(|error| SpawnError {
            kind: SpawnErrorKind::Isolation,
            errno: errno(&error).raw_os_error(),
            subject: "a private /proc cannot be mounted, because the /proc that is here is not complete, as in a \
                      container; leave `proc` out of `isolation`"
                .to_owned(),
        })?;
    }
    Ok(init)
}

/// The main process as it is known outside. It is our child and not reaped, so its numbers are its own.
pub(crate) fn identity(init: &Init, main: &Child) -> io::Result<Identity> {
    let pid = init.outside(&main.pidfd)?;
    let start_ticks = init.stat(pid).map_or(0, |stat| stat.start_ticks);
    Ok(kennel_sys::identity::Identity::known(pid, start_ticks, &main.pidfd).into())
}

/// The number outside of a child that is not reaped.
pub(crate) fn outside(init: &Init, pid: u32) -> Option<u32> {
    init.outside(pidfd::open(pid).ok()?).ok()
}

/// Why no namespace was made, and what would help.
pub(crate) fn refused(error: &io::Error) -> SpawnError {
    let errno = errno(error);
    let subject = match errno {
        Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE => {
            return SpawnError {
                kind: SpawnErrorKind::Resources,
                errno: errno.raw_os_error(),
                subject: "PID namespace".to_owned(),
            };
        }
        _ if needs_user_namespace() => of_user_namespace(errno),
        _ => of_pid_namespace(errno),
    };
    SpawnError { kind: SpawnErrorKind::Isolation, errno: errno.raw_os_error(), subject }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error)
}

fn of_user_namespace(errno: Errno) -> String {
    const NEEDED: &str = "an ordinary user needs a user namespace for this";
    for (key, forbids, allows) in [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ] {
        if sysctl(key).is_some_and(|value| value == forbids) {
            return format!("{NEEDED}, and {key} is {forbids}; root can allow it: sysctl -w {key}={allows}");
        }
    }
    match errno {
        Errno::NOSPC | Errno::USERS => format!("{NEEDED}; {}", limits()),
        Errno::INVAL => format!("{NEEDED}, and this kernel is built without it"),
        _ => format!("{NEEDED}, and a container, a chroot or a security module forbids it"),
    }
}

fn of_pid_namespace(errno: Errno) -> String {
    match errno {
        Errno::NOSPC | Errno::USERS => limits(),
        Errno::INVAL => "this kernel is built without PID namespaces".to_owned(),
        _ => "a container or a security module forbids PID namespaces".to_owned(),
    }
}

fn limits() -> String {
    let value = |key: &str| sysctl(key).map_or_else(|| "not known".to_owned(), |value| format!("{value} here"));
    let (users, pids) = ("user.max_user_namespaces", "user.max_pid_namespaces");
    format!(
        "the limit {pids} ({}) or {users} ({}) is reached, here or in a namespace around this one, or 32 of them are \
         nested; root can raise it with sysctl -w",
        value(pids),
        value(users)
    )
}

fn sysctl(key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{}", key.replace('.', "/"))).ok()?;
    Some(text.trim().to_owned())
}
