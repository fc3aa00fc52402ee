//! Sums over processes, where no controller keeps a total.

use std::io::Write as _;

use rustix::fs::{Mode, OFlags};

use super::kept::{number, value};

/// What was read of each of several processes, together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slow {
    pub(super) threads: Option<u32>,
    pub(super) open_files: Option<u32>,
    /// Bytes read from disks and written to them.
    pub(super) disk: Option<(u64, u64)>,
}

/// The members of a scope, look by look.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Sorted.
    pids: Vec<u32>,
}

impl Members {
    /// Those of the last look, sorted.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Takes those of this look; tells how many were not there at the last one.
    pub(super) fn update(&mut self, mut pids: Vec<u32>) -> u32 {
        pids.sort_unstable();
        let newcomers = pids.iter().filter(|pid| self.pids.binary_search(pid).is_err()).count();
        self.pids = pids;
        u32::try_from(newcomers).unwrap_or(u32::MAX)
    }
}

/// Disk traffic of a scope that nobody counts as a whole: what was last seen of processes that have ended stays in it, at least.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    read: Total,
    written: Total,
}

impl Traffic {
    /// Adds what the living have read and written up to now; tells both totals, bytes.
    pub(super) fn update(&mut self, (read, written): (u64, u64)) -> (u64, u64) {
        (self.read.update(read), self.written.update(written))
    }
}

/// A sum over the living that does not fall when some of them end.
#[derive(Debug, Default)]
struct Total {
    living: u64,
    gone: u64,
}

impl Total {
    fn update(&mut self, living: u64) -> u64 {
        self.gone += self.living.saturating_sub(living);
        self.living = living;
        living + self.gone
    }
}

/// Resident memory of these processes together, bytes; none if none can be read. Pages that several share count for each.
///
/// Source: `proc_pid_statm(5)`: the second number, pages.
pub(super) fn resident(pids: &[u32]) -> Option<u64> {
    let page = rustix::param::page_size() as u64;
    let mut sum = None;
    for pid in pids {
        let mut buffer = [0; 128];
        let pages = read(*pid, "statm", &mut buffer).and_then(|text| number(text.split(|byte| *byte == b' ').nth(1)?));
        if let Some(pages) = pages {
            sum = Some(sum.unwrap_or(0) + pages * page);
        }
    }
    sum
}

/// Threads, descriptors and disk traffic of these processes.
pub(super) fn slow(pids: &[u32]) -> Slow {
    let mut slow = Slow::default();
    for pid in pids {
        if let Some(threads) = threads(*pid) {
            slow.threads = Some(slow.threads.unwrap_or(0) + threads);
        }
        slow.open_files = slow.open_files.max(open_files(*pid));
        if let Some((read, written)) = disk(*pid) {
            let (before_read, before_written) = slow.disk.unwrap_or_default();
            slow.disk = Some((before_read + read, before_written + written));
        }
    }
    slow
}

/// Threads of a process: the links of its directory of threads, beside the two that every directory has.
///
/// Source: `proc_task_getattr` of Linux `fs/proc/base.c`.
fn threads(pid: u32) -> Option<u32> {
    let mut path = [0; 40];
    let stat = rustix::fs::stat(path_of(pid, "task", &mut path)?).ok()?;
    u32::try_from(stat.st_nlink).ok()?.checked_sub(2)
}

/// Open descriptors of a process; none if they may not be looked at.
///
/// Source: `proc_pid_fd(5)`: since Linux 6.2 the size of the directory; before, it is read.
#[must_use]
pub fn open_files(pid: u32) -> Option<u32> {
    let mut path = [0; 40];
    let path = path_of(pid, "fd", &mut path)?;
    let size = rustix::fs::stat(path).ok()?.st_size;
    if size > 0 {
        return u32::try_from(size).ok();
    }
    let count = std::fs::read_dir(std::str::from_utf8(path).ok()?).ok()?.count();
    u32::try_from(count).ok()
}

/// Bytes that a process and the children it has waited for have read from disks and written to them; none if that may not be
/// looked at.
///
/// Source: `proc_pid_io(5)`; `wait_task_zombie` of Linux `kernel/exit.c` adds those of the child.
#[must_use]
pub fn disk(pid: u32) -> Option<(u64, u64)> {
    let mut buffer = [0; 512];
    let text = read(pid, "io", &mut buffer)?;
    Some((value(text, b"read_bytes:")?, value(text, b"write_bytes:")?))
}

/// Memory of a process with its share of what it has in common with others, bytes; none if that may not be looked at. Expensive:
/// the kernel walks all of its pages.
///
/// Source: `proc_pid_smaps_rollup(5)`.
#[must_use]
pub fn proportional(pid: u32) -> Option<u64> {
    let mut buffer = [0; 2048];
    let text = read(pid, "smaps_rollup", &mut buffer)?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Pss:"))?;
    Some(number(line.trim_ascii_start())? * 1024)
}

/// Begin of a file of a process.
fn read<'a>(pid: u32, name: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = [0; 40];
    let path = path_of(pid, name, &mut path)?;
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let length = rustix::io::read(&file, &mut *buffer).ok()?;
    buffer.get(..length)
}

/// `/proc/PID/NAME`, without a `String` for each.
fn path_of<'a>(pid: u32, name: &str, path: &'a mut [u8; 40]) -> Option<&'a [u8]> {
    let mut rest: &mut [u8] = path;
    write!(rest, "/proc/{pid}/{name}").ok()?;
    let left = rest.len();
    path.get(..40 - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ended_have_read_is_kept() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.update((10, 100)), (10, 100));
        assert_eq!(traffic.update((4, 120)), (10, 120));
        assert_eq!(traffic.update((5, 120)), (11, 120));
    }

    #[test]
    fn newcomers_are_those_that_were_not_there() {
        let mut members = Members::default();
        assert_eq!(members.update(vec![3, 1]), 2);
        assert_eq!(members.update(vec![1, 2, 3]), 1);
        assert_eq!(members.update(vec![2]), 0);
        assert_eq!(members.update(vec![1, 2]), 1);
        assert_eq!(members.pids(), [1, 2]);
    }

    #[test]
    fn this_process_is_counted() {
        let own = std::process::id();
        let before = open_files(own).unwrap();
        let more: Vec<_> = (0..40).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close files beside this one.
        assert!(open_files(own).unwrap() >= before + 20, "{before}");
        drop(more);
        assert!(threads(own).unwrap() >= 1);
        assert!(disk(own).is_some());
        let resident = resident(&[own]).unwrap();
        let told = crate::proc::stat(own).unwrap().rss_bytes;
        assert!(resident.abs_diff(told) < 64 << 20, "{resident} {told}");
        assert_eq!(super::resident(&[]), None);
    }
}
