//! How soon a death is known, and repaired.

use std::path::Path;
use std::time::{Duration, Instant};

use kennel_sys::pidfd;
use kennel_testkit::{Scratch, User};

use crate::{Row, api, bare, median, ms, times};

const ROUNDS: usize = 60;
const SIGKILL: i32 = 9;

fn stack(kennel: &Path) -> Scratch {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config(
        "services:\n  s:\n    command: sleep 100000\n    restart: always\n    \
         restart_policy: { delay: 0s, max_restarts: 1000000 }\n",
    );
    scratch.ok(&["up", "-d", "-q"]);
    scratch
}

/// Kills the service `ROUNDS` times; the time until each event, as its reader sees it.
fn rounds(kennel: &Path, event: &str) -> Vec<Duration> {
    let scratch = stack(kennel);
    let mut events = api::Events::follow(&scratch);
    let mut pid = scratch.ps("s")["pid"].as_u64().expect("it runs");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        kennel_sys::process::pause(bare::LIFE);
        let handle = pidfd::open(u32::try_from(pid).expect("a pid")).expect("it lives");
        let begin = Instant::now();
        pidfd::send_signal(&handle, SIGKILL).expect("it is ours");
        let first = events.wait(event);
        times.push(begin.elapsed());
        let next = if event == "instance.started" { first } else { events.wait("instance.started") };
        pid = next["pid"].as_u64().expect("a pid");
    }
    scratch.down();
    times
}

/// Death → event published, seen by a reader of the event stream.
pub(crate) fn death_to_event(kennel: &Path) -> Vec<Row> {
    let bare = median((0..ROUNDS).map(|_| bare::death_notice()).collect());
    let kennel = median(rounds(kennel, "instance.exited"));
    vec![Row::new("death → event read from the API", ms(bare), ms(kennel), times(kennel, bare), "≤ 0.5 ms")]
}

/// Killed service → new process visible, with a restart delay of zero.
pub(crate) fn death_to_new_pid(kennel: &Path) -> Vec<Row> {
    let bare = median((0..ROUNDS).map(|_| bare::death_to_next()).collect());
    let kennel = median(rounds(kennel, "instance.started"));
    vec![Row::new("killed → new pid visible", ms(bare), ms(kennel), times(kennel, bare), "≤ 2 ms")]
}
