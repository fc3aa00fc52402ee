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
        Self::at(scratch.dir("state"))
    }

    fn at(dir: PathBuf) -> Option<Self> {
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
    wait_until(DEADLINE, "no warning any more", || !scratch.ok(&["ps"]).stderr.contains("warning"));
    scratch.ok(&["down"]);
    let numbers: Vec<u64> = scratch.recorded().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    scratch.expect_nothing(DEADLINE);
}

/// Output that cannot be written is lost, counted and said once; the service does not notice, and the gap stands in the log.
// covers: B9
#[test]
fn output_is_lost_and_said_while_the_disk_is_full() {
    for way in ["stop", "keep"] {
        let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
        let Some(disk) = Small::below(&scratch) else { return };
        let script = "echo begin; until [ -e go ]; do sleep 0.02; done; seq -f %099.0f 1 20000; until [ -e more ]; do \
            sleep 0.02; done; echo end; sleep 1000";
        scratch.config(&format!(
            "services:\n  web: {{ command: {script:?}, shell: true, stop_grace_period: 100ms, on_daemon_loss: {way} }}\n"
        ));
        scratch.ok(&["up", "-d"]);
        let pid = scratch.ps("web")["pid"].clone();
        disk.fill();
        scratch.file("go", "");
        // All of it was taken from the service.
        wait_until(DEADLINE, "all that it writes", || scratch.ps("web")["log_bytes"] == 2_000_006);
        let lost = || scratch.ps("web")["log_lost_bytes"].as_u64();
        wait_until(DEADLINE, "most of it lost", || lost() > Some(1 << 20));
        disk.make_room();
        scratch.file("more", "");
        let of = |kind: &str| -> Vec<serde_json::Value> {
            scratch.recorded().into_iter().filter(|event| event["event"] == kind).collect()
        };
        wait_until(DEADLINE, "word of its end", || of("logs.recovered").len() == 1);
        // The last of it is counted a moment after it was taken.
        let told = of("logs.recovered")[0]["lost_bytes"].as_u64();
        assert_eq!(lost(), told);
        let lost = told.unwrap();
        assert_eq!(of("logs.lost").len(), 1, "{way}: said once");
        assert_eq!(scratch.ps("web")["pid"], pid, "it runs on");
        let logged = || scratch.ok(&["logs", "web", "--no-prefix"]).stdout;
        wait_until(DEADLINE, "its last line", || logged().ends_with("end\n"));
        let shown = logged();
        let gap = format!("[kennel: {lost} bytes could not be written, the disk had no room]");
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.first() == Some(&"begin") && lines.last() == Some(&"end"), "{way}: {} lines", lines.len());
        assert_eq!(lines.iter().filter(|line| **line == gap).count(), 1, "{way}: {gap}");
        scratch.ok(&["down"]);
        scratch.expect_nothing(DEADLINE);
    }
}

/// A file that output goes to as well is on a full disk: the log has all of it, and so has the file when there is room.
// covers: B9
#[test]
fn a_copy_that_does_not_fit_is_made_up_for() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let Some(disk) = Small::at(scratch.dir("small")) else { return };
    let file = disk.0.join("web.log");
    let script = "echo begin; until [ -e go ]; do sleep 0.02; done; seq -f %099.0f 1 5000; sleep 1000";
    scratch.config(&format!(
        "services:\n  web: {{ command: {script:?}, shell: true, logs: {{ path: '{}' }} }}\n",
        file.display()
    ));
    scratch.ok(&["up", "-d"]);
    wait_until(DEADLINE, "the first line", || std::fs::read(&file).is_ok_and(|bytes| bytes == b"begin\n"));
    disk.fill();
    scratch.file("go", "");
    let of = |kind: &str| -> Vec<serde_json::Value> {
        scratch.recorded().into_iter().filter(|event| event["event"] == kind).collect()
    };
    wait_until(DEADLINE, "word of it", || of("logs.sink_failed").len() == 1);
    assert_eq!(of("logs.sink_failed")[0]["reason"], "no space left on device");
    // The file was full long before the service had written all.
    wait_until(DEADLINE, "all of it in the log", || {
        scratch.ok(&["logs", "web", "-n", "1", "--raw"]).stdout.ends_with("5000\n")
    });
    disk.make_room();
    wait_until(DEADLINE, "word of its end", || of("logs.sink_recovered").len() == 1);
    assert_eq!((&of("logs.sink_recovered")[0]["lost_bytes"], of("logs.sink_failed").len()), (&0.into(), 1));
    let raw = scratch.ok(&["logs", "web", "--raw"]).stdout;
    assert!(std::fs::read_to_string(&file).unwrap() == raw && raw.len() == 500_006, "{} bytes", raw.len());
    scratch.ok(&["down"]);
    scratch.expect_nothing(DEADLINE);
}
