//! Processes that nothing but their record in the store points to, and others that have their numbers by now.
//!
//! covers: A5, B7, E9

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kennel_orphans::{Error, Whom, Wish, find, stop};
use kennel_store::{Change, Store};
use kennel_sys::home::Home;
use kennel_sys::identity::{self, Identity};
use kennel_sys::pidfd;
use kennel_wire::{Exit, Fate, InstanceState, KnownBy, Sure};
use serde_json::json;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// An instance that was lost while this process was the main one of run 3 of `web`.
fn lost(process: Identity, boot_id: &str) -> (TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, runtime_dir) = (dir.path().join("state"), dir.path().join("run"));
    let home = Home { name: format!("records-{}", process.pid), state_dir, runtime_dir };
    home.create().unwrap();
    std::fs::write(home.lock_file(), "{\"keeper_pid\":1}").unwrap();
    let mut store = Store::open(&home.state_dir, boot_id).unwrap().0;
    let body = json!({
        "service": "web", "scope": "web.3", "boot_id": boot_id,
        "pid": process.pid, "start_ticks": process.start_ticks, "inode": process.inode,
    });
    store.change(Change::Run { id: 3, body: Some(body) });
    store.flush();
    store.close();
    (dir, home)
}

fn sleeper() -> (Child, Identity) {
    let child = Command::new("sleep").arg("600").spawn().unwrap();
    let identity = Identity::read(child.id(), pidfd::open(child.id()).unwrap()).unwrap();
    (child, identity)
}

fn all() -> Wish {
    Wish { whom: Whom::All, grace: Duration::ZERO, for_a_start: false }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn one_that_is_recorded_is_found_and_ended() {
    let (mut child, process) = sleeper();
    let (_dir, home) = lost(process, &identity::boot_id().unwrap());
    let told = find(&home).unwrap();
    assert_eq!((told.state, told.orphans.len()), (InstanceState::Lost, 1), "{told:?}");
    let orphan = &told.orphans[0];
    assert_eq!((orphan.pid, orphan.service.as_deref(), orphan.run), (process.pid, Some("web"), Some(3)));
    let sure = if process.inode == 0 { Sure::Likely } else { Sure::Certain };
    assert_eq!((&orphan.known_by[..], orphan.sure, orphan.on_start), (&[KnownBy::Record][..], sure, Fate::Ended));

    let waiter = std::thread::spawn(move || child.wait());
    let told = stop(&home, &all()).unwrap();
    waiter.join().unwrap().unwrap();
    assert_eq!((told.left, told.ended.len()), (0, 1), "{told:?}");
    assert!(told.ended[0].main);
    // Kernels before 6.15 do not tell.
    assert!(matches!(told.ended[0].exit, Some(Exit::Signal { signal: 9 } | Exit::Unknown)), "{told:?}");
    assert_eq!(std::fs::metadata(home.lock_file()).unwrap().len(), 0, "nothing is left to look for");
    assert!(find(&home).unwrap().orphans.is_empty());
}

#[test]
fn only_those_that_are_meant_are_ended() {
    let (child, process) = sleeper();
    let (_dir, home) = lost(process, &identity::boot_id().unwrap());
    let other =
        Wish { whom: Whom::These([process.pid, std::process::id()].into()), grace: Duration::ZERO, for_a_start: false };
    assert!(matches!(stop(&home, &other), Err(Error::NoOrphan { pid, .. }) if pid == std::process::id()));
    assert!(process.open().is_ok(), "nothing was sent to the other one either");
    let lock = std::fs::File::open(home.lock_file()).unwrap();
    lock.lock().unwrap();
    assert!(matches!(stop(&home, &all()), Err(Error::Held { .. })));
    assert_eq!(find(&home).unwrap().state, InstanceState::Silent);
    end(child);
}

#[test]
fn one_of_another_boot_or_start_is_a_stranger() {
    let (child, process) = sleeper();
    let now = identity::boot_id().unwrap();
    let later = Identity { start_ticks: process.start_ticks + 1, ..process };
    let other = Identity { inode: process.inode + 1, ..process };
    let mut cases = vec![(process, "another boot"), (later, now.as_str())];
    if process.inode != 0 {
        cases.push((other, now.as_str()));
    }
    for (recorded, boot_id) in cases {
        let (_dir, home) = lost(recorded, boot_id);
        assert!(find(&home).unwrap().orphans.is_empty(), "{recorded:?}");
        let told = stop(&home, &all()).unwrap();
        assert!(told.ended.is_empty() && told.left == 0, "{told:?}");
        assert!(process.open().is_ok());
    }
    end(child);
}

/// The kernel is made to give the number to somebody else, as it does by itself after some thousands of starts.
#[test]
fn a_stranger_that_has_the_number_now_is_untouched() {
    let (child, recorded) = sleeper();
    end(child);
    let deadline = Instant::now() + DEADLINE;
    let stranger = loop {
        // Only root may say which number comes next, and others may be quicker to take it.
        let wanted = (recorded.pid - 1).to_string();
        if std::fs::write("/proc/sys/kernel/ns_last_pid", wanted).is_err() {
            return;
        }
        let (child, identity) = sleeper();
        if identity.pid == recorded.pid {
            break (child, identity);
        }
        end(child);
        assert!(Instant::now() < deadline, "the number is never free");
    };
    let (_dir, home) = lost(recorded, &identity::boot_id().unwrap());
    assert!(find(&home).unwrap().orphans.is_empty());
    assert!(stop(&home, &all()).unwrap().ended.is_empty());
    assert!(stranger.1.open().is_ok());
    end(stranger.0);
}
