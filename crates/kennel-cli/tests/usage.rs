//! What services use is what the kernel says, over whole trees, and is looked at only while somebody wants to know.
//!
//! covers: A8, A10, B9, C5, E2, E8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A service that has used half a second of CPU in children that are gone, holds 20 MB, and has one child.
const STACK: &str = "
services:
  web:
    shell: true
    command: >
      for i in 1 2 3; do
        sh -c 'end=$$(($$(date +%s%N) + 200000000)); while [ $$(date +%s%N) -lt $$end ]; do :; done';
      done;
      held=$$(head -c 20000000 /dev/zero | tr '\\0' x);
      sleep 600 & echo spent; wait
  idle: { command: [sleep, '600'] }
";

/// A kennel on each back end that this machine has.
fn on_each(stack: &str, body: impl Fn(&Scratch)) {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { continue };
        scratch.config(stack);
        scratch.ok(&["up", "-d"]);
        body(&scratch);
        scratch.down();
    }
}

/// Body of the answer to a question.
fn ask(scratch: &Scratch, path: &str) -> String {
    let name = scratch.instance_dir();
    let socket = scratch.path("run/kennel").join(name.file_name().unwrap()).join("api.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: kennel\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

fn usage(scratch: &Scratch) -> Value {
    serde_json::from_str(&ask(scratch, "/v1/usage?processes=true")).unwrap()
}

fn of<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["services"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

fn logs_have(scratch: &Scratch, text: &str) -> bool {
    scratch.ok(&["logs", "--no-prefix"]).stdout.contains(text)
}

/// A number of `/proc/PID/status`, as it stands there.
fn status(pid: u64, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn samplers(scratch: &Scratch) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", scratch.daemon().pid)).into_iter().flatten().flatten();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(name).filter(|name| name.trim() == "samples").count()
}

#[test]
fn figures_agree_with_the_kernel() {
    on_each(STACK, |scratch| {
        wait_until(DEADLINE, "the CPU is spent and the memory taken", || logs_have(scratch, "spent"));
        let (report, web) = wait_for(DEADLINE, "figures of two processes", || {
            let report = usage(scratch);
            let web = of(&report, "web").clone();
            (web["processes"] == 2 && web["memory_bytes"].as_u64() > Some(20_000_000)).then_some((report, web))
        });
        let processes = web["processes_detail"].as_array().unwrap();
        assert_eq!(processes.len(), 2, "{web}");
        let (main, child) = (&processes[0], &processes[1]);
        assert_eq!((main["depth"].as_u64(), child["depth"].as_u64()), (Some(0), Some(1)), "{web}");
        assert_eq!(child["ppid"], main["pid"]);
        for one in processes {
            let pid = one["pid"].as_u64().unwrap();
            let resident = status(pid, "VmRSS").unwrap() * 1024;
            assert!(one["memory_bytes"].as_u64().unwrap().abs_diff(resident) < 2 << 20, "{one}, VmRSS {resident}");
            assert_eq!(one["threads"].as_u64(), status(pid, "Threads"), "{one}");
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
            assert_eq!(one["open_files"].as_u64(), Some(open), "{one}");
            assert_eq!(one["start_ticks"].as_u64(), Some(start_ticks(pid)), "{one}");
        }
        // Three times two tenths of a second were waited out by loops, unless others wanted the CPU as well; they are gone.
        let of_living: u64 = processes.iter().map(|one| one["cpu_ms"].as_u64().unwrap()).sum();
        let all = web["cpu_ms"].as_u64().unwrap();
        assert!(all >= of_living + 50, "{all} ms, of which {of_living} of the living: {web}");
        let idle = of(&report, "idle");
        assert!(idle["cpu_ms"].as_u64().unwrap() < all && idle["processes"] == 1, "{idle}");
        let sum =
            |figure: &str| ["web", "idle"].map(|name| of(&report, name)[figure].as_u64().unwrap()).iter().sum::<u64>();
        assert_eq!(report["total"]["memory_bytes"].as_u64(), Some(sum("memory_bytes")));
        assert_eq!(report["total"]["processes"].as_u64(), Some(3));
        assert_eq!(web["log_bytes"], 6, "{web}");
        let daemon = status(u64::from(scratch.daemon().pid), "VmRSS").unwrap() * 1024;
        assert!(report["own"]["daemon_memory_bytes"].as_u64().unwrap().abs_diff(daemon) < 8 << 20, "{report}");
    });
}

fn start_ticks(pid: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn a_busy_service_is_seen_and_a_question_of_one_name_is_of_that() {
    let stack = "
services:
  busy: { shell: true, command: 'while :; do :; done' }
  idle: { command: [sleep, '600'] }
";
    on_each(stack, |scratch| {
        // On a machine with much to do it gets less than all of one CPU.
        wait_until(DEADLINE, "a share of the CPU", || {
            let report = usage(scratch);
            let busy = of(&report, "busy");
            let main = &busy["processes_detail"][0];
            busy["cpu_percent"].as_f64() > Some(5.0)
                && main["cpu_percent"].as_f64() > Some(5.0)
                && of(&report, "idle")["cpu_percent"].as_f64() < Some(1.0)
        });
        let one = scratch.json(&["stats", "idle", "--json"]);
        assert_eq!(one["services"].as_array().unwrap().len(), 1, "{one}");
        assert!(scratch.ok(&["stats"]).stdout.contains("busy"));
        let wrong = scratch.kennel(&["stats", "bussy"]);
        assert!(wrong.code() != 0 && wrong.stderr.contains("did you mean `busy`"), "{}", wrong.all());
    });
}

#[test]
fn nothing_is_sampled_while_nobody_looks() {
    let stack = "
rules: { stack-processes: off, stack-memory: off }
services: { web: { command: [sleep, '600'] } }
";
    on_each(stack, |scratch| {
        assert_eq!(samplers(scratch), 0);
        usage(scratch);
        assert_eq!(samplers(scratch), 1);
        wait_until(DEADLINE, "the thread that samples is gone", || samplers(scratch) == 0);
    });
}

/// Points of the one series of a history.
fn points(scratch: &Scratch) -> usize {
    let history = scratch.json(&["stats", "--since", "1h", "--json"]);
    let series = history["series"].as_array().unwrap();
    series.iter().map(|series| series["points"].as_array().unwrap().len()).sum()
}

#[test]
fn what_was_used_is_known_to_the_next_daemon_and_without_services() {
    let stack = "
sampling: { interval: 200ms }
services:
  web: { shell: true, command: 'while sleep 0.05; do echo line; done' }
";
    on_each(stack, |scratch| {
        wait_until(DEADLINE, "something is known", || points(scratch) > 0);
        scratch.ok(&["daemon", "restart"]);
        let before = points(scratch);
        assert!(before > 0, "what was not recorded yet is written at the end");
        wait_until(DEADLINE, "the next daemon goes on", || points(scratch) > before);
        let raw: Value = serde_json::from_str(&ask(scratch, "/v1/usage/history?step_ms=0&service=web")).unwrap();
        let raw = raw["series"][0]["points"].as_array().unwrap();
        assert!(raw.len() > 1 && raw.iter().any(|point| point["log_bytes"].as_u64() > Some(0)), "{raw:?}");
        scratch.ok(&["down"]);
        assert!(points(scratch) > before);
        assert!(scratch.ok(&["stats", "--since", "1h"]).stdout.contains("web"));
    });
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let stack =
        "services: { web: { command: [sleep, '600'], readiness: { exec: ['true'] } }, once: { command: ['true'] } }";
    on_each(stack, |scratch| {
        wait_until(DEADLINE, "the other one is through", || scratch.ps("once")["state"] == "completed");
        let text = ask(scratch, "/metrics");
        let value = |sample: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<f64>().ok())
        };
        let of_web = |name: &str| value(&format!("kennel_service_{name}{{service=\"web\",name=\"web\"}}"));
        assert_eq!((of_web("up"), of_web("ready"), of_web("processes")), (Some(1.0), Some(1.0), Some(1.0)), "{text}");
        assert!(of_web("memory_bytes") > Some(100_000.0) && of_web("cpu_seconds_total").is_some(), "{text}");
        assert_eq!(of_web("restarts_total"), Some(0.0), "{text}");
        assert_eq!(value("kennel_service_up{service=\"once\",name=\"once\"}"), Some(0.0), "{text}");
        assert_eq!(value("kennel_service_state{service=\"once\",name=\"once\",state=\"completed\"}"), Some(1.0));
        assert!(value("kennel_process_resident_memory_bytes{process=\"keeper\"}") > Some(100_000.0), "{text}");
        assert!(value("kennel_events_total") > Some(3.0) && value("kennel_machine_cpus") > Some(0.0), "{text}");
        // No family stands twice, and each sample has its family before it.
        let families: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let unique: std::collections::BTreeSet<&str> = families.iter().copied().collect();
        assert_eq!(unique.len(), families.len());
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.for_each(|line| assert!(unique.contains(line.split(['{', ' ']).next().unwrap()), "{line}"));
    });
}
