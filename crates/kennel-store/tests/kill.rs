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

use kennel_store::{Change, Records, Restored, Store};
use kennel_wire::{Event, EventKind};
use rig::{all, numbers, recovered};
use serde_json::json;

const DIR: &str = "KENNEL_STORE_TEST_DIR";

/// The process that is killed: says each number that is acknowledged, and the round.
///
/// A round changes everything: two slots, the one run, a receipt. Every third has no event.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (mut store, found) = Store::open(Path::new(&dir), "boot").unwrap();
    let first = found.runs.keys().next_back().map_or(0, |last| last + 1);
    let mut out = std::io::stdout();
    for round in first.. {
        if round % 3 > 0 {
            for _ in 0..=round % 7 {
                let reason = format!("{round} {}", "x".repeat(usize::try_from(round).unwrap() * 37 % 6000 / 20));
                store.number(Some("web"), Some(round), EventKind::Unhealthy { reason });
            }
        }
        let body = Some(json!({"round": round, "text": "y".repeat(usize::try_from(round).unwrap() * 91 % 7000)}));
        for name in ["web", "db"] {
            store.change(Change::Slot { name: name.to_owned(), body: body.clone() });
        }
        store.change(Change::Run { id: round, body });
        if round > 0 {
            store.change(Change::Run { id: round - 1, body: None });
        }
        store.change(rig::receipt("web", round, 1));
        store.flush();
        if round % 50 == 0 {
            store.when_durable(Box::new(|| {}));
        }
        writeln!(out, "acknowledged {} {round}", store.newest()).unwrap();
    }
}

/// What the last commit said is all of one round, and no event is of a later one.
fn whole_round(found: &Restored, newest: Option<&Event>, what: &str) -> Option<u64> {
    let Some(round) = found.runs.keys().next().copied() else {
        assert!(found.slots.is_empty() && newest.is_none(), "{what}");
        return None;
    };
    assert_eq!(found.runs.len(), 1, "{what}");
    assert!(found.slots.len() == 2 && found.slots.values().all(|slot| slot["round"] == round), "{what}");
    assert_eq!(found.receipts["web"].instance, round, "{what}");
    let of_event = newest.and_then(|event| event.instance).unwrap_or(0);
    assert_eq!(of_event, if round % 3 > 0 { round } else { round.saturating_sub(1) }, "{what}");
    Some(round)
}

#[test]
fn no_acknowledged_event_is_missing_and_no_number_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut newest, mut newest_round) = (0, None);
    for round in 0..60_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["writer", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines.filter_map(|line| {
            let (seq, round) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
            Some((seq.parse::<u64>().ok()?, round.parse::<u64>().ok()?))
        });
        // Also within the opening, and after a checkpoint.
        let patience = (round * round * 7) % 60;
        let mut heard = None;
        for said in acknowledged.by_ref().take(usize::try_from(patience).unwrap()) {
            heard = Some(said);
        }
        child.kill().unwrap();
        // What it had said before it died.
        heard = acknowledged.last().or(heard);
        child.wait().unwrap();

        let what = format!("round {round}");
        let seen = Records::read(dir.path()).unwrap();
        let (mut store, found) = Store::open(dir.path(), "boot").unwrap();
        assert_eq!(seen, found, "{what}: a reader sees what the writer will find");
        assert!(!found.clean || heard.is_none() && found.damaged.is_none(), "{what}");
        let events = all(&store);
        let last = events.last().map_or(0, |event| event.seq);
        assert!(last >= heard.map_or(newest, |heard| heard.0.max(newest)), "{what}: {last} of {heard:?}");
        let found_round = whole_round(&found, events.last(), &what);
        assert!(found_round >= heard.map(|heard| heard.1).max(newest_round), "{what}: {found_round:?} of {heard:?}");
        let first = events.first().map_or(1, |event| event.seq);
        assert_eq!(numbers(&store), (first..=last).collect::<Vec<_>>(), "{what}");
        assert!(recovered(&store).is_none(), "{what}: {:?}", recovered(&store));
        // Half of the rounds begin with the log that the killed one left.
        (newest, newest_round) = (last, found_round);
        if round % 2 == 0 {
            store.close();
        }
    }
    assert!(newest > 500, "they wrote: {newest}");
}
