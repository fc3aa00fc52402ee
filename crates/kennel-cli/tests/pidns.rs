//! `isolation: pid` through the command line: nothing that kennel does with a service is different but what is promised.
//!
//! covers: C2, C3, C10, E9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Shown, Signal, User, send, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a test for both kinds of user, both back ends of root, with and without a private `/proc`.
fn in_each(body: impl Fn(&Scratch, &str)) {
    let kennel = Path::new(env!("CARGO_BIN_EXE_kennel"));
    for (user, back_end) in [(User::Root, "cgroup"), (User::Root, "reaper"), (User::Plain, "reaper")] {
        for isolation in ["pid", "[pid, proc]"] {
            let Some(mut scratch) = Scratch::new(user, kennel) else { continue };
            scratch.env("KENNEL_CONTAINMENT", back_end);
            body(&scratch, isolation);
        }
    }
}

/// One service with a shape of the bad child.
fn start(scratch: &Scratch, isolation: &str, shape: &str, more: &str) -> u64 {
    scratch.config(&format!(
        "services: {{ web: {{ command: ['@badchild@', --cell, '1', {shape}], readiness: {{ log_line: ^up$ }}, \
         isolation: {isolation}{more} }} }}"
    ));
    scratch.ok(&["up", "-d"]);
    scratch.ps("web")["pid"].as_u64().unwrap()
}

#[test]
fn numbers_counts_and_receipts_are_those_outside() {
    in_each(|scratch, isolation| {
        let main = start(scratch, isolation, "plain", "");
        assert_eq!(Shown::of(main).inner(), 2);
        assert_eq!(scratch.ps("web")["processes"], 2);
        let status = &scratch.json(&["status", "web", "--json"])[0];
        let tree: Vec<u64> = status["tree"].as_array().unwrap().iter().map(|it| it["pid"].as_u64().unwrap()).collect();
        let outside: Vec<u64> = scratch.in_cells().iter().map(|seen| u64::from(seen.pid)).collect();
        assert!(tree.len() == 2 && tree.iter().all(|pid| outside.contains(pid)), "{tree:?} {outside:?}");
        let child = tree.iter().find(|pid| **pid != main).unwrap();
        scratch.ok(&["kill", "--pid", &child.to_string()]);
        wait_until(DEADLINE, "the child gone", || scratch.ps("web")["processes"] == 1);
        let receipt = scratch.json(&["stop", "web", "--json"]).to_string();
        let named = format!("\"pid\":{main},");
        assert!(receipt.contains(&named) && receipt.contains("\"left\":0"), "{receipt}");
        assert!(scratch.in_cells().is_empty());
        scratch.down();
    });
}

#[test]
fn every_shape_is_gone_after_a_stop() {
    in_each(|scratch, isolation| {
        for shape in ["daemon", "ignores-term", "stopped", "empty-env", "lost-leader", "pid-namespace", "killer"] {
            start(scratch, isolation, shape, ", stop_grace_period: 100ms");
            scratch.ok(&["stop", "web"]);
            assert!(scratch.in_cells().is_empty(), "{shape}: {:?}", scratch.in_cells());
        }
        scratch.down();
    });
}

#[test]
fn stragglers_get_the_stop_sequence() {
    in_each(|scratch, isolation| {
        let main = start(scratch, isolation, "plain", ", restart: 'no'");
        let seen = scratch.in_cells().into_iter().find(|seen| u64::from(seen.pid) == main).unwrap();
        send(&seen, Signal::USR1);
        scratch.wait_state("web", "completed", DEADLINE);
        assert!(scratch.in_cells().is_empty());
        scratch.down();
    });
}

#[test]
fn no_command_is_needed_after_the_loss_of_all_of_kennel() {
    in_each(|scratch, isolation| {
        start(scratch, isolation, "daemon", "");
        assert!(!scratch.in_cells().is_empty());
        // First processes are copies of the keeper. Stopped, none of ours can act: it is the kernel that does.
        let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
        let ours = |seen: &Seen| ["__keeper", "__daemon"].contains(&seen.verb());
        let ours: Vec<Seen> = scratch.survivors().into_iter().filter(ours).collect();
        assert_eq!(ours.len(), 3, "{ours:?}");
        ours.iter().for_each(|seen| send(seen, Signal::STOP));
        [&keeper, &daemon].into_iter().for_each(|seen| send(seen, Signal::KILL));
        scratch.expect_nothing(DEADLINE);
        // And the next command is none the worse for it.
        scratch.ok(&["up", "-d"]);
        assert_eq!(scratch.ps("web")["processes"], 2);
        scratch.down();
    });
}

/// The socket is outside of the namespace, and so is whoever checks who has written to it.
#[test]
fn readiness_by_notification_works() {
    in_each(|scratch, isolation| {
        let script = "import os, socket, time\n\
                      name = os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1)\n\
                      socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', name)\n\
                      print('said', os.getpid(), flush=True)\n\
                      time.sleep(600)\n";
        let script = scratch.file("notify.py", script);
        scratch.config(&format!(
            "services: {{ web: {{ command: [python3, {}], readiness: {{ notify: true }}, isolation: {isolation} }} }}",
            script.display()
        ));
        scratch.ok(&["up", "-d"]);
        wait_until(DEADLINE, "its output", || scratch.ok(&["logs", "web"]).stdout.contains("said 2"));
        scratch.ok(&["exec", "web", "--", "true"]);
        scratch.down();
    });
}

/// Who is somebody else cannot be made there by an ordinary user, and is told so.
#[test]
fn another_user_in_a_user_namespace_is_refused() {
    let Some(scratch) = Scratch::new(User::Plain, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    scratch.config("services: { web: { command: 'sleep 600', user: '60204', isolation: pid, restart: 'no' } }");
    let output = scratch.kennel(&["up", "-d"]);
    assert_ne!(output.code(), 0, "{}", output.all());
    assert!(output.all().contains("60204"), "{}", output.all());
    scratch.down();
}
