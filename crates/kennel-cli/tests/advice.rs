//! What `kennel doctor` advises, followed to the letter, gives what it says.
//!
//! covers: E10

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

fn scratch(user: User) -> Option<Scratch> {
    let mut scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    scratch.env("KENNEL_CONTAINMENT", "auto");
    Some(scratch)
}

fn tree() -> PathBuf {
    let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    trees.into_iter().find(|tree| tree.join("cgroup.procs").exists()).expect("a cgroup v2 tree")
}

/// Damages the machine for a shell alone, copies the first command that doctor says, types it, and asks again. Gives
/// both answers; the second is none where the advice is for whoever starts the container that this test runs in.
fn follow(damage: &str) -> Option<(String, Option<String>)> {
    let scratch = scratch(User::Root)?;
    let script = format!(
        "{damage} || exit 9; kennel doctor >../output/before; command=$(sed -n 's/^  do  *//p' ../output/before | head -n 1)
         case $command in docker*|podman*|'') exit 0;; esac
         sh -c \"$command\" || exit 8; kennel doctor >../output/after"
    );
    let unshare = ["--mount", "sh", "-c", &script];
    let output = scratch.spawn_program(Path::new("unshare"), &unshare, Stdio::null(), |_| {}).wait(DEADLINE);
    let read = |name: &str| fs::read_to_string(scratch.path("output").join(name)).ok();
    assert_eq!(output.code(), 0, "{}{:?}", output.all(), read("before"));
    assert!(scratch.cgroups().is_empty(), "{:?}", scratch.cgroups());
    Some((read("before").unwrap(), read("after")))
}

fn gives_cgroups(damage: &str, because: &str) {
    let Some((before, after)) = follow(damage) else { return };
    assert!(before.contains("! containment  reaper") && before.contains(because), "{before}");
    match after {
        Some(after) => assert!(after.contains("✓ containment  cgroup"), "{before}{after}"),
        None => assert!(Path::new("/.dockerenv").exists() || before.contains("container"), "{before}"),
    }
}

#[test]
fn a_tree_that_is_read_only_is_made_writable() {
    gives_cgroups(&format!("mount -o remount,bind,ro {}", tree().display()), "Read-only file system");
}

#[test]
fn a_tree_that_is_not_mounted_is_mounted() {
    gives_cgroups(&format!("umount {}", tree().display()), "no cgroup v2 is mounted");
}

#[test]
fn a_user_moves_a_shell_into_a_group() {
    let Some(scratch) = scratch(User::Plain) else { return };
    // What asks for root's password; this test is root and does what it is asked.
    let sudo = scratch.path("bin/sudo");
    let waits = "#!/bin/sh\nprintf %s \"$3\" >../output/asked.new && mv ../output/asked.new ../output/asked\n\
                 while [ ! -e ../output/done ]; do sleep 0.05; done\n";
    fs::write(&sudo, waits).unwrap();
    fs::set_permissions(&sudo, PermissionsExt::from_mode(0o755)).unwrap();
    let before = scratch.json(&["doctor", "--json"])["containment"].clone();
    let Some(command) = before["advice"]["command"].as_str() else {
        // In a container it takes root in any case, and on a machine without cgroups something else first.
        assert!(before["advice"]["text"].is_string(), "{before}");
        return;
    };
    let Some(command) = command.strip_suffix(" && kennel up").filter(|command| command.starts_with("sudo sh -c"))
    else {
        return;
    };
    let script = format!("{command} && kennel doctor");
    let mut shell = scratch.spawn_program(Path::new("sh"), &["-c", &script], Stdio::null(), |_| {});
    let asked = scratch.path("output/asked");
    wait_until(DEADLINE, "the question for root", || asked.exists() || shell.has_ended());
    let asked = fs::read_to_string(asked).unwrap();
    assert!(Command::new("sh").args(["-c", &asked]).status().unwrap().success(), "{asked}");
    fs::write(scratch.path("output/done"), "").unwrap();
    let after = shell.wait(DEADLINE);
    let group = asked.split(' ').nth(2).unwrap();
    wait_until(DEADLINE, "the group empty", || fs::remove_dir(group).is_ok() || !Path::new(group).exists());
    assert!(after.stdout.contains("✓ containment  cgroup"), "{before}{}", after.all());
}
