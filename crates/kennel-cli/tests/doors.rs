//! How a kennel is found, and by whom.
//!
//! covers: B1, C7, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, send, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);
const STACK: &str = "services: { web: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: up } } }";

fn kennel() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kennel"))
}

fn parts(scratch: &Scratch, verb: &str) -> usize {
    scratch.survivors().iter().filter(|seen| seen.living && seen.verb() == verb).count()
}

#[test]
fn directories_with_long_names_work() {
    let mut scratch = Scratch::any(kennel());
    let long = "a-directory-with-a-rather-long-name/".repeat(5);
    for (variable, dir) in [("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run")] {
        let dir = scratch.dir(&format!("{dir}/{long}"));
        assert!(dir.as_os_str().len() > 150);
        scratch.env(variable, dir.display().to_string());
    }
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.ps("web")["state"], "ready");
    assert_eq!(scratch.ok(&["run", "--", "echo", "hello"]).stdout, "hello\n");
    scratch.down();
}

#[test]
fn several_ups_at_once_start_one_daemon() {
    let scratch = Scratch::any(kennel());
    scratch.config(STACK);
    for _ in 0..3 {
        let mut racers: Vec<_> = (0..4).map(|_| scratch.spawn(&["up", "-d"])).collect();
        for racer in &mut racers {
            let output = racer.wait(DEADLINE);
            assert_eq!(output.code(), 0, "{}", output.all());
        }
        wait_until(DEADLINE, "the losers are gone", || parts(&scratch, "__keeper") == 1);
        assert_eq!(parts(&scratch, "__daemon"), 1);
        assert_eq!(scratch.in_cells().len(), 2);
        scratch.down();
    }
}

#[test]
fn nobody_else_gets_in() {
    let Some(scratch) = Scratch::new(User::Plain, kennel()) else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let instance = scratch.instance_dir().file_name().unwrap().to_owned();
    let runtime = scratch.path("run/kennel").join(instance);
    let socket = runtime.join("api.sock");
    let stranger = || {
        let call = ["ask", socket.to_str().unwrap()];
        let mut asked = scratch.spawn_program(&scratch.badchild(), &call, Stdio::null(), |command| {
            command.uid(60_201).gid(60_201).current_dir("/");
        });
        asked.wait(DEADLINE)
    };
    let refused = stranger();
    assert_eq!(refused.code(), 1, "{}", refused.all());
    assert!(refused.stdout.contains("ermission denied"), "{}", refused.all());

    // Somebody opened the doors: the daemon asks the kernel who is calling.
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for dir in runtime.ancestors().take_while(|dir| dir.starts_with(scratch.path("run"))) {
        open(dir, 0o755);
    }
    open(&socket, 0o666);
    let refused = stranger();
    assert!(!refused.stdout.contains(" 200 ") && !refused.stdout.contains("keeper_pid"), "{}", refused.all());
    wait_until(DEADLINE, "it is written down", || {
        scratch.json(&["audit", "--json"]).as_array().unwrap().iter().any(|entry| {
            entry["outcome"] == "closed: another user" && entry["actor"].as_str().unwrap().starts_with("uid 60201 pid ")
        })
    });
    scratch.down();
}

#[test]
fn sockets_and_files_are_private() {
    let scratch = Scratch::any(kennel());
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let state = scratch.instance_dir();
    let runtime = scratch.path("run/kennel").join(state.file_name().unwrap());
    for path in [
        &state,
        &runtime,
        &runtime.join("api.sock"),
        &runtime.join("stdio.sock"),
        &state.join("logs/web"),
        &state.join("logs/web/00000001.log"),
    ] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    scratch.down();
}

#[test]
fn a_daemon_is_found_from_below_and_by_name() {
    let scratch = Scratch::any(kennel());
    let config = scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let below = scratch.dir(&format!("{}/below/further", scratch.project().file_name().unwrap().to_string_lossy()));
    let from = |dir: &Path, arguments: &[&str]| {
        let dir = dir.to_owned();
        scratch
            .spawn_with(arguments, Stdio::null(), |command| {
                command.current_dir(dir);
            })
            .wait(DEADLINE)
    };
    assert!(from(&below, &["ps"]).stdout.contains("web"));
    let home = scratch.path("home");
    let named = config.to_str().unwrap();
    for arguments in [["-f", named, "ps"], ["ps", "-f", named]] {
        assert!(from(&home, &arguments).stdout.contains("web"), "{arguments:?}");
    }
    // Another instance of the same stack is another daemon.
    scratch.ok(&[
        "--instance",
        &format!("{}-other", scratch.project().file_name().unwrap().to_string_lossy()),
        "up",
        "-d",
    ]);
    assert_eq!(parts(&scratch, "__daemon"), 2);
    scratch.ok(&["down"]);
    assert_eq!(parts(&scratch, "__daemon"), 1);
    scratch.ok(&["down", "--instance", &format!("{}-other", scratch.project().file_name().unwrap().to_string_lossy())]);
    scratch.expect_nothing(DEADLINE);
}

/// A socket file without a daemon is only a file.
#[test]
fn stale_files_do_not_matter() {
    let scratch = Scratch::any(kennel());
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    for seen in [&daemon, &keeper] {
        send(seen, Signal::STOP);
    }
    for seen in [&daemon, &keeper] {
        send(seen, Signal::KILL);
    }
    wait_until(DEADLINE, "both dead", || {
        !scratch.survivors().iter().any(|seen| [keeper.pid, daemon.pid].contains(&seen.pid))
    });
    let old: Vec<u32> = scratch.in_cells().iter().map(|seen| seen.pid).collect();
    scratch.ok(&["up", "-d"]);
    assert!(scratch.in_cells().iter().all(|seen| !old.contains(&seen.pid)));
    assert_eq!(scratch.in_cells().len(), 2);
    scratch.down();
}

/// A daemon that has been asked to end by somebody else says who it is, and nothing more.
#[test]
fn down_of_a_daemon_that_is_just_ending_finds_nothing_to_do() {
    const ENDS: &str = r#"{"code":"shutting_down","status":503,"detail":"the daemon is shutting down"}"#;
    let scratch = Scratch::any(kennel());
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    let socket = scratch.api_socket();
    let mut info = Vec::new();
    scratch.open("/v1/info", &["connection: close"]).read_to_end(&mut info).unwrap();
    scratch.down();

    let _gone = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let ends = format!("HTTP/1.1 503 X\r\ncontent-length: {}\r\n\r\n{ENDS}", ENDS.len()).into_bytes();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let _head = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let answer = if count.fetch_add(1, Ordering::SeqCst) == 0 { &info } else { &ends };
            // Who asks may have heard enough.
            let _gone = stream.get_mut().write_all(answer);
        }
    });
    let answer = scratch.json(&["down", "--json"]);
    assert_eq!((&answer["ok"], &answer["left"]), (&true.into(), &0.into()), "{answer}");
    assert!(asked.load(Ordering::SeqCst) > 1);
}
