//! A kennel that kills itself at named steps, and what holds whatever was killed.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kennel_testkit::{Scratch, Seen};
use serde_json::Value;

/// The kennel with the steps compiled in, built beside the ordinary one, which has none.
pub(crate) fn kennel_that_crashes() -> PathBuf {
    let ordinary = PathBuf::from(env!("CARGO_BIN_EXE_kennel"));
    let target = ordinary.ancestors().nth(2).expect("<target>/<profile>/kennel");
    // What is compiled goes where everything else is, so that dependencies are not compiled once more; only the
    // programs go to a place of their own.
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["build", "--quiet", "--locked", "--workspace", "--bin", "kennel", "--bin", "kennel-badchild"])
        .args(["--features", "kennel-cli/crash-points", "--config"])
        .arg(format!("build.build-dir={:?}", target.display().to_string()))
        .arg("--target-dir")
        .arg(target.join("crash"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status();
    assert!(built.expect("cargo runs").success(), "the build with crash points failed");
    target.join("crash/debug/kennel")
}

/// Each service has one main process at most.
pub(crate) fn never_twice(scratch: &Scratch) {
    // A look takes its time: one may end and the next begin meanwhile. Who is in two looks lived in between.
    let (before, after) = (scratch.in_cells(), scratch.in_cells());
    let lived = |seen: &Seen| {
        let is_same = |other: &Seen| other.living && (other.pid, other.start_ticks) == (seen.pid, seen.start_ticks);
        seen.living && after.iter().any(is_same)
    };
    for cell in 1..=3 {
        let living: Vec<&Seen> = before.iter().filter(|seen| seen.cell == Some(cell) && lived(seen)).collect();
        let mains = living.iter().filter(|seen| !living.iter().any(|other| other.pid == seen.ppid));
        assert!(mains.count() <= 1, "cell {cell}: {living:?}");
    }
}

/// What is recorded is a history that can have been.
pub(crate) fn expect_history(scratch: &Scratch) {
    let events = scratch.recorded();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    let mut runs: BTreeMap<(String, u64), Vec<&Value>> = BTreeMap::new();
    for event in &events {
        if let (Some(service), Some(instance)) = (event["service"].as_str(), event["instance"].as_u64()) {
            runs.entry((service.to_owned(), instance)).or_default().push(event);
        }
    }
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &events {
        let (Some(service), Some(instance)) = (event["service"].as_str(), event["instance"].as_u64()) else {
            continue;
        };
        match event["event"].as_str() {
            Some("instance.started") => {
                assert_eq!(open.insert(service, instance), None, "{service} was started beside another run of it");
            }
            Some("instance.down") => assert_eq!(open.remove(service), Some(instance), "{service} {instance}"),
            _ => {}
        }
    }
    assert_eq!(open, BTreeMap::new(), "not recorded as down");
    for ((service, instance), events) in runs {
        let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
        let counts = ["instance.started", "instance.exited", "instance.down"].map(count);
        assert!(counts == [1, 1, 1] || counts == [0, 0, 0], "{service} {instance}: {counts:?}");
        let exit = events.iter().find(|event| event["event"] == "instance.exited").map(|event| &event["exit"]);
        if let (Some(exit), "task") = (exit, service.as_str()) {
            let known = exit["code"] == 7 || exit["kind"] == "unknown" || exit["signal"].is_u64();
            assert!(known, "task ended with {exit}");
        }
    }
}
