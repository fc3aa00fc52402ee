//! A service stands still when asked to, says so, is not ended for it, and can be ended or let go on.
//!
//! covers: C5, D4

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// Writes a line every few milliseconds, and is not ready for long once it stands still: a probe runs every 50 ms.
const STACK: &str = "services: { web: { command: ['sh', '-c', 'while :; do date >> out; sleep 0.01; done'], \
                     readiness: { exec: ['sh', '-c', 'rm out && sleep 0.1 && test -e out'], interval: 50ms, failure_threshold: 1 } } }";

fn on_each(body: impl Fn(&Scratch)) {
    for (user, isolation) in [(User::Root, ""), (User::Plain, ""), (User::Root, "pid"), (User::Plain, "pid")] {
        let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { continue };
        let config = STACK.replace("command:", &format!("isolation: [{isolation}], command:"));
        scratch.config(&config);
        scratch.ok(&["up", "-d"]);
        body(&scratch);
        scratch.down();
    }
}

#[test]
fn it_stands_still_and_goes_on() {
    on_each(|scratch| {
        let report = scratch.json(&["freeze", "web", "--json"]);
        assert_eq!((&report["ok"], &report["services"][0]["frozen"]), (&true.into(), &true.into()), "{report}");
        let status = scratch.ps("web");
        assert_eq!((&status["frozen"], &status["reason"]), (&true.into(), &"frozen by request".into()), "{status}");
        assert!(scratch.ok(&["ps"]).stdout.contains("frozen"), "{}", scratch.ok(&["ps"]).stdout);
        // Nothing writes the file any more, whoever removes it.
        let out = scratch.project().join("out");
        let _gone = std::fs::remove_file(&out);
        assert!(!out.exists());
        // Once more is no error.
        assert!(scratch.ok(&["freeze", "web"]).stdout.contains("web  frozen"));
        let report = scratch.json(&["thaw", "--all", "--json"]);
        assert_eq!((&report["ok"], &report["services"][0]["frozen"]), (&true.into(), &false.into()), "{report}");
        wait_until(DEADLINE, "it writes again", || out.exists());
        assert_eq!(scratch.ps("web")["frozen"], Value::Null);
        let told = scratch.recorded();
        let of = |kind: &str| told.iter().filter(|event| event["event"] == kind).count();
        assert_eq!((of("instance.frozen"), of("instance.thawed")), (1, 1), "{told:?}");
        // The probe failed all the while and nobody was told so.
        assert!(!told.iter().any(|event| event["event"] == "instance.exited"), "{told:?}");
    });
}

/// A stop is heard, so the service has to go on first; the receipt says that nothing is left.
#[test]
fn what_is_frozen_can_be_stopped() {
    on_each(|scratch| {
        scratch.ok(&["freeze", "web"]);
        let report = scratch.json(&["stop", "web", "--json"]);
        assert_eq!((&report["ok"], report["left"].as_u64()), (&true.into(), Some(0)), "{report}");
        assert_eq!(report["receipts"][0]["stages"][0]["name"], "TERM", "{report}");
        assert_eq!(report["receipts"][0]["stages"][1], Value::Null, "{report}");
        let thawed = scratch.events("instance.thawed");
        assert_eq!(thawed[0]["by"], "stop", "{thawed:?}");
        let output = scratch.kennel(&["freeze", "web"]);
        assert_eq!(output.code(), 1, "{}", output.all());
        assert!(output.all().contains("it does not run"), "{}", output.all());
    });
}

/// It stays frozen while one daemon follows another.
#[test]
fn another_daemon_knows_of_it() {
    on_each(|scratch| {
        scratch.ok(&["freeze", "web"]);
        scratch.ok(&["daemon", "restart"]);
        let status = scratch.ps("web");
        assert_eq!((&status["frozen"], &status["reason"]), (&true.into(), &"frozen by request".into()), "{status}");
        scratch.ok(&["thaw", "web"]);
        assert_eq!(scratch.ps("web")["frozen"], Value::Null);
    });
}

#[test]
fn an_unknown_name_gets_a_suggestion() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let output = scratch.kennel(&["freeze", "wbe"]);
    assert_ne!(output.code(), 0);
    assert!(output.all().contains("did you mean `web`?"), "{}", output.all());
    scratch.down();
}
