//! From a login session, whose group belongs to the system, into a scope that the user's own systemd makes for us.
//!
//! A process outside of a delegated group cannot move itself into one: only systemd can, and `systemd-run --scope` has
//! it move the caller. So a copy of this keeper is started through it, with the lock and the ready descriptor. Once
//! that copy has found its place, it asks to go on and this process ends; if nothing comes of it, the copy is ended
//! and this process goes on without.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_sys::process::Nofile;
use kennel_sys::spawn::{Child, Exec, Spawner};
use kennel_sys::{pidfd, wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::daemon::environment;
use crate::start::{Options, Setup, note};

/// How long systemd may take. The client waits three times as long for everything.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the copy says when it is where it should be.
const ENTERED: &str = "entered";
/// Most that is read of what is said instead.
const MOST: usize = 4096;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The copy goes on; this process has nothing more to do.
    Elsewhere,
    /// Why not, in one line; nothing is left of the try.
    No(String),
    /// No systemd runs for this user.
    NobodyThere,
}

/// Has the user's systemd make a scope and goes on there.
pub(crate) fn ask(options: &Options, setup: &Setup, ready: &OwnedFd) -> Answer {
    let Some(runtime) = user_manager() else { return Answer::NobodyThere };
    match start(options, setup, ready, &runtime) {
        Ok(copy) => copy.wait(),
        Err(error) => Answer::No(format!("systemd-run: {error}")),
    }
}

/// The runtime directory in which a user's systemd listens.
fn user_manager() -> Option<PathBuf> {
    let uid = rustix::process::geteuid();
    let set = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = set.into_iter().chain([PathBuf::from(format!("/run/user/{}", uid.as_raw()))]);
    candidates.into_iter().find(|dir| !uid.is_root() && dir.join("systemd/private").exists())
}

/// A keeper on its way into a scope.
struct Copy {
    child: Child,
    /// What it and `systemd-run` have to say.
    words: File,
    /// Closed when it may go on.
    hold: OwnedFd,
}

fn start(options: &Options, setup: &Setup, ready: &OwnedFd, runtime: &Path) -> io::Result<Copy> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let ((words, theirs), (gate, hold)) = (pipe()?, pipe()?);
    let argv = in_scope(&options.name, &arguments(options, setup.follows_a_loss))?;
    let fds = [gate.as_fd(), setup.null.as_fd(), theirs.as_fd(), ready.as_fd(), setup.lock.as_fd()];
    let child = spawn(&argv, &fds, setup.nofile, runtime)?;
    Ok(Copy { child, words: words.into(), hold })
}

/// Runs this program with a verb in a scope as [`ask`] would get it, to its end, and gives what was said, there and by
/// `systemd-run`. `None`: no systemd runs for this user.
pub(crate) fn output(name: &OsStr, verb: &[OsString]) -> Option<String> {
    let runtime = user_manager()?;
    let run = || -> io::Result<String> {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let ((words, theirs), (null, hold)) = (pipe()?, pipe()?);
        let argv = in_scope(name, verb)?;
        let child = spawn(&argv, &[null.as_fd(), theirs.as_fd(), theirs.as_fd()], None, &runtime)?;
        drop((theirs, null));
        let mut copy = Copy { child, words: words.into(), hold };
        let said = copy.listen();
        copy.end();
        Ok(said)
    };
    Some(run().unwrap_or_else(|error| format!("systemd-run: {error}")))
}

fn spawn(argv: &[CString], fds: &[BorrowedFd<'_>], nofile: Option<Nofile>, runtime: &Path) -> io::Result<Child> {
    // It may not be set, or to another directory; our own were worked out before.
    let mut env = environment()?;
    env.retain(|entry| !entry.to_bytes().starts_with(b"XDG_RUNTIME_DIR="));
    let mut entry = OsString::from("XDG_RUNTIME_DIR=");
    entry.push(runtime);
    env.push(CString::new(entry.into_vec())?);
    let exec = Exec { nofile, ..Exec::new(argv, &env, fds) };
    Spawner::new()?.spawn(&exec).map_err(|failure| io::Error::from_raw_os_error(failure.errno))
}

fn in_scope(name: &OsStr, verb: &[OsString]) -> io::Result<Vec<CString>> {
    let mut unit = OsString::from("--unit=kennel-");
    unit.push(name);
    unit.push(format!("-{}.scope", std::process::id()));
    let mut description = OsString::from("--description=kennel ");
    description.push(name);
    let mut words: Vec<OsString> =
        ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"].map(Into::into).into();
    words.extend([unit, description, "--".into(), std::env::current_exe()?.into_os_string()]);
    words.extend_from_slice(verb);
    words.into_iter().map(|word| Ok(CString::new(word.into_vec())?)).collect()
}

fn arguments(options: &Options, after_loss: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["__keeper".into()];
    words.extend(["--name".into(), options.name.clone()]);
    words.extend(["--state-dir".into(), options.state_dir.clone().into_os_string()]);
    words.extend(["--runtime-dir".into(), options.runtime_dir.clone().into_os_string()]);
    let after_loss = if after_loss { "yes" } else { "no" };
    words.extend(["--ready-fd", "3", "--lock-fd", "4", "--after-loss", after_loss].map(Into::into));
    words
}

impl Copy {
    fn wait(mut self) -> Answer {
        let said = self.listen();
        if said.lines().any(|line| line == ENTERED) {
            // It was us that held it; now it is the keeper.
            drop(self.hold);
            return Answer::Elsewhere;
        }
        // It waits for our word, so whatever it has made is empty directories in its own scope.
        self.end();
        let first = said.lines().find(|line| !line.trim().is_empty());
        let first = first.map_or_else(|| format!("no answer within {} s", PATIENCE.as_secs()), str::to_owned);
        Answer::No(format!("systemd-run --user --scope: {first}"))
    }

    /// Ends it where it stands.
    fn end(&self) {
        let _gone = pidfd::send_signal(&self.child.pidfd, Signal::KILL.as_raw());
        if let Err(error) = wait::reap(self.child.pid, true) {
            note!("cannot reap systemd-run: {error}");
        }
    }

    /// What is said until it is enough, or until nobody can say any more, or for too long.
    fn listen(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        let complete = |said: &[u8]| said.split(|byte| *byte == b'\n').any(|line| line == ENTERED.as_bytes());
        while said.len() < MOST && !complete(&said) {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
            match poll(&mut [PollFd::new(&self.words, PollFlags::IN)], Some(&left)) {
                Ok(0) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Ok(_) | Err(_) => {}
            }
            let mut part = [0; 512];
            match self.words.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(part.get(..length).unwrap_or_default()),
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// In the copy: the process that started it through systemd.
#[derive(Debug)]
pub(crate) struct Asker {
    words: File,
    gate: File,
}

impl Asker {
    /// Takes over standard input and errors, before they are replaced.
    ///
    /// # Errors
    /// If no more descriptors can be had.
    pub(crate) fn of_stdio() -> io::Result<Self> {
        let words = rustix::stdio::stderr().try_clone_to_owned()?;
        Ok(Self { words: words.into(), gate: rustix::stdio::stdin().try_clone_to_owned()?.into() })
    }

    /// What it has open.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.words.as_fd(), self.gate.as_fd()]
    }

    /// Says that a place is found and waits to be let go: until then the other one may still end us.
    pub(crate) fn entered(mut self) {
        let _gone = self.words.write_all(format!("{ENTERED}\n").as_bytes());
        // It only ever closes this, or ends, which is the same.
        let _closed = self.gate.read(&mut [0]);
    }

    /// Says why there is no place in the scope either.
    pub(crate) fn refused(mut self, because: &str) {
        let _gone = self.words.write_all(format!("{because}\n").as_bytes());
    }
}
