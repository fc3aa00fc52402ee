//! Kennel is killed at every named step of start, spawn, stop, loss and end: after the next command nothing is left,
//! and everything works as before. The steps are in a build of its own, `kennel_sys::crash` says how they work.
//!
//! covers: C2, C3, C7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "what was seen, for the reader of a failure")]

mod crashing;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crashing::kennel_that_crashes;
use kennel_testkit::{Output, Scratch, Seen, Signal, User, try_send};

const DEADLINE: Duration = Duration::from_secs(30);
/// Name and shape; the cell is the position from 1.
const SERVICES: [(&str, &str); 5] = [
    ("plain", "plain"),
    ("daemonised", "daemon"),
    ("stubborn", "ignores-term"),
    ("own-group", "own-group"),
    // `cgroup.kill` of some kernels misses this one, which is the way to the second sweep.
    ("lost-leader", "lost-leader"),
];
/// Two stories side by side: much of each is waiting.
const WORKERS: usize = 2;

/// How the services of a story are held together.
#[derive(Debug, Clone, Copy)]
struct World {
    user: User,
    /// Each in a PID namespace.
    isolated: bool,
}

impl World {
    /// Names of the steps that can be reached here.
    fn steps(self, kennel: &Path) -> Vec<String> {
        let printed = Command::new(kennel).arg("__crash-points").output().expect("kennel runs").stdout;
        let here = |place: &str| match place {
            "Any" => true,
            "Cgroup" => self.user == User::Root && !self.isolated,
            "Holder" => self.user == User::Plain || self.isolated,
            // No command asks for it.
            "Asked" => false,
            other => panic!("where is {other}?"),
        };
        let lines = String::from_utf8(printed).unwrap();
        let steps = lines.lines().filter_map(|line| line.split_once(' '));
        steps.filter(|(_, place)| here(place)).map(|(name, _)| name.to_owned()).collect()
    }
}

/// A command, or something that is done to kennel from outside.
type Chapter = fn(&Story) -> (&'static str, Option<Output>);

/// One kennel that is to die at one step.
struct Story {
    scratch: Scratch,
    mark: PathBuf,
    /// The kernel ends the services together with keeper and daemon.
    ends_by_itself: bool,
    /// The step is reached by a process that holds one scope, and neither keeper nor daemon dies.
    spares_kennel: bool,
}

impl Story {
    fn new(world: World, kennel: &Path, step: &str, both: bool) -> Option<Self> {
        let mut scratch = Scratch::new(world.user, kennel)?;
        let isolation = if world.isolated { "pid" } else { "none" };
        let mut yaml = "services:\n".to_owned();
        for (index, (name, shape)) in SERVICES.iter().enumerate() {
            let cell = index + 1;
            writeln!(yaml, "  {name}: {{ command: ['@badchild@', --cell, '{cell}', {shape}], restart: 'no',").unwrap();
            writeln!(yaml, "    readiness: {{ log_line: up }}, stop_grace_period: 100ms, isolation: {isolation} }}")
                .unwrap();
        }
        scratch.config(&yaml);
        let mark = scratch.dir("crash").join("mark");
        scratch.env("KENNEL_CRASH_AT", step);
        scratch.env("KENNEL_CRASH_MARK", mark.display().to_string());
        scratch.env("KENNEL_CRASH_BOTH", if both { "1" } else { "" });
        Some(Self { scratch, mark, ends_by_itself: world.isolated && both, spares_kennel: step.starts_with("reaper.") })
    }

    fn reached(&self) -> bool {
        self.mark.exists()
    }

    /// Does everything that a kennel does, until the step was reached; the command that was under way then.
    fn until_reached(&self) -> Option<(&'static str, Output)> {
        let chapters: [Chapter; 8] = [
            |it| ("up", Some(it.scratch.kennel(&["up", "-d"]))),
            |it| ("", it.main_exits()),
            |it| ("stop", Some(it.scratch.kennel(&["stop"]))),
            |it| ("up", Some(it.scratch.kennel(&["up", "-d"]))),
            |it| ("", it.lose(Scratch::running_daemon)),
            |it| ("up", Some(it.scratch.kennel(&["up", "-d"]))),
            |it| ("", it.lose(Scratch::running_keeper)),
            |it| ("down", Some(it.up_and_down())),
        ];
        for chapter in chapters {
            let (verb, output) = chapter(self);
            if self.reached() {
                return Some((verb, output.unwrap_or_else(|| self.scratch.kennel(&["ps"]))));
            }
        }
        None
    }

    fn up_and_down(&self) -> Output {
        self.scratch.kennel(&["up", "-d"]);
        self.scratch.kennel(&["down"])
    }

    fn main_exits(&self) -> Option<Output> {
        let cell = |cell: u64| move |seen: &Seen| seen.cell == Some(cell) && seen.living;
        let of_plain: Vec<Seen> = self.scratch.in_cells().into_iter().filter(cell(1)).collect();
        let main = of_plain.iter().find(|seen| !of_plain.iter().any(|other| other.pid == seen.ppid));
        main.map(|main| try_send(main, Signal::USR1));
        self.wait(|| !self.scratch.in_cells().iter().any(cell(1)));
        None
    }

    /// Kills the daemon or the keeper, and waits until it is seen what follows.
    fn lose(&self, part: fn(&Scratch) -> Option<Seen>) -> Option<Output> {
        let lost = part(&self.scratch)?;
        try_send(&lost, Signal::KILL);
        self.wait(|| self.scratch.in_cells().is_empty());
        if lost.verb() == "__daemon" {
            // The next one has the lost one's scopes to look after.
            self.wait(|| self.scratch.kennel(&["ps"]).code() == 0);
        } else {
            self.wait(|| self.scratch.survivors().is_empty());
        }
        None
    }

    /// Until the condition holds or the step was reached.
    fn wait(&self, condition: impl Fn() -> bool) {
        kennel_testkit::wait_until(DEADLINE, "what a chapter waits for", || self.reached() || condition());
    }

    /// Nothing is left after the next command, and kennel is as good as new.
    fn recovers(&self, verb: &str, output: &Output) {
        // The command that was interrupted may have tried again, and then everything runs, as it should.
        let may_run = self.spares_kennel || verb == "up" && output.code() == 0;
        if self.ends_by_itself && !may_run {
            self.nobody(DEADLINE, "without another command");
        }
        self.scratch.ok(&["ps"]);
        if !may_run {
            self.nobody(DEADLINE, "after the next command");
        }
        self.scratch.down();
        assert_eq!(self.scratch.cgroups(), Vec::<PathBuf>::new());
        self.scratch.ok(&["up", "-d"]);
        let living = self.scratch.in_cells().iter().filter(|seen| seen.living).count();
        assert!(living >= 2 * SERVICES.len(), "{living} live after `up`");
        self.scratch.down();
    }

    fn nobody(&self, within: Duration, when: &str) {
        let end = Instant::now() + within;
        loop {
            let left = self.scratch.in_cells();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left {when}: {}", show(&left));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn show(left: &[Seen]) -> String {
    left.iter().map(|seen| format!("\n  {seen}")).collect()
}

fn tell(world: World, kennel: &Path, step: &str, both: bool) {
    let Some(story) = Story::new(world, kennel, step, both) else { return };
    let Some((verb, output)) = story.until_reached() else { panic!("the step was never reached") };
    story.recovers(verb, &output);
}

/// Every step, once with the process alone that reaches it and once with keeper and daemon at the same time.
fn every_step(world: World) {
    let kennel = kennel_that_crashes();
    let all = world.steps(&kennel);
    assert!(all.len() > 20, "{all:?}");
    let alone_or_both = |step: &String| {
        let both = !step.starts_with("reaper.");
        [Some((step.clone(), false)), both.then(|| (step.clone(), true))].into_iter().flatten().collect::<Vec<_>>()
    };
    let queue: Mutex<Vec<(String, bool)>> = Mutex::new(all.iter().rev().flat_map(alone_or_both).collect());
    let failures = Mutex::new(String::new());
    let work = || {
        while let Some((step, both)) = { queue.lock().unwrap().pop() } {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(world, &kennel, &step, both))) else { continue };
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            let who = if both { "keeper and daemon" } else { "one process" };
            writeln!(failures.lock().unwrap(), "\n{step}, {who}: {why}").unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{world:?}: {failures}");
}

#[test]
fn stack_crashes_at_every_step_cgroup() {
    every_step(World { user: User::Root, isolated: false });
}

#[test]
fn stack_crashes_at_every_step_reaper() {
    every_step(World { user: User::Plain, isolated: false });
}

#[test]
fn stack_crashes_at_every_step_pidns() {
    every_step(World { user: User::Root, isolated: true });
}

#[test]
fn stack_crashes_at_every_step_pidns_user() {
    every_step(World { user: User::Plain, isolated: true });
}

/// A defect in the middle of the daemon: what it knew is recorded before it ends, and another takes over.
///
/// covers: A7
#[test]
fn a_panic_is_recorded_before_the_daemon_ends() {
    let world = World { user: User::Plain, isolated: false };
    let Some(mut story) = Story::new(world, &kennel_that_crashes(), "daemon.accepted", false) else { return };
    story.scratch.env("KENNEL_CRASH_PANIC", "1");
    let output = story.scratch.kennel(&["up", "-d"]);
    assert!(story.reached(), "{}", output.all());
    let events = || {
        let lines = story.scratch.kennel(&["events", "--json"]).stdout;
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let found = kennel_testkit::wait_for(DEADLINE, "another daemon", || {
        let events = events();
        events.iter().any(|event| event["event"] == "daemon.terminated").then_some(events)
    });
    let at = |kind: &str| found.iter().position(|event| event["event"] == kind);
    let panicked = &found[at("daemon.panicked").unwrap()];
    assert_eq!(panicked["message"], "reached daemon.accepted");
    assert!(panicked["place"].as_str().is_some_and(|place| place.contains(".rs:")), "{panicked}");
    assert!(at("daemon.panicked") < at("daemon.terminated"));
    let numbers: Vec<u64> = found.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let log = std::fs::read_to_string(story.scratch.instance_dir().join("kennel.log")).unwrap();
    assert!(log.contains("the daemon panicked"), "{log}");
    story.scratch.ok(&["up", "-d"]);
    story.scratch.down();
}

/// What is shipped cannot be told to kill itself.
#[test]
fn an_ordinary_build_has_no_crash_points() {
    let has = |program: &Path, text: &str| {
        let bytes = std::fs::read(program).expect("a program");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let ordinary = Path::new(env!("CARGO_BIN_EXE_kennel"));
    for text in ["KENNEL_CRASH_AT", "__crash-points", "spawn.recorded"] {
        assert!(!has(ordinary, text), "{text}");
        assert!(has(&kennel_that_crashes(), text), "{text}");
    }
}
