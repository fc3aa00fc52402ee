//! What a shell completes when somebody presses Tab in it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, Signal, Tmux, send, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// For how long one answer to a shell is looked for.
const LOOKS: Duration = Duration::from_secs(3);

/// A shell: how it starts, what it asks with, and how it is told of completions.
const SHELLS: [(&str, &str, &str); 3] = [
    ("env PS1='$ ' bash --norc --noprofile", "$", "source <(kennel completions bash); clear"),
    ("env PS1='$ ' zsh -f", "$", "autoload -U compinit; compinit -u -D; source <(kennel completions zsh); clear"),
    ("fish --no-config", "kt-", "kennel completions fish | source; clear"),
];

fn stack() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
services:
  webserver: { command: [sleep, '1000'] }
  worker: { command: [sleep, '1000'], replicas: 2 }
  debugger: { command: [sleep, '1000'], profiles: [debug, tracing] }
webhooks:
  office: { url: 'http://127.0.0.1:9/hook?key=secret', events: [service.failed] }
",
    );
    scratch
}

/// Of the one kennel instance that has run here.
fn name(scratch: &Scratch) -> String {
    scratch.instance_dir().file_name().unwrap().to_str().unwrap().to_owned()
}

/// What the program answers to a shell for these words, the last of which is being typed.
fn answered(scratch: &Scratch, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let all = [&["--"], words].concat();
    let mut call = scratch.spawn_with(&all, Stdio::null(), |command| {
        command.env("KENNEL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    });
    let output = call.wait(DEADLINE);
    assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{words:?}");
    output.stdout.lines().map(str::to_owned).collect()
}

/// Waits until that is the answer: a machine under load may take longer than a person would wait.
fn expect(scratch: &Scratch, words: &[&str], wanted: &[&str]) {
    wait_until(DEADLINE, &format!("{wanted:?} for {words:?}"), || answered(scratch, words) == wanted);
}

#[test]
fn every_shell_completes_the_names_of_what_runs() {
    for (shell, prompt, begin) in SHELLS {
        let scratch = stack();
        scratch.ok(&["up", "-d"]);
        let screen = Tmux::of(&scratch, 100, 30, shell, prompt);
        screen.send(begin);
        screen.keys(&["Enter"]);
        screen.until("a clear screen", |text| !text.contains("completions"));
        // One that fits is written out, the verb as well.
        screen.send("kennel fre");
        screen.keys(&["Tab"]);
        screen.expect("kennel freeze");
        screen.send("web");
        screen.keys(&["Tab"]);
        screen.expect("kennel freeze webserver");
        screen.keys(&["Enter"]);
        screen.expect("webserver  frozen");
        // Of several all are shown. A daemon under load may take longer than a shell is kept waiting, which asks again then.
        let both_are_shown = || {
            screen.keys(&["C-u"]);
            screen.send("kennel stop ");
            screen.keys(&["Tab", "Tab", "Tab"]);
            let end = Instant::now() + LOOKS;
            std::iter::repeat_with(|| screen.screen())
                .take_while(|_| Instant::now() < end)
                .any(|text| text.contains("worker.1") && text.contains("worker.2"))
        };
        wait_until(DEADLINE, "both replicas", both_are_shown);
        // What no daemon is asked for: kinds of events and profiles, and instances wherever they are.
        let instance = name(&scratch);
        for (typed, whole) in [
            ("kennel events --kind orphan.k", "kennel events --kind orphan.killed"),
            ("kennel up --profile tra", "kennel up --profile tracing"),
            ("kennel webhook test off", "kennel webhook test office"),
            (
                &format!("kennel ps --instance {}", &instance[..instance.len() - 2]),
                &format!("kennel ps --instance {instance}"),
            ),
        ] {
            screen.keys(&["C-u"]);
            screen.send("clear");
            screen.keys(&["Enter"]);
            screen.until("a clear screen", |text| !text.contains("kennel"));
            screen.send(typed);
            screen.keys(&["Tab"]);
            screen.expect(whole);
        }
        screen.close();
        scratch.down();
    }
}

#[test]
fn names_come_from_the_daemon_else_from_the_configuration() {
    let scratch = stack();
    // Nothing runs, and nothing is started for it.
    assert_eq!(answered(&scratch, &["kennel", "up", "--profile", ""]), ["debug", "tracing"]);
    assert_eq!(answered(&scratch, &["kennel", "config", "--profile", "t"]), ["tracing"]);
    assert_eq!(answered(&scratch, &["kennel", "events", "--kind", "orphan."]), ["orphan.found", "orphan.killed"]);
    assert_eq!(answered(&scratch, &["kennel", "webhook", "test", ""]), ["office"]);
    assert_eq!(answered(&scratch, &["kennel", "webhook", "remove", ""]), ["office"]);
    let add = ["kennel", "webhook", "add", "chat", "http://a", "--events", "service.fail"];
    assert_eq!(answered(&scratch, &add), ["service.failed"]);
    assert_eq!(answered(&scratch, &["kennel", "ps", "--instance", ""]), Vec::<String>::new());
    assert_eq!(answered(&scratch, &["kennel", "stop", "w"]), ["webserver", "worker"]);
    assert_eq!(answered(&scratch, &["kennel", "clean", "--owner", ""]), Vec::<String>::new());
    scratch.expect_nothing(DEADLINE);

    scratch.ok(&["up", "-d"]);
    scratch.ok(&["run", "-d", "--owner", "session-1", "--lease-ttl", "60s", "--name", "job", "--", "sleep", "1000"]);
    scratch.ok(&["token", "create", "laptop"]);
    expect(&scratch, &["kennel", "logs", "w"], &["webserver", "worker", "worker.1", "worker.2"]);
    expect(&scratch, &["kennel", "stop", "j"], &["job"]);
    assert_eq!(answered(&scratch, &["kennel", "up", "j"]), Vec::<String>::new(), "it is not declared");
    expect(&scratch, &["kennel", "clean", "--owner", ""], &["session-1"]);
    expect(&scratch, &["kennel", "token", "revoke", ""], &["laptop"]);
    expect(&scratch, &["kennel", "webhook", "log", ""], &["office"]);
    let adoptable = answered(&scratch, &["kennel", "adopt", ""]);
    assert!(adoptable.iter().all(|word| word.starts_with("--")), "everything is tracked: {adoptable:?}");
    let here = name(&scratch);
    scratch.ok(&["--instance", "second", "run", "--", "true"]);
    let instances = answered(&scratch, &["kennel", "ps", "--instance", ""]);
    assert!(instances.contains(&"second".to_owned()) && instances.contains(&here), "{instances:?}");
    expect(&scratch, &["kennel", "logs", "--stream", ""], &["out", "err"]);
    let pid = scratch.ps("webserver")["pid"].to_string();
    expect(&scratch, &["kennel", "kill", "--pid", &pid], &[&pid]);
    // Options are not among names, and are there when one is begun.
    let options = answered(&scratch, &["kennel", "stop", "--"]);
    assert!(options.contains(&"--timeout".into()) && options.contains(&"--all".into()), "{options:?}");
    // Another instance, and one that does not exist.
    assert_eq!(answered(&scratch, &["kennel", "--instance", "other", "clean", "--owner", ""]), Vec::<String>::new());
    assert_eq!(answered(&scratch, &["kennel", "stop", "-f", "missing.yaml", "w"]), Vec::<String>::new());
    scratch.down();
}

/// Whoever presses Tab gets what is declared, and does not wait for a daemon that does not answer.
#[test]
fn a_daemon_that_stands_still_is_not_waited_for() {
    let scratch = stack();
    scratch.ok(&["up", "-d"]);
    let daemon = scratch.daemon();
    send(&daemon, Signal::STOP);
    assert_eq!(answered(&scratch, &["kennel", "stop", "w"]), ["webserver", "worker"]);
    send(&daemon, Signal::CONT);
    scratch.down();
}
