//! Two streams of any bytes in writes of any length, over rotation, compression and ten daemons that are killed: nothing is lost,
//! nothing is there twice.
//!
//! `KENNEL_TEST_MEGABYTES` says how much is written; 500 is what was asked for.
//!
//! covers: B9, C10

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, try_send, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// As the keeper has it, and a little more.
const GROWN_UP: Duration = Duration::from_millis(1200);
const KILLS: usize = 10;

fn exact(user: User) {
    let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    let megabytes: u64 = std::env::var("KENNEL_TEST_MEGABYTES").ok().and_then(|it| it.parse().ok()).unwrap_or(48);
    // So long that all daemons are lost while it writes: the keeper takes its time with one that was lost young.
    let pause = 20_000 / megabytes;
    scratch.config(&format!(
        "services:
  talker:
    command: ['@badchild@', bytes, '{megabytes}', '{pause}']
    on_daemon_loss: keep
    restart: 'no'
    logs: {{ max_size: 1GiB, segment_size: 1MiB }}
"
    ));
    scratch.ok(&["up", "-d"]);
    for _ in 0..KILLS {
        let lost = wait_for(DEADLINE, "a daemon", || scratch.running_daemon());
        // One that is lost younger than this counts as one that cannot live, and is followed ever more slowly.
        wait_until(DEADLINE, "a daemon that has lived", || lost.age() > GROWN_UP);
        try_send(&lost, Signal::KILL);
        wait_until(DEADLINE, "its end", || scratch.running_daemon().is_none_or(|now| now.pid != lost.pid));
    }
    scratch.wait_state("talker", "completed", Duration::from_secs(240));
    assert_eq!(scratch.ps("talker")["restarts"], 0);
    let kennel = scratch.path("bin/kennel");
    let script = format!(
        "kennel='{}'; {} bytes {megabytes} >out 2>err
        for stream in out err; do \"$kennel\" logs --raw --stream $stream talker | cmp - $stream || exit 1; done",
        kennel.display(),
        scratch.badchild().display(),
    );
    let mut compared = scratch.spawn_program(Path::new("/bin/sh"), &["-c", &script], Stdio::null(), |_| {});
    let compared = compared.wait(Duration::from_secs(240));
    assert_eq!(compared.code(), 0, "{} {}", compared.stdout, compared.stderr);
    scratch.down();
}

#[test]
fn bytes_are_exact_over_killed_daemons_cgroup() {
    exact(User::Root);
}

#[test]
fn bytes_are_exact_over_killed_daemons_reaper() {
    exact(User::Plain);
}
