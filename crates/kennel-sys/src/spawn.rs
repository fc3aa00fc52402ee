//! Starts processes: clone, set up, execute, with every failure told by stage and `errno`.
//!
//! The child shares our memory until it executes (`CLONE_VM | CLONE_VFORK`), so nothing is copied however big the
//! caller is, and the failure of `execve` comes back through memory. The calling thread sleeps meanwhile: a working
//! directory or a program on a dead network mount makes it wait.

mod child;
mod clone;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod window;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use self::settings::Prepared;
use rustix::mm::{MapFlags, ProtFlags};

use self::window::Window;
use crate::process::Nofile;
use crate::tag::Tag;
use crate::wait;

pub use self::settings::{Capabilities, Limit, MOST_CPUS, Settings, own_capabilities};

/// Stack of the child until it executes, bytes. The lowest page is a guard.
const STACK: usize = 128 * 1024;
const GUARD: usize = 64 * 1024;

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// A process to start.
#[derive(Debug)]
pub struct Exec<'a> {
    /// Never empty. Without a slash its first is looked for in the `PATH` of `env`, not in ours.
    pub argv: &'a [CString],
    /// `KEY=value` entries, the whole environment.
    pub env: &'a [CString],
    /// Entered after the user is taken on, so with that user's rights.
    pub cwd: &'a CStr,
    /// Run as this user; none: as we do.
    pub user: Option<User<'a>>,
    /// File mode creation mask; none: ours.
    pub umask: Option<u32>,
    /// Become 0, 1, 2 and so on in the new process; nothing else stays open.
    pub fds: &'a [BorrowedFd<'a>],
    /// Limit of open descriptors to restore, if ours was raised.
    pub nofile: Option<Nofile>,
    /// What it and its descendants carry, where its limits allow it.
    pub tag: Option<Tag>,
    /// Limits, priorities and capabilities.
    pub settings: Settings<'a>,
    /// Forbid it and its descendants to gain rights by executing setuid files.
    pub no_new_privs: bool,
    /// Directory of the cgroup v2 in which it is born.
    pub cgroup: Option<BorrowedFd<'a>>,
}

impl<'a> Exec<'a> {
    /// One that changes nothing: as our user with our limits, in `/`, without a tag, in our cgroup.
    #[must_use]
    pub fn new(argv: &'a [CString], env: &'a [CString], fds: &'a [BorrowedFd<'a>]) -> Self {
        Self {
            argv,
            env,
            cwd: c"/",
            user: None,
            umask: None,
            fds,
            nofile: None,
            tag: None,
            settings: Settings::default(),
            no_new_privs: false,
            cgroup: None,
        }
    }
}

/// Credentials to take on.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// User id, real, effective and saved.
    pub uid: u32,
    /// Group id, real, effective and saved.
    pub gid: u32,
    /// Supplementary groups, complete.
    pub groups: &'a [u32],
}

/// A process that was executed.
#[derive(Debug)]
pub struct Child {
    /// Its id, ours to reap.
    pub pid: u32,
    /// The process itself.
    pub pidfd: OwnedFd,
}

/// Step of a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was cloned; with a cgroup this can be its fault.
    Clone,
    /// It was killed before its first instruction.
    Born,
    /// `setsid`, restoring the limit of descriptors, `NO_NEW_PRIVS`.
    Setup,
    /// The resource limit of this number.
    Limit(u32),
    /// `setpriority`.
    Nice,
    /// `sched_setaffinity`; `EINVAL` also if only some of the CPUs are there and allowed.
    Cpus,
    /// `ioprio_set`.
    IoPriority,
    /// Writing `/proc/self/oom_score_adj`.
    OomScoreAdj,
    /// The bounding set, `capset`, the ambient set.
    Capabilities,
    /// Being in the groups of version 1.
    Groups,
    /// `setgroups`, `setgid`, `setuid`.
    User,
    /// `chdir`.
    Cwd,
    /// Placing the descriptors.
    Descriptors,
    /// `execve`.
    Exec,
}

/// Why nothing was started; the failed child is reaped.
#[derive(Debug)]
pub struct Failure {
    /// What failed.
    pub stage: Stage,
    /// `errno` of the failing call.
    pub errno: i32,
}

impl Failure {
    fn os(stage: Stage, error: &io::Error) -> Self {
        Self { stage, errno: error.raw_os_error().unwrap_or(libc::EINVAL) }
    }
}

/// The memory a child runs in before it executes; made once, used for every start.
#[derive(Debug)]
pub struct Spawner {
    /// `GUARD` bytes without access, then report and stack.
    memory: *mut std::ffi::c_void,
    /// Asked for once: it would be the larger part of the system calls of a start.
    ignored: Vec<i32>,
    window: Option<Window>,
}

impl Spawner {
    /// Maps the memory and takes nine descriptors. What this process ignores from now on is ignored by what is started,
    /// too.
    ///
    /// # Errors
    /// `ENOMEM`, `EMFILE`.
    pub fn new() -> io::Result<Self> {
        // Private, so that a copy of this process (`fork`) has its own; where the child is a copy itself, it can
        // only report through shared memory.
        let shares = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        let flags = if shares { MapFlags::PRIVATE } else { MapFlags::SHARED } | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let memory =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), GUARD + STACK, ProtFlags::empty(), flags) }?;
        let mut this = Self { memory, ignored: child::ignored(), window: None };
        // SAFETY: inside the mapping just made, whose first `GUARD` bytes are skipped.
        let base = unsafe { memory.cast::<u8>().add(GUARD) }.cast();
        let access = rustix::mm::MprotectFlags::READ | rustix::mm::MprotectFlags::WRITE;
        // SAFETY: exactly the rest of that mapping, which nobody uses yet.
        unsafe { rustix::mm::mprotect(base, STACK, access) }?;
        this.window = if shares { Window::new()? } else { None };
        Ok(this)
    }

    /// Starts a process in a session of its own, with default signal handling and an empty mask.
    ///
    /// Must not be called with a frozen `cgroup`: the caller would wait until it is thawed.
    ///
    /// # Errors
    /// See [`Failure`]. Nothing runs then, and there is nothing to reap.
    pub fn spawn(&mut self, exec: &Exec<'_>) -> Result<Child, Failure> {
        let laid = match &mut self.window {
            Some(window) => window.lay(exec.fds).map_err(|error| Failure::os(Stage::Descriptors, &error))?,
            None => None,
        };
        let result = self.spawn_with(exec, laid.as_deref());
        if let (Some(window), Some(laid)) = (&mut self.window, laid) {
            window.clear(laid.len());
        }
        result
    }

    /// `laid`: where the descriptors are laid out for it, see [`Window`].
    fn spawn_with(&self, exec: &Exec<'_>, laid: Option<&[i32]>) -> Result<Child, Failure> {
        let invalid = |_| Failure { stage: Stage::Exec, errno: libc::EINVAL };
        // To the kernel this number means "as before", which is us.
        if exec.user.is_some_and(|user| user.uid == u32::MAX || user.gid == u32::MAX) {
            return Err(Failure { stage: Stage::User, errno: libc::EINVAL });
        }
        let candidates = candidates(exec).map_err(invalid)?;
        let copies;
        let sources: Vec<i32> = match laid {
            Some(slots) => slots.to_vec(),
            None => {
                copies = above_target(exec.fds).map_err(|error| Failure::os(Stage::Descriptors, &error))?;
                let own = |(fd, copy): (&BorrowedFd<'_>, &Option<OwnedFd>)| {
                    copy.as_ref().map_or(fd.as_raw_fd(), OwnedFd::as_raw_fd)
                };
                exec.fds.iter().zip(&copies).map(own).collect()
            }
        };
        let argv = pointers(exec.argv);
        let env = pointers(exec.env);
        let programs = pointers(&candidates);
        let settings = Prepared::new(exec.settings, exec.user);
        let plan = child::Plan {
            programs: &programs,
            argv: argv.as_ptr(),
            env: env.as_ptr(),
            cwd: exec.cwd.as_ptr(),
            user: exec.user,
            umask: exec.umask,
            ignored: &self.ignored,
            fds: &sources,
            unshare_from: laid.and(self.window.as_ref()).map(Window::end),
            nofile: exec.nofile.map(limit),
            tag: exec
                .tag
                .and_then(Tag::limits)
                .map(|(current, maximum)| limit(Nofile { current: Some(current), maximum })),
            no_new_privs: exec.no_new_privs || settings.needs_no_new_privs(),
            settings,
            report: self.memory_at(GUARD).cast(),
        };
        // SAFETY: `report` is aligned memory of ours that no child uses: each has executed or died before this
        // function returns.
        unsafe { plan.report.write(child::Report { stage: child::BORN, errno: 0 }) };
        // The report lies at the low end of the stack area, far below what the child needs of it.
        let stack = (self.memory_at(GUARD + 64), STACK - 64);
        let cgroup = exec.cgroup.map(|fd| fd.as_raw_fd());
        // SAFETY: the plan and all that it points to live until the call returns, which is after the child has
        // stopped using them; the stack is ours and used by nobody else; the entry only makes system calls.
        let (pid, pidfd) =
            unsafe { clone::vfork_like(stack, cgroup, &plan) }.map_err(|error| Failure::os(Stage::Clone, &error))?;
        // SAFETY: the clone gave us this fresh descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: the child no longer writes here. Volatile, because the compiler cannot know that it did.
        let report = unsafe { plan.report.read_volatile() };
        let failed = if report.errno != 0 {
            Some(Failure { stage: child::stage(report.stage), errno: report.errno })
        } else if report.stage == child::BORN {
            // No instruction of it ran and no error is known: killed at birth, by a cgroup's memory of kills.
            Some(Failure { stage: Stage::Born, errno: libc::EAGAIN })
        } else {
            None
        };
        match failed {
            None => Ok(Child { pid, pidfd }),
            Some(failure) => {
                // Cannot fail: it is our child, and nobody else reaps. Waits at most for its exit.
                let _reaped = wait::reap(pid, true);
                Err(failure)
            }
        }
    }

    fn memory_at(&self, offset: usize) -> *mut u8 {
        // SAFETY: every caller stays within `GUARD + STACK`.
        unsafe { self.memory.cast::<u8>().add(offset) }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // SAFETY: our own mapping; no child uses it any more. Failure would leak it, which harms nobody.
        let _unmapped = unsafe { rustix::mm::munmap(self.memory, GUARD + STACK) };
    }
}

/// Where `exec` will be looked for, in order, as `execvp(3)` does: the paths as the new process will see them,
/// relative ones from its working directory.
///
/// # Errors
/// `InvalidInput` for an empty `argv`.
pub fn candidates(exec: &Exec<'_>) -> io::Result<Vec<CString>> {
    let name = exec.argv.first().ok_or(io::ErrorKind::InvalidInput)?.to_bytes();
    let whole = || CString::new(name).map_err(|_| io::ErrorKind::InvalidInput);
    if name.is_empty() || name.contains(&b'/') {
        return Ok(vec![whole()?]);
    }
    let path = exec.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    let mut found = Vec::new();
    for dir in path.split(|byte| *byte == b':') {
        // An empty entry is the working directory.
        let mut candidate = if dir.is_empty() { b".".to_vec() } else { dir.to_vec() };
        candidate.push(b'/');
        candidate.extend_from_slice(name);
        found.push(CString::new(candidate).map_err(|_| io::ErrorKind::InvalidInput)?);
    }
    Ok(found)
}

/// The interpreter that the executable file at `path` names: its `#!` line or its ELF loader.
#[must_use]
pub fn interpreter(path: &Path) -> Option<PathBuf> {
    use std::io::Read;
    // Only what `execve` itself would read: a huge file must not be loaded for an error message.
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(64 * 1024).read_to_end(&mut head).ok()?;
    let named = match head.strip_prefix(b"#!") {
        Some(rest) => {
            let line = rest.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
            line.split(|byte| *byte == b' ' || *byte == b'\t').next()?
        }
        None => elf_loader(&head)?,
    };
    (!named.is_empty()).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(named)))
}

/// `PT_INTERP` of a 64-bit little-endian ELF file, which is what both supported processors have. Source: `elf(5)`.
fn elf_loader(file: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let raw = file.get(at..at.checked_add(bytes)?)?;
        Some(raw.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    (0..count).find_map(|index| {
        let header = usize::try_from(table.checked_add(index.checked_mul(size)?)?).ok()?;
        if number(header, 4)? != PT_INTERP {
            return None;
        }
        let at = usize::try_from(number(header.checked_add(8)?, 8)?).ok()?;
        let length = usize::try_from(number(header.checked_add(32)?, 8)?).ok()?;
        file.get(at..at.checked_add(length)?)?.split(|byte| *byte == 0).next()
    })
}

/// Duplicates of those descriptors that lie where the child will place others; `None` where the original serves.
fn above_target(fds: &[BorrowedFd<'_>]) -> io::Result<Vec<Option<OwnedFd>>> {
    let first_free = i32::try_from(fds.len()).unwrap_or(i32::MAX);
    fds.iter()
        .map(|fd| {
            let low = fd.as_raw_fd() < first_free;
            Ok(if low { Some(rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), first_free)?) } else { None })
        })
        .collect()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

fn limit(nofile: Nofile) -> libc::rlimit {
    libc::rlimit {
        rlim_cur: nofile.current.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: nofile.maximum.unwrap_or(libc::RLIM_INFINITY),
    }
}
