//! The client against a daemon that answers from a script, or does not.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_client::{CallError, ConnectError, Daemon, FROM_NOW, Home, LogQuery, StartError};
use kennel_wire::{Code, Containment, DaemonInfo, Exit, Problem, Receipt, RunReport, RunRequest, StopReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const SHORT: Duration = Duration::from_millis(150);

struct Scratch {
    root: tempfile::TempDir,
    home: Home,
}

impl Scratch {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home { name: "test".into(), state_dir: root.path().join("s"), runtime_dir: root.path().join("r") };
        home.create().unwrap();
        Self { root, home }
    }

    /// Holds the lock as a keeper does.
    fn lock(&self, content: &str) -> File {
        let mut file = File::create(self.home.lock_file()).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    /// A program that stands in for the kennel binary; its ninth argument is the descriptor.
    fn program(&self, script: &str) -> PathBuf {
        let path = self.root.path().join("kennel");
        fs::write(&path, format!("#!/bin/sh\nset -e\nready=/proc/self/fd/$9\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

fn info() -> DaemonInfo {
    DaemonInfo {
        version: "0".into(),
        pid: std::process::id(),
        keeper_pid: 1,
        instance: "test".into(),
        directory: None,
        config: None,
        state_dir: "/s".into(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        containment: Containment {
            backend: "cgroup".into(),
            promise: String::new(),
            limits: Vec::new(),
            because: None,
            reason: None,
            advice: None,
        },
        trouble: None,
    }
}

/// Answers every request with what `answer` makes of its first line; an answer is pieces, sent one by one.
fn serve(socket: &Path, answer: impl Fn(&str) -> Vec<String> + Clone + Send + 'static) {
    let listener = kennel_sys::unix::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond(stream, answer.clone()));
        }
    });
}

async fn respond(mut stream: UnixStream, answer: impl Fn(&str) -> Vec<String>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    for piece in answer(&first) {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn whole(status: u16, body: &impl serde::Serialize) -> Vec<String> {
    let body = serde_json::to_string(body).unwrap();
    vec![format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())]
}

/// A body that ends with its connection, or, with `length`, should have been longer.
fn stream(pieces: &[&str], length: Option<usize>) -> Vec<String> {
    let length = length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
    std::iter::once(head).chain(pieces.iter().map(|piece| (*piece).to_owned())).collect()
}

fn answers(request: &str) -> Vec<String> {
    match request.split(' ').nth(1).unwrap_or_default() {
        "/v1/info" => whole(200, &info()),
        "/v1/services" => whole(503, &Problem::new(Code::ShuttingDown, "the daemon is shutting down")),
        "/v1/services/a%20b" => {
            whole(404, &Problem::new(Code::UnknownService, "no service `a b`").hint("there are: c"))
        }
        "/v1/down" => vec!["HTTP/1.1 500 X\r\ncontent-length: 3\r\n\r\nfoo".into()],
        "/v1/events?since=18446744073709551615&follow=true" => stream(
            &[
                "{\"seq\":1,\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"serv",
                "ice.stopped\"}\n\n{\"seq\":2,\"time\":",
                "\"1970-01-01T00:00:00Z\",\"event\":\"keeper.lost\"}\n{\"seq\":3,\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"service.completed\"}",
            ],
            None,
        ),
        "/v1/logs?follow=false" => stream(&["{\"not\":\"a line\"}\n"], None),
        "/v1/events?since=0&follow=false" => stream(&["{\"seq\":1"], Some(1000)),
        _ => Vec::new(),
    }
}

fn report() -> RunReport {
    let receipt = Receipt {
        scope: "web.1".into(),
        boot_id: "x".into(),
        service: "run".into(),
        instance: 1,
        reason: StopReason::MainExited,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration_ms: 1,
        exit: Exit::Code { code: 3 },
        out_of_memory: None,
        limit: None,
        stages: Vec::new(),
        processes: Vec::new(),
        left: 0,
        survivors: Vec::new(),
    };
    RunReport { exit: Exit::Code { code: 3 }, receipt }
}

fn request() -> RunRequest {
    RunRequest {
        token: String::new(),
        command: vec!["true".into()],
        directory: "/".into(),
        environment: [].into(),
        service: None,
        timeout_ms: None,
        owner: None,
        limits: None,
    }
}

async fn connected(scratch: &Scratch) -> Daemon {
    serve(&scratch.home.api_socket(), answers);
    Daemon::connect(&scratch.home).await.unwrap().unwrap()
}

#[tokio::test]
async fn without_a_lock_there_is_no_daemon() {
    let scratch = Scratch::new();
    assert!(Daemon::connect(&scratch.home).await.unwrap().is_none());
    // What a daemon leaves that was killed: its files, and nobody who holds them.
    drop(scratch.lock("{\"keeper_pid\":1}"));
    drop(kennel_sys::unix::bind(&scratch.home.api_socket()).unwrap());
    assert!(Daemon::connect(&scratch.home).await.unwrap().is_none());
}

#[tokio::test]
async fn a_holder_that_is_silent_is_named() {
    let scratch = Scratch::new();
    let _lock = scratch.lock("{\"keeper_pid\":4711,\"runtime_dir\":\"/nowhere\"}");
    match Daemon::connect_within(&scratch.home, SHORT).await {
        Err(ConnectError::NoAnswer { keeper_pid: Some(4711), .. }) => {}
        other => panic!("{other:?}"),
    }
    // One that takes the connection and says nothing is no better.
    let listener = kennel_sys::unix::bind(&scratch.home.api_socket()).unwrap();
    assert!(matches!(Daemon::connect_within(&scratch.home, SHORT).await, Err(ConnectError::NoAnswer { .. })));
    drop(listener);
}

#[tokio::test]
async fn a_holder_that_is_late_is_waited_for() {
    let scratch = Scratch::new();
    let _lock = scratch.lock("");
    let socket = scratch.home.api_socket();
    let late = async {
        tokio::time::sleep(SHORT).await;
        serve(&socket, answers);
    };
    let (daemon, ()) = tokio::join!(Daemon::connect(&scratch.home), late);
    assert_eq!(daemon.unwrap().unwrap().known(), &info());
}

#[tokio::test]
async fn the_lock_tells_where_the_daemon_is() {
    let scratch = Scratch::new();
    // Longer than a socket address has room for.
    let elsewhere = scratch.root.path().join("x".repeat(150));
    fs::create_dir(&elsewhere).unwrap();
    let content = serde_json::json!({ "keeper_pid": 1, "runtime_dir": elsewhere });
    let _lock = scratch.lock(&content.to_string());
    serve(&elsewhere.join("api.sock"), answers);
    let daemon = Daemon::connect(&scratch.home).await.unwrap().unwrap();
    assert_eq!(daemon.home().runtime_dir, elsewhere);
}

#[tokio::test]
async fn problems_come_back_typed() {
    let scratch = Scratch::new();
    let daemon = connected(&scratch).await;
    let error = daemon.service("a b").await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.code, problem.hint.as_deref()), (Code::UnknownService, Some("there are: c")));
    assert_eq!(daemon.services().await.unwrap_err().problem().unwrap().code, Code::ShuttingDown);
    let nonsense = daemon.down(&kennel_wire::DownRequest::default()).await.unwrap_err();
    assert!(matches!(nonsense, CallError::Protocol(text) if text.contains("500") && text.contains("foo")));
    let silence = daemon.lease().await.unwrap_err();
    assert!(matches!(silence, CallError::Lost(_)), "{silence:?}");
}

#[tokio::test]
async fn lines_are_put_together() {
    let scratch = Scratch::new();
    let daemon = connected(&scratch).await;
    let mut events = daemon.events(FROM_NOW, true).await.unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = events.batch().await.unwrap() {
        seen.extend(batch.into_iter().map(|event| event.seq));
    }
    assert_eq!(seen, [1, 2, 3]);
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_breaks_is_told_from_one_that_ends() {
    let scratch = Scratch::new();
    let daemon = connected(&scratch).await;
    let error = daemon.events(0, false).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, CallError::Lost(_)), "{error:?}");
    let error = daemon.logs(&LogQuery::default()).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, CallError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn a_run_has_the_callers_descriptors() {
    let scratch = Scratch::new();
    let listener = kennel_sys::unix::bind(&scratch.home.stdio_socket()).unwrap();
    let taker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut token = [0; 32];
        let (bytes, fds) = kennel_sys::unix::recv_fds(&stream, &mut token).unwrap();
        assert_eq!(bytes, 32);
        assert!(token.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)));
        stream.write_all(b"k").unwrap();
        let [_stdin, stdout, _stderr] = <[_; 3]>::try_from(fds).unwrap();
        std::io::PipeWriter::from(stdout).write_all(b"from the other side").unwrap();
        // Held open until the client lets go.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let report = report();
    let expected = report.clone();
    serve(&scratch.home.api_socket(), move |request| match request.split(' ').nth(1) {
        Some("/v1/run") => whole(200, &report),
        Some(path) if path.ends_with("/signal?signal=2") => vec!["HTTP/1.1 204 No Content\r\n\r\n".into()],
        _ => answers(request),
    });
    let daemon = Daemon::connect(&scratch.home).await.unwrap().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let running = daemon.hand_over([null.as_fd(), writer.as_fd(), null.as_fd()]).await.unwrap();
    drop(writer);
    running.signal(2).await.unwrap();
    assert_eq!(running.wait(request()).await.unwrap(), expected);
    drop(running);
    taker.join().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the other side");
}

/// A daemon that hands over before it has begun the command, and again while it runs.
#[tokio::test]
async fn a_run_goes_on_with_the_daemon_that_follows() {
    let scratch = Scratch::new();
    let listener = kennel_sys::unix::bind(&scratch.home.stdio_socket()).unwrap();
    // Descriptors in each message, and whether it is answered: the last one but one comes to a daemon that is just going.
    let (told, taken) = std::sync::mpsc::channel();
    let taker = std::thread::spawn(move || {
        let mut held = Vec::new();
        for (descriptors, is_answered) in [(3, true), (3, true), (0, false), (0, true)] {
            let (mut stream, _) = listener.accept().unwrap();
            let (_, fds) = kennel_sys::unix::recv_fds(&stream, &mut [0; 32]).unwrap();
            told.send((fds.len(), descriptors)).unwrap();
            if is_answered {
                stream.write_all(b"k").unwrap();
                held.push(stream);
            }
        }
        // Only the last one is still held.
        let ended = held.iter_mut().rev().skip(1).map(|stream| stream.read(&mut [0]).unwrap());
        assert_eq!(ended.collect::<Vec<_>>(), [0, 0]);
        assert!(held.last().unwrap().set_nonblocking(true).is_ok());
        held.last_mut().unwrap().read(&mut [0]).unwrap_err().kind()
    });
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let counted = std::sync::Arc::clone(&asked);
    serve(&scratch.home.api_socket(), move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let before = {
            let mut asked = counted.lock().unwrap();
            asked.push(path.clone());
            asked.iter().filter(|one| **one == path).count()
        };
        match (path.as_str(), before) {
            ("/v1/run", 1) => whole(404, &Problem::new(Code::UnknownRun, "no descriptors")),
            ("/v1/run", 2) => whole(503, &Problem::new(Code::HandedOver, "ask the next")),
            (path, 1) if path.ends_with("/wait") => whole(200, &report()),
            _ => answers(request),
        }
    });
    let daemon = Daemon::connect(&scratch.home).await.unwrap().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let running = daemon.hand_over([null.as_fd(), writer.as_fd(), null.as_fd()]).await.unwrap();
    drop(writer);
    assert_eq!(running.wait(request()).await.unwrap(), report());
    assert_eq!(taker.join().unwrap(), std::io::ErrorKind::WouldBlock);
    assert_eq!(taken.iter().collect::<Vec<_>>(), [(3, 3), (3, 3), (0, 0), (0, 0)]);
    // Nothing of the client writes there any more, although the run is held on to.
    assert_eq!(reader.read_to_string(&mut String::new()).unwrap(), 0);
    drop(running);
}

/// One after the other: a program that is being written cannot be executed, and a fork at that moment by another
/// test would keep it open for writing.
#[tokio::test]
async fn daemons_are_started() {
    a_daemon_that_cannot_start_says_why().await;
    whoever_comes_second_gets_the_same_daemon().await;
    a_busy_word_that_nobody_stands_behind_is_tried_again().await;
}

async fn a_daemon_that_cannot_start_says_why() {
    let scratch = Scratch::new();
    let start = async |script: &str| Daemon::start(&scratch.home, &scratch.program(script), std::env::vars_os()).await;
    match start("echo 'error: no usable cgroup' > $ready").await {
        Err(StartError::Refused { reason }) => assert_eq!(reason, "no usable cgroup"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(start("exit 0").await, Err(StartError::Died { .. })));
    let missing = Daemon::start(&scratch.home, Path::new("/nonexistent"), []).await;
    assert!(matches!(missing, Err(StartError::Exec { .. })));
}

async fn whoever_comes_second_gets_the_same_daemon() {
    let scratch = Scratch::new();
    let _lock = scratch.lock("{}");
    serve(&scratch.home.api_socket(), answers);
    let program = scratch.program("echo busy > $ready");
    let daemon = Daemon::start(&scratch.home, &program, std::env::vars_os()).await.unwrap();
    assert_eq!(daemon.known(), &info());
}

async fn a_busy_word_that_nobody_stands_behind_is_tried_again() {
    let scratch = Scratch::new();
    // Busy because somebody only looked at the lock; the second attempt finds it free.
    let mark = scratch.root.path().join("second");
    let mark = mark.display();
    let script =
        format!("if [ -e {mark} ]; then echo 'error: second' > $ready; else : > {mark}; echo busy > $ready; fi");
    let program = scratch.program(&script);
    match Daemon::start(&scratch.home, &program, std::env::vars_os()).await {
        Err(StartError::Refused { reason }) => assert_eq!(reason, "second"),
        other => panic!("{other:?}"),
    }
}
