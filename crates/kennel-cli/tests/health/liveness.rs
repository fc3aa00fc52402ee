//! Liveness: who is not alive is told and ended, who is not ready is left alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kennel_testkit::{Scratch, both, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, wait_health};

both!(restarts, warns, waits_for_signs, ends_what_it_starts, stops);

/// Two failures in a row restart one service, its whole tree is new, and its neighbour is untouched.
fn restarts(scratch: &Scratch) {
    scratch.config(
        "
services:
  web:
    command: touch alive; exec '@badchild@' --cell 1 plain
    shell: true
    readiness: { log_line: ^up$ }
    liveness: { exec: test -e alive, interval: 100ms, failure_threshold: 2, timeout: 10s }
  other:
    command: ['@badchild@', --cell, '2', plain]
",
    );
    scratch.ok(&["up", "-d"]);
    let before = scratch.ps("web");
    assert_eq!(before["health"], "healthy", "{before}");
    let other = scratch.ps("other")["pid"].clone();
    std::fs::remove_file(scratch.project().join("alive")).unwrap();
    let started = scratch.wait_events("web", "instance.started", 2);
    assert_ne!(started[0]["pid"], started[1]["pid"]);
    let after = scratch.wait_state("web", "ready", DEADLINE);
    assert_eq!((&after["health"], &after["restarts"]), (&json!("healthy"), &json!(1)), "{after}");
    wait_until(DEADLINE, "an answer", || scratch.ps("web")["probe_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    let told = scratch.events_of("web", "instance.health");
    assert_eq!(told[0]["health"], "unhealthy", "{told:?}");
    assert_eq!(told[0]["reason"], "the probe ended: exit 1", "{told:?}");
    assert_eq!(told[0]["instance"], before["instance"], "{told:?}");
    let down = &scratch.events_of("web", "instance.down")[0]["receipt"];
    assert_eq!((&down["reason"], &down["left"]), (&json!("not_alive"), &json!(0)), "{down}");
    assert!(down["processes"].as_array().unwrap().len() > 1, "the child went too: {down}");
    assert_eq!(scratch.ps("other")["pid"], other);
    scratch.down();
}

/// A server that answers, or takes requests and does not.
struct Server {
    port: u16,
    answers: Arc<AtomicBool>,
    /// The most requests that were open at the same time while it did not answer.
    most: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, most) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (flag, count) = (Arc::clone(&answers), Arc::clone(&most));
        std::thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if flag.load(Ordering::SeqCst) {
                    let mut request = [0; 1024];
                    let _asked = stream.read(&mut request);
                    let _answered = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    continue;
                }
                stream.set_nonblocking(true).unwrap();
                // Those whose asker has gone read as ended.
                open.retain_mut(|one| {
                    let mut bytes = [0; 1024];
                    loop {
                        match one.read(&mut bytes) {
                            Ok(0) => return false,
                            Ok(_) => {}
                            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                        }
                    }
                });
                open.push(stream);
                count.fetch_max(open.len(), Ordering::SeqCst);
            }
        });
        Self { port, answers, most }
    }
}

/// Who does not answer is unhealthy, is asked again one at a time, and is well again as soon as it answers.
fn warns(scratch: &Scratch) {
    let server = Server::start();
    scratch.config(&format!(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', plain]
    liveness:
      http_get: http://127.0.0.1:{}/alive
      interval: 50ms
      timeout: 2s
      action: warn
",
        server.port
    ));
    scratch.ok(&["up", "-d"]);
    let before = wait_health(scratch, "web", "healthy");
    server.answers.store(false, Ordering::SeqCst);
    let sick = wait_health(scratch, "web", "unhealthy");
    assert_eq!(sick["health_reason"], "no answer within 2s", "{sick}");
    assert_eq!((&sick["state"], &sick["pid"]), (&json!("unhealthy"), &before["pid"]), "{sick}");
    assert!(sick["health_since"].as_str() > before["health_since"].as_str(), "{sick} {before}");
    server.answers.store(true, Ordering::SeqCst);
    let well = wait_health(scratch, "web", "healthy");
    assert_eq!((&well["pid"], &well["restarts"]), (&before["pid"], &json!(0)));
    let words: Vec<_> = scratch.events_of("web", "instance.health").iter().map(|it| it["health"].clone()).collect();
    assert_eq!(words, ["unhealthy", "healthy"]);
    assert_eq!(server.most.load(Ordering::SeqCst), 1, "one at a time");
    scratch.down();
}

/// What is not asked but waited for: a file that is touched, a message, a line of output.
fn waits_for_signs(scratch: &Scratch) {
    let watchdog = "
import os, socket, time
name = os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1)
assert os.environ['WATCHDOG_USEC'] == '6000000'
socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(28):
    socket.sendto(b'WATCHDOG=1', name)
    time.sleep(0.25)
time.sleep(600)
";
    scratch.file("watchdog.py", watchdog);
    scratch.config(
        "
services:
  beats:
    command: i=0; while [ $$i -lt 28 ]; do touch beat; i=$$((i+1)); sleep 0.25; done; exec sleep 600
    shell: true
    liveness: { heartbeat: { file: beat, max_age: 6s }, interval: 100ms }
  barks:
    command: python3 watchdog.py
    liveness: { watchdog: 6s }
  talks:
    command: i=0; while [ $$i -lt 28 ]; do echo $$i; i=$$((i+1)); sleep 0.25; done; exec sleep 600
    shell: true
    liveness: { log_silence: 6s }
",
    );
    scratch.ok(&["up", "-d"]);
    for (service, reason) in [
        ("beats", "was not modified for"),
        ("barks", "did not say `WATCHDOG=1` for 6s"),
        ("talks", "wrote nothing for 6s"),
    ] {
        let told = &scratch.wait_events(service, "instance.health", 1)[0];
        assert!(told["reason"].as_str().unwrap().contains(reason), "{told}");
        let started = &scratch.wait_events(service, "instance.started", 2)[0];
        let time = |event: &serde_json::Value| event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        // It gave signs for seven seconds, longer than it may be silent, and was let run.
        assert!(time(told).duration_since(time(started)).as_secs_f64() >= 12.5, "{started} {told}");
        let down = &scratch.wait_events(service, "instance.down", 1)[0]["receipt"];
        assert_eq!((&down["reason"], &down["left"]), (&json!("not_alive"), &json!(0)), "{down}");
    }
    scratch.down();
}

/// A check that hangs is killed at its limit with all that it started, and no second one runs beside it.
fn ends_what_it_starts(scratch: &Scratch) {
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', plain]
    liveness:
      exec: ['@badchild@', --cell, '2', ignores-term]
      interval: 50ms
      timeout: 300ms
      failure_threshold: 5
      action: warn
",
    );
    scratch.ok(&["up", "-d"]);
    let of_checks = || -> Vec<u32> {
        let seen = scratch.in_cells().into_iter().filter(|one| one.living && one.cell == Some(2));
        seen.map(|one| one.pid).collect()
    };
    let (mut before, mut most) = (Vec::new(), 0);
    wait_until(DEADLINE, "five checks", || {
        // One look takes so long that a check may end and the next begin meanwhile; who is in two of them lived in between.
        let now = of_checks();
        most = most.max(now.iter().filter(|pid| before.contains(*pid)).count());
        before = now;
        scratch.ps("web")["health"] == "unhealthy"
    });
    // Each is a process and its child.
    assert!(most <= 2, "{most} processes of checks at once");
    let why = scratch.ps("web")["health_reason"].clone();
    assert_eq!(why, "the probe ran too long");
    scratch.ok(&["stop", "web"]);
    wait_until(DEADLINE, "no check to outlive its service", || of_checks().is_empty());
    scratch.down();
}

fn stops(scratch: &Scratch) {
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', plain]
    restart: always
    liveness: { file: missing, interval: 50ms, initial_delay: 300ms, action: stop }
",
    );
    scratch.ok(&["up", "-d"]);
    let stopped = scratch.wait_state("web", "stopped", DEADLINE);
    assert_eq!(stopped["reason"], "its `liveness` failed", "{stopped}");
    assert_eq!(scratch.events_of("web", "instance.started").len(), 1, "it stays stopped");
    scratch.down();
}
