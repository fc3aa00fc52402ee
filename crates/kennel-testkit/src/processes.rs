//! Processes as `/proc` shows them, and signals that cannot hit another one.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

/// One process with a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Process id.
    pub pid: u32,
    /// Begin, clock ticks since boot: a number alone is another process's soon enough where thousands are made.
    pub start_ticks: u64,
    /// Parent's process id.
    pub ppid: u32,
    /// State letter of its first thread.
    pub state: char,
    /// Whether any thread of it lives: a zombie first thread alone does not make a dead process.
    pub living: bool,
    /// Soft `RLIMIT_LOCKS`, which `kennel-badchild --cell N` sets; `None` where unlimited.
    pub cell: Option<u64>,
    /// Hard `RLIMIT_MSGQUEUE`; `None` where unlimited.
    pub(crate) mark: Option<u64>,
    /// Arguments joined by blanks, or the name in brackets.
    pub command: String,
}

impl Seen {
    /// Whether it exited and nobody has waited for it yet.
    #[must_use]
    pub fn zombie(&self) -> bool {
        !self.living
    }

    /// How long it has been there.
    ///
    /// # Panics
    /// If `/proc/uptime` cannot be read.
    #[must_use]
    pub fn age(&self) -> Duration {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc/uptime");
        let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
        let ticks = rustix::param::clock_ticks_per_second();
        Duration::from_secs_f64((uptime - self.start_ticks as f64 / ticks as f64).max(0.0))
    }

    /// First argument after the program's name.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.command.split(' ').nth(1).unwrap_or_default()
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (parent {}, state {}) {}", self.pid, self.ppid, self.state, self.command)
    }
}

/// Reads one process; `None` if it is gone.
pub(crate) fn look(pid: u32) -> Option<Seen> {
    let limits = limits(pid)?;
    read(pid, &limits)
}

/// A process, as far as one mark goes.
pub(crate) enum Marked {
    /// It has the mark.
    Yes(Seen),
    /// It has not.
    No,
    /// It was gone before that could be told.
    Gone,
}

/// Reads one process if it has this mark. Most have not, and more than their limits is not read then.
pub(crate) fn look_marked(pid: u32, mark: u64) -> Marked {
    match limits(pid) {
        Some(limits) if limit(&limits, MARK)[1] == Some(mark) => read(pid, &limits).map_or(Marked::Gone, Marked::Yes),
        Some(_) => Marked::No,
        None => Marked::Gone,
    }
}

/// The resource limit that is the mark.
const MARK: &str = "Max msgqueue size";

/// To be read first: they are gone once a zombie has been waited for, and what has none is not ours.
fn limits(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()
}

fn read(pid: u32, limits: &str) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (front, back) = stat.rsplit_once(')')?;
    let mut fields = back.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    // Field 22 of `proc_pid_stat(5)`; the parent was the fourth.
    let start_ticks = fields.nth(17)?.parse().ok()?;
    let mut living = !matches!(state, 'Z' | 'X');
    if !living {
        // A zombie leader whose other threads run on shows them here; a dead process only itself.
        living = std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1);
    }
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = match arguments.is_empty() {
        true => format!("[{}]", front.split_once('(').map_or("", |(_, name)| name)),
        false => String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " "),
    };
    let [_, mark] = limit(limits, MARK);
    let [cell, _] = limit(limits, "Max file locks");
    Some(Seen { pid, start_ticks, ppid, state, living, cell, mark, command })
}

/// Soft and hard value of one line of `/proc/PID/limits`.
fn limit(limits: &str, name: &str) -> [Option<u64>; 2] {
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut values = line.split_whitespace().map(|value| value.parse().ok());
    [values.next().flatten(), values.next().flatten()]
}

/// All process ids of the moment.
pub(crate) fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Children of this process, those that came to it as orphans included.
pub(crate) fn children() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// State letter of a process, `None` if it is gone.
#[must_use]
pub fn state_of(pid: u32) -> Option<char> {
    look(pid).map(|seen| seen.state)
}

/// Takes hold of a process and gives its descriptor only if it is still the one that was seen: the mark is read
/// again after the descriptor was opened.
pub(crate) fn hold(seen: &Seen) -> Option<OwnedFd> {
    let pid = i32::try_from(seen.pid).ok().and_then(Pid::from_raw)?;
    let held = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let again = look(seen.pid)?;
    (again.mark == seen.mark && again.mark.is_some()).then_some(held)
}

/// Sends a signal to a process that carries a mark.
///
/// # Panics
/// If it is gone or is another process by now: the test would not test what it says.
pub fn send(seen: &Seen, signal: Signal) {
    let held = hold(seen).unwrap_or_else(|| panic!("gone before the signal: {seen}"));
    if let Err(error) = rustix::process::pidfd_send_signal(&held, signal) {
        panic!("cannot signal {seen}: {error}");
    }
}

/// Sends a signal to a process that carries a mark, if it is still there; whether it was.
pub fn try_send(seen: &Seen, signal: Signal) -> bool {
    hold(seen).is_some_and(|held| rustix::process::pidfd_send_signal(&held, signal).is_ok())
}
