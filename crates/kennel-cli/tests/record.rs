//! What is recorded can be asked for: events by service, kind and number and under other names, and who asked for what.
//!
//! covers: B1, B5, B6, E9

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, wait_for, wait_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

const STACK: &str = "\
services:
  web: { command: [sleep, '600'], replicas: 2 }
  job: { command: [sh, -c, 'exit 3'], restart: no }
";

fn stack() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(STACK);
    // Whether it knows already that the job has failed depends on who is quicker.
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("job", "failed", DEADLINE);
    for web in ["web.1", "web.2"] {
        scratch.wait_state(web, "ready", DEADLINE);
    }
    scratch
}

/// One document for each line of what a command printed.
fn lines(scratch: &Scratch, arguments: &[&str]) -> Vec<Value> {
    let text = scratch.ok(arguments).stdout;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a daemon has in memory follows what others have recorded before it.
#[test]
fn the_last_events_are_those_of_now() {
    let scratch = stack();
    scratch.down();
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("job", "failed", DEADLINE);
    let all = lines(&scratch, &["events", "--json"]);
    let last = lines(&scratch, &["events", "--json", "-n", "3"]);
    assert_eq!(last, all[all.len() - 3..]);
    let more = all.len() - 2;
    assert_eq!(lines(&scratch, &["events", "--json", "-n", &more.to_string()]), all[2..]);
    scratch.down();
}

#[test]
fn events_are_chosen_by_service_kind_and_number() {
    let scratch = stack();
    let all = lines(&scratch, &["events", "--json"]);
    let chosen =
        |wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|event| wanted(event)).cloned().collect::<Vec<_>>();
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();

    let of_web = chosen(&|event| event["service"].as_str().is_some_and(|it| it.starts_with("web.")));
    assert!(of_web.len() >= 4, "{all:?}");
    assert_eq!(lines(&scratch, &["events", "--json", "--service", "web"]), of_web, "all its replicas");
    let of_one = chosen(&|event| event["service"] == "web.2");
    assert_eq!(lines(&scratch, &["events", "--json", "--service", "web.2"]), of_one);
    let kinds = chosen(&|event| name(event).starts_with("instance.") || name(event) == "service.failed");
    let asked = ["events", "--json", "--kind", "instance.", "--kind", "service.failed"];
    assert_eq!(lines(&scratch, &asked), kinds);

    let last = lines(&scratch, &[&asked[..], &["-n", "2"]].concat());
    assert_eq!(last, kinds[kinds.len() - 2..]);
    assert_eq!(lines(&scratch, &["events", "--json", "-n", "0"]), Vec::<Value>::new());
    let since = kinds[kinds.len() - 2]["seq"].to_string();
    let both = lines(&scratch, &[&asked[..], &["-n", "9", "--since", &since]].concat());
    assert_eq!(both, kinds[kinds.len() - 1..], "none from before the number");
    assert!(lines(&scratch, &["events", "--json", "--service", "nobody"]).is_empty());
    scratch.down();
}

#[test]
fn whoever_follows_a_choice_gets_what_comes_and_goes_on_with_the_next_daemon() {
    let scratch = stack();
    let mut follower = scratch.spawn(&["events", "-f", "--json", "-n", "1", "--kind", "service."]);
    let shown = |follower: &kennel_testkit::Background| {
        let text = follower.stdout();
        let names = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        names.map(|event| format!("{} {}", event["service"], event["event"]).replace('"', "")).collect::<Vec<_>>()
    };
    wait_until(DEADLINE, "it listens", || shown(&follower) == ["job service.failed"]);
    scratch.ok(&["stop", "web.1"]);
    wait_until(DEADLINE, "the stop", || shown(&follower).len() == 2);
    scratch.ok(&["daemon", "restart"]);
    scratch.ok(&["stop", "web.2"]);
    let expected = ["job service.failed", "web.1 service.stopped", "web.2 service.stopped"];
    wait_until(DEADLINE, "the stop by the next daemon", || shown(&follower) == expected);
    scratch.down();
    follower.wait(DEADLINE);
}

#[test]
fn a_dashboard_hears_its_own_names() {
    let scratch = stack();
    scratch.ok(&["stop", "web.2"]);
    let of = |service: &str| -> Vec<String> {
        let lines = lines(&scratch, &["events", "--json", "--names", "dashboard", "--service", service]);
        assert!(lines.iter().all(|line| line["id"] == service), "{lines:?}");
        let word = |line: &Value| match line["event"].as_str().unwrap() {
            "statusChange" => line["status"].as_str().unwrap().to_owned(),
            "processExit" => format!("exit {} {}", line["code"], line["signal"]),
            other => other.to_owned(),
        };
        lines.iter().map(word).collect()
    };
    let job = of("job");
    let begin = ["processStarted", "running"];
    assert_eq!(job[..2], begin, "{job:?}");
    assert!(["exit 3 null", "processDied"].iter().all(|word| job.contains(&(*word).to_owned())), "{job:?}");
    assert_eq!(job[job.len() - 2..], ["processError", "crashed"], "{job:?}");
    let web = of("web.2");
    assert_eq!(web[..2], begin);
    assert!(web.contains(&"serverStarted".to_owned()) && web.contains(&"exit null 15".to_owned()), "{web:?}");
    assert!(!web.contains(&"processDied".to_owned()), "somebody asked for it: {web:?}");
    assert_eq!(web[web.len() - 2..], ["stopped", "serverStopped"]);
    let initialized = lines(&scratch, &["events", "--json", "--names", "dashboard", "--kind", "initialized"]);
    assert_eq!(initialized.len(), 1);
    assert!(initialized[0]["pid"].is_u64() && initialized[0].get("more").is_none(), "{initialized:?}");
    let text = scratch.ok(&["events", "--names", "dashboard", "-n", "1"]).stdout;
    assert_eq!(text.lines().count(), 2, "two lines of the last event: {text}");
    scratch.down();
}

/// What the audit has of an action, oldest first: actor, subject and outcome.
fn entries(scratch: &Scratch, action: &str) -> Vec<[String; 3]> {
    let all = scratch.json(&["audit", "--json"]);
    let of = all.as_array().unwrap().iter().filter(|entry| entry["action"] == action);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    of.map(|entry| ["actor", "subject", "outcome"].map(|key| text(entry, key))).collect()
}

#[test]
fn who_asked_for_a_change_is_recorded_with_the_answer_and_without_secrets() {
    let mut scratch = stack();
    scratch.env("MY_SECRET", "s3cr3t-of-the-environment");
    let mut stop = scratch.spawn(&["stop", "web.1"]);
    let actor = format!("uid {} pid {}", rustix::process::geteuid().as_raw(), stop.pid());
    assert_eq!(stop.wait(DEADLINE).code(), 0);
    let expected = ["asked", "200"].map(|outcome| [&actor, "web.1", outcome].map(str::to_owned));
    assert_eq!(entries(&scratch, "POST /v1/stop"), expected);
    assert_ne!(scratch.kennel(&["restart", "wbe"]).code(), 0);
    let outcomes: Vec<String> = entries(&scratch, "POST /v1/restart").into_iter().map(|[_, _, it]| it).collect();
    assert_eq!(outcomes, ["asked", "404 unknown_service"]);
    scratch.ok(&["run", "--", "true", "--password=s3cr3t-of-the-arguments"]);
    assert_eq!(entries(&scratch, "POST /v1/run")[0][1], "true", "the program alone");
    scratch.ok(&["ps"]);
    let all = scratch.ok(&["audit", "--json"]).stdout;
    assert!(!all.contains("s3cr3t") && !all.contains("GET"), "{all}");
    let subject = scratch.json(&["audit", "--json", "--subject", "web.1", "-n", "1"]);
    assert_eq!(subject.as_array().unwrap().len(), 1);
    assert_eq!(subject[0]["outcome"], "200", "the newest");
    assert_eq!(scratch.json(&["audit", "--json", "--since", "2999-01-01T00:00:00Z"]), json!([]));
    assert!(scratch.ok(&["audit"]).stdout.contains("POST /v1/stop"));
    scratch.down();
    // The end of everything is recorded before it begins.
    let down = entries(&scratch, "POST /v1/down");
    assert_eq!((down[0][1].as_str(), down[0][2].as_str()), ("*", "asked"));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_client_that_goes_away_is_recorded_as_such() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config("services:\n  deaf: { command: [sleep, '600'], stop: [{ signal: CONT, wait: 1h }] }\n");
    scratch.ok(&["up", "-d"]);
    let mut stop = scratch.spawn(&["stop", "deaf"]);
    let outcomes = || entries(&scratch, "POST /v1/stop").into_iter().map(|[_, _, outcome]| outcome).collect::<Vec<_>>();
    wait_until(DEADLINE, "it was asked", || outcomes() == ["asked"]);
    stop.signal(Signal::KILL);
    stop.wait(DEADLINE);
    let second = wait_for(DEADLINE, "its end is noticed", || outcomes().get(1).cloned());
    assert_eq!(second, "abandoned");
    scratch.ok(&["kill", "deaf"]);
    scratch.down();
}
