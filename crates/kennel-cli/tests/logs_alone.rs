//! Logs are read where no daemon runs, and nothing is started for it.
//!
//! covers: B9, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, try_send, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// The newest segment of a service.
fn newest(scratch: &Scratch, name: &str) -> PathBuf {
    let dir = scratch.instance_dir().join("logs").join(name);
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).max().unwrap()
}

#[test]
fn a_stopped_stack_shows_what_the_daemon_showed() {
    let scratch = scratch();
    let talk = r"printf 'one 500\n'; sleep 0.05; printf 'bad \377 byte\n' >&2; sleep 0.05; printf 'three\nno newline'";
    scratch.config(&format!(
        "services:
  talker: {{ command: {talk:?}, shell: true, restart: 'no', color: red }}
  worker: {{ command: 'echo worker; echo more', shell: true, restart: 'no', replicas: 2 }}
  silent: {{ command: 'true', restart: 'no' }}
"
    ));
    scratch.kennel(&["up", "-d"]);
    for name in ["talker", "worker.1", "worker.2", "silent"] {
        scratch.wait_state(name, "completed", DEADLINE);
    }
    let questions: [&[&str]; 12] = [
        &[],
        &["talker"],
        &["-n", "1"],
        &["worker", "-n", "1"],
        &["worker.2", "--no-prefix"],
        &["silent"],
        &["--since", "1h"],
        &["--until", "yesterday"],
        &["--grep", "500|more"],
        &["talker", "--grep", "500", "--invert", "--stream", "out"],
        &["talker", "--json"],
        &["talker", "--raw", "--stream", "out"],
    ];
    let answers = || questions.map(|options| scratch.ok(&[&["logs"], options].concat()).stdout);
    let told = answers();
    assert!(told[0].lines().count() == 8 && told[11].ends_with("no newline"), "{told:#?}");
    scratch.down();
    let recorded = scratch.recorded().len();
    assert_eq!(answers(), told);
    // Who follows is told that nothing follows, and is not kept waiting.
    let followed = scratch.ok(&["logs", "-f", "worker.1", "--no-prefix"]);
    assert_eq!(followed.stdout, "worker\nmore\n");
    assert!(followed.stderr.contains("no more lines will follow"), "{}", followed.stderr);
    let unknown = scratch.kennel(&["logs", "talkre"]);
    assert!(unknown.code() != 0 && unknown.stderr.contains("did you mean `talker`"), "{}", unknown.all());
    let refused = scratch.kennel(&["logs", "--grep", "("]);
    assert!(refused.code() != 0 && refused.stderr.contains("grep"), "{}", refused.all());
    // The logs outlive what declared them.
    scratch.config("services: { other: { command: 'true' } }");
    assert_eq!(scratch.ok(&["logs", "worker.1", "--no-prefix"]).stdout, "worker\nmore\n");
    assert_eq!(scratch.recorded().len(), recorded, "no daemon was started");
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn nothing_was_ever_there() {
    let scratch = scratch();
    scratch.config("services: { web: { command: [sleep, '1000'] } }");
    let asked = scratch.kennel(&["logs"]);
    assert!(asked.code() != 0 && asked.stderr.contains("nothing runs here"), "{}", asked.all());
    scratch.expect_nothing(DEADLINE);
}

/// What a crash has left of a chunk is shown as it is by the command alone, and as the next daemon mends it.
#[test]
fn a_torn_end_is_read_as_the_next_daemon_reads_it() {
    let scratch = scratch();
    // The second line waits until the first one is recorded: two chunks, however slow the recorder is.
    let script = "echo first; until [ -e go ]; do sleep 0.02; done; echo second";
    scratch.config(&format!("services: {{ s: {{ command: {script:?}, shell: true, restart: 'no' }} }}"));
    scratch.kennel(&["up", "-d"]);
    wait_until(DEADLINE, "the first line", || scratch.ok(&["logs", "s", "--raw"]).stdout == "first\n");
    scratch.file("go", "");
    scratch.wait_state("s", "completed", DEADLINE);
    scratch.down();
    let file = OpenOptions::new().write(true).open(newest(&scratch, "s")).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let raw = || scratch.ok(&["logs", "s", "--raw"]).stdout;
    let alone = raw();
    assert_eq!(alone, "first\nseco");
    assert_eq!(scratch.ok(&["logs", "s", "-n", "1", "--raw"]).stdout, "seco");
    // A header alone is nothing.
    file.set_len(file.metadata().unwrap().len() - 4).unwrap();
    assert_eq!(raw(), "first\n");
    file.set_len(file.metadata().unwrap().len() - 9).unwrap();
    assert_eq!(scratch.ok(&["logs", "s"]).stdout.lines().count(), 1);
    scratch.kennel(&["up", "-d"]);
    scratch.wait_state("s", "completed", DEADLINE);
    assert_eq!(raw(), "first\nfirst\nsecond\n");
    scratch.down();
}

/// With keeper and daemon lost, and what is kept still running: the files are read, and nobody is touched.
#[test]
fn what_outlived_kennel_is_left_alone() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    scratch.config(
        "services: { s: { command: ['@badchild@', sleep], readiness: { log_line: up }, on_daemon_loss: keep } }",
    );
    scratch.ok(&["up", "-d"]);
    let shown = scratch.ok(&["logs", "s"]).stdout;
    let pid = scratch.ps("s")["pid"].clone();
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    // Stopped first, so that neither sees to the loss of the other.
    for signal in [Signal::STOP, Signal::KILL] {
        try_send(&daemon, signal);
        try_send(&keeper, signal);
    }
    wait_until(DEADLINE, "both are gone", || scratch.running_daemon().is_none() && scratch.running_keeper().is_none());
    assert_eq!(scratch.ok(&["logs", "s"]).stdout, shown);
    assert!(scratch.running_daemon().is_none() && scratch.running_keeper().is_none());
    assert_eq!(scratch.ps("s")["pid"], pid, "the next keeper has adopted it");
    scratch.down();
}
