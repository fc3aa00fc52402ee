//! Probes that need a cgroup to be made.

use std::fs;
use std::time::{Duration, Instant};

use super::process::{Child, PATIENCE, child};
use super::{Feature, IN_GROUP};
use crate::cgroup::{self, Group};
use crate::proc;
use crate::process::{exit_thread, pause};

/// How long a child of a probe lives at most, whatever happens to the prober.
const LIFE: Duration = Duration::from_secs(5);
/// How long a kill is given that may not work.
const KILL: Duration = Duration::from_millis(300);

/// What can be done with groups. `make` makes a fresh one of that name; `born` says whether a new process lives when
/// it is started in a group.
pub fn in_group(mut make: impl FnMut(&str) -> Option<Group>, mut born: impl FnMut(&Group) -> bool) -> Vec<Feature> {
    let [clone, kill, freeze, leader, reuse] = IN_GROUP;
    let mut with = |name: &str, body: &mut dyn FnMut(&Group) -> Option<bool>| {
        let group = make(name)?;
        let found = body(&group);
        // Whoever is still in it has not got past the probe: the sweep of a lost one ends them.
        let _left = group.remove();
        found
    };
    let reuses = |group: &Group, born: &mut dyn FnMut(&Group) -> bool| {
        group.kill().ok()?;
        Some(born(group))
    };
    vec![
        Feature::of(
            clone,
            with("probe-clone", &mut |group| Some(born(group))),
            "no cgroup can be used: Linux 5.7 has it",
        ),
        Feature::of(kill, with("probe-kill", &mut kills), "no cgroup can be used: Linux 5.14 has it"),
        Feature::of(freeze, with("probe-freeze", &mut freezes), "members are killed without being held still first"),
        Feature::of(
            leader,
            with("probe-leader", &mut kills_without_leader),
            "`cgroup.kill` misses a process whose first thread has ended; kennel kills each member as well",
        ),
        Feature::of(
            reuse,
            with("probe-reuse", &mut |group| reuses(group, &mut born)),
            "what starts in a group that was killed before is killed; kennel never uses one twice",
        ),
    ]
}

/// A child that enters the group and stays for a while.
fn member(group: &Group) -> Option<Child> {
    let directory = group.directory().to_owned();
    let child = child(move || {
        if cgroup::enter(&directory).is_ok() {
            pause(LIFE);
        }
        1
    })?;
    if until(|| group.populated().unwrap_or(false)) {
        return Some(child);
    }
    child.kill();
    None
}

fn until(holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        pause(Duration::from_millis(1));
    }
    true
}

fn kills(group: &Group) -> Option<bool> {
    let member = member(group)?;
    let killed = group.kill().is_ok() && member.ends_within(KILL);
    member.kill();
    Some(killed)
}

fn freezes(group: &Group) -> Option<bool> {
    let member = member(group)?;
    let events = group.directory().join("cgroup.events");
    let is_frozen = || fs::read_to_string(&events).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"));
    let frozen = group.freeze(true).is_ok() && until(is_frozen);
    let _thawed = group.freeze(false);
    member.kill();
    Some(frozen)
}

fn kills_without_leader(group: &Group) -> Option<bool> {
    let directory = group.directory().to_owned();
    let child = child(move || {
        if cgroup::enter(&directory).is_err() {
            return 1;
        }
        let _alone = std::thread::Builder::new().spawn(|| {
            pause(LIFE);
            crate::process::exit_now(0);
        });
        exit_thread()
    })?;
    let pid = child.pid;
    let is_leaderless = || proc::stat(pid).is_some_and(|stat| stat.state == 'Z' && !proc::has_ended(&stat));
    until(|| is_leaderless() || child.ends_within(Duration::ZERO));
    let killed = is_leaderless().then(|| group.kill().is_ok() && child.ends_within(KILL));
    child.kill();
    killed
}
