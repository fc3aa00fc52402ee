//! Steps at which the tests kill kennel. Compiled only with the feature `crash-points`, which no release has:
//! without it [`crash_point!`](crate::crash_point) is nothing, and this file is not there.
//!
//! A process that reaches the step which `KENNEL_CRASH_AT` names (`spawn.cloned`, or `spawn.cloned:3` for the third
//! time) kills itself, as if somebody had done it from outside at that very instruction. `KENNEL_CRASH_MARK` names a
//! file that is made before, and while it is there nobody kills itself any more: one crash for a test, and a proof that
//! the step was reached. With `KENNEL_CRASH_BOTH` the other one of keeper and daemon is killed first. With
//! `KENNEL_CRASH_PANIC` it panics instead, as a defect would.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{pidfd, proc, process};

/// Where a step can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// With every containment.
    Any,
    /// With a cgroup for each scope, and nothing else.
    Cgroup,
    /// With a process that holds each scope together: a reaper, or the first of a PID namespace.
    Holder,
    /// Only when a daemon asks for it: the keeper's own tests play such a one.
    Asked,
}

/// Every step there is, in the order in which a stack meets them.
pub const POINTS: &[(&str, Where)] = &[
    // The keeper starts.
    ("start.locked", Where::Any),
    ("start.placed", Where::Any),
    ("start.daemon-started", Where::Any),
    ("start.hello-heard", Where::Any),
    ("start.welcomed", Where::Any),
    // The daemon starts.
    ("store.committed", Where::Any),
    ("daemon.store-open", Where::Any),
    ("daemon.connected", Where::Any),
    ("daemon.listening", Where::Any),
    ("daemon.ready", Where::Any),
    // A service starts.
    ("daemon.accepted", Where::Any),
    ("daemon.spawn-sent", Where::Any),
    ("spawn.group-made", Where::Cgroup),
    ("spawn.cloned", Where::Cgroup),
    ("spawn.reaper-forked", Where::Holder),
    ("spawn.recorded", Where::Any),
    ("spawn.answered", Where::Any),
    ("reaper.forked", Where::Holder),
    ("reaper.ready", Where::Holder),
    ("reaper.main-started", Where::Holder),
    ("reaper.told", Where::Holder),
    // A service stops.
    ("stop.signalled", Where::Any),
    ("stop.kill-written", Where::Cgroup),
    ("stop.swept", Where::Cgroup),
    ("stop.leaf-removed", Where::Cgroup),
    ("reaper.kill-begun", Where::Holder),
    ("reaper.emptied", Where::Holder),
    ("stop.kill-asked", Where::Holder),
    ("stop.reaped", Where::Any),
    ("stop.emptied", Where::Any),
    ("stop.told", Where::Any),
    ("daemon.exit-heard", Where::Any),
    ("daemon.forget-sent", Where::Any),
    ("daemon.receipt-made", Where::Any),
    ("daemon.recorded", Where::Any),
    // The daemon is lost, and another takes over.
    ("restart.lost", Where::Any),
    ("restart.started", Where::Any),
    ("daemon.inherited", Where::Any),
    // A daemon hands over to its successor.
    ("handover.successor-started", Where::Asked),
    ("handover.told", Where::Asked),
    ("handover.released", Where::Asked),
    ("handover.settled", Where::Asked),
    ("daemon.let-go", Where::Asked),
    // A daemon takes over what a lost keeper kept.
    ("adopt.taken", Where::Asked),
    // Output of a service that is kept is recorded.
    ("logs.moved", Where::Asked),
    ("logs.appended", Where::Asked),
    ("logs.marked", Where::Asked),
    // The keeper replaces its own program.
    ("exec.asked", Where::Asked),
    ("exec.checked", Where::Asked),
    ("exec.replaced", Where::Asked),
    ("exec.resumed", Where::Asked),
    // The keeper is lost.
    ("daemon.keeper-lost", Where::Any),
    ("daemon.swept", Where::Any),
    // Everything ends.
    ("store.synced", Where::Any),
    ("store.closing", Where::Any),
    ("shutdown.saved", Where::Any),
    ("daemon.bye", Where::Any),
    ("shutdown.reported", Where::Any),
    ("end.bye-heard", Where::Any),
    ("end.place-removed", Where::Any),
];

/// Whether a step is in the list; at compile time, so that a name with a slip does not compile.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
pub const fn is_known(name: &str) -> bool {
    let mut at = 0;
    while at < POINTS.len() {
        if same(POINTS[at].0.as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A step has been reached: ends this process if it is the one that is asked for.
pub fn reach(name: &str) {
    let Some(wanted) = std::env::var_os("KENNEL_CRASH_AT") else { return };
    let wanted = wanted.to_string_lossy();
    let (wanted, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted != name || COUNT.fetch_add(1, Ordering::Relaxed) + 1 != count.parse().unwrap_or(1) {
        return;
    }
    if let Some(mark) = std::env::var_os("KENNEL_CRASH_MARK")
        && OpenOptions::new().write(true).create_new(true).open(mark).is_err()
    {
        return;
    }
    if std::env::var_os("KENNEL_CRASH_BOTH").is_some_and(|both| !both.is_empty()) {
        other().into_iter().for_each(kill);
    }
    let panics = std::env::var_os("KENNEL_CRASH_PANIC").is_some_and(|panics| !panics.is_empty());
    assert!(!panics, "reached {name}");
    kill(std::process::id());
    // The first of a PID namespace is spared by the signals of its own members, itself included.
    process::exit_now(137)
}

/// The keeper of a daemon, or the daemon of a keeper. A scope's reaper is a copy of the keeper and has neither.
fn other() -> Option<u32> {
    let verb = |pid: u32| {
        let line = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).ok()?;
        line.split(|byte| *byte == 0).nth(1).map(<[u8]>::to_vec)
    };
    let parent = proc::stat(std::process::id())?.ppid;
    match verb(std::process::id())?.as_slice() {
        // A lost keeper is followed by whoever reaps orphans here.
        b"__daemon" => Some(parent).filter(|parent| verb(*parent).as_deref() == Some(b"__keeper")),
        _ => process::children().ok()?.into_iter().find(|child| verb(*child).as_deref() == Some(b"__daemon")),
    }
}

fn kill(pid: u32) {
    // Ourselves, our parent or a child of ours that is not reaped: the number is right.
    let _gone = pidfd::open(pid).and_then(|fd| pidfd::send_signal(&fd, libc::SIGKILL));
}
