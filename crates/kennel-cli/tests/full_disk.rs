//! The disk of the state directory is full: services go on, kennel says so, and nothing is missing when there is room again.
//!
//! covers: B3

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_testkit::{Scratch, wait_until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const DEADLINE: Duration = Duration::from_secs(30);

/// A small file system in the place of the state directory.
struct Small(PathBuf);

impl Small {
    fn below(scratch: &Scratch) -> Option<Self> {
        let dir = scratch.dir("state");
        match mount("tmpfs", &dir, "tmpfs", MountFlags::empty(), Some(c"size=3m,mode=700")) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                eprintln!("skipped: cannot mount a small file system: {error}");
                None
            }
        }
    }

    /// Nothing can be appended to the log any more, which has the room of its first pages.
    fn fill(&self) {
        let all = std::fs::write(self.0.join("ballast"), vec![0; 4 << 20]);
        assert!(all.is_err(), "it is small");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_already = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn services_go_on_and_nothing_is_missing_afterwards() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let Some(disk) = Small::below(&scratch) else { return };
    scratch.config(
        "
services:
  web: { command: ['@badchild@', sleep], stop_grace_period: 100ms }
  other: { command: ['@badchild@', sleep], stop_grace_period: 100ms }
",
    );
    scratch.ok(&["up", "-d"]);
    let web = scratch.ps("web")["pid"].clone();
    disk.fill();
    let mut restarts = 0;
    wait_until(DEADLINE, "the disk is full", || {
        scratch.ok(&["restart", "other"]);
        restarts += 1;
        scratch.ok(&["ps"]).stderr.contains("warning: cannot write")
    });
    let said = scratch.ok(&["ps", "--json"]);
    assert!(said.stderr.contains("store.db") && said.stderr.contains("full"), "{}", said.stderr);
    assert!(!scratch.ok(&["--quiet", "ps"]).stderr.contains("warning"), "unless nobody wants to hear it");
    for _ in 0..3 {
        scratch.ok(&["restart", "other"]);
        restarts += 1;
    }
    assert_eq!(scratch.ps("web")["pid"], web, "who has nothing to do with it runs on");
    disk.make_room();
    // Without another request: it is tried again by itself.
    let started = || {
        let of_other = |event: &&serde_json::Value| event["service"] == "other" && event["event"] == "instance.started";
        scratch.recorded().iter().filter(of_other).count()
    };
    wait_until(DEADLINE, "everything is recorded", || started() == restarts + 1);
    assert!(!scratch.ok(&["ps"]).stderr.contains("warning"));
    scratch.ok(&["down"]);
    let numbers: Vec<u64> = scratch.recorded().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    scratch.expect_nothing(DEADLINE);
}
