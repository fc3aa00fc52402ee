//! What a process waits for, as far as `/proc` tells it: for the detection of hangs, and for explanations.

use std::fs;

/// So many threads of one process are looked at.
const THREADS: usize = 64;

/// The terminal that a process waits for somebody to type at, or, for `main`, its stdin if that is a pipe or a socket; `None` if it
/// does something else or nobody may know.
///
/// Source: `proc_pid_syscall(5)`, whose first numbers are the system call that the process is blocked in and its first
/// argument, and which only whoever may trace the process can read. Elsewhere `proc_pid_wchan(5)` has to do, which names the
/// function of the kernel, and standard input is taken for what is read. A program that waits for its terminal beside other things,
/// by `poll(2)` or the like, is not found: it may be waiting for these.
#[must_use]
pub fn reads_input(pid: u32, main: bool) -> Option<String> {
    let descriptor = match fs::read_to_string(format!("/proc/{pid}/syscall")) {
        Ok(line) => descriptor_read(&line)?,
        Err(_) => {
            let waits = wchan(pid)?;
            let reads = ["n_tty_read", "wait_woken", "pipe_read", "anon_pipe_read"].contains(&waits.as_str());
            reads.then_some(0)?
        }
    };
    let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
    let target = target.to_string_lossy();
    let is_terminal = ["/dev/pts/", "/dev/tty", "/dev/console"].iter().any(|start| target.starts_with(start));
    let is_stdin = main && descriptor == 0 && ["pipe:", "socket:"].iter().any(|start| target.starts_with(start));
    (is_terminal || is_stdin).then(|| target.into_owned())
}

/// The descriptor that is read, from a line of `/proc/PID/syscall`: `0 0x3 0x7ffd… …`.
fn descriptor_read(line: &str) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let reads = [libc::SYS_read, libc::SYS_readv].contains(&number);
    let first = words.next()?.strip_prefix("0x")?;
    reads.then(|| u64::from_str_radix(first, 16).ok()).flatten()
}

/// The function of the kernel in which a process waits; `None` if it waits for nothing or nobody may know.
///
/// Source: `proc_pid_wchan(5)`.
#[must_use]
pub fn wchan(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    Some(name).filter(|name| !name.is_empty() && name != "0")
}

/// How often the threads of a process have gone to sleep by themselves, all together; of the first 64, for what is compared are two
/// looks. 0 once it is gone.
///
/// Source: `voluntary_ctxt_switches` of `proc_pid_status(5)`.
#[must_use]
pub fn sleeps(pid: u32) -> u64 {
    let of_thread = |thread: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    crate::proc::threads(pid).into_iter().take(THREADS).filter_map(of_thread).sum()
}

/// How long the first thread of a process has waited for a CPU since its begin, nanoseconds; `None` where the kernel does not count it.
///
/// Source: second field of `/proc/PID/schedstat`, Documentation/scheduler/sched-stats.rst of the kernel.
#[must_use]
pub fn run_delay(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A process and its descendants, by the lists of children that the kernel keeps, at most `limit`, itself first. Costs no pass over
/// `/proc`; who was handed over to another parent is missing.
///
/// Source: `/proc/PID/task/TID/children`, `proc_pid_task(5)`.
#[must_use]
pub fn family(root: u32, limit: usize) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied().filter(|_| found.len() < limit) {
        at += 1;
        for thread in crate::proc::threads(pid).into_iter().take(THREADS) {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
            found.extend(text.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_told_from_other_calls() {
        let read = libc::SYS_read;
        assert_eq!(descriptor_read(&format!("{read} 0x3 0x7ffd12 0x400 0x0 0x0 0x0 0x7ffd 0x7f00")), Some(3));
        assert_eq!(descriptor_read(&format!("{} 0x3 0x1", libc::SYS_write)), None);
        assert_eq!(descriptor_read("running"), None);
        assert_eq!(descriptor_read("-1 0x7ffd 0x7f00"), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child of the test with a pipe for its stdin")]
    fn a_child_that_reads_its_stdin_is_found() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(reader).stdout(std::process::Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while reads_input(pid, true).is_none() {
            assert!(std::time::Instant::now() < end, "it reads, and {:?}", wchan(pid));
            std::thread::yield_now();
        }
        assert_eq!(reads_input(pid, false), None, "a pipe is input for the main process alone");
        assert!(family(std::process::id(), 1000).contains(&pid));
        assert!(sleeps(pid) > 0);
        drop(writer);
        child.wait().unwrap();
        assert_eq!((reads_input(pid, true), sleeps(pid)), (None, 0));
    }
}
