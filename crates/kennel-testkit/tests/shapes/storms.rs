//! Shapes that fork, and shapes that signal each other.

use std::collections::BTreeSet;

use kennel_testkit::{Seen, Signal, kill_marked, send, state_of, try_send, wait_until};

use crate::{DEADLINE, PROGRAM, Shape};

fn living(shape: &Shape) -> usize {
    shape.seen().iter().filter(|seen| seen.living).count()
}

/// Field of `/proc/PID/stat` as its man page numbers them, from 3.
fn field(seen: &Seen, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", seen.pid)).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(number - 3).map(str::to_owned)
}

#[test]
fn a_storm_replaces_its_members_and_stays_bounded() {
    let shape = Shape::start(&["forks"]);
    let before: BTreeSet<u32> = shape.others().iter().map(|seen| seen.pid).collect();
    wait_until(DEADLINE, "all replaced", || shape.others().iter().all(|seen| !before.contains(&seen.pid)));
    for seen in shape.others() {
        // A member may be gone by now, which is the point.
        try_send(&seen, Signal::TERM);
    }
    send(&shape.main_seen(), Signal::TERM);
    let living = shape.seen().iter().filter(|seen| seen.living).count();
    assert!((1..=61).contains(&living), "{living} alive");
}

#[test]
fn a_storm_of_daemons_makes_a_session_each_time() {
    let shape = Shape::start(&["double-forks"]);
    let main = shape.main_seen();
    let session = field(&main, 6).unwrap();
    let before: BTreeSet<u32> = shape.others().iter().map(|seen| seen.pid).collect();
    wait_until(DEADLINE, "all replaced, each in another session", || {
        let others = shape.others();
        let others = others.iter().filter(|seen| seen.living);
        let new = |seen: &Seen| !before.contains(&seen.pid) && field(seen, 6).is_none_or(|own| own != session);
        others.clone().count() > 0 && others.clone().all(new)
    });
    send(&main, Signal::TERM);
    assert!((2..=61).contains(&living(&shape)));
}

/// What is killed of a bomb grows again, and never above its bound.
#[test]
fn a_bomb_is_full_again_after_a_kill() {
    for (name, most) in [("bomb", 200), ("leaderless", 300)] {
        let shape = Shape::start(&[name, &most.to_string()]);
        // Of threads, and of processes; each that has lost its leader counts twice.
        let full = if name == "bomb" { most - 20 } else { most / 2 - 20 };
        wait_until(DEADLINE, "a full bomb", || living(&shape) >= full);
        let victims: Vec<Seen> = shape.others().into_iter().take(full / 2).collect();
        for victim in &victims {
            send(victim, Signal::KILL);
        }
        let killed = |seen: &Seen| victims.iter().any(|victim| victim.pid == seen.pid);
        wait_until(DEADLINE, "full again", || {
            let others = shape.others();
            assert!(others.len() <= most, "{} of {most}", others.len());
            others.iter().filter(|seen| seen.living && !killed(seen)).count() >= full - 20
        });
        if name == "leaderless" {
            // Whoever was just born has not lost it yet.
            let leaderless = |seen: &&Seen| seen.living && seen.state == 'Z';
            wait_until(DEADLINE, "most are leaderless", || shape.others().iter().filter(leaderless).count() > full / 2);
        }
    }
}

#[test]
fn a_spray_makes_children_of_whoever_adopts() {
    let shape = Shape::start(&["spray", "5000", "200"]);
    let mut reaped = BTreeSet::new();
    wait_until(DEADLINE, "a thousand to reap", || {
        // Each look reaps those that came to us.
        reaped.extend(shape.others().into_iter().filter(Seen::zombie).map(|seen| seen.pid));
        reaped.len() >= 1000
    });
}

#[test]
fn members_of_a_storm_stop_whoever_is_continued() {
    let shape = Shape::start(&["stop-storm"]);
    let stopped = || shape.others().iter().filter(|seen| seen.state == 'T').count();
    wait_until(DEADLINE, "all but one are stopped", || stopped() >= 3);
    for seen in shape.others() {
        send(&seen, Signal::TERM);
        send(&seen, Signal::CONT);
    }
    wait_until(DEADLINE, "stopped again, and nobody has ended", || stopped() >= 3 && living(&shape) == 5);
}

#[test]
fn peers_continue_whoever_is_stopped() {
    let shape = Shape::start(&["cont-storm"]);
    for _ in 0..20 {
        send(&shape.main_seen(), Signal::STOP);
        wait_until(DEADLINE, "continued", || state_of(shape.main.id()) != Some('T'));
    }
}

#[test]
fn a_killer_kills_all_but_itself() {
    let mut shape = Shape::start(&["killer"]);
    // Its siblings ignore it.
    for seen in shape.others() {
        try_send(&seen, Signal::TERM);
    }
    wait_until(DEADLINE, "one left", || living(&shape) == 1);
    assert!(shape.main.wait().unwrap().code().is_none());
    shape.own.clear();
    wait_until(DEADLINE, "zombies reaped", || shape.seen().len() == 1);
}

/// The attack is on a parent of that name, so one is there.
#[test]
fn an_attack_on_a_reaper_hits_it() {
    for name in ["kills-reaper", "stops-reaper"] {
        let mut shape = Shape::start(&["as-reaper", "--", PROGRAM, "--cell", "7", name]);
        if name == "kills-reaper" {
            for seen in shape.others() {
                try_send(&seen, Signal::TERM);
            }
            assert!(shape.main.wait().unwrap().code().is_none());
            shape.own.clear();
            wait_until(DEADLINE, "the daemon lives", || shape.seen().iter().any(|seen| seen.living));
        } else {
            wait_until(DEADLINE, "stopped", || state_of(shape.main.id()) == Some('T'));
            send(&shape.main_seen(), Signal::CONT);
            wait_until(DEADLINE, "stopped again", || state_of(shape.main.id()) == Some('T'));
        }
        kill_marked(shape.mark, &shape.own);
    }
}
