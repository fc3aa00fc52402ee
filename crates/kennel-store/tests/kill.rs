//! A writing process is killed, again and again.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test starts a process of its own and fails by a panic"
)]

mod rig;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use kennel_wire::EventKind;
use rig::{numbers, open, recovered};

const DIR: &str = "KENNEL_STORE_TEST_DIR";

/// The process that is killed: says each number that is acknowledged.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut store = open(Path::new(&dir));
    let mut out = std::io::stdout();
    for round in 0_u32.. {
        for _ in 0..=round % 7 {
            store.number(
                Some("web"),
                Some(1),
                EventKind::Unhealthy { reason: "x".repeat(round as usize * 37 % 6000 / 20) },
            );
        }
        let newest = store.flush().unwrap();
        writeln!(out, "acknowledged {newest}").unwrap();
    }
}

#[test]
fn no_acknowledged_event_is_missing_and_no_number_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for round in 0..60_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["writer", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        // Also within the opening, and after a checkpoint.
        let patience = (round * round * 7) % 60;
        let mut heard = 0;
        for seq in acknowledged.by_ref().take(patience as usize) {
            heard = seq;
        }
        child.kill().unwrap();
        // What it had said before it died.
        heard = acknowledged.last().unwrap_or(heard);
        child.wait().unwrap();

        let mut store = open(dir.path());
        let found = numbers(&store);
        let last = found.last().copied().unwrap_or(0);
        assert!(last >= heard.max(newest), "{last} of {heard} acknowledged in round {round}");
        let first = found.first().copied().unwrap_or(1);
        assert_eq!(found, (first..=last).collect::<Vec<_>>(), "round {round}");
        assert!(recovered(&store).is_none(), "round {round}: {:?}", recovered(&store));
        // Half of the rounds begin with the log that the killed one left.
        newest = last;
        if round % 2 == 0 {
            store.close();
        }
    }
    assert!(newest > 500, "they wrote: {newest}");
}
