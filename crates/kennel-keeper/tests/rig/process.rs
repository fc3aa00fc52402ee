//! The processes of a test: as whom and where they run, and how they are started.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kennel_sys::spawn::{Child, Exec, Spawner, User};

use super::{How, ORDINARY, Rig};

/// Held while a program file is written, and while a process is started: between its birth and its execution the
/// new process has the file open for writing as well, and then nobody can execute it.
pub static WRITING: Mutex<()> = Mutex::new(());

/// Which world a test runs in; most need the first two only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// As root, in cgroups.
    Cgroup,
    /// As an ordinary user, with a reaper for each scope.
    Reaper,
    /// As an ordinary user, in cgroups that were given to it.
    Delegated,
    /// As root, with a reaper for each scope.
    RootReaper,
}

impl World {
    /// Whether this machine has it; says so if not.
    pub fn is_here(self) -> bool {
        let root = rustix::process::geteuid().is_root();
        let here = root && (!self.has_cgroups() || Path::new("/proc/self/mountinfo").exists());
        if !here {
            let mut stderr = io::stderr();
            io::Write::write_all(&mut stderr, b"skipped: needs root\n").unwrap();
        }
        here
    }

    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Reaper | Self::Delegated)
    }

    pub fn has_cgroups(self) -> bool {
        matches!(self, Self::Cgroup | Self::Delegated)
    }

    fn user(self) -> Option<User<'static>> {
        self.is_ordinary().then_some(User { uid: ORDINARY, gid: ORDINARY, groups: &[] })
    }
}

/// A cgroup that belongs to the ordinary user; removed at the end.
pub(super) struct Delegation(PathBuf);

impl Delegation {
    pub(super) fn new(name: &str) -> Self {
        let hierarchies = kennel_sys::cgroup::Hierarchy::mounted().unwrap();
        let own = kennel_sys::cgroup::of_self().unwrap();
        let directory = hierarchies.iter().find_map(|it| it.directory(&own)).unwrap().join(name);
        std::fs::create_dir(&directory).unwrap();
        for path in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(directory.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Delegation {
    fn drop(&mut self) {
        let _gone = kennel_sys::cgroup::remove_tree(&self.0);
    }
}

/// Starts a keeper; it and what it wrote to the ready descriptor until that was closed.
pub(super) fn launch(
    world: World,
    root: &Path,
    name: &str,
    mark: u64,
    delegation: Option<&Delegation>,
    how: &How<'_>,
) -> (Child, String) {
    let containment = match world {
        World::Cgroup | World::Delegated => c"KENNEL_CONTAINMENT=cgroup",
        World::Reaper => c"KENNEL_CONTAINMENT=auto",
        World::RootReaper => c"KENNEL_CONTAINMENT=reaper",
    };
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (harness, state, runtime, mark) = (path("keeper-harness"), path("s"), path("r"), mark.to_string());
    let script = how.fence.map(|it| format!("{it} && exec setpriv --ambient-caps -all --inh-caps -all \"$@\""));
    let fence = script
        .iter()
        .flat_map(|script| ["unshare", "-Um", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]);
    let own = [
        harness.as_str(),
        "marked",
        &mark,
        "__keeper",
        "--name",
        name,
        "--state-dir",
        &state,
        "--runtime-dir",
        &runtime,
        "--ready-fd",
        "3",
    ];
    let words: Vec<&str> = fence.chain(own).collect();
    let (mut ready, ready_writer) = io::pipe().unwrap();
    let group = delegation.map(|it| File::open(it.path()).unwrap());
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let stderr = io::stderr();
    let fds = [null.as_fd(), null.as_fd(), stderr.as_fd(), ready_writer.as_fd()];
    let env: Vec<CString> = [containment.to_owned()].into_iter().chain(how.env.iter().cloned()).collect();
    let keeper = start(world, &words, &env, &fds, group.as_ref());
    drop(ready_writer);
    let mut line = String::new();
    ready.read_to_string(&mut line).unwrap();
    (keeper, line)
}

/// Starts a program as the user of `world` that reads what is written to the first pipe and writes to the second.
pub fn start_piped(rig: &Rig, words: &[&str]) -> (Child, io::PipeWriter, io::PipeReader) {
    let (input, to_input) = io::pipe().unwrap();
    let (from_output, output) = io::pipe().unwrap();
    let stderr = io::stderr();
    let child = start(rig.world, words, &[], &[input.as_fd(), output.as_fd(), stderr.as_fd()], None);
    (child, to_input, from_output)
}

fn start(world: World, words: &[&str], env: &[CString], fds: &[BorrowedFd<'_>], group: Option<&File>) -> Child {
    let argv: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let exec = Exec { user: world.user(), cgroup: group.map(AsFd::as_fd), ..Exec::new(&argv, env, fds) };
    let _nobody_writes = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    Spawner::new().unwrap().spawn(&exec).unwrap()
}
