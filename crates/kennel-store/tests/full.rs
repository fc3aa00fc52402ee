//! A disk without room, on a small file system that is mounted for it; only root may do that.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by it, and says why it does not run")]

mod rig;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_store::Store;
use kennel_wire::EventKind;
use rig::{numbers, open, recovered, say};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use tempfile::TempDir;

struct Small(TempDir);

impl Small {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=1m,mode=700")) {
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
        let all = fs::write(self.path().join("ballast"), vec![0; 2 << 20]);
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
