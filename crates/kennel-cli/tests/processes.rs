//! Single processes: a signal reaches one of ours and nobody else, and what nobody can end is named until it ends.
//!
//! covers: C2, E5, E9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use kennel_testkit::{Background, Scratch, Signal, User, state_of, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// One stack with one service of two processes on each back end that this machine has, also in a PID namespace.
fn on_each(body: impl Fn(&Scratch)) {
    for (user, isolation) in [(User::Root, ""), (User::Plain, ""), (User::Root, "pid"), (User::Plain, "pid")] {
        let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { continue };
        scratch.config(&format!(
            "services: {{ web: {{ command: ['@badchild@', --cell, '1', plain], isolation: [{isolation}], \
             readiness: {{ log_line: ^up$ }} }} }}"
        ));
        scratch.ok(&["up", "-d"]);
        wait_until(DEADLINE, "both processes", || scratch.in_cells().len() == 2);
        body(&scratch);
        scratch.down();
    }
}

/// Main process and child of the service.
fn pair(scratch: &Scratch) -> (u64, u64) {
    let status = &scratch.json(&["status", "web", "--json"])[0];
    let main = status["pid"].as_u64().unwrap();
    let tree = status["tree"].as_array().unwrap();
    let child = tree.iter().find_map(|one| one["pid"].as_u64().filter(|pid| *pid != main)).unwrap();
    (main, child)
}

fn stranger(scratch: &Scratch) -> Background {
    scratch.spawn_program(Path::new("/bin/sleep"), &["600"], Stdio::null(), |_| {})
}

/// `kill --pid` is refused with these words and this code; the process lives on as it did.
fn refused(scratch: &Scratch, pid: u32, exit: i32, code: &str, words: &[&str]) {
    let before = state_of(pid);
    let output = scratch.kennel(&["kill", "--pid", &pid.to_string(), "--json"]);
    assert_eq!(output.code(), exit, "{}", output.all());
    let problem: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    let text = format!("{} {}", problem["detail"], problem["hint"]);
    for word in words {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    assert_eq!(state_of(pid).is_some(), before.is_some());
}

#[test]
fn one_process_gets_the_signal() {
    on_each(|scratch| {
        let (main, child) = pair(scratch);
        let report = scratch.json(&["kill", "--pid", &child.to_string(), "--json"]);
        assert_eq!((report["process"]["pid"].as_u64(), report["signal"].as_i64()), (Some(child), Some(9)), "{report}");
        assert_eq!((&report["service"], &report["main"]), (&"web".into(), &false.into()), "{report}");
        wait_until(DEADLINE, "the child gone", || scratch.ps("web")["processes"] == 1);
        assert_eq!(scratch.ps("web")["pid"].as_u64(), Some(main));
        let text = scratch.ok(&["kill", "--pid", &main.to_string(), "-s", "TERM"]).stdout;
        assert!(text.contains(&format!("web  SIGTERM sent to {main}, its main process")), "{text}");
        wait_until(DEADLINE, "another run", || scratch.ps("web")["restarts"] == 1);
    });
}

#[test]
fn one_that_has_the_number_since_does_not() {
    on_each(|scratch| {
        let (_, child) = pair(scratch);
        let usage: Value = serde_json::from_str(&scratch.get("/v1/usage?service=web&processes=true").1).unwrap();
        let detail = usage["services"][0]["processes_detail"].as_array().unwrap();
        let began = detail.iter().find(|one| one["pid"] == child).unwrap()["start_ticks"].as_u64().unwrap();
        let signal = |began: u64| {
            scratch.post(&format!("/v1/processes/{child}/signal?signal=9&start_ticks={began}"), &Value::Null)
        };
        let (status, problem) = signal(began - 1);
        assert_eq!((status, &problem["code"]), (404, &"process_gone".into()), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
        assert_eq!(scratch.ps("web")["processes"], 2);
        assert_eq!(signal(began).0, 200);
        wait_until(DEADLINE, "the child gone", || scratch.ps("web")["processes"] == 1);
    });
}

#[test]
fn nobody_else_does() {
    on_each(|scratch| {
        let sleeper = stranger(scratch);
        let words = ["was not started by this kennel; nothing was sent", "sleep 600", "child of"];
        refused(scratch, sleeper.pid(), 8, "process_not_ours", &words);
        refused(scratch, scratch.daemon().pid, 8, "process_is_kennel", &["this kennel's daemon", "kennel down"]);
        refused(scratch, scratch.keeper().pid, 8, "process_is_kennel", &["this kennel's keeper", "kennel down"]);
        if scratch.user() == User::Plain {
            let (main, _) = pair(scratch);
            let above = scratch.survivors().into_iter().find(|seen| u64::from(seen.pid) == main).unwrap().ppid;
            refused(
                scratch,
                above,
                8,
                "process_is_kennel",
                &["the reaper that holds `web` together", "kennel kill web"],
            );
        }
        wait_until(DEADLINE, "it sleeps on", || state_of(sleeper.pid()) == Some('S'));
        end(sleeper);
    });
}

#[test]
fn what_has_ended_is_said() {
    on_each(|scratch| {
        let zombie = stranger(scratch);
        zombie.signal(Signal::KILL);
        wait_until(DEADLINE, "a zombie", || state_of(zombie.pid()) == Some('Z'));
        let parent = std::process::id().to_string();
        refused(scratch, zombie.pid(), 8, "process_is_zombie", &["has ended already", &parent]);
        let pid = zombie.pid();
        end(zombie);
        refused(scratch, pid, 4, "process_gone", &["there is no process"]);
    });
}

#[test]
fn another_kennel_is_named() {
    let other = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    other.config("services: { db: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: ^up$ } } }");
    other.ok(&["up", "-d"]);
    let theirs = other.ps("db")["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap();
    let instance = other.instance_dir().file_name().unwrap().to_string_lossy().into_owned();
    on_each(|scratch| {
        let hint = format!("kennel --instance {instance} kill --pid {theirs}");
        refused(scratch, theirs, 8, "process_not_ours", &["belongs to the kennel instance", &hint]);
        let keeper = other.keeper().pid;
        refused(scratch, keeper, 8, "process_is_kennel", &[&format!("kennel --instance {instance} down")]);
    });
    other.down();
}

#[test]
fn who_is_reaped_by_its_parent_has_an_exit_code_too() {
    on_each(|scratch| {
        let known = scratch.json(&["doctor", "--json"])["features"]
            .as_array()
            .unwrap()
            .iter()
            .any(|feature| feature["name"] == "pidfd_exit_info" && feature["works"] == "yes");
        // The first `wait` is ended by the signal, the second one reaps.
        let script =
            "trap : TERM; sh -c 'trap \"exit 7\" TERM; echo up; while :; do sleep 1; done' & wait; wait; exit 3";
        scratch.config(&format!(
            "services: {{ web: {{ command: {script:?}, shell: true, readiness: {{ log_line: ^up$ }} }} }}"
        ));
        scratch.ok(&["up", "-d"]);
        let (main, _) = pair(scratch);
        let receipt = scratch.json(&["stop", "web", "--json"])["receipts"][0].clone();
        assert_eq!(receipt["exit"]["code"], 3, "{receipt}");
        let processes = receipt["processes"].as_array().unwrap();
        let child = processes.iter().find(|one| {
            one["pid"].as_u64() != Some(main)
                && one["command"].as_str().is_some_and(|command| command.contains("exit 7"))
        });
        let exit = &child.unwrap()["exit"];
        if known {
            assert_eq!(exit["code"], 7, "{receipt}");
        } else {
            assert_eq!(exit["kind"], "unknown", "{receipt}");
        }
    });
}

/// A tracer that holds a process at its exit, so that no kill ends it, until it is dropped.
struct Tracer(Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>);

impl Tracer {
    fn hold(pid: u32) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        // The kernel ties a tracer to its thread: what it holds goes on when the thread ends.
        let thread = std::thread::spawn(move || {
            tell.send(kennel_sys::process::hold_at_end(pid)).unwrap();
            let _dropped = released.recv();
        });
        told.recv().unwrap().unwrap();
        Self(Some((release, thread)))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some((release, thread)) = self.0.take() {
            drop(release);
            thread.join().unwrap();
        }
    }
}

#[test]
fn what_cannot_be_ended_is_tracked_until_it_ends() {
    on_each(|scratch| {
        let (main, child) = pair(scratch);
        let is_namespace = scratch.ps("web")["containment"].as_str().unwrap().ends_with("+pidns");
        let tracer = Tracer::hold(u32::try_from(child).unwrap());
        let output = scratch.kennel(&["stop", "web", "--timeout", "100ms", "--json"]);
        assert_eq!(output.code(), 6, "{}", output.all());
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!((&report["ok"], &report["left"]), (&false.into(), &1.into()), "{report}");
        let receipt = &report["receipts"][0];
        let stages: Vec<&str> =
            receipt["stages"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
        // In a PID namespace the kernel finds everybody: there is nothing to sweep.
        let swept: &[&str] = if is_namespace { &["TERM", "KILL"] } else { &["TERM", "KILL", "KILL sweep"] };
        assert_eq!(stages, [swept, &["stuck"]].concat(), "{receipt}");
        let survivor = &receipt["survivors"][0];
        assert_eq!((survivor["pid"].as_u64(), &survivor["state"]), (Some(child), &"t".into()), "{survivor}");
        assert_eq!(survivor["tracer"], std::process::id(), "{survivor}");
        assert!(survivor["tracer_command"].as_str().is_some_and(|text| text.contains("processes")), "{survivor}");
        if scratch.user() == User::Root {
            assert!(survivor["stack"].as_array().is_some_and(|stack| !stack.is_empty()), "{survivor}");
        }
        let of_main = receipt["processes"].as_array().unwrap().iter().find(|one| one["pid"].as_u64() == Some(main));
        assert!(of_main.is_some_and(|main| main["start_ticks"].is_u64()), "{receipt}");

        // It stays where it can be seen, with who holds it.
        let shown = scratch.ps("web");
        assert_eq!(shown["state"], "stuck", "{shown}");
        assert_eq!(shown["survivors"][0]["pid"].as_u64(), Some(child), "{shown}");
        let status = scratch.ok(&["status", "web"]).stdout;
        assert!(status.contains("stuck") && status.contains(&format!("{child}   left, held by a tracer")), "{status}");
        assert!(status.contains(&format!("traced by {}", std::process::id())), "{status}");
        assert_eq!(scratch.kennel(&["stop", "web", "--timeout", "100ms"]).code(), 6);

        // And the moment it ends is recorded.
        drop(tracer);
        scratch.wait_state("web", "stopped", DEADLINE);
        let events = scratch.recorded();
        let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
        let stages: Vec<&str> = of_kind("stop.stage").iter().filter_map(|event| event["stage"].as_str()).collect();
        assert_eq!(stages, swept);
        assert_eq!(of_kind("instance.stuck").len(), 1);
        let down = of_kind("instance.down");
        assert_eq!((down.len(), &down[0]["receipt"]["left"]), (1, &0.into()), "{down:?}");
    });
}

fn end(mut background: Background) {
    if state_of(background.pid()) != Some('Z') {
        background.signal(Signal::KILL);
    }
    background.wait(DEADLINE);
}
