//! Kennel with services that are kept is killed at every step of what a daemon does: nothing that was acknowledged is missing, no
//! service runs twice, nothing is left, exit codes are right or unknown, and events are numbered without a gap.
//!
//! covers: B3, B7, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod crashing;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crashing::{expect_history, kennel_that_crashes, never_twice};
use kennel_testkit::{Scratch, Seen, Signal, User, try_send};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);
const WORKERS: usize = 3;

const STACK: &str = "services:
  kept: { command: ['@badchild@', --cell, '1', plain], on_daemon_loss: keep, restart: always, readiness: { log_line: up } }
  twin: { command: ['@badchild@', --cell, '2', plain], on_daemon_loss: keep, restart: always, replicas: 1 }
  talk: { command: ['sh', '-c', 'while :; do echo tick; sleep 0.02; done'], on_daemon_loss: keep, restart: always }
  task: { command: ['sh', '-c', 'sleep 0.2; exit 7'], on_daemon_loss: keep, restart: 'no' }
  ends: { command: ['@badchild@', --cell, '3', plain], restart: always }
";

/// Steps of the daemon and of the keeper beside it, some of them at several times.
fn steps(user: User) -> Vec<String> {
    let once = [
        "start.daemon-started",
        "start.hello-heard",
        "start.welcomed",
        "daemon.store-open",
        "daemon.connected",
        "daemon.listening",
        "daemon.ready",
        "daemon.accepted",
        "spawn.answered",
        "stop.signalled",
        "stop.emptied",
        "stop.told",
        "daemon.exit-heard",
        "daemon.forget-sent",
        "daemon.receipt-made",
        "restart.lost",
        "restart.started",
        "daemon.inherited",
        "handover.successor-started",
        "handover.told",
        "handover.released",
        "handover.settled",
        "daemon.let-go",
        "logs.moved",
        "logs.appended",
        "logs.marked",
        "store.synced",
        "store.closing",
        "shutdown.saved",
        "daemon.bye",
        "shutdown.reported",
        "end.bye-heard",
    ];
    let again = [("store.committed", 14), ("daemon.recorded", 8), ("daemon.spawn-sent", 5), ("spawn.recorded", 5)];
    let mut steps: Vec<String> = once.map(str::to_owned).into();
    steps.extend(again.iter().flat_map(|(step, times)| (1..=*times).map(move |count| format!("{step}:{count}"))));
    if user == User::Root {
        // Without cgroups nothing outlives a keeper.
        steps.extend(["adopt.taken", "daemon.keeper-lost", "daemon.swept"].map(str::to_owned));
    }
    steps
}

struct Story {
    scratch: Scratch,
    mark: PathBuf,
}

impl Story {
    fn new(user: User, kennel: &Path, step: &str) -> Option<Self> {
        let mut scratch = Scratch::new(user, kennel)?;
        scratch.config(STACK);
        let mark = scratch.dir("crash").join("mark");
        scratch.env("KENNEL_CRASH_AT", step);
        scratch.env("KENNEL_CRASH_MARK", mark.display().to_string());
        Some(Self { scratch, mark })
    }

    fn reached(&self) -> bool {
        self.mark.exists()
    }

    /// Does everything until the step was reached. Answers whether the stack is wanted up then, if that was acknowledged.
    fn until_reached(&self) -> Option<Option<bool>> {
        // 1: the task may have failed, as it should, while it was waited for.
        let up = |it: &Self| matches!(it.scratch.kennel(&["up", "-d"]).code(), 0 | 1);
        let acknowledged = |it: &Self, arguments: &[&str]| it.scratch.kennel(arguments).code() == 0;
        type Chapter<'a> = (&'a dyn Fn(&Story) -> bool, bool);
        let chapters: [Chapter<'_>; 8] = [
            (&up, true),
            (&|it| it.main_exits(), true),
            (&|it| acknowledged(it, &["restart", "kept"]), true),
            (&|it| acknowledged(it, &["daemon", "restart"]), true),
            (&|it| it.lose(Scratch::running_daemon), true),
            (&|it| it.lose(Scratch::running_keeper), true),
            (&up, true),
            (&|it| acknowledged(it, &["down"]), false),
        ];
        for (at, (chapter, wanted)) in chapters.into_iter().enumerate() {
            let done = chapter(self);
            if self.reached() {
                // What was begun and not acknowledged may be either; what was acknowledged before stands.
                let stands = done || (wanted && at > 0);
                return Some(stands.then_some(wanted));
            }
        }
        None
    }

    fn main_exits(&self) -> bool {
        let main = self
            .scratch
            .in_cells()
            .into_iter()
            .find(|seen| seen.cell == Some(2) && seen.living && seen.verb() == "--cell");
        if let Some(main) = &main {
            try_send(main, Signal::USR1);
        }
        self.wait(|| main.as_ref().is_none_or(|main| !self.lives(main)));
        true
    }

    fn lives(&self, one: &Seen) -> bool {
        self.scratch
            .in_cells()
            .iter()
            .any(|seen| seen.living && (seen.pid, seen.start_ticks) == (one.pid, one.start_ticks))
    }

    fn lose(&self, part: fn(&Scratch) -> Option<Seen>) -> bool {
        // The one that has handed over may still be on its way out.
        let daemons =
            || self.scratch.survivors().iter().filter(|seen| seen.living && seen.verb() == "__daemon").count();
        self.wait(|| daemons() == 1);
        let Some(lost) = part(&self.scratch) else { return true };
        try_send(&lost, Signal::KILL);
        self.wait(|| self.scratch.kennel(&["ps"]).code() == 0);
        true
    }

    fn wait(&self, condition: impl Fn() -> bool) {
        kennel_testkit::wait_until(DEADLINE, "what a chapter waits for", || self.reached() || condition());
    }

    /// What holds after the crash and the next command.
    fn recovers(&self, wanted: Option<bool>) {
        let states = |names: &[&str]| -> BTreeMap<String, String> {
            let listed = self.scratch.json(&["ps", "--all", "--json"]);
            let of =
                |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned());
            listed.as_array().unwrap().iter().map(of).filter(|(name, _)| names.contains(&name.as_str())).collect()
        };
        if wanted == Some(true) {
            // Acknowledged before: what is kept runs, or comes back by itself.
            let names = ["kept", "twin", "talk"];
            kennel_testkit::wait_until(DEADLINE, "what is kept", || {
                let states = states(&names);
                states.len() == names.len() && states.values().all(|state| state == "ready")
            });
        }
        if wanted == Some(false) {
            self.scratch.kennel(&["ps"]);
            self.scratch.expect_nothing(DEADLINE);
        }
        never_twice(&self.scratch);
        self.scratch.ok(&["up", "-d", "kept", "twin", "talk", "ends"]);
        never_twice(&self.scratch);
        let names = ["kept", "twin", "talk", "ends"];
        assert!(states(&names).values().all(|state| state == "ready"), "{:?}", states(&names));
        self.scratch.ok(&["down"]);
        self.scratch.expect_nothing(DEADLINE);
        expect_history(&self.scratch);
    }
}

fn tell(user: User, kennel: &Path, step: &str) {
    let Some(story) = Story::new(user, kennel, step) else { return };
    let Some(wanted) = story.until_reached() else { panic!("the step was never reached") };
    let told = catch_unwind(AssertUnwindSafe(|| story.recovers(wanted)));
    if let Err(panic) = told {
        let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let log = std::fs::read_to_string(story.scratch.instance_dir().join("kennel.log")).unwrap_or_default();
        let events: String = story.scratch.recorded().iter().map(|event| format!("{event}\n")).collect();
        panic!("{why}\n{log}\n{events}");
    }
}

fn every_step(user: User) {
    let kennel = kennel_that_crashes();
    let only = std::env::var("KENNEL_TEST_STEP").ok();
    let queue: Vec<String> =
        steps(user).into_iter().filter(|step| only.as_ref().is_none_or(|only| only == step)).collect();
    let queue = Mutex::new(queue.into_iter().rev().collect::<Vec<String>>());
    let failures = Mutex::new(String::new());
    let work = || {
        while let Some(step) = { queue.lock().unwrap().pop() } {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(user, &kennel, &step))) else { continue };
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            writeln!(failures.lock().unwrap(), "\n{step}: {why}").unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{user:?}: {failures}");
}

#[test]
fn stack_is_kept_over_a_crash_at_every_step_cgroup() {
    every_step(User::Root);
}

#[test]
fn stack_is_kept_over_a_crash_at_every_step_reaper() {
    every_step(User::Plain);
}
