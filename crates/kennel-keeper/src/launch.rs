//! From a spawn request to a process, or to an error that says what to do about it.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kennel_sys::process::Nofile;
use kennel_sys::spawn::{
    Capabilities, Child, Exec, Failure, Limit, Settings, Spawner, Stage, User, candidates, interpreter,
};
use kennel_sys::tag::Tag;
use kennel_sys::{limit, pipe};

use crate::proto::{Ids, Privileges, Setting, Spawn, SpawnError, SpawnErrorKind, Stdio};

/// Interpreters that name interpreters are followed this far, as the kernel does.
const NESTED: usize = 5;

/// Everything beside the request that a start needs.
pub(crate) struct Launch<'a> {
    pub(crate) spawn: &'a Spawn,
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    pub(crate) nofile: Option<Nofile>,
    pub(crate) tag: Option<Tag>,
    pub(crate) no_new_privs: bool,
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// `tasks` files of version 1 groups to be in as well.
    pub(crate) groups: &'a [CString],
}

impl Launch<'_> {
    /// Starts the process.
    pub(crate) fn run(&self, spawner: &mut Spawner) -> Result<Child, SpawnError> {
        let privileges = &self.spawn.privileges;
        let limits = limits(privileges);
        let exec = Exec {
            argv: &self.spawn.argv,
            env: &self.spawn.env,
            cwd: &self.spawn.cwd,
            user: self.spawn.user.as_ref().filter(|ids| !is_self(ids)).map(|ids| User {
                uid: ids.uid,
                gid: ids.gid,
                groups: &ids.groups,
            }),
            umask: self.spawn.umask,
            fds: &self.stdio,
            nofile: self.nofile,
            // It is this very limit; one that was asked for is the service's own.
            tag: self.tag.filter(|_| !limits.iter().any(|one| limit::name(one.resource) == Some("rttime"))),
            settings: Settings { groups: self.groups, ..settings(privileges, &limits) },
            no_new_privs: self.no_new_privs || privileges.no_new_privs,
            cgroup: self.cgroup,
        };
        spawner.spawn(&exec).map_err(|failure| {
            let tried = candidates(&exec).unwrap_or_default();
            explain(&failure, self.spawn, &tried)
        })
    }
}

fn limits(privileges: &Privileges) -> Vec<Limit> {
    let limits = privileges.limits.iter();
    limits.map(|limit| Limit { resource: limit.resource, soft: limit.soft, hard: limit.hard }).collect()
}

fn settings<'a>(privileges: &'a Privileges, limits: &'a [Limit]) -> Settings<'a> {
    let added = privileges.added_capabilities;
    let capabilities = (privileges.capabilities.is_some() || added != 0)
        .then(|| Capabilities { bounding: privileges.capabilities.unwrap_or(u64::MAX), added });
    Settings {
        limits,
        nice: privileges.nice,
        cpus: &privileges.cpus,
        io_priority: privileges.io_priority,
        oom_score_adj: privileges.oom_score_adj,
        capabilities,
        groups: &[],
    }
}

/// An ordinary user may ask to be itself, and may not call `setgroups`.
fn is_self(ids: &Ids) -> bool {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    !uid.is_root() && ids.uid == uid.as_raw() && ids.gid == gid.as_raw()
}

/// Pipes for stdout and stderr: what the process writes to, and what is read.
pub(crate) struct Pipes {
    pub(crate) write: [OwnedFd; 2],
    pub(crate) read: [OwnedFd; 2],
}

impl Pipes {
    /// The read ends do not block. `keep`: whoever writes never is without a reader.
    pub(crate) fn new(keep: bool) -> io::Result<Self> {
        let make = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            Ok((read, if keep { pipe::both_ends(&write)? } else { write }))
        };
        let ((out, out_write), (err, err_write)) = (make()?, make()?);
        Ok(Self { write: [out_write, err_write], read: [out, err] })
    }
}

/// By which the read ends are found again; both ends of a pipe have the same.
pub(crate) fn inodes(pipes: &[OwnedFd; 2]) -> Option<[u64; 2]> {
    let [out, err] = pipes;
    Some([pipe::inode(out).ok()?, pipe::inode(err).ok()?])
}

/// The three descriptors of a new process.
pub(crate) fn stdio<'a>(spawn: &'a Spawn, pipes: Option<&'a Pipes>, null: &'a OwnedFd) -> [BorrowedFd<'a>; 3] {
    match (&spawn.stdio, pipes) {
        (Stdio::Passed([input, output, errors]), _) => [input.as_fd(), output.as_fd(), errors.as_fd()],
        (Stdio::Capture, Some(Pipes { write: [output, errors], .. })) => [null.as_fd(), output.as_fd(), errors.as_fd()],
        (Stdio::Capture, None) => [null.as_fd(); 3],
    }
}

/// An error of our own making a scope.
pub(crate) fn no_scope(error: &io::Error, subject: impl Into<String>) -> SpawnError {
    let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
    let kind = if is_short(errno) { SpawnErrorKind::Resources } else { SpawnErrorKind::Scope };
    SpawnError { kind, errno, subject: subject.into() }
}

/// Whether something is short that may be there again later.
fn is_short(errno: i32) -> bool {
    use rustix::io::Errno;
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC].iter().any(|e| e.raw_os_error() == errno)
}

fn explain(failure: &Failure, spawn: &Spawn, tried: &[CString]) -> SpawnError {
    use rustix::io::Errno;
    let errno = failure.errno;
    let setting = |setting, name: &str| (SpawnErrorKind::Setting(setting), name.to_owned());
    let program = spawn.argv.first().map_or(c"", CString::as_c_str);
    let (kind, subject) = match failure.stage {
        // An errno of its own would mislead: nothing was short, the kernel killed it.
        Stage::Born | Stage::Groups => (SpawnErrorKind::Scope, spawn.name.clone()),
        _ if is_short(errno) => (SpawnErrorKind::Resources, text(program)),
        Stage::Clone => (SpawnErrorKind::Scope, spawn.name.clone()),
        Stage::Setup | Stage::Descriptors => (SpawnErrorKind::Resources, text(program)),
        Stage::User => {
            (SpawnErrorKind::BadUser, spawn.user.as_ref().map(|ids| ids.uid.to_string()).unwrap_or_default())
        }
        Stage::Limit(resource) => setting(Setting::Limit, limit::name(resource).unwrap_or("unknown")),
        Stage::Nice => setting(Setting::Nice, "nice"),
        Stage::Cpus => setting(Setting::Cpus, "cpus"),
        Stage::IoPriority => setting(Setting::IoPriority, "io_priority"),
        Stage::OomScoreAdj => setting(Setting::OomScoreAdj, "oom_score_adj"),
        Stage::Capabilities => setting(Setting::Capabilities, "capabilities"),
        Stage::Cwd => (SpawnErrorKind::BadCwd, text(&spawn.cwd)),
        Stage::Exec => match Errno::from_raw_os_error(errno) {
            Errno::TOOBIG => (SpawnErrorKind::TooLong, text(program)),
            Errno::NOENT => match existing(spawn, tried) {
                Some(file) => (SpawnErrorKind::BadInterpreter, missing_interpreter(&file)),
                None => (SpawnErrorKind::NotFound, text(program)),
            },
            Errno::NOTDIR | Errno::NAMETOOLONG => (SpawnErrorKind::NotFound, text(program)),
            _ => {
                let file = existing(spawn, tried).map(|file| file.to_string_lossy().into_owned());
                (SpawnErrorKind::NotExecutable, file.unwrap_or_else(|| text(program)))
            }
        },
    };
    SpawnError { kind, errno, subject }
}

fn text(string: &CStr) -> String {
    string.to_string_lossy().into_owned()
}

/// The first of the programs tried that is there at all.
fn existing(spawn: &Spawn, tried: &[CString]) -> Option<PathBuf> {
    let cwd = Path::new(OsStr::from_bytes(spawn.cwd.to_bytes()));
    let named = tried.iter().filter(|file| !file.is_empty());
    named.map(|file| cwd.join(OsStr::from_bytes(file.to_bytes()))).find(|file| file.exists())
}

/// The interpreter that is not there, followed from `file`; `file` itself if that cannot be told.
fn missing_interpreter(file: &Path) -> String {
    let mut at = file.to_owned();
    for _ in 0..NESTED {
        match interpreter(&at) {
            Some(next) if next.exists() => at = next,
            Some(next) => return next.to_string_lossy().into_owned(),
            None => break,
        }
    }
    file.to_string_lossy().into_owned()
}
