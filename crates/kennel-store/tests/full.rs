//! A disk without room, on a small file system that is mounted for it; only root may do that.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by it, and says why it does not run")]

mod rig;

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_store::{Change, Records, Store};
use kennel_wire::EventKind;
use rig::{numbers, open, recovered, say};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::json;
use tempfile::TempDir;

struct Small(TempDir);

impl Small {
    fn new() -> Option<Self> {
        Self::of(c"size=1m,mode=700")
    }

    fn of(size: &CStr) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(size)) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                eprintln!("skipped: cannot mount a small file system: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        // What does not fit is cut at the end, and takes all that there is.
        let all = fs::write(self.path().join("ballast"), vec![0; 20 << 20]);
        assert!(all.is_err(), "it is small");
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_already = unmount(self.path(), UnmountFlags::DETACH);
    }
}

/// Events go on, and are written when there is room.
fn until_written(store: &mut Store, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.history().page(0, u64::MAX >> 1, 1 << 20).unwrap().last().map(|event| event.seq) != Some(store.newest())
    {
        assert!(Instant::now() < deadline, "nothing is written");
        store.flush();
        std::thread::yield_now();
    }
    assert!(store.newest() >= count);
}

fn until_full(store: &mut Store) -> u64 {
    let recorded = |store: &Store| store.history().page(0, u64::MAX >> 1, 1 << 20).unwrap().len() as u64;
    loop {
        store.number(None, None, EventKind::Unhealthy { reason: "x".repeat(5000) });
        let newest = store.flush().unwrap();
        if recorded(store) < newest {
            return newest;
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing() {
    let Some(disk) = Small::new() else { return };
    let mut store = open(disk.path());
    disk.fill();
    let newest = until_full(&mut store);
    assert_eq!(numbers(&store), (1..=newest).collect::<Vec<_>>(), "listeners miss nothing");
    say(&mut store, 100);
    disk.make_room();
    until_written(&mut store, newest + 100);
    store.close();
    let store = open(disk.path());
    assert_eq!(numbers(&store), (1..=newest + 100).collect::<Vec<_>>());
    assert_eq!(recovered(&store), None);
}

/// State is held by key, its last value is written, and `trouble` tells as long as it lasts.
#[test]
fn state_is_held_while_the_disk_is_full() {
    let Some(disk) = Small::of(c"size=16m,mode=700") else { return };
    let mut store = open(disk.path());
    store.change(Change::Lease { id: "old".into(), body: Some(json!(1)) });
    store.flush();
    assert_eq!((store.trouble(), store.retry_at()), (None, None));
    disk.fill();
    until_full(&mut store);
    let trouble = store.trouble().unwrap();
    assert!(trouble.contains("store.db") && trouble.contains("full"), "{trouble}");
    for round in 0..20_000_u64 {
        store.change(Change::Slot { name: "web".into(), body: Some(json!({ "round": round })) });
        // Runs and leases come and go; what was never written needs no removal.
        store.change(Change::Run { id: round, body: Some(json!({ "round": round })) });
        store.change(Change::Run { id: round, body: None });
        store.change(rig::receipt("web", round, 0));
        store.flush();
    }
    store.change(Change::Lease { id: "old".into(), body: None });
    store.change(Change::Run { id: 7, body: Some(json!("living")) });
    // Somebody waits for the disk: what is committed is synced, and nobody is held up.
    let (done, is_done) = std::sync::mpsc::channel();
    store.when_durable(Box::new(move || done.send(()).unwrap()));
    is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    let held = Records::read(disk.path()).unwrap();
    assert!(held.slots.is_empty() && held.leases.len() == 1, "nothing is written");
    disk.make_room();
    until_written(&mut store, 1);
    assert_eq!((store.trouble(), store.retry_at()), (None, None));
    let written = Records::read(disk.path()).unwrap();
    assert_eq!(written.slots["web"], json!({ "round": 19_999 }));
    assert_eq!(written.runs.into_iter().collect::<Vec<_>>(), [(7, json!("living"))]);
    assert_eq!(written.leases.len(), 0);
    assert_eq!(written.receipts["web"].instance, 19_999);
    let receipts = store.history().receipts("web", u64::MAX, 1 << 20).unwrap().len();
    assert!((2001..2001 + 256).contains(&receipts), "as many as are kept, and until the next look: {receipts}");
    let (_, told) = store.history().audit("", 1).unwrap().remove(0);
    assert!(matches!(&told, Change::Audit { subject, .. } if subject.starts_with("15904 ")), "{told:?}");
}

/// Where there is a little room, what matters most is written although the rest does not fit.
#[test]
fn state_goes_first_into_a_little_room() {
    let Some(disk) = Small::new() else { return };
    let mut store = open(disk.path());
    disk.fill();
    until_full(&mut store);
    store.change(Change::Slot { name: "web".into(), body: Some(json!("stopped")) });
    for instance in 0..4000 {
        store.change(rig::receipt("web", instance, 20));
    }
    store.flush();
    disk.make_room();
    let deadline = Instant::now() + Duration::from_secs(20);
    while Records::read(disk.path()).unwrap().slots.get("web") != Some(&json!("stopped")) {
        assert!(Instant::now() < deadline, "{:?}", store.trouble());
        store.flush();
        std::thread::yield_now();
    }
    assert!(store.trouble().is_some(), "not everything fits");
    assert_eq!(numbers(&store), (1..=store.newest()).collect::<Vec<_>>());
}

/// A daemon that was killed is followed by one that opens the store as it is, or says why it cannot.
#[test]
fn a_killed_writer_is_followed_by_one_that_knows_its_state_although_the_disk_is_full() {
    let Some(disk) = Small::new() else { return };
    let mut store = open(disk.path());
    store.change(Change::Slot { name: "web".into(), body: Some(json!("up")) });
    say(&mut store, 3);
    disk.fill();
    until_full(&mut store);
    // As a killed process leaves its files: nobody closes them.
    std::mem::forget(store);
    let (mut store, found) = Store::open(disk.path(), "boot").unwrap();
    assert!(found.slots["web"] == "up" && !found.clean && found.damaged.is_none());
    store.change(Change::Slot { name: "web".into(), body: Some(json!("down")) });
    store.flush();
    assert!(store.trouble().is_some());
    disk.make_room();
    until_written(&mut store, 3);
    assert_eq!(Records::read(disk.path()).unwrap().slots["web"], "down");
}

#[test]
fn what_a_full_disk_costs_is_counted_and_told_once() {
    let Some(disk) = Small::new() else { return };
    let mut store = open(disk.path());
    disk.fill();
    let newest = until_full(&mut store);
    for _ in 0..60 {
        say(&mut store, 100);
    }
    disk.make_room();
    until_written(&mut store, newest + 6000);
    let recorded = store.history().page(0, u64::MAX >> 1, 1 << 20).unwrap();
    let (told, file, _, lost_from) = recovered(&store).unwrap();
    let first_lost = recorded.iter().zip(1..).find(|(event, expected)| event.seq != *expected).unwrap().1;
    assert_eq!((told, file, lost_from), (newest + 6001, None, Some(first_lost)));
    let tellers = recorded.iter().filter(|event| matches!(event.kind, EventKind::StoreRecovered { .. }));
    assert_eq!(tellers.count(), 1);
}

#[test]
fn killed_with_a_full_disk_the_numbers_go_on_and_the_loss_is_told() {
    let Some(disk) = Small::new() else { return };
    let mut store = open(disk.path());
    disk.fill();
    let newest = until_full(&mut store);
    let killed = rig::image(disk.path());
    let mut store = open(killed.path());
    store.flush();
    let (told, file, _, lost_from) = recovered(&store).unwrap();
    assert_eq!((told, file, lost_from), (newest + 1, None, Some(newest)));
}

#[test]
fn a_start_that_cannot_write_says_so() {
    let Some(disk) = Small::new() else { return };
    disk.fill();
    let text = complain(disk.path());
    assert!(text.contains("full") || text.contains("No space"), "{text}");
    disk.make_room();
    say(&mut open(disk.path()), 3);
    mount_remount(disk.path(), MountFlags::RDONLY, "").unwrap();
    let text = complain(disk.path());
    assert!(text.contains("Read-only") || text.contains("readonly"), "{text}");
    mount_remount(disk.path(), MountFlags::empty(), "").unwrap();
    std::os::unix::fs::chown(disk.path().join("store.db"), Some(12345), None).unwrap();
    let text = complain(disk.path());
    assert!(text.contains("belongs to user 12345"), "{text}");
}

fn complain(dir: &Path) -> String {
    use std::error::Error;
    let error = Store::open(dir, "boot").unwrap_err();
    let text = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
    assert!(text.contains("store."), "{text}");
    text
}
