//! Reads `/proc`: who is in a scope and what it uses. For eyes and receipts; nothing is signalled from here.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use crate::listening::Protocol;

/// What `/proc/PID/stat` says of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// State letter, for example `S`, `Z`, `D`, `t`.
    pub state: char,
    /// Name, at most 15 bytes.
    pub comm: String,
    /// User plus system CPU time, clock ticks.
    pub cpu_ticks: u64,
    /// The same of the children that it has waited for, and of those that they had waited for.
    pub waited_ticks: u64,
    /// Threads that are not reaped, the main thread included; 0 once the process is reaped itself.
    pub threads: u32,
    /// Begin, clock ticks since boot.
    pub start_ticks: u64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// Whether `/proc` shows the PID namespace that this process is in. Where it shows another one its numbers are those
/// of other processes.
#[must_use]
pub fn is_of_this_namespace() -> bool {
    let own = std::process::id().to_string();
    fs::read_link("/proc/self").is_ok_and(|target| target.as_os_str() == own.as_str())
}

/// Reads one process; `None` once it is gone.
///
/// Source: `proc_pid_stat(5)`; the name may hold blanks and parentheses, so fields are counted from its last `)`.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    read_stat(&format!("/proc/{pid}/stat"))
}

/// State letter of one thread of a process; `None` once it is gone.
///
/// Source: `proc_pid_task(5)`. That of the main thread is in [`stat`], too.
#[must_use]
pub fn thread_state(pid: u32, thread: u32) -> Option<char> {
    read_stat(&format!("/proc/{pid}/task/{thread}/stat")).map(|stat| stat.state)
}

/// Threads of a process, by number, a main thread that has ended included; none once the process is gone.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

fn read_stat(path: &str) -> Option<Stat> {
    let file = fs::File::open(path).ok()?;
    // One read gets it all: 52 numbers and a name.
    let mut line = [0; 2048];
    let length = rustix::io::read(&file, &mut line).ok()?;
    parse_stat(line.get(..length)?)
}

pub(crate) fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(bytes);
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let pid = text.get(..open)?.trim().parse().ok()?;
    let comm = text.get(open + 1..close)?.to_owned();
    // From field 3, the state, on; each step skips what nobody here wants.
    let mut fields = text.get(close + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        comm,
        state,
        ppid: u32::try_from(number(0)?).ok()?,
        cpu_ticks: number(9)? + number(0)?,
        waited_ticks: number(0)? + number(0)?,
        // Priorities may be negative, so what is skipped is not read as a number.
        threads: u32::try_from(number(2)?).ok()?,
        start_ticks: number(1)?,
        rss_bytes: number(1)? * rustix::param::page_size() as u64,
    })
}

/// Real, effective, saved and file system user id of a process; `None` once it is gone.
///
/// Source: `proc_pid_status(5)`.
#[must_use]
pub fn user_ids(pid: u32) -> Option<[u32; 4]> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line.split_ascii_whitespace().map(|id| id.parse().ok());
    Some([ids.next()??, ids.next()??, ids.next()??, ids.next()??])
}

/// The command line with blanks between its arguments, cut at `limit` characters, or the name in brackets for a
/// zombie or a kernel thread; `None` once the process is gone.
#[must_use]
pub fn command(pid: u32, limit: usize) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let trimmed = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    if trimmed.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        return Some(format!("[{}]", name.trim_end()));
    }
    let text = String::from_utf8_lossy(trimmed);
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(limit).collect())
}

/// Members of a cgroup and of every group below it, in no order. Zombies are not listed by the kernel.
#[must_use]
pub fn cgroup_members(leaf: &Path) -> Vec<u32> {
    crate::cgroup::members(leaf)
}

/// All descendants of `root`, without it, zombies included.
///
/// One pass over `/proc`: a process that is being forked meanwhile may be missing.
#[must_use]
pub fn descendants(root: u32) -> Vec<Stat> {
    Tree::read().below(root)
}

/// All processes of the machine by their parents, as one pass over `/proc` has found them.
#[derive(Debug)]
pub struct Tree(HashMap<u32, Vec<Stat>>);

impl Tree {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(stat) = pid.and_then(stat) {
                children.entry(stat.ppid).or_default().push(stat);
            }
        }
        Self(children)
    }

    /// All descendants of `root`, without it, zombies included.
    #[must_use]
    pub fn below(&self, root: u32) -> Vec<Stat> {
        let mut found: Vec<Stat> = Vec::new();
        let (mut open, mut met) = (vec![root], HashSet::from([root]));
        while let Some(pid) = open.pop() {
            for child in self.0.get(&pid).into_iter().flatten() {
                // A number that was used again during the pass could close a circle.
                if met.insert(child.pid) {
                    open.push(child.pid);
                    found.push(child.clone());
                }
            }
        }
        found
    }
}

/// Children of a process that have ended and that it has not waited for, whichever of its threads made them. None on a kernel that does not tell
/// children.
///
/// Source: `proc_tid_children(5)`.
#[must_use]
pub fn zombie_children(pid: u32) -> Vec<Stat> {
    let children = threads(pid)
        .into_iter()
        .filter_map(|thread| fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.into_iter().filter_map(stat).filter(|stat| stat.ppid == pid && has_ended(stat)).collect()
}

/// How long the machine has run; start times are counted in it.
///
/// Source: `proc_uptime(5)`.
#[must_use]
pub fn uptime() -> Option<std::time::Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    text.split(['.', ' ']).next()?.parse().ok().map(std::time::Duration::from_secs)
}

/// Whether `root` is the parent of a process, or of its parent, and so on.
///
/// Answers for the process that has `pid` now: with a pidfd open, and the identity checked before and after, for that
/// process. A number on the way that is used again does not mislead: a parent is believed only if its child is still
/// its child after it was looked at, for a process that ends hands its children over first.
#[must_use]
pub fn is_descendant(pid: u32, root: u32) -> bool {
    // What is handed over meanwhile is looked at anew; a tree that changes all the time is given up.
    (0..100).find_map(|_| climb(pid, root)).unwrap_or(false)
}

/// `None` if something changed on the way.
fn climb(pid: u32, root: u32) -> Option<bool> {
    let Some(mut at) = stat(pid) else { return Some(false) };
    // A chain is as long as a machine has processes at most.
    for _ in 0..65_536 {
        if at.ppid == root {
            return Some(true);
        }
        if at.ppid == 0 {
            return Some(false);
        }
        let above = stat(at.ppid)?;
        let still = stat(at.pid)?;
        if (still.ppid, still.start_ticks) != (at.ppid, at.start_ticks) {
            return None;
        }
        at = above;
    }
    Some(false)
}

/// Every process that can be seen, zombies included, by one pass over `/proc`.
#[must_use]
pub fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Parents of a process, the nearest first, as they are now. For explanations; [`is_descendant`] is for decisions.
#[must_use]
pub fn ancestors(pid: u32) -> Vec<Stat> {
    let mut found: Vec<Stat> = Vec::new();
    let mut at = stat(pid);
    while let Some(parent) = at.map(|stat| stat.ppid).filter(|parent| *parent != 0) {
        // A loop cannot be, but what changes while it is read may look like one.
        if found.iter().any(|stat| stat.pid == parent) {
            break;
        }
        at = stat(parent);
        found.extend(at.clone());
    }
    found
}

/// Whether nothing of a process runs any more. A zombie whose main thread alone has ended looks the same in
/// `/proc/PID/stat`, and lives on in its other threads.
#[must_use]
pub fn has_ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X') && stat.threads <= 1
}

/// User id that a process runs as; `None` once it is gone.
#[must_use]
pub fn owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).ok().map(|meta| meta.uid())
}

/// Clock ticks in a second, for [`Stat::cpu_ticks`].
#[must_use]
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// When this machine was booted, seconds since the epoch, by its clock as it is now; with [`Stat::start_ticks`] the time
/// of a start.
///
/// Source: `btime` of `proc_stat(5)`.
#[must_use]
pub fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|value| value.trim().parse().ok())
}

/// The process that listens on a TCP port of this machine, if it can be told.
///
/// Asks the kernel for the socket, then looks for its inode among the descriptors of every process that may be read. Where somebody listens it costs a
/// scan of `/proc`, so it is for explaining failures, not for polling.
#[must_use]
pub fn tcp_listener(port: u16) -> Option<Listener> {
    let (uid, inode) = match crate::listening::listening(&[Protocol::Tcp]) {
        Ok(sockets) => sockets.iter().find(|socket| socket.port == port).map(|socket| (socket.uid, socket.inode)),
        // Not every kernel can be asked; the tables are slower and say the same.
        Err(_) => ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .find_map(|text| listening(&text, port)),
    }?;
    let wanted = format!("socket:[{inode}]");
    let holder = fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut fds = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        fds.any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())).then_some(pid)
    });
    Some(Listener { pid: holder, command: holder.and_then(|pid| command(pid, 80)), uid })
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The first process found with the socket; `None` where it belongs to another user.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: Option<String>,
    /// The user that has made the socket.
    pub uid: u32,
}

/// User and inode of a listening socket. Source: `proc_pid_net(5)`, which `proc(5)` describes as `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Option<(u32, u64)> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        listens.then(|| Some((fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?))).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = b"42 (a) b (c) S 7 42 42 0 -1 0 0 0 0 0 3 4 8 9 20 -5 6 0 99 0 2 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.ppid, stat.state, stat.comm.as_str()), (7, 'S', "a) b (c"));
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (7, 6, 99));
        assert_eq!(stat.waited_ticks, 17);
        assert!(parse_stat(b"garbage").is_none());
    }

    #[test]
    fn this_process_is_found() {
        let me = stat(std::process::id()).unwrap();
        assert!(me.rss_bytes > 0);
        assert_eq!(user_ids(me.pid).unwrap()[1], rustix::process::geteuid().as_raw());
        assert!(command(std::process::id(), 200).unwrap().contains("kennel"));
    }

    #[test]
    fn ancestors_are_found() {
        let child = crate::spawn::tests::start(&["sleep", "600"]).unwrap();
        assert!(is_descendant(child.pid, std::process::id()));
        let above = stat(std::process::id()).unwrap().ppid;
        assert!(above == 0 || is_descendant(child.pid, above));
        assert!(!is_descendant(std::process::id(), child.pid));
        assert!(!is_descendant(child.pid, child.pid));
        crate::pidfd::send_signal(&child.pidfd, libc::SIGKILL).unwrap();
        crate::wait::reap(child.pid, true).unwrap();
        assert!(!is_descendant(child.pid, std::process::id()));
    }

    // covers: D4
    #[test]
    fn a_zombie_is_found_with_who_should_wait_for_it() {
        let child = crate::spawn::tests::start(&["true"]).unwrap();
        while !crate::pidfd::has_exited(&child.pidfd).unwrap() {
            std::thread::yield_now();
        }
        let found = zombie_children(std::process::id());
        assert!(found.iter().any(|stat| stat.pid == child.pid && stat.state == 'Z'), "{found:?}");
        crate::wait::reap(child.pid, true).unwrap();
        assert!(!zombie_children(std::process::id()).iter().any(|stat| stat.pid == child.pid));
        assert!(uptime().unwrap().as_secs() > 0);
    }

    #[test]
    fn a_listener_is_named() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let listener = tcp_listener(port).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!((listener.pid, listener.uid), (Some(std::process::id()), own));
        drop(socket);
        assert!(tcp_listener(port).is_none());
    }
}
