//! Emptying a group, whatever is in it.
//!
//! `cgroup.kill` alone is not complete: kernels up to 6.12.116, and 6.18.44, miss a process whose main thread has
//! ended. So: write it, look, and if something lives freeze the group and kill each member by its own descriptor,
//! write it again, and repeat. A frozen group still dies of SIGKILL, and nothing in it forks meanwhile.

use std::io;
use std::time::{Duration, Instant};

use super::Group;
use crate::proc;

/// How long the single write has to do it all.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// More than these take longer than that to die, which is no reason for a sweep as long as they become fewer.
const LARGE: usize = 64;
/// Nor is that waited for longer than this.
const DYING: Duration = Duration::from_secs(1);
/// Longest pause between two sweeps.
const LONGEST: Duration = Duration::from_millis(500);
/// After this much time the survivors are worth a report, and again after each such span.
const PATIENCE: Duration = Duration::from_secs(5);

/// An emptying that goes on. Never blocks: whoever owns it calls [`Killer::step`] when it is due.
#[derive(Debug)]
pub struct Killer {
    pause: Duration,
    next: Instant,
    report: Instant,
    /// Members at the last look that made no sweep.
    living: usize,
    /// Until when such a look is enough.
    dying: Instant,
    /// Set by the first sweep, until somebody has asked.
    swept: Option<bool>,
}

/// Result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No living process is left and the directory is removed.
    Empty,
    /// Call again when due, or when something is known to have changed.
    Again,
    /// As `Again`, and it has taken so long that the survivors should be reported.
    Stuck,
}

impl Killer {
    /// Kills with the single write.
    ///
    /// # Errors
    /// If even that write fails; the owner may step all the same, which kills one by one.
    pub fn start(group: &Group, now: Instant) -> (Self, io::Result<()>) {
        let result = group.kill();
        (Self::begun(now), result)
    }

    fn begun(now: Instant) -> Self {
        Self {
            pause: FIRST_LOOK,
            next: now + FIRST_LOOK,
            report: now + PATIENCE,
            living: usize::MAX,
            dying: now + DYING,
            swept: None,
        }
    }

    /// When the next step is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.next.min(self.report)
    }

    /// Looks, and if it is time kills again.
    pub fn step(&mut self, group: &Group, now: Instant) -> Step {
        if is_removed(group) {
            return Step::Empty;
        }
        if now >= self.next && self.gets_on(|| group.members().len(), now) {
            self.next = now + FIRST_LOOK;
        } else if now >= self.next {
            self.swept.get_or_insert(true);
            sweep(group);
            if is_removed(group) {
                return Step::Empty;
            }
            self.next = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST);
        }
        if now >= self.report {
            self.report = now + PATIENCE;
            return Step::Stuck;
        }
        Step::Again
    }

    /// Whether the single write is still doing its work: so many are left, and they become fewer.
    fn gets_on(&mut self, living: impl FnOnce() -> usize, now: Instant) -> bool {
        if self.swept.is_some() || now >= self.dying {
            return false;
        }
        let living = living();
        let before = std::mem::replace(&mut self.living, living);
        living > LARGE && living < before
    }

    /// Whether the single write was not enough and the first sweep has been made since this was last asked.
    pub fn began_to_sweep(&mut self) -> bool {
        self.swept.as_mut().is_some_and(|news| std::mem::replace(news, false))
    }

    /// Steps until the group is empty or the time is up; answers whether it is empty. Blocks.
    ///
    /// For a sweep before anything runs, and for a process that has nothing else left to do.
    #[must_use]
    pub fn run(group: &Group, limit: Duration) -> bool {
        let begin = Instant::now();
        // If the write failed, the sweeps do its work.
        let (mut killer, _failed) = Self::start(group, begin);
        let mut pause = Duration::from_micros(200);
        loop {
            let now = Instant::now();
            if killer.step(group, now) == Step::Empty {
                return true;
            }
            if now.duration_since(begin) >= limit {
                return false;
            }
            crate::process::pause(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

fn is_removed(group: &Group) -> bool {
    !group.populated().unwrap_or(true) && group.remove().is_ok()
}

fn sweep(group: &Group) {
    // Failures are not fatal here: the next step looks again, and what stays is reported as stuck.
    let _frozen = group.freeze(true);
    group.signal(libc::SIGKILL);
    let _killed = group.kill();
    crate::crash_point!("stop.swept");
}

/// A process that is still there, for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// State letter as in `/proc/PID/stat`.
    pub state: char,
    /// Kernel function it waits in, empty if not readable.
    pub wchan: String,
    /// Top of its kernel stack, innermost first, at most 8 names; empty if not readable (root only).
    pub stack: Vec<String>,
    /// The tracer's process id, 0 if none.
    pub tracer: u32,
    /// Command line, or its name in brackets.
    pub command: String,
}

/// What is known of these processes; those that are gone meanwhile are left out. At most `limit`.
#[must_use]
pub fn survivors(pids: &[u32], limit: usize) -> Vec<Survivor> {
    pids.iter().filter_map(|pid| survivor(*pid)).take(limit).collect()
}

fn survivor(pid: u32) -> Option<Survivor> {
    let stat = proc::stat(pid)?;
    let wchan = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    // The kernel names the thread that traces; the process that it belongs to is what people can find.
    let tracer = status_number(pid, b"TracerPid:").map(|thread| status_number(thread, b"Tgid:").unwrap_or(thread));
    Some(Survivor {
        pid,
        state: stat.state,
        // `0` is the kernel's way to say that it may not be known.
        wchan: if wchan == "0" { String::new() } else { wchan },
        stack: stack(pid),
        tracer: tracer.unwrap_or(0),
        command: proc::command(pid, 200).unwrap_or_else(|| format!("[{}]", stat.comm)),
    })
}

/// A number of `/proc/PID/status`. Source: `proc_pid_status(5)`.
fn status_number(pid: u32, field: &[u8]) -> Option<u32> {
    let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let value = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(field))?;
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// Lines are `[<0>] request_wait_answer+0x1a/0x2b0`. Source: `proc_pid_stack(5)`.
fn stack(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(1)?.split('+').next());
    names.take(8).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_tree_is_swept_once_it_becomes_no_smaller() {
        let now = Instant::now();
        let mut it = Killer::begun(now);
        assert!(it.gets_on(|| 1000, now) && it.gets_on(|| 400, now) && !it.gets_on(|| 400, now));
        assert!(!Killer::begun(now).gets_on(|| LARGE, now), "a small one had time enough");
        assert!(!Killer::begun(now).gets_on(|| 1000, now + DYING), "nor for ever");
        let mut it = Killer { swept: Some(false), ..Killer::begun(now) };
        assert!(!it.gets_on(|| 1000, now), "nor after a sweep");
    }
}
