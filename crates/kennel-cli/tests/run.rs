//! `kennel run` and `exec`: the command's own exit code and streams, and nothing of it is left.
//!
//! covers: D2, B1

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

fn scratch() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', sleep]
    environment: { GREETING: hello }
    working_dir: elsewhere
",
    );
    scratch.dir(&format!("{}/elsewhere", scratch.project().file_name().unwrap().to_string_lossy()));
    scratch
}

#[test]
fn the_exit_code_is_the_commands() {
    let scratch = scratch();
    scratch.file("not-executable", "");
    let badchild = scratch.badchild().display().to_string();
    for (command, code) in [
        (&[&*badchild, "exit", "0", "0"][..], 0),
        (&[&*badchild, "exit", "0", "3"], 3),
        (&["/bin/sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["/bin/sh", "-c", "kill -KILL $$"], 128 + 9),
        (&["no-such-program"], 127),
        (&["./not-executable"], 126),
    ] {
        let output = scratch.kennel(&[&["run", "--"], command].concat());
        assert_eq!(output.code(), code, "{command:?}: {}", output.all());
    }
    scratch.down();
}

#[test]
fn streams_are_the_callers() {
    let scratch = scratch();
    let input = scratch.file("input", "line 1\nline 2 without newline");
    let script = "cat; echo to-stderr >&2";
    let stdin = Stdio::from(File::open(input).unwrap());
    let output = scratch.spawn_with(&["run", "--", "/bin/sh", "-c", script], stdin, |_| {}).wait(DEADLINE);
    assert_eq!(output.stdout, "line 1\nline 2 without newline");
    assert_eq!(output.stderr, "to-stderr\n");
    scratch.down();
}

#[test]
fn what_a_command_leaves_behind_is_ended_with_it() {
    let scratch = scratch();
    let badchild = scratch.badchild().display().to_string();
    let script = format!("({badchild} --cell 1 daemon &) | head -n 1; exit 4");
    let output = scratch.kennel(&["run", "--", "/bin/sh", "-c", &script]);
    assert_eq!(output.code(), 4, "{}", output.all());
    assert_eq!(output.stdout, "up\n");
    wait_until(DEADLINE, "nothing of the command", || scratch.in_cells().is_empty());
    scratch.down();
}

#[test]
fn a_command_does_not_outlive_its_caller() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
        let scratch = scratch();
        let badchild = scratch.badchild().display().to_string();
        let mut client = scratch.spawn(&["run", "--", &badchild, "--cell", "1", "plain"]);
        wait_until(DEADLINE, "up", || client.stdout().contains("up"));
        client.signal(signal);
        client.wait(DEADLINE);
        wait_until(DEADLINE, "nothing of the command", || scratch.in_cells().is_empty());
        scratch.down();
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended() {
    let scratch = scratch();
    let badchild = scratch.badchild().display().to_string();
    let output = scratch.kennel(&["run", "--timeout", "300ms", "--", &badchild, "--cell", "1", "plain"]);
    assert_ne!(output.code(), 0, "{}", output.all());
    wait_until(DEADLINE, "nothing of the command", || scratch.in_cells().is_empty());
    scratch.down();
}

#[test]
fn exec_takes_environment_and_directory_of_the_service() {
    let scratch = scratch();
    scratch.ok(&["up", "-d"]);
    let output = scratch.ok(&["exec", "web", "--", "/bin/sh", "-c", "echo $GREETING; pwd"]);
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("hello"));
    assert!(lines.next().unwrap().ends_with("/elsewhere"));
    let unknown = scratch.kennel(&["exec", "wbe", "--", "true"]);
    assert_eq!(unknown.code(), 125, "4 could be the command's own: {}", unknown.all());
    assert!(unknown.stderr.contains("wbe"), "{}", unknown.all());
    scratch.down();
}

#[test]
fn the_environment_of_a_command_is_the_callers() {
    let mut scratch = scratch();
    scratch.env("ONLY_HERE", "yes");
    let badchild = scratch.badchild().display().to_string();
    let output = scratch.ok(&["run", "--", &badchild, "environ"]);
    assert!(output.stdout.lines().any(|line| line == "ONLY_HERE=yes"), "{}", output.stdout);
    scratch.down();
}

#[test]
fn no_descriptor_of_kennel_leaks_into_a_command() {
    let scratch = scratch();
    let output = scratch.ok(&["run", "--", "/bin/ls", "-l", "/proc/self/fd"]);
    // Its three streams and the directory that `ls` reads.
    assert_eq!(output.stdout.lines().filter(|line| line.contains(" -> ")).count(), 4, "{}", output.stdout);
    scratch.down();
}
