//! What is shown, and how much of it.

use std::time::{Duration, Instant};

use kennel_testkit::{Shown as Process, Signal, send, wait_until};
use serde_json::json;

use crate::desktop::{Bus, Desktop, Shown};
use crate::{BAD, DEADLINE, config, fail, scratch};

#[test]
fn a_failure_is_shown_and_nothing_is_held_afterwards() {
    let mut scratch = scratch();
    // Whoever loads the configuration has a session, the daemon is not in it.
    let path = scratch.path("session bus");
    config(&scratch, "desktop: true", BAD);
    scratch.ok(&["ps"]);
    let _bus = Bus::at(&scratch, &path);
    let desktop = Desktop::on(&path, &["body"]);
    let address = format!("tcp:host=localhost,port=1;unix:path={},guid=", path.display()).replace(' ', "%20");
    scratch.env("DBUS_SESSION_BUS_ADDRESS", address.trim_end_matches(",guid="));
    scratch.ok(&["up", "-d"]);
    let numbers = || Process::of(scratch.daemon().pid).numbers().len();
    let before = numbers();
    fail(&scratch);
    let shown = desktop.wait(1);
    assert_eq!(shown[0].title, "bad – shop");
    assert!(shown[0].body.contains("exit code 1") || shown[0].body.contains("code 1"), "{shown:?}");
    wait_until(DEADLINE, "that nothing is held", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", scratch.daemon().pid)).unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        numbers() <= before && !names.into_iter().any(|name| name.starts_with("kennel-desktop"))
    });
    // A restart is none of those that somebody may have to do something about; the test is asked for.
    scratch.ok(&["restart", "web"]);
    let told = scratch.ok(&["notify", "test"]);
    assert_eq!(told.all(), "shown\n");
    let shown = desktop.wait(2);
    assert_eq!(shown[1].title, "kennel – shop");
    assert_eq!(scratch.json(&["notify", "test", "--json"]), json!({ "ok": true, "enabled": true }));
    assert_eq!(desktop.shown().len(), 3);
    let doctor = scratch.json(&["doctor", "--json"]);
    assert_eq!(doctor["desktop"], json!({ "works": true, "note": "shelf 7.1 shows notifications" }));
    let audit = scratch.json(&["audit", "--json"]).to_string();
    assert!(audit.contains("POST /v1/notify/test"), "{audit}");
    scratch.down();
}

#[test]
fn many_failures_at_once_are_one_notification() {
    let scratch = scratch();
    let path = scratch.path("run/bus");
    let _bus = Bus::at(&scratch, &path);
    let desktop = Desktop::on(&path, &["body"]);
    let waits = "until [ -e go ]; do sleep 0.05; done; exit 1";
    let bad = |at| format!("  bad{at}: {{ command: {waits:?}, shell: true, restart: 'no' }}\n");
    let bad: String = (0..20).map(bad).collect();
    config(&scratch, "desktop: { events: service.failed }", &bad);
    scratch.ok(&["up", "-d"]);
    // However long they take: it hears of all of them at once.
    let daemon = scratch.daemon();
    send(&daemon, Signal::STOP);
    scratch.file("go", "");
    let waiting = || scratch.survivors().into_iter().filter(|seen| seen.living && seen.command.contains(waits)).count();
    wait_until(DEADLINE, "the end of all of them", || waiting() == 0);
    send(&daemon, Signal::CONT);
    let shown = desktop.wait(1);
    assert_eq!(shown[0].title, "20 events – shop");
    let lines: Vec<&str> = shown[0].body.lines().collect();
    assert!(lines.len() == 6 && lines[0].starts_with("bad") && lines[5] == "and 15 more", "{shown:?}");
    // What happens next waits: it is told of what came together, not of each, and not soon.
    let first = Instant::now();
    (0..3).for_each(|_| drop(scratch.kennel(&["start", "bad7"])));
    let shown = desktop.wait(2);
    assert_eq!((shown.len(), shown[1].title.as_str()), (2, "bad7 – shop"));
    assert!(shown[1].body.ends_with("(3 times)") && first.elapsed() > Duration::from_secs(5), "{shown:?}");
    scratch.down();
}

#[test]
fn nothing_of_a_reason_is_markup() {
    for (capabilities, expected) in [(&["body", "body-markup"][..], "&lt;b&gt;&amp;boom"), (&["body"], "<b>&boom")] {
        let scratch = scratch();
        let path = scratch.path("run/bus");
        let _bus = Bus::at(&scratch, &path);
        let desktop = Desktop::on(&path, capabilities);
        let bad = "  bad: { command: ['/nonexistent/<b>&boom\\e[31m'], restart: 'no' }\n".replace('\'', "\"");
        config(&scratch, "desktop: { events: [service.failed], services: bad }", &bad);
        scratch.kennel(&["up", "-d"]);
        let Shown { body, .. } = desktop.wait(1).remove(0);
        assert!(body.contains(expected) && !body.contains(|c: char| c.is_control() && c != '\n'), "{body:?}");
        scratch.down();
    }
}

#[test]
fn only_what_was_chosen_is_shown_and_nothing_that_was_before() {
    let scratch = scratch();
    let path = scratch.path("run/bus");
    let _bus = Bus::at(&scratch, &path);
    let desktop = Desktop::on(&path, &["body"]);
    config(&scratch, "desktop: false", BAD);
    scratch.ok(&["up", "-d"]);
    fail(&scratch);
    let told = scratch.kennel(&["notify", "test"]);
    assert!(told.all().contains("nothing else is"), "{}", told.all());
    config(&scratch, "desktop: { events: [service.failed, instance.started], services: [web] }", BAD);
    scratch.ok(&["reload"]);
    fail(&scratch);
    scratch.ok(&["restart", "web"]);
    let titles = || desktop.shown().into_iter().map(|one| one.title).collect::<Vec<_>>();
    desktop.wait(2);
    assert_eq!(titles(), ["kennel – shop", "web – shop"]);
    // Another daemon goes on with what is new, and tells nothing again.
    scratch.ok(&["daemon", "restart"]);
    scratch.ok(&["restart", "web"]);
    desktop.wait(3);
    assert_eq!(titles()[2], "web – shop");
    assert!(!desktop.shown()[2].body.contains("times"), "{:?}", desktop.shown());
    scratch.down();
}
