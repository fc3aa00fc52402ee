//! Whoever could have ended a scope was killed with its keeper: the next keeper finds what is left by its tag.
//!
//! covers: C2, C3

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use kennel_keeper::proto::Place;
use kennel_sys::tag::{Instance, Tag, carriers};
use kennel_sys::wait;
use rig::{Rig, World, describe, wait_until};
use rustix::process::Signal;

/// A daemon without environment and with a session of its own, one that is stopped, one that ignores what it can.
const TREES: [&str; 3] = [
    "trap '' TERM; (setsid env -i sleep 600 &) & echo up; sleep 600",
    "sleep 600 & kill -STOP $!; echo up; kill -STOP $$",
    "r() { r & }; r; r; r; r; echo up; sleep 600",
];

fn reapers(rig: &Rig) -> Vec<u32> {
    let places = rig.seen.spawned.values().map(|(_, place, _)| place);
    places.filter_map(|place| if let Place::Reaper(pid) = place { Some(*pid) } else { None }).collect()
}

/// Ends keeper and daemon so that neither can do anything any more, and the reapers by `signal` in between.
fn lose_everybody(rig: &Rig, signal: Signal) {
    let both = [rig.keeper.pid, rig.daemon];
    both.iter().for_each(|pid| rig.signal_process(*pid, Signal::STOP.as_raw()));
    reapers(rig).iter().for_each(|pid| rig.signal_process(*pid, signal.as_raw()));
    both.iter().for_each(|pid| rig.signal_process(*pid, Signal::KILL.as_raw()));
    wait::reap(rig.keeper.pid, true).unwrap();
}

fn nothing_is_marked(rig: &Rig) {
    wait_until("processes left", || rig.marked().is_empty(), || format!("{:?}", describe(&rig.marked())));
}

#[test]
fn every_process_of_a_scope_carries_its_tag() {
    for world in [World::Cgroup, World::Reaper].into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        let first = rig.script("setsid env -i sleep 600 & echo up; exec sleep 600");
        let second = rig.script("echo up; exec sleep 600");
        let instance = Instance::at(&rig.root.join("s/lock")).unwrap();
        let main = |rig: &Rig, scope| rig.seen.spawned.get(&scope).unwrap().0;
        let [one, two] = [first, second].map(|scope| Tag::of(main(&rig, scope)).unwrap());
        assert_ne!(one, two);
        assert_eq!([one.instance(), two.instance()], [instance; 2]);
        // With the reaper itself, where there is one.
        let own = usize::from(world == World::Reaper);
        wait_until("processes", || carriers(|tag| tag == one).0.len() == 2 + own, || format!("{:?}", rig.services()));
        assert_eq!(carriers(|tag| tag == two).0.len(), 1 + own);
        assert_eq!(Tag::of(rig.keeper.pid), None);
        assert_eq!(Tag::of(rig.daemon), None);
        rig.finish();
    }
}

#[test]
fn what_lost_its_reaper_with_its_keeper_is_ended_by_the_next() {
    for signal in [Signal::KILL, Signal::STOP] {
        if !World::Reaper.is_here() {
            return;
        }
        let mut rig = Rig::new(World::Reaper);
        for tree in TREES {
            rig.script(tree);
        }
        lose_everybody(&rig, signal);
        assert!(!rig.services().is_empty());
        let next = rig.successor();
        // Before its daemon was even started.
        nothing_is_marked_but(&rig, &next);
        next.finish();
        nothing_is_marked(&rig);
    }
}

/// The mark of the first rig alone: each has one of its own.
fn nothing_is_marked_but(rig: &Rig, next: &Rig) {
    assert!(next.log().contains("an earlier keeper was lost"), "{}", next.log());
    nothing_is_marked(rig);
}

#[test]
fn a_strangers_processes_are_left_alone() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut other = Rig::new(World::Reaper);
    other.script(TREES[0]);
    let mut rig = Rig::new(World::Reaper);
    rig.script(TREES[0]);
    lose_everybody(&rig, Signal::KILL);
    let next = rig.successor();
    nothing_is_marked(&rig);
    wait_until("three", || other.services().len() == 3, || format!("{:?}", describe(&other.services())));
    next.finish();
    other.finish();
}

#[test]
fn a_kennel_inside_a_lost_service_ends_with_it() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    let (_, link, leash) = rig.nested();
    rig::send(&link, &kennel_keeper::proto::Request::Hello { version: kennel_keeper::proto::VERSION });
    let plan = rig.plan(&["sleep", "600"]);
    rig::send(&link, &kennel_keeper::proto::Request::Spawn(Box::new(plan)));
    wait_until("no nested service", || rig.services().len() == 4, || format!("{:?}", describe(&rig.services())));
    lose_everybody(&rig, Signal::KILL);
    let next = rig.successor();
    nothing_is_marked(&rig);
    drop(leash);
    next.finish();
}

/// What cannot be ended is gone on with beside the rest, and the rest is not taken for it.
#[test]
fn what_is_started_beside_a_leftover_is_left_alone() {
    for world in [World::Cgroup, World::Reaper] {
        if !world.is_here() {
            return;
        }
        let mut rig = Rig::new(world);
        let (_, pid) = rig.run(&["sleep", "600"]);
        let harness = rig.root.join("keeper-harness");
        let (tracer, input, mut said) =
            rig::start_piped(&rig, &[harness.to_str().unwrap(), "tracer", &pid.to_string()]);
        let mut held = [0; 5];
        std::io::Read::read_exact(&mut said, &mut held).unwrap();
        lose_everybody(&rig, Signal::KILL);
        let mut next = rig.successor();
        let left = next.until("leftovers", |seen| seen.leftovers.clone());
        assert!(left.iter().any(|survivor| survivor.pid == pid), "{left:?}");
        // Long enough for many more looks at what is left.
        let (scope, _) = next.run(&["sh", "-c", "sleep 2; echo fine; sleep 600"]);
        assert_eq!(next.wait_for_output(scope, "fine\n"), "fine\n", "{}", next.log());
        drop(input);
        wait::reap(tracer.pid, true).unwrap();
        nothing_is_marked(&rig);
        next.kill(scope);
        next.finish();
    }
}
