//! Who is ours and who only looks like it.

use std::path::{Path, PathBuf};

use kennel_testkit::{Background, Scratch, Signal, User, state_of, wait_for, wait_until};
use serde_json::{Value, json};

use crate::lost::{DEADLINE, lose, pids, told};

/// Services of one line of shell each; `${…}` is the shell's own.
fn stack(user: User, lines: &[&str]) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let service = |(at, line): (usize, &&str)| {
        format!("  s{at}: {{ command: ['@badchild@', --cell, '{}', exec, --, sh, -c, '{line}'] }}\n", at + 1)
    };
    let services: String = lines.iter().enumerate().map(service).collect();
    scratch.config(&format!("services:\n{services}"));
    scratch.ok(&["up", "-d"]);
    Some(scratch)
}

/// The one process whose command line is this.
pub(crate) fn process(scratch: &Scratch, command: &str) -> u32 {
    wait_for(DEADLINE, command, || {
        scratch.survivors().iter().find(|seen| seen.living && seen.command == command).map(|seen| seen.pid)
    })
}

fn orphan(told: &Value, pid: u32) -> Option<Value> {
    told["orphans"].as_array()?.iter().find(|one| one["pid"] == pid).cloned()
}

/// The soft limit that is the tag of a process.
pub(crate) fn tag(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// Moves a process to the top of the tree that its cgroup is in.
pub(crate) fn move_out(pid: u32) -> std::io::Result<()> {
    let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let tree = trees.into_iter().find(|tree| tree.join("cgroup.procs").exists()).unwrap();
    std::fs::write(tree.join("cgroup.procs"), pid.to_string())
}

pub(crate) fn end(mut stranger: Background) {
    assert!(!stranger.has_ended(), "it was not to be touched");
    stranger.signal(Signal::KILL);
    stranger.wait(DEADLINE);
}

#[test]
fn the_same_command_line_makes_nobody_ours() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user, &["exec sleep 86311"]) else { continue };
        let service = process(&scratch, "sleep 86311");
        let stranger = scratch.spawn_program(Path::new("sleep"), &["86311"], std::process::Stdio::null(), |_| {});
        wait_until(DEADLINE, "two of them", || {
            scratch.survivors().iter().any(|it| it.pid == service)
                && std::fs::read(format!("/proc/{}/cmdline", stranger.pid())).is_ok_and(|it| it.starts_with(b"sleep"))
        });
        lose(&scratch);
        assert_eq!(pids(&told(&scratch, &["ps", "--orphans", "--json"])["orphans"]), [service]);
        let told = told(&scratch, &["clean", "--all", "--json"]);
        assert_eq!(pids(&told["ended"]), [service], "{told}");
        end(stranger);
        scratch.expect_nothing(DEADLINE);
    }
}

#[test]
fn who_carries_the_tag_is_likely_and_another_users_is_refused() {
    let Some(scratch) = stack(User::Plain, &["exec sleep 86312"]) else { return };
    let service = process(&scratch, "sleep 86312");
    let wanted = format!("--rttime={0}:unlimited", tag(service));
    let arguments = [wanted.as_str(), "sleep", "600"];
    let program = Path::new("/usr/bin/prlimit");
    let mut same = scratch.spawn_program(program, &arguments, std::process::Stdio::null(), |_| {});
    let others = scratch.spawn_outsider(program, &arguments);
    wait_until(DEADLINE, "both carry it", || [&same, &others].iter().all(|it| tag(it.pid()) == tag(service)));
    lose(&scratch);
    let found = told(&scratch, &["ps", "--orphans", "--json"]);
    // Where the test is an ordinary user itself, so is the other one.
    let refused = if rustix::process::geteuid().is_root() { "refused" } else { "ended" };
    for (pid, sure, fate) in
        [(service, "certain", "ended"), (same.pid(), "likely", "ended"), (others.pid(), "likely", refused)]
    {
        let one = orphan(&found, pid).unwrap();
        assert_eq!((&one["sure"], &one["on_stop"]), (&json!(sure), &json!(fate)), "{one}");
    }
    let told = told(&scratch, &["clean", "--all", "--json"]);
    assert!(pids(&told["ended"]).contains(&same.pid()), "{told}");
    same.wait(DEADLINE);
    if rustix::process::geteuid().is_root() {
        assert_eq!((&told["left"], &told["note"]), (&json!(0), &Value::Null), "{told}");
        end(others);
    }
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn each_way_to_be_known_is_enough() {
    let shed = "prlimit --rttime=unlimited --pid $$";
    let lines = [
        // In the group without the tag.
        &format!("{shed}; exec sleep 86321"),
        // With the tag outside of the group, and nobody's child any more; and the main one of a run.
        "(setsid sleep 86322 &); exec sleep 86325",
        // With neither: a child of one that is in its group.
        &format!("({shed}; exec setsid sleep 86323) & exec sleep 86324"),
    ];
    let Some(scratch) = stack(User::Root, &lines) else { return };
    let [no_tag, no_group, child, parent, main] =
        [86321, 86322, 86323, 86324, 86325].map(|number| process(&scratch, &format!("sleep {number}")));
    // The shell without the tag was `$$` of the service's first.
    take_tag(child);
    lose(&scratch);
    [no_group, child, main].into_iter().for_each(|pid| move_out(pid).unwrap());
    let found = told(&scratch, &["ps", "--orphans", "--json"]);
    assert_eq!(pids(&found["orphans"]).len(), 5, "{found}");
    for (pid, known_by, sure) in [
        (no_tag, "scope", "certain"),
        (no_group, "stamp", "likely"),
        (child, "descent", "certain"),
        (main, "record", "certain"),
        (parent, "scope", "certain"),
    ] {
        let one = orphan(&found, pid).unwrap();
        assert_eq!((&one["known_by"][0], &one["sure"]), (&json!(known_by), &json!(sure)), "{one}");
    }
    let told = told(&scratch, &["sweep", "--stop", "--json"]);
    assert_eq!((pids(&told["ended"]).len(), &told["left"]), (5, &json!(0)), "{told}");
    scratch.expect_nothing(DEADLINE);
}

/// Takes the tag from a process, as whoever has the right to may.
fn take_tag(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Rttime, unlimited).unwrap();
}

#[test]
fn the_dead_are_nobodys_orphans() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user, &["(exit 3) & exec sleep 86331"]) else { continue };
        let service = process(&scratch, "sleep 86331");
        let children = || std::fs::read_to_string(format!("/proc/{service}/task/{service}/children")).unwrap();
        wait_until(DEADLINE, "a zombie", || {
            children().trim().parse().is_ok_and(|child: u32| state_of(child) == Some('Z'))
        });
        lose(&scratch);
        assert_eq!(pids(&told(&scratch, &["ps", "--orphans", "--json"])["orphans"]), [service]);
        assert_eq!(told(&scratch, &["clean", "--all", "--json"])["left"], 0);
        scratch.expect_nothing(DEADLINE);
    }
}

#[test]
fn a_command_does_not_end_what_it_runs_in() {
    for user in [User::Root, User::Plain] {
        let line =
            "while ! test -e go; do sleep 0.05; done; kennel clean --all >out 2>&1; echo $? >code; exec sleep 600";
        let Some(scratch) = stack(user, &[line]) else { continue };
        lose(&scratch);
        scratch.file("go", "");
        let code = scratch.project().join("code");
        let read = || std::fs::read_to_string(&code).ok().filter(|text| text.ends_with('\n'));
        assert_eq!(wait_for(DEADLINE, "an answer", read), "5\n");
        let out = std::fs::read_to_string(scratch.project().join("out")).unwrap();
        assert!(out.contains("runs in the scope"), "{out}");
        scratch.ok(&["clean", "--all"]);
        scratch.expect_nothing(DEADLINE);
    }
}

/// Beside a daemon there is one only if it was none of its own: here one that has taken on the tag.
#[test]
fn a_daemon_tells_and_ends_them() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user, &["exec sleep 86341"]) else { continue };
        let service = process(&scratch, "sleep 86341");
        // Another scope of the same instance.
        let number: u64 = tag(service).parse().unwrap();
        let other = (number ^ 0x80_0000).to_string();
        let limit = format!("--rttime={other}:unlimited");
        let arguments = [limit.as_str(), "sleep", "86342"];
        let null = std::process::Stdio::null();
        let mut orphan = scratch.spawn_program(Path::new("/usr/bin/prlimit"), &arguments, null, |_| {});
        wait_until(DEADLINE, "it carries the tag", || tag(orphan.pid()) == other);
        let found = told(&scratch, &["ps", "--orphans", "--json"]);
        assert_eq!((&found["state"], pids(&found["orphans"])), (&json!("running"), vec![orphan.pid()]), "{found}");
        let ended = told(&scratch, &["sweep", "--stop", "--json"]);
        assert_eq!((pids(&ended["ended"]), &ended["left"]), (vec![orphan.pid()], &json!(0)), "{ended}");
        orphan.wait(DEADLINE);
        for event in ["orphan.found", "orphan.killed"] {
            assert_eq!(scratch.events(event).len(), 1, "{event}");
        }
        assert!(scratch.survivors().iter().any(|it| it.pid == service), "what is tracked is left alone");
        scratch.down();
    }
}

/// A tracer keeps it from ending: it is told, and that is a failure of its own.
#[test]
fn who_cannot_be_ended_is_left_and_told() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user, &["exec sleep 86351"]) else { continue };
        let held = process(&scratch, "sleep 86351");
        lose(&scratch);
        let arguments = ["trace", "--exit", &held.to_string()];
        let mut tracer = scratch.spawn_program(&scratch.badchild(), &arguments, std::process::Stdio::null(), |_| {});
        wait_until(DEADLINE, "it is traced", || {
            std::fs::read_to_string(format!("/proc/{held}/status"))
                .is_ok_and(|text| text.contains(&format!("TracerPid:\t{}", tracer.pid())))
        });
        let output = scratch.kennel(&["clean", "--all", "--json"]);
        assert_eq!(output.code(), 6, "{}", output.all());
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        let survivors = &told["instances"][0]["survivors"];
        assert_eq!((&told["left"], pids(survivors)), (&json!(1), vec![held]), "{told}");
        assert_eq!(survivors[0]["tracer"], tracer.pid(), "{told}");
        // It was killed, and ends as soon as it is let go.
        tracer.signal(Signal::KILL);
        tracer.wait(DEADLINE);
        scratch.ok(&["clean", "--all"]);
        scratch.expect_nothing(DEADLINE);
    }
}

#[test]
fn who_is_in_the_group_is_ended_whatever_user_it_runs_as() {
    let Some(scratch) = stack(User::Delegated, &["exec sleep 86361"]) else { return };
    let service = process(&scratch, "sleep 86361");
    lose(&scratch);
    let mut other = scratch.spawn_outsider(Path::new("sleep"), &["86362"]);
    let leaf = scratch.cgroups().into_iter().find(|dir| {
        std::fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.trim() == service.to_string())
    });
    std::fs::write(leaf.unwrap().join("cgroup.procs"), other.pid().to_string()).unwrap();
    let found = orphan(&told(&scratch, &["sweep", "--json"]), other.pid()).unwrap();
    assert_eq!(
        (&found["user"], &found["sure"], &found["on_stop"]),
        (&json!("root"), &json!("certain"), &json!("ended"))
    );
    let told = told(&scratch, &["clean", "--all", "--json"]);
    let mut both = [service, other.pid()];
    both.sort_unstable();
    assert_eq!((pids(&told["ended"]), &told["left"]), (both.to_vec(), &json!(0)), "{told}");
    other.wait(DEADLINE);
    scratch.expect_nothing(DEADLINE);
}
