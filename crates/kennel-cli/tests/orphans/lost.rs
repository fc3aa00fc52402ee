//! Ten services, and neither keeper nor daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Signal, User, send, wait_until};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const USERS: [User; 3] = [User::Root, User::Plain, User::Delegated];

/// Some that daemonise, ignore what they can, leave their session and empty their environment.
const SHAPES: [&str; 5] = ["plain", "daemon", "ignores-term", "empty-env", "own-group"];

/// A stack of ten services that runs.
pub(crate) fn stack(user: User) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let mut yaml = String::from("services:\n");
    for number in 0..10 {
        let shape = SHAPES[number % SHAPES.len()];
        let command = format!("command: ['@badchild@', --cell, '{}', {shape}]", number + 1);
        yaml.push_str(&format!("  s{number}: {{ {command}, readiness: {{ log_line: up }} }}\n"));
    }
    scratch.config(&yaml);
    scratch.ok(&["up", "-d"]);
    Some(scratch)
}

/// The same with everybody dead who could end it; for each user that this machine has.
pub(crate) fn each_lost(body: impl Fn(&Scratch)) {
    for user in USERS {
        if let Some(scratch) = stack(user) {
            lose(&scratch);
            body(&scratch);
        }
    }
}

/// Kills keeper, daemon and reapers so that none can do anything before the last is dead.
pub(crate) fn lose(scratch: &Scratch) {
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    let is_reaper = |seen: &Seen| seen.verb() == "__keeper" && seen.ppid == keeper.pid;
    let reapers: Vec<Seen> = scratch.survivors().into_iter().filter(is_reaper).collect();
    let all: Vec<&Seen> = [&keeper, &daemon].into_iter().chain(&reapers).collect();
    let watched: Vec<_> = all.iter().map(|one| kennel_sys::pidfd::open(one.pid).unwrap()).collect();
    for signal in [Signal::STOP, Signal::KILL] {
        all.iter().for_each(|one| send(one, signal));
    }
    // Asked of the processes themselves: one that is dying has no command any more, and is in its group until all of it is dead.
    let has_ended = |one: &std::os::fd::OwnedFd| kennel_sys::pidfd::has_exited(one).unwrap();
    wait_until(DEADLINE, "everybody gone", || watched.iter().all(has_ended));
    wait_until(DEADLINE, "nobody seen", || scratch.survivors().iter().all(|seen| !seen.verb().starts_with("__")));
    assert!(!living(scratch).is_empty());
    assert!(sockets(scratch).iter().all(|socket| socket.exists()), "they are stale, not gone");
}

/// Processes of services.
pub(crate) fn living(scratch: &Scratch) -> Vec<u32> {
    scratch.in_cells().iter().filter(|seen| seen.living).map(|seen| seen.pid).collect()
}

pub(crate) fn sockets(scratch: &Scratch) -> [PathBuf; 2] {
    let name = scratch.instance_dir().file_name().unwrap().to_owned();
    ["api.sock", "stdio.sock"].map(|socket| scratch.path("run/kennel").join(&name).join(socket))
}

/// What is said of one instance.
pub(crate) fn told(scratch: &Scratch, arguments: &[&str]) -> Value {
    let told = scratch.json(arguments);
    assert_eq!(told["instances"].as_array().unwrap().len(), 1, "{told}");
    told["instances"][0].clone()
}

pub(crate) fn pids(list: &Value) -> Vec<u32> {
    let mut pids: Vec<u32> =
        list.as_array().into_iter().flatten().map(|one| u32::try_from(one["pid"].as_u64().unwrap()).unwrap()).collect();
    pids.sort_unstable();
    pids
}

/// Nothing lives, no socket and no group is left, and the next start has nothing to look for.
pub(crate) fn is_clean(scratch: &Scratch) {
    scratch.expect_nothing(DEADLINE);
    assert_eq!(scratch.cgroups(), Vec::<PathBuf>::new());
    assert!(sockets(scratch).iter().all(|socket| !socket.exists()));
    assert_eq!(std::fs::metadata(scratch.instance_dir().join("lock")).unwrap().len(), 0);
}

/// As `Scratch::down`, without waiting for those that ignore what they are asked.
pub(crate) fn down(scratch: &Scratch) {
    scratch.ok(&["down", "--timeout", "200ms"]);
    scratch.expect_nothing(DEADLINE);
}
