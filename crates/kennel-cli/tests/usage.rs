//! What services use is what the kernel says, over whole trees, and is looked at only while somebody wants to know.
//!
//! covers: A8, A10, B9, C5, D5 (the endpoint), E2, E8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A service that has used some tenths of a second of CPU in children that are gone, holds 20 MB, and has one child.
const STACK: &str = "
services:
  web:
    shell: true
    command: >
      for i in 1 2 3; do
        sh -c 'i=0; while [ $$i -lt 200000 ]; do i=$$((i+1)); done';
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
    let (status, body) = scratch.get(path);
    assert_eq!(status, 200, "{body}");
    body
}

fn usage(scratch: &Scratch) -> Value {
    serde_json::from_str(&ask(scratch, "/v1/usage?processes=true")).unwrap()
}

fn of<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["services"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

/// Whether both processes of `web` are there, and its child is no copy of its parent any more.
fn has_child(web: &Value) -> bool {
    let detail = web["processes_detail"].as_array().unwrap();
    detail.len() == 2 && detail[1]["command"] == "sleep 600" && detail[1]["state"] == "S"
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

#[test]
fn figures_agree_with_the_kernel() {
    on_each(STACK, |scratch| {
        wait_until(DEADLINE, "the CPU is spent and the memory taken", || logs_have(scratch, "spent"));
        let (report, web) = wait_for(DEADLINE, "figures of two processes", || {
            let report = usage(scratch);
            let web = of(&report, "web").clone();
            let is_whole = web["processes"] == 2 && has_child(&web);
            (is_whole && web["memory_bytes"].as_u64() > Some(20_000_000)).then_some((report, web))
        });
        let processes = web["processes_detail"].as_array().unwrap();
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
        // Three loops have taken what they take, however long they had to wait for it; they are gone.
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

/// One line of the `ps` program: resident memory in kB, CPU time in seconds, threads, and the command line.
fn by_ps(pid: u64) -> (u64, u64, u64, String) {
    let arguments = ["-ww", "-o", "rss=", "-o", "cputimes=", "-o", "nlwp=", "-o", "args=", "-p", &pid.to_string()];
    let output = std::process::Command::new("ps").args(arguments).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let mut words = line.split_whitespace();
    let mut number = || words.next().unwrap().parse().unwrap();
    let numbers = (number(), number(), number());
    (numbers.0, numbers.1, numbers.2, words.collect::<Vec<_>>().join(" "))
}

#[test]
fn figures_agree_with_ps() {
    on_each(STACK, |scratch| {
        wait_until(DEADLINE, "the CPU is spent and the memory taken", || logs_have(scratch, "spent"));
        // Without cgroups a look lists them, and it may be a second old.
        let all = wait_for(DEADLINE, "figures of three processes", || {
            let report = usage(scratch);
            let detail = |name| of(&report, name)["processes_detail"].as_array().unwrap().clone();
            let is_whole = has_child(of(&report, "web"));
            Some(["web", "idle"].map(detail).concat()).filter(|all| is_whole && all.len() == 3)
        });
        for one in &all {
            let (rss, cpu, threads, command) = by_ps(one["pid"].as_u64().unwrap());
            assert!(one["memory_bytes"].as_u64().unwrap().abs_diff(rss * 1024) < 2 << 20, "{one}, by ps {rss} kB");
            // Whole seconds, cut off.
            assert!((one["cpu_ms"].as_u64().unwrap() / 1000).abs_diff(cpu) <= 1, "{one}, by ps {cpu} s");
            assert_eq!(one["threads"].as_u64(), Some(threads), "{one}");
            let told = one["command"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(command.starts_with(told.trim_end_matches('…').trim_end()), "{told} by ps: {command}");
        }
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
        assert_eq!(scratch.daemon_threads("samples"), 0);
        usage(scratch);
        assert_eq!(scratch.daemon_threads("samples"), 1);
        wait_until(DEADLINE, "the thread that samples is gone", || scratch.daemon_threads("samples") == 0);
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
        wait_until(DEADLINE, "samples of its own", || {
            let raw: Value = serde_json::from_str(&ask(scratch, "/v1/usage/history?step_ms=0&service=web")).unwrap();
            let raw = raw["series"][0]["points"].as_array().unwrap();
            raw.len() > 1 && raw.iter().any(|point| point["log_bytes"].as_u64() > Some(0))
        });
        scratch.ok(&["down"]);
        assert!(points(scratch) > before);
        assert!(scratch.ok(&["stats", "--since", "1h"]).stdout.contains("web"));
    });
}

/// With their limits; where a group of version 1 counts, its figures.
#[test]
fn limits_stand_beside_what_they_bound() {
    let stack = "
limits: { memory: 1GiB, pids: 500 }
services:
  web:
    shell: true
    command: held=$$(head -c 20000000 /dev/zero | tr '\\0' x); echo held; sleep 600
    limits: { memory: 300MiB, pids: 50 }
  free: { command: [sleep, '600'] }
";
    on_each(stack, |scratch| {
        wait_until(DEADLINE, "its memory", || logs_have(scratch, "held"));
        let report = usage(scratch);
        let web = of(&report, "web");
        assert_eq!(
            (&web["memory_limit_bytes"], &web["processes_limit"]),
            (&(300 << 20).into(), &50.into()),
            "{report}"
        );
        assert!(of(&report, "free")["memory_limit_bytes"].is_null(), "{report}");
        let total = &report["total"];
        assert_eq!((&total["memory_limit_bytes"], &total["processes_limit"]), (&(1_u64 << 30).into(), &500.into()));
        let limits = scratch.json(&["status", "web", "--json"])[0]["limits"].clone();
        let source = match limits[0]["enforced_by"].as_str().unwrap() {
            "cgroup" => "cgroup",
            "cgroup_v1" => "cgroup+v1",
            _ => "processes",
        };
        assert_eq!(web["source"], source, "{limits}");
        // What was read into it counts in its group, whatever is mapped of it.
        assert!(web["memory_bytes"].as_u64() > Some(20_000_000), "{web}");
        assert!(web["memory_peak_bytes"].as_u64() >= web["memory_bytes"].as_u64(), "{web}");
        let text = ask(scratch, "/metrics");
        for sample in [
            "memory_limit_bytes{service=\"web\",name=\"web\"} 314572800",
            "processes_limit{service=\"web\",name=\"web\"} 50",
        ] {
            assert!(text.contains(&format!("kennel_service_{sample}\n")), "{text}");
        }
        assert!(scratch.ok(&["stats"]).stdout.contains("300 MiB"), "{}", scratch.ok(&["stats"]).stdout);
    });
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let stack =
        "services: { web: { command: [sleep, '600'], readiness: { exec: ['true'] } }, once: { command: ['true'] } }";
    on_each(stack, |scratch| {
        wait_until(DEADLINE, "the other one is through", || scratch.ps("once")["state"] == "completed");
        let value_in = |text: &str, sample: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<f64>().ok())
        };
        let of_web_in =
            |text: &str, name: &str| value_in(text, &format!("kennel_service_{name}{{service=\"web\",name=\"web\"}}"));
        // It may have been executed only just now.
        let text = wait_for(DEADLINE, "what a program needs at the least", || {
            Some(ask(scratch, "/metrics")).filter(|text| of_web_in(text, "memory_bytes") > Some(100_000.0))
        });
        let value = |sample: &str| value_in(&text, sample);
        let of_web = |name: &str| of_web_in(&text, name);
        assert_eq!((of_web("up"), of_web("ready"), of_web("processes")), (Some(1.0), Some(1.0), Some(1.0)), "{text}");
        assert!(of_web("cpu_seconds_total").is_some(), "{text}");
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

#[test]
fn those_are_shown_and_told_of_that_were_asked_for() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
services:
  web: { command: ['@badchild@', sleep] }
  worker: { command: ['@badchild@', sleep], replicas: 2 }
  slow: { command: ['@badchild@', sleep], stop: [{ signal: CONT, wait: 2s }] }
  flaps: { command: [sh, -c, 'exit 3'], restart: always, restart_policy: { delay: 100ms, max_delay: 100ms, max_restarts: 100000 } }
",
    );
    scratch.ok(&["up", "-d"]);
    let names = |args: &[&str]| -> Vec<String> {
        let list = scratch.json(&[&["ps", "--json"], args].concat());
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["web"]), ["web"]);
    assert_eq!(names(&["worker.2", "web"]), ["web", "worker.2"]);
    assert_eq!(names(&["worker", "--tree"]), ["worker.1", "worker.2"]);
    let unknown = scratch.kennel(&["ps", "wbe"]);
    assert_eq!((unknown.code(), unknown.stderr.contains("did you mean `web`?")), (4, true), "{unknown:?}");
    let told = scratch.ok(&["restart", "slow"]).stderr;
    assert!(told.contains("slow") && !told.contains("flaps"), "{told}");
    scratch.down();
}
