//! One started command and its output, in files: a pipe would stay open for as long as a daemon it leaked to.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::wait::patience;

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Exit code, or 128 and the signal's number, as a shell says it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output and standard error, one after the other.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A command that runs beside the test.
#[derive(Debug)]
pub struct Background {
    pub(crate) child: Child,
    pub(crate) call: String,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

impl Background {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; the process cannot have been waited for, so the number is its own.
    ///
    /// # Panics
    /// If it cannot be signalled.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(pid_of(&self.child), signal).expect("our own child can be signalled");
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Whether it has ended; [`Self::wait`] gives how.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(crate::state_of(self.child.id()), None | Some('Z'))
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When the deadline passes first, with what it said; it is killed then.
    pub fn wait(&mut self, deadline: Duration) -> Output {
        let status = wait_child(&mut self.child, deadline);
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        match status {
            Some(status) => Output { status, stdout, stderr },
            None => panic!("not within {deadline:?}: end of `{}`\n{stdout}{stderr}", self.call),
        }
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits for a child; after the deadline kills it and gives `None`.
pub(crate) fn wait_child(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    let held = rustix::process::pidfd_open(pid_of(child), PidfdFlags::empty()).expect("pidfd of our own child");
    let timeout = Timespec::try_from(patience(deadline)).ok();
    let mut polled = [PollFd::new(&held, PollFlags::IN)];
    // A signal to the test, such as that of a child's end, is no news; the deadline then begins anew.
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, timeout.as_ref())).unwrap_or(0);
    if ready == 0 {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    child.wait().ok()
}

/// A fresh file to write to, and its path.
pub(crate) fn capture(path: PathBuf) -> (File, PathBuf) {
    let file = File::options().create_new(true).append(true).open(&path).expect("a file for output");
    (file, path)
}
