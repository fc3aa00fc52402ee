//! How a process ended that is nobody's to reap but somebody else's.

use std::fs;
use std::os::fd::AsFd;

use rustix::thread::CapabilitySet;

use crate::pidfd;
use crate::wait::Exit;

/// How the process behind `pidfd`, which had the number `pid`, has ended: while it waits to be reaped from its own
/// entry, afterwards from a kernel that keeps it (Linux 6.15). `None` as long as it lives, and where neither tells: then
/// it may do so later, until it is reaped.
///
/// Source: `proc_pid_stat(5)`, field 52; without the right to look at the process that is 0, which means nothing.
#[must_use]
pub fn exit(pid: u32, pidfd: impl AsFd) -> Option<Exit> {
    if !pidfd::has_exited(&pidfd).ok()? {
        return None;
    }
    let waiting = if may_look_at(pid) { exit_code(pid) } else { None };
    // Not reaped until now, so all that was read was its own.
    let waiting = waiting.filter(|_| pidfd::send_signal(&pidfd, 0).is_ok());
    waiting.map(Exit::of_status).or_else(|| pidfd::exit(&pidfd))
}

fn exit_code(pid: u32) -> Option<i32> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(&String::from_utf8_lossy(&text))
}

/// The name may hold blanks and parentheses; the field that follows it is the third.
fn parse(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(52 - 3)?.parse().ok()
}

/// Whether the kernel shows this process what only its owner may see. A process that has ended has nothing any more
/// that could be hidden from the user it ran as.
///
/// Source: `ptrace(2)`, "Ptrace access mode checking": every user and group id is the same, or `CAP_SYS_PTRACE`.
fn may_look_at(pid: u32) -> bool {
    let able = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    able || is_same_user(pid).unwrap_or(false)
}

fn is_same_user(pid: u32) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let same = |key: &str, own: u32| {
        let ids = text.lines().find_map(|line| line.strip_prefix(key))?;
        // Real, effective and saved.
        Some(ids.split_ascii_whitespace().take(3).all(|id| id == own.to_string()))
    };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Some(same("Uid:", uid)? && same("Gid:", gid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_of_a_zombie_is_read_and_not_invented() {
        for (script, expected) in
            [("exit 7", Exit::Code(7)), ("exit 0", Exit::Code(0)), ("kill -9 $$", Exit::Signal(9))]
        {
            let child = crate::spawn::tests::start(&["sh", "-c", &format!("read x; {script}")]).unwrap();
            // Its stdin is empty, so it may have ended already: both are fine.
            let before = exit(child.pid, &child.pidfd);
            assert!(before.is_none_or(|exit| exit == expected));
            let mut fds = [rustix::event::PollFd::new(&child.pidfd, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
            assert_eq!(exit(child.pid, &child.pidfd), Some(expected));
            let reaped = crate::wait::reap(child.pid, true).unwrap().unwrap();
            assert_eq!(reaped.exit, expected);
            assert!([None, Some(expected)].contains(&exit(child.pid, &child.pidfd)));
        }
    }

    #[test]
    fn another_users_process_may_not_be_looked_at_without_a_right() {
        // As root everything may; so only the comparison is looked at, on one that always is root's.
        let root = rustix::process::geteuid().is_root() && rustix::process::getegid().is_root();
        assert_eq!(is_same_user(1), Some(root));
        assert_eq!(is_same_user(std::process::id()), Some(true));
        assert_eq!(is_same_user(u32::MAX), None);
    }

    #[test]
    fn the_last_field_counts_from_the_name() {
        let fields = (3..=52).map(|at| at.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse(&format!("17 (a) b) (c) {fields}\n")), Some(52));
        assert_eq!(parse("17 (sh) Z 1 2"), None);
    }
}
