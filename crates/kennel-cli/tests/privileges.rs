//! Rights, limits and priorities of a service, from the file to what the kernel says of its process.
//!
//! covers: E3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Capabilities, Scratch, Shown, User};

const DEADLINE: Duration = Duration::from_secs(30);
const NET_BIND_SERVICE: u64 = 1 << 10;
const SYS_RESOURCE: u64 = 1 << 24;

/// Who runs kennel on which back end, as far as this machine has them.
fn worlds() -> impl Iterator<Item = Scratch> {
    let kennel = Path::new(env!("CARGO_BIN_EXE_kennel"));
    [(User::Root, "cgroup"), (User::Root, "reaper"), (User::Plain, "reaper")].into_iter().filter_map(
        move |(user, back_end)| {
            let mut scratch = Scratch::new(user, kennel)?;
            scratch.env("KENNEL_CONTAINMENT", back_end);
            Some(scratch)
        },
    )
}

fn worlds_of_root() -> impl Iterator<Item = Scratch> {
    worlds().filter(|scratch| scratch.user() == User::Root)
}

fn is_reaper(scratch: &Scratch) -> bool {
    scratch.cgroups().is_empty()
}

/// Starts `web` with these keys; its process as the kernel shows it.
fn start(scratch: &Scratch, keys: &str) -> Shown {
    scratch.config(&format!("services:\n  web:\n    command: ['@badchild@', --cell, '1', sleep]\n{keys}"));
    scratch.ok(&["up", "-d"]);
    Shown::of(scratch.ps("web")["pid"].as_u64().unwrap())
}

#[test]
fn what_anybody_may_ask_for() {
    for scratch in worlds() {
        let process = start(
            &scratch,
            "
    nice: 5
    ulimits: { nofile: { soft: 100, hard: 200 }, core: 0, rttime: 7000000 }
    cpuset: 0-0
    io_priority: best-effort:6
    oom_score_adj: 500
    security_opt: ['no-new-privileges:true']
",
        );
        assert_eq!(process.nice(), 5);
        assert_eq!(process.limit("Max open files"), "100 200");
        assert_eq!(process.limit("Max core file size"), "0 0");
        // Also where kennel would use this limit to know its processes again.
        assert_eq!(process.limit("Max realtime timeout"), "7000000 7000000");
        assert_eq!(process.status("Cpus_allowed_list"), "0");
        assert_eq!(process.file("oom_score_adj").trim(), "500");
        assert_eq!(process.status("NoNewPrivs"), "1");
        scratch.down();
        scratch.expect_nothing(DEADLINE);
    }
}

/// The daemon and the keeper have raised limits; a service has those of whoever typed the command.
#[test]
fn nothing_is_set_that_nobody_asked_for() {
    for scratch in worlds() {
        let process = start(&scratch, "");
        let own = Shown::own();
        for limit in ["Max open files", "Max core file size", "Max processes"] {
            assert_eq!(process.limit(limit), own.limit(limit), "{limit}");
        }
        assert_eq!(process.nice(), 0);
        let forbidden = if is_reaper(&scratch) { "1" } else { "0" };
        assert_eq!(process.status("NoNewPrivs"), forbidden);
        scratch.down();
    }
}

#[test]
fn root_gives_and_takes_capabilities() {
    for scratch in worlds_of_root() {
        let keys = "    cap_drop: [ALL]\n    cap_add: [cap_net_bind_service]\n";
        let process = start(&scratch, keys);
        let Capabilities { effective, permitted, inheritable, ambient, bounding } = process.capabilities();
        assert_eq!([effective, permitted, bounding], [NET_BIND_SERVICE; 3]);
        assert_eq!([inheritable, ambient], [0; 2]);
        scratch.down();

        let process = start(&scratch, &format!("{keys}    user: '60201:60202'\n    working_dir: /\n    nice: -5\n"));
        let Capabilities { effective, permitted, inheritable, ambient, bounding } = process.capabilities();
        assert_eq!([effective, permitted, inheritable, ambient, bounding], [NET_BIND_SERVICE; 5]);
        assert_eq!(process.status("Uid"), "60201 60201 60201 60201");
        assert_eq!(process.status("Gid"), "60202 60202 60202 60202");
        assert_eq!(process.status("Groups"), "60202");
        assert_eq!(process.nice(), -5);
        scratch.down();
        scratch.expect_nothing(DEADLINE);
    }
}

/// Whether this test has the capability `CAP_SYS_RESOURCE`, which containers withhold even from root.
fn may_raise_limits() -> bool {
    Shown::own().capabilities().effective & SYS_RESOURCE != 0
}

/// A container withholds some of these rights even from root; then the refusal is what is tested.
#[test]
fn root_goes_before_others_where_it_may() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    let keys = "    user: '60201'\n    working_dir: /\n    nice: -5\n    io_priority: realtime:2\n";
    let process = start(&scratch, keys);
    assert_eq!((process.nice(), process.status("Uid")), (-5, "60201 60201 60201 60201".into()));
    scratch.down();
    if may_raise_limits() {
        let process = start(
            &scratch,
            &format!("{keys}    oom_score_adj: -100\n    ulimits: {{ memlock: unlimited, msgqueue: 1234567 }}\n"),
        );
        assert_eq!(process.file("oom_score_adj").trim(), "-100");
        assert_eq!(process.limit("Max locked memory"), "unlimited unlimited");
        assert_eq!(process.limit("Max msgqueue size"), "1234567 1234567");
        assert_eq!(process.nice(), -5);
        scratch.down();
        scratch.expect_nothing(DEADLINE);
    } else {
        refused(&scratch, "oom_score_adj: -100", &["web", "`oom_score_adj`", "-100", "CAP_SYS_RESOURCE"]);
        if !Shown::own().limit("Max locked memory").ends_with("unlimited") {
            refused(
                &scratch,
                "ulimits: { memlock: unlimited }",
                &["web", "`memlock`", "unlimited", "CAP_SYS_RESOURCE"],
            );
        }
    }
}

#[test]
fn root_chooses_user_and_groups() {
    for scratch in worlds_of_root() {
        // A group alone changes nothing else; a number without an account has one group.
        for (keys, user, group, groups) in [
            ("group: '60202'", "0", "60202", None),
            ("user: '60201'\n    group: '60202'", "60201", "60202", Some("60202")),
            ("user: '60201'", "60201", "60201", Some("60201")),
        ] {
            let process = start(&scratch, &format!("    working_dir: /\n    {keys}\n"));
            assert_eq!(process.status("Uid"), [user; 4].join(" "), "{keys}");
            assert_eq!(process.status("Gid"), [group; 4].join(" "), "{keys}");
            match groups {
                Some(groups) => assert_eq!(process.status("Groups"), groups, "{keys}"),
                None => assert!(process.status("Groups").split(' ').any(|one| one == group), "{keys}"),
            }
            if user != "0" {
                let Capabilities { effective, permitted, .. } = process.capabilities();
                assert_eq!([effective, permitted], [0; 2], "{keys}");
            }
            scratch.down();
        }
    }
}

/// A command beside the service has what the service has.
#[test]
fn what_is_executed_in_a_service_is_no_better() {
    for scratch in worlds() {
        start(&scratch, "    nice: 3\n    ulimits: { nofile: 77 }\n    no_new_privileges: true\n");
        let script = "nice; ulimit -n; grep NoNewPrivs /proc/self/status";
        let output = scratch.ok(&["exec", "web", "--", "sh", "-c", script]);
        assert_eq!(output.stdout, "3\n77\nNoNewPrivs:\t1\n");
        scratch.down();
    }
}

/// `up` fails and a line of what it says has these words; nothing of the attempt is left.
#[track_caller]
fn refused(scratch: &Scratch, keys: &str, words: &[&str]) {
    scratch.config(&format!("services:\n  web:\n    command: ['@badchild@', --cell, '1', sleep]\n    {keys}\n"));
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), 1, "{keys}: {}", output.all());
    let text = output.all();
    assert!(text.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?}:\n{text}");
    assert!(scratch.in_cells().is_empty(), "{:?}", scratch.in_cells());
    assert_eq!(scratch.ps("web")["state"], "failed");
    scratch.down();
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn what_an_ordinary_user_may_not_have() {
    for scratch in worlds().filter(|scratch| scratch.user() == User::Plain) {
        refused(&scratch, "cap_add: [NET_BIND_SERVICE]", &["web", "`NET_BIND_SERVICE`", "root"]);
        refused(&scratch, "nice: -5", &["web", "`nice`", "-5", "root"]);
        refused(&scratch, "io_priority: realtime:0", &["web", "`io_priority`", "root"]);
        refused(&scratch, "oom_score_adj: -100", &["web", "`oom_score_adj`", "-100", "root"]);
        refused(&scratch, "ulimits: { nofile: 100000000 }", &["web", "`nofile`", "100000000", "fs.nr_open"]);
        refused(&scratch, "user: root", &["web", "`root`", "needs root"]);
        refused(&scratch, "group: root", &["web", "`root`", "needs root"]);
    }
}

#[test]
fn what_nobody_may_have() {
    for scratch in worlds() {
        refused(&scratch, "cpu_affinity: 0,8191", &["web", "`cpu_affinity`", "the machine has 0"]);
        refused(&scratch, "ulimits: { nofile: unlimited }", &["web", "`nofile`", "unlimited", "fs.nr_open"]);
        refused(&scratch, "user: '4294967295'", &["web", "no user `4294967295`"]);
    }
}

/// An ordinary user cannot take a capability from the bounding set; that nothing is gained holds all the same.
#[test]
fn an_ordinary_user_may_drop_capabilities() {
    for scratch in worlds().filter(|scratch| scratch.user() == User::Plain) {
        let process = start(&scratch, "    cap_drop: [ALL]\n");
        let Capabilities { effective, permitted, inheritable, ambient, .. } = process.capabilities();
        assert_eq!([effective, permitted, inheritable, ambient], [0; 4]);
        assert_eq!(process.status("NoNewPrivs"), "1");
        scratch.down();
    }
}
