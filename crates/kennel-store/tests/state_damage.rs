//! Files with state are damaged in every way: never a crash, never silently something else than what was recorded.
//!
//! covers: B3
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod rig;

use std::fs;
use std::path::Path;

use kennel_store::{Change, Records, Restored, Store, StoreError};
use rig::{open, receipt, say};
use serde_json::json;
use tempfile::TempDir;

const THINGS: u64 = 40;
const ROUNDS: u64 = 6;

/// A body of a size that puts some into pages of their own.
fn body(thing: u64, round: u64) -> serde_json::Value {
    let long = if thing.is_multiple_of(13) { 9000 } else { thing * 7 };
    json!({"thing": thing, "round": round, "service": format!("s{thing}"), "text": "x".repeat(usize::try_from(long).unwrap())})
}

/// What is recorded in a round.
fn changes(round: u64) -> Vec<Change> {
    let mut changes = vec![Change::Project(Some(body(1, round)))];
    for thing in 0..THINGS {
        let name = format!("s{thing}");
        changes.push(Change::Slot { name: name.clone(), body: Some(body(thing, round)) });
        if thing % 4 == 0 {
            changes.push(Change::Service { name: name.clone(), body: Some(body(thing, round)) });
            changes.push(Change::Owner { name: name.clone(), body: Some(body(thing, round)) });
            changes.push(Change::Lease { id: name.clone(), body: Some(body(thing, round)) });
            changes.push(Change::Meta { key: name.clone(), body: Some(body(thing, round)) });
            changes.push(receipt(&name, round * 1000 + thing, u32::try_from(thing).unwrap()));
        }
        changes.push(Change::Run { id: round * 1000 + thing, body: Some(body(thing, round)) });
        if round > 0 {
            changes.push(Change::Run { id: (round - 1) * 1000 + thing, body: None });
        }
    }
    changes
}

/// A store of some rounds, closed, or killed with half of it in its log; and what it remembers.
fn store(closed: bool) -> (TempDir, Restored) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for round in 0..ROUNDS {
        changes(round).into_iter().for_each(|change| store.change(change));
        say(&mut store, 20);
        if round == ROUNDS / 2 {
            store.close();
            store = open(dir.path());
        }
    }
    let image = if closed {
        store.close();
        dir
    } else {
        rig::image(dir.path())
    };
    let copy = rig::image(image.path());
    let restored = rig::restored(copy.path());
    assert_eq!((restored.slots.len(), restored.runs.len(), restored.clean), (40, 40, closed));
    assert_eq!(restored.damaged, None);
    (image, restored)
}

/// Whether every row says what was recorded in some round; none is made up.
fn check_rows(found: &Restored, what: &str) {
    let known = |thing: &serde_json::Value, name: &str| {
        let (number, round) = (thing["thing"].as_u64().unwrap(), thing["round"].as_u64().unwrap());
        assert!(*thing == body(number, round) && name == format!("s{number}"), "{what}: {name} is {thing}");
    };
    for map in [&found.services, &found.slots, &found.owners, &found.leases, &found.meta] {
        map.iter().for_each(|(name, thing)| known(thing, name));
    }
    for (id, thing) in &found.runs {
        known(thing, &format!("s{}", id % 1000));
        assert_eq!(id / 1000, thing["round"].as_u64().unwrap(), "{what}");
    }
    for (service, found) in &found.receipts {
        let thing = u32::try_from(found.instance % 1000).unwrap();
        let Change::Receipt { receipt, .. } = receipt(&format!("s{thing}"), found.instance, thing) else {
            unreachable!()
        };
        assert!(*found == *receipt && *service == receipt.service, "{what}: receipt of {service}");
    }
    found.project.iter().for_each(|project| known(project, "s1"));
}

fn rows(found: &Restored) -> usize {
    found.services.len() + found.slots.len() + found.runs.len() + found.receipts.len() + found.meta.len()
}

/// Opens what was damaged: it is as it was, or the loss is told. How many rows there are.
fn check(dir: &Path, expected: &Restored, what: &str) -> usize {
    // A tool that looks before the daemon does.
    match Records::read(dir) {
        Ok(seen) => {
            check_rows(&seen, what);
            let same = Restored { damaged: None, clean: expected.clean, ..seen.clone() } == *expected;
            // What was cut off cleanly at its end can only be known by the writer.
            let older = seen.slots.values().any(|slot| slot["round"] != ROUNDS - 1);
            assert!(same || seen.damaged.is_some() || older || rows(&seen) == 0, "{what}: a reader is not told");
        }
        Err(StoreError::Database { .. }) => {}
        Err(error) => panic!("{what}: {error:?}"),
    }
    let (mut store, found) = Store::open(dir, "boot").unwrap_or_else(|error| panic!("{what}: {error:?}"));
    check_rows(&found, what);
    if found.damaged.is_none() {
        assert_eq!(found, Restored { clean: found.clean, ..expected.clone() }, "{what}: nobody is told");
    }
    // It works again, and remembers what is recorded from now on.
    for round in ROUNDS..ROUNDS + 2 {
        changes(round).into_iter().for_each(|change| store.change(change));
        say(&mut store, 1);
    }
    store.close();
    let again = rig::restored(dir);
    assert!(again.clean && again.damaged.is_none(), "{what}: told once");
    assert!(again.slots.len() == 40 && again.slots.values().all(|slot| slot["round"] == ROUNDS + 1), "{what}");
    rows(&found)
}

fn damaged(image: &Path, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copy = rig::image(image);
    let mut bytes = fs::read(copy.path().join(name)).unwrap();
    damage(&mut bytes);
    fs::write(copy.path().join(name), bytes).unwrap();
    copy
}

fn flips(closed: bool, name: &str, count: usize) {
    let (image, expected) = store(closed);
    let bytes = usize::try_from(fs::metadata(image.path().join(name)).unwrap().len()).unwrap();
    let step = (bytes / count).max(1) | 1;
    let mut kept = Vec::new();
    for at in (0..100.min(bytes)).step_by(3).chain((100..bytes).step_by(step)) {
        // A version that is newer is refused and not repaired: clear, and nothing is lost.
        if name == "store.db" && (60..64).contains(&at) {
            continue;
        }
        let copy = damaged(image.path(), name, |bytes| bytes[at] ^= 1 << (at % 8));
        kept.push(check(copy.path(), &expected, &format!("{name}, bit {} of byte {at}", at % 8)));
    }
    // A page is a dozen rows; a bit costs one page and what is below it, and mostly a row.
    let all = rows(&expected);
    let whole = kept.iter().filter(|kept| **kept + 40 > all).count();
    assert!(whole * 10 > kept.len() * 9, "{whole} of {} kept nearly all", kept.len());
}

#[test]
fn flipped_bits_in_a_closed_file() {
    flips(true, "store.db", 150);
}

#[test]
fn flipped_bits_in_a_file_with_a_log() {
    flips(false, "store.db", 60);
}

#[test]
fn flipped_bits_in_the_log() {
    flips(false, "store.db-wal", 80);
}

#[test]
fn files_that_are_cut() {
    for (closed, name) in [(true, "store.db"), (false, "store.db"), (false, "store.db-wal")] {
        let (image, expected) = store(closed);
        let bytes = usize::try_from(fs::metadata(image.path().join(name)).unwrap().len()).unwrap();
        for length in (0..bytes).step_by(bytes / 30 + 1).chain([1, 99, 100, 4096, bytes - 1, bytes - 4096]) {
            let copy = damaged(image.path(), name, |bytes| bytes.truncate(length));
            check(copy.path(), &expected, &format!("{name} cut at {length}"));
        }
    }
}

/// The head is the same in all stores, so its loss costs nothing.
#[test]
fn a_garbled_head_costs_nothing() {
    for closed in [true, false] {
        let (image, expected) = store(closed);
        for byte in [0, 0xff, b'x'] {
            let copy = damaged(image.path(), "store.db", |bytes| bytes[..100].fill(byte));
            assert_eq!(check(copy.path(), &expected, "a garbled head"), rows(&expected));
        }
    }
}

/// One leaf of a table costs the rows in it: the others are read from either side of it.
#[test]
fn a_lost_page_costs_what_was_in_it() {
    const LEAF: u8 = 13;
    let (image, expected) = store(true);
    let bytes = fs::read(image.path().join("store.db")).unwrap();
    let leaves: Vec<usize> = (4096..bytes.len()).step_by(4096).filter(|at| bytes[*at] == LEAF).collect();
    assert!(leaves.len() > 20, "{}", leaves.len());
    for at in leaves {
        let copy = damaged(image.path(), "store.db", |bytes| bytes[at..at + 4096].fill(0xff));
        let kept = check(copy.path(), &expected, &format!("the page at {at} is lost"));
        assert!(kept + 30 > rows(&expected), "the page at {at} cost {} rows", rows(&expected) - kept);
    }
}

#[test]
fn a_garbled_table_costs_that_table() {
    let (image, expected) = store(true);
    let bytes = fs::read(image.path().join("store.db")).unwrap();
    let begin = b"CREATE TABLE leases";
    let at = bytes.windows(begin.len()).position(|window| window == begin).unwrap();
    let copy = damaged(image.path(), "store.db", |bytes| bytes[at] = b'X');
    let found = rig::restored(copy.path());
    assert!(found.damaged.is_some() && found.leases.is_empty());
    let damaged = found.damaged.clone();
    assert_eq!(found, Restored { leases: found.leases.clone(), damaged, ..expected });
}

#[test]
fn files_that_are_gone_are_missed() {
    for empty in [true, false] {
        let (image, _) = store(true);
        let path = image.path().join("store.db");
        if empty {
            fs::write(path, "").unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        assert!(Records::read(image.path()).unwrap().damaged.is_some());
        let found = rig::restored(image.path());
        assert!(found.damaged.unwrap().contains("gone or empty") && found.slots.is_empty());
    }
    // The log alone holds the last rounds.
    let (image, _) = store(false);
    fs::remove_file(image.path().join("store.db-wal")).unwrap();
    let found = rig::restored(image.path());
    assert!(found.damaged.is_some() && found.slots.len() == 40, "{:?}", found.damaged);
}

#[test]
fn what_was_cut_short_is_done_at_the_next_start() {
    let (image, expected) = store(true);
    fs::rename(image.path().join("store.db"), image.path().join("store.db.damaged-20260102T030405.000Z")).unwrap();
    let found = rig::restored(image.path());
    assert!(found.damaged.is_some());
    assert_eq!(Restored { damaged: None, clean: true, ..found }, expected);
    let left = fs::read_dir(image.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("reading"));
    assert_eq!(left.count(), 0, "no copy is left");
}

/// Older receipts and the audit come back as well.
#[test]
fn history_is_taken_over() {
    let (image, _) = store(true);
    let mut store = open(image.path());
    store.change(Change::Audit { actor: "a".into(), action: "b".into(), subject: "c".into(), outcome: "d".into() });
    store.flush();
    store.close();
    let copy = damaged(image.path(), "store.db", |bytes| bytes[..100].fill(0));
    let store = open(copy.path());
    let instances: Vec<u64> =
        store.history().receipts("s4", u64::MAX, 99).unwrap().iter().map(|(_, receipt)| receipt.instance).collect();
    assert_eq!(instances, [5004, 4004, 3004, 2004, 1004, 4]);
    assert_eq!(store.history().audit("c", 9).unwrap().len(), 1);
}
