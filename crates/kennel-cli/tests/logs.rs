//! Logs are complete and in order, also the last bytes before a crash.
//!
//! covers: B9, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use kennel_logs::{Query, Reader, Stream};
use kennel_testkit::{Scratch, Signal, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// Exactly what `kennel-badchild lines N` writes before it kills itself.
fn expected(lines: usize) -> String {
    let mut text = String::new();
    for line in 0..lines {
        writeln!(text, "{line} {}", "x".repeat(line % 97)).unwrap();
    }
    text + "last words"
}

/// The bytes of a service, from its files, without kennel.
fn from_files(scratch: &Scratch, name: &str) -> String {
    let query = Query { names: vec![name.to_owned()], ..Query::default() };
    let mut reader = Reader::new(&scratch.instance_dir().join("logs"), query);
    let mut text = Vec::new();
    loop {
        let batch = reader.batch(1000);
        for (_, line) in batch.lines {
            assert_eq!((line.stream, line.lost), (Stream::Out, None));
            text.extend(line.bytes);
            if line.complete {
                text.push(b'\n');
            }
        }
        if !batch.more {
            return String::from_utf8(text).unwrap();
        }
    }
}

/// Sizes of the files of a service.
fn sizes(scratch: &Scratch, name: &str) -> Vec<u64> {
    let files = std::fs::read_dir(scratch.instance_dir().join("logs").join(name)).unwrap();
    files.filter_map(|file| Some(file.unwrap().metadata().ok()?.len())).collect()
}

/// Says where two long texts differ instead of printing both.
fn assert_same(seen: &str, wanted: &str) {
    if seen == wanted {
        return;
    }
    let at = seen.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.get(at.saturating_sub(60)..(at + 60).min(text.len())).unwrap_or("").to_owned();
    panic!(
        "{} bytes instead of {}; the first difference is at {at}:\n{:?}\n{:?}",
        seen.len(),
        wanted.len(),
        around(seen),
        around(wanted)
    );
}

#[test]
fn two_hundred_thousand_lines_and_the_last_words_are_all_there() {
    const LINES: usize = 200_000;
    let scratch = scratch();
    scratch.config(&format!("services: {{ talker: {{ command: ['@badchild@', lines, '{LINES}'], restart: 'no' }} }}"));
    scratch.kennel(&["up", "-d"]);
    let service = scratch.wait_state("talker", "failed", DEADLINE);
    assert_eq!(service["last_exit"]["signal"], 9, "{service}");
    assert_same(&from_files(&scratch, "talker"), &expected(LINES));
    assert!(sizes(&scratch, "talker").len() > 1, "so much is more than one file");
    let shown = scratch.ok(&["logs", "talker", "--no-prefix"]).stdout;
    assert_same(shown.trim_end_matches('\n'), &expected(LINES));
    scratch.down();
}

#[test]
fn what_is_kept_is_bounded() {
    let scratch = scratch();
    // About 80 MB: more than is kept, as long as it is not compressed.
    scratch.config("services: { talker: { command: ['@badchild@', lines, '1500000'], restart: 'no' } }");
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("talker", "failed", Duration::from_secs(120));
    let sizes = sizes(&scratch, "talker");
    // A segment may be there twice while it is compressed.
    assert!(sizes.iter().sum::<u64>() <= (64 + 8) << 20, "{sizes:?}");
    // The end is what is kept, and lines are whole.
    let kept = from_files(&scratch, "talker");
    assert!(expected(1_500_000).ends_with(&kept), "{} bytes kept", kept.len());
    scratch.down();
}

#[test]
fn both_streams_and_odd_bytes_are_kept() {
    let scratch = scratch();
    let script = r"printf 'out\n'; printf 'bad \377 byte\n' >&2; printf '\n'; printf 'no newline'";
    scratch.config(&format!("services:\n  s:\n    command: {script:?}\n    shell: true\n    restart: 'no'\n"));
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("s", "completed", DEADLINE);
    let output = scratch.ok(&["logs", "s", "--json"]).stdout;
    let lines: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |stream: &str| -> Vec<_> { lines.iter().filter(|line| line["stream"] == stream).collect() };
    let out: Vec<&str> = of("stdout").iter().map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(out, ["out", "", "no newline"]);
    assert_eq!(of("stdout")[2]["complete"], false);
    assert_eq!(of("stderr")[0]["bytes"], "YmFkIP8gYnl0ZQ==");
    scratch.down();
}

#[test]
fn tail_since_and_follow() {
    let scratch = scratch();
    scratch.config("services: { clock: { command: ['@badchild@', ticks], readiness: { log_line: 'tick 12' } } }");
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.ok(&["logs", "-n", "3", "clock", "--no-prefix"]).stdout.lines().count(), 3);

    // What is read at once has one time: a line that came later than the one before it.
    let later = wait_for(DEADLINE, "a line that came later", || {
        let all = scratch.ok(&["logs", "clock", "--json"]).stdout;
        let all: Vec<serde_json::Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        all.windows(2).skip(4).find(|pair| pair[0]["time"] != pair[1]["time"]).map(|pair| pair[1].clone())
    });
    let since = scratch.ok(&["logs", "clock", "--no-prefix", "--since", later["time"].as_str().unwrap()]).stdout;
    assert_eq!(since.lines().next(), later["line"].as_str());
    assert_eq!(
        scratch.ok(&["logs", "clock", "--since", "1h"]).stdout.lines().next(),
        all_first_shown(&scratch).as_deref()
    );

    let mut follower = scratch.spawn(&["logs", "-f", "-n", "1", "clock", "--no-prefix"]);
    wait_until(DEADLINE, "lines that were not there before", || follower.stdout().lines().count() > 3);
    follower.signal(Signal::INT);
    let seen = follower.wait(DEADLINE).stdout;
    let numbers: Vec<u64> = seen.lines().filter_map(|line| line.strip_prefix("tick ")?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen}");

    // A follower does not hold up the end, and ends with it.
    let mut follower = scratch.spawn(&["logs", "-f", "clock"]);
    wait_until(DEADLINE, "followed", || !follower.stdout().is_empty());
    scratch.down();
    follower.wait(DEADLINE);
}

fn all_first_shown(scratch: &Scratch) -> Option<String> {
    scratch.ok(&["logs", "clock"]).stdout.lines().next().map(str::to_owned)
}

#[test]
fn logs_of_several_services_are_prefixed_and_merged() {
    let scratch = scratch();
    scratch.config(
        "
services:
  first: { command: ['@badchild@', sleep], readiness: { log_line: up } }
  second: { command: ['@badchild@', sleep], readiness: { log_line: up }, depends_on: { first: healthy } }
",
    );
    scratch.ok(&["up", "-d"]);
    let shown = scratch.ok(&["logs"]).stdout;
    let names: Vec<&str> = shown.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["first", "second"], "{shown}");
    scratch.down();
}

// covers: B9, E9
#[test]
fn lines_are_searched_and_given_as_they_were_written() {
    let scratch = scratch();
    let script = r"printf 'GET /a 200\nGET /b 500\n\033[2Jred\n'; printf 'oops 500\n' >&2; printf 'last'";
    scratch.config(&format!("services:\n  s:\n    command: {script:?}\n    shell: true\n    restart: 'no'\n"));
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("s", "completed", DEADLINE);
    let shown = |arguments: &[&str]| scratch.ok(&[&["logs", "s", "--no-prefix"], arguments].concat()).stdout;
    assert_eq!(shown(&["--grep", "[0-9]00$", "--stream", "out"]), "GET /a 200\nGET /b 500\n");
    assert_eq!(shown(&["--grep", "500", "-n", "1", "--stream", "err"]), "oops 500\n");
    assert_eq!(shown(&["--grep", "GET|red|last", "--invert"]), "oops 500\n");
    assert_eq!(shown(&["--until", "yesterday"]), "");
    let raw = scratch.ok(&["logs", "s", "--raw", "--stream", "out"]).stdout;
    assert_eq!(raw, "GET /a 200\nGET /b 500\n\u{1b}[2Jred\nlast");
    let refused = scratch.kennel(&["logs", "s", "--grep", "("]);
    assert!(refused.code() != 0 && refused.stderr.contains("grep"), "{}", refused.all());
    scratch.down();
}

/// What is kept and what happens beyond it is as the file says, and a reload changes it while it runs.
// covers: C4
#[test]
fn a_full_log_stops_its_service_or_has_it_wait() {
    let scratch = scratch();
    let flood = "while :; do printf '%0999d\\n' 1; done";
    let config = |max: &str| {
        format!(
            "services:
  stops: {{ command: {flood:?}, shell: true, logs: {{ max_size: 1MiB, compress: false, on_full: stop }} }}
  waits: {{ command: {flood:?}, shell: true, logs: {{ max_size: {max}, compress: false, on_full: block }} }}
  drops: {{ command: {flood:?}, shell: true, logs: {{ max_size: 1MiB, compress: false }} }}
"
        )
    };
    scratch.config(&config("1MiB"));
    scratch.kennel(&["up", "-d"]);
    let stopped = scratch.wait_state("stops", "stopped", DEADLINE);
    assert_eq!(stopped["reason"], "its log is full", "{stopped}");
    let bound = |policy: &str| {
        let of = |event: &serde_json::Value| event["event"] == "logs.bound" && event["policy"] == policy;
        scratch.recorded().iter().filter(|event| of(event)).count()
    };
    wait_until(DEADLINE, "one that waits", || bound("block") == 1);
    let written = || scratch.ps("waits")["log_bytes"].as_u64().unwrap();
    wait_until(DEADLINE, "one that stands still", || {
        let before = written();
        sizes(&scratch, "waits").iter().sum::<u64>() >= 1 << 20 && written() == before
    });
    let kept = from_files(&scratch, "waits").len() as u64;
    // What one read gave has a head in the file, and is short where the reader is quick.
    assert!((15 << 16..=3 << 19).contains(&kept), "{kept}");
    wait_until(DEADLINE, "more than is kept", || scratch.ps("drops")["log_bytes"].as_u64().unwrap() > 4 << 20);
    assert!(sizes(&scratch, "drops").iter().sum::<u64>() <= 5 << 18);
    assert_eq!(scratch.ps("drops")["state"], "ready");
    // More room, and it goes on where it was, in the same run.
    let pid = scratch.ps("waits")["pid"].clone();
    scratch.config(&config("2MiB"));
    scratch.ok(&["reload"]);
    wait_until(DEADLINE, "one that goes on", || written() > 3 << 19);
    assert_eq!(scratch.ps("waits")["pid"], pid);
    scratch.down();
}

/// A reader that is stopped holds nobody up, and has every byte in order when it goes on.
/// `KENNEL_TEST_MEGABYTES` says how much is written; 500 is what was asked for.
// covers: B9
#[test]
fn nobody_waits_for_a_follower_that_is_stopped() {
    let megabytes: u64 = std::env::var("KENNEL_TEST_MEGABYTES").ok().and_then(|it| it.parse().ok()).unwrap_or(24);
    let lines = megabytes * 10_000;
    let scratch = scratch();
    let script = format!("echo begin; until [ -e go ]; do sleep 0.05; done; exec seq -f '%099.0f' 1 {lines}");
    scratch.config(&format!(
        "services:
  talker:
    command: {script:?}
    shell: true
    restart: 'no'
    logs: {{ max_size: 1GiB, compress: false }}
"
    ));
    scratch.ok(&["up", "-d"]);
    let mut follower = scratch.spawn(&["logs", "-f", "talker", "--raw"]);
    wait_until(DEADLINE, "a follower that reads", || follower.stdout() == "begin\n");
    follower.signal(Signal::STOP);
    scratch.file("go", "");
    scratch.wait_state("talker", "completed", Duration::from_secs(240));
    let service = scratch.ps("talker");
    assert!(service["log_lost_bytes"].is_null(), "{service}");
    assert_eq!(from_files(&scratch, "talker").len() as u64, 6 + lines * 100);
    follower.signal(Signal::CONT);
    let last = format!("{lines:0>99}\n");
    wait_until(Duration::from_secs(240), "all of it read", || follower.stdout().ends_with(&last));
    follower.signal(Signal::INT);
    let seen = follower.wait(DEADLINE).stdout;
    assert_eq!(seen.len() as u64, 6 + lines * 100);
    let ordered =
        seen.lines().skip(1).zip(1..).all(|(line, number)| line.trim_start_matches('0').parse::<u64>() == Ok(number));
    assert!(ordered, "a line is missing or out of place");
    scratch.down();
}
