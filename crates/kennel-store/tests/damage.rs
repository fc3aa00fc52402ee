//! Files are damaged in every way, and what is left is found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod rig;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use kennel_store::Store;
use kennel_wire::EventKind;
use rig::{all, open, recovered};
use tempfile::TempDir;

const EVENTS: u64 = 600;

/// A store with some hundred events, some of them longer than a page: closed, or killed with most of it in its log.
fn store(closed: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for seq in 1..=EVENTS {
        let long = if seq % 100 == 0 { 9000 } else { seq % 60 };
        let reason = "x".repeat(usize::try_from(long).unwrap());
        store.number(Some("web"), Some(seq), EventKind::Unhealthy { reason });
        if seq % 50 == 0 {
            store.flush();
        }
        if seq == EVENTS / 2 {
            store.close();
            store = open(dir.path());
        }
    }
    if closed {
        store.close();
        return dir;
    }
    rig::image(dir.path())
}

/// Opens what was damaged: nothing is missing, or it is told, and what there was is still there.
fn check(dir: &Path, what: &str) -> u64 {
    let mut store =
        Store::open(dir, "boot").map(|(store, _)| store).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    store.flush();
    let events = all(&store);
    let kept: HashSet<u64> = events.iter().map(|event| event.seq).collect();
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{what}: in order");
    let missing: Vec<u64> = (1..=EVENTS).filter(|seq| !kept.contains(seq)).collect();
    if let Some((told, file, count, lost_from)) = recovered(&store) {
        assert!(told > EVENTS, "{what}: {told} may have been seen");
        assert!(file.is_some_and(|file| Path::new(&file).symlink_metadata().is_ok()), "{what}: set aside");
        assert_eq!(count, EVENTS - missing.len() as u64, "{what}");
        let oldest = events[0].seq;
        assert!(missing.iter().all(|seq| *seq < oldest || lost_from.is_some_and(|from| *seq >= from)), "{what}");
    } else {
        assert!(missing.is_empty(), "{what}: {missing:?} are missing and nobody is told");
    }
    assert!(rig::say(&mut store, 1) > EVENTS, "{what}");
    store.close();
    // The next start finds nothing to say.
    let told = recovered(&store).map(|(seq, ..)| seq);
    let store = open(dir);
    assert_eq!(recovered(&store).map(|(seq, ..)| seq), told, "{what}: told once");
    EVENTS - missing.len() as u64
}

fn damaged(image: &Path, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copy = rig::image(image);
    let path = copy.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();
    copy
}

fn flips(closed: bool, name: &str, count: usize) {
    let image = store(closed);
    let bytes = fs::metadata(image.path().join(name)).unwrap().len() as usize;
    // Every byte of the beginning matters; the rest by a step that meets every place of a page in time.
    let beginning = 0..100.min(bytes);
    let step = (bytes / count).max(1) | 1;
    let mut least = EVENTS;
    for at in beginning.chain((100..bytes).step_by(step)) {
        let copy = damaged(image.path(), name, |bytes| bytes[at] ^= 1 << (at % 8));
        // A version that is newer is refused and not repaired: clear, and nothing is lost.
        if name == "store.db" && (60..64).contains(&at) && Store::open(copy.path(), "boot").is_err() {
            continue;
        }
        least = least.min(check(copy.path(), &format!("{name}, bit {} of byte {at}", at % 8)));
    }
    assert!(least > EVENTS / 2, "one bit cost {} events", EVENTS - least);
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
    flips(false, "store.db-wal", 60);
}

#[test]
fn flipped_bits_in_the_numbers() {
    let image = store(true);
    let bytes = fs::read(image.path().join("store.seq")).unwrap().len();
    for at in (0..bytes).step_by(9) {
        let copy = damaged(image.path(), "store.seq", |bytes| bytes[at] ^= 1 << (at % 7));
        let mut store = open(copy.path());
        assert!(rig::say(&mut store, 1) > EVENTS, "byte {at}");
        assert!(all(&store).len() as u64 > EVENTS, "byte {at}");
    }
}

#[test]
fn files_that_are_cut() {
    for (closed, name) in [(true, "store.db"), (false, "store.db"), (false, "store.db-wal")] {
        let image = store(closed);
        let bytes = fs::metadata(image.path().join(name)).unwrap().len() as usize;
        for length in (0..bytes).step_by(bytes / 40 + 1).chain([1, 99, 100, 4096, bytes - 1, bytes - 4096]) {
            let copy = damaged(image.path(), name, |bytes| bytes.truncate(length));
            if length == 0 && closed {
                continue; // See `files_that_are_gone`.
            }
            check(copy.path(), &format!("{name} cut at {length}"));
        }
    }
}

#[test]
fn files_that_are_gone() {
    for name in ["store.db", "store.db-wal"] {
        let image = store(false);
        fs::remove_file(image.path().join(name)).unwrap();
        assert!(check(image.path(), name) > 0);
    }
    // Nothing is there to set aside, and still it is told.
    for empty in [true, false] {
        let dir = store(true);
        fs::remove_file(dir.path().join("store.db")).unwrap();
        if empty {
            fs::write(dir.path().join("store.db"), "").unwrap();
        }
        let mut store = open(dir.path());
        store.flush();
        assert_eq!(recovered(&store), Some((EVENTS + 1, None, 0, Some(1))));
    }
}

#[test]
fn something_else_in_its_place() {
    let garbage = |byte: u8| move |bytes: &mut Vec<u8>| bytes[..4096].fill(byte);
    for closed in [true, false] {
        let image = store(closed);
        for byte in [0, 0xff, b'x'] {
            let copy = damaged(image.path(), "store.db", garbage(byte));
            assert_eq!(check(copy.path(), "a garbled beginning"), EVENTS, "events stand behind it");
        }
    }
    let image = store(true);
    let text = damaged(image.path(), "store.db", |bytes| *bytes = b"these are my notes\n".repeat(500));
    assert_eq!(check(text.path(), "a text"), 0);
    let aside = recovered(&open(text.path())).unwrap().1.unwrap();
    assert_eq!(fs::read(aside).unwrap(), b"these are my notes\n".repeat(500));

    fs::remove_file(image.path().join("store.db")).unwrap();
    fs::create_dir(image.path().join("store.db")).unwrap();
    assert_eq!(check(image.path(), "a directory"), 0);

    let foreign = store(true);
    fs::remove_file(foreign.path().join("store.db")).unwrap();
    let other = rusqlite::Connection::open(foreign.path().join("store.db")).unwrap();
    other.execute_batch("CREATE TABLE events (mine TEXT)").unwrap();
    drop(other);
    assert_eq!(check(foreign.path(), "a database of somebody else"), 0);
}

/// Set aside, and killed before anything was taken over.
#[test]
fn what_was_cut_short_is_done_at_the_next_start() {
    let dir = store(true);
    fs::rename(dir.path().join("store.db"), dir.path().join("store.db.damaged-20260102T030405.000Z")).unwrap();
    assert_eq!(check(dir.path(), "a rename"), EVENTS);
}
