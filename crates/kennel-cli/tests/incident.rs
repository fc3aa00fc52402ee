//! The incident: six services and a test run from the npm registry, 80 processes and more, ended in every way a day
//! has. Each test prints its line of the table that `incident/run.sh` shows.
//!
//! covers: C10, C2, C3, C5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is for people")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kennel_testkit::{
    Output, Scratch, Seen, Signal, Terminal, User, free_port, port_is_free, send, wait_for, wait_until,
};
use serde_json::Value;

/// A pool of forty node processes needs a while on a small machine.
const START: Duration = Duration::from_secs(240);
const DEADLINE: Duration = Duration::from_secs(60);
/// As many as in the incident.
const ENOUGH: usize = 80;

struct Incident {
    scratch: Scratch,
    instance: String,
    ports: [u16; 2],
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../incident").canonicalize().unwrap()
}

/// Whether the npm packages are there, installed now if need be.
fn packages() -> bool {
    let npm = Command::new("npm").arg("--version").stdin(Stdio::null()).output();
    if !npm.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: the incident needs npm, which is not there");
        assert!(std::env::var_os("KENNEL_TEST_NO_SKIP").is_none(), "may not be skipped: npm is missing");
        return false;
    }
    let directory = directory();
    // Whatever else is missing would show; a half-finished installation has no such file.
    if !directory.join("node_modules/.package-lock.json").exists() {
        println!("incident: `npm ci` in {}", directory.display());
        let done =
            Command::new("npm").args(["ci", "--loglevel=error"]).current_dir(&directory).stdin(Stdio::null()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "npm ci: {}", String::from_utf8_lossy(&done.stderr));
    }
    true
}

impl Incident {
    fn new(containment: &str) -> Option<Self> {
        if !packages() {
            return None;
        }
        // As root also with the reaper: npm's programs write caches into the checkout.
        let user = if rustix::process::geteuid().is_root() { User::Root } else { User::Plain };
        if user == User::Plain && containment == "cgroup" {
            println!("SKIPPED: the cgroup back end is tested as root");
            return None;
        }
        let mut scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
        let ports = [free_port(), free_port()];
        scratch.env("KENNEL_CONTAINMENT", containment);
        scratch.env("API_PORT", ports[0].to_string());
        scratch.env("WEB_PORT", ports[1].to_string());
        scratch.env("NO_UPDATE_NOTIFIER", "1");
        // The test run keeps a directory for each of its projects there, and leaves it when it is killed.
        scratch.env("TMPDIR", scratch.dir("tmp").display().to_string());
        let instance = scratch.project().file_name().unwrap().to_string_lossy().into_owned();
        Some(Self { scratch, instance, ports })
    }

    fn arguments<'a>(&'a self, file: &'a str, verb: &[&'a str]) -> Vec<&'a str> {
        [&["--file", file, "--instance", &self.instance], verb].concat()
    }

    fn kennel(&self, verb: &[&str]) -> Output {
        let file = directory().join("kennel.yaml").display().to_string();
        let mut started = self.scratch.spawn(&self.arguments(&file, verb));
        let output = started.wait(START);
        assert_eq!(output.code(), 0, "{verb:?}: {}", output.all());
        output
    }

    /// All services as `ps` has them.
    fn services(&self) -> Vec<Value> {
        let listed: Value = serde_json::from_str(&self.kennel(&["ps", "--all", "--json"]).stdout).unwrap();
        listed.as_array().unwrap().clone()
    }

    fn terminal(&self) -> Terminal {
        let file = directory().join("kennel.yaml").display().to_string();
        self.scratch.terminal(&self.arguments(&file, &["up"]))
    }

    /// Living processes of the stack, without kennel's own.
    fn stack(&self) -> Vec<Seen> {
        let all = self.scratch.survivors().into_iter();
        all.filter(|seen| seen.living && !seen.verb().starts_with("__") && !seen.command.contains("bin/kennel"))
            .collect()
    }

    /// Waits until everything runs; gives the number of processes.
    fn wait_for_everything(&self) -> usize {
        wait_until(START, "more than 80 processes and both ports taken", || {
            self.stack().len() >= ENOUGH && !self.ports.iter().any(|port| port_is_free(*port))
        });
        wait_until(START, "the test run's own directories", || {
            let entries = std::fs::read_dir(self.scratch.path("tmp")).unwrap().flatten();
            entries.filter(|entry| entry.path().join("ssr").is_dir()).count() > 0
        });
        self.wait_until_steady(Duration::from_secs(2))
    }

    /// Waits until the number of processes has not changed for that long; gives it.
    fn wait_until_steady(&self, time: Duration) -> usize {
        let (mut count, mut since) = (self.stack().len(), Instant::now());
        wait_until(START, "the number of processes stays", || {
            let now = self.stack().len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            since.elapsed() > time
        });
        count
    }

    fn nothing_left_and_again(&self, way: &str, containment: &str, before: usize) {
        let left = self.scratch.nothing_within(DEADLINE).err().unwrap_or_default();
        let free = self.ports.iter().all(|port| port_is_free(*port));
        assert!(left.is_empty(), "{way}: left: {left:#?}");
        assert!(free, "{way}: a port is still taken");
        // Those that the others wait for, and that cannot begin where anything of the run before has their ports.
        self.kennel(&["up", "-d", "api", "web"]);
        self.kennel(&["down"]);
        self.scratch.expect_nothing(DEADLINE);
        row(&format!("kennel ({containment})"), way, before, 0, "at once");
    }
}

fn row(what: &str, way: &str, before: usize, left: usize, again: &str) {
    println!("| {what:<16} | {way:<28} | {before:>9} | {left:>4} | {again:<28} |");
}

fn down(containment: &str) {
    let Some(incident) = Incident::new(containment) else { return };
    incident.kennel(&["up", "-d"]);
    let before = incident.wait_for_everything();
    let output = incident.kennel(&["down"]);
    assert!(output.all().contains("left 0"), "{}", output.all());
    incident.nothing_left_and_again("down", containment, before);
}

fn ctrl_c(containment: &str) {
    let Some(incident) = Incident::new(containment) else { return };
    let mut terminal = incident.terminal();
    let before = incident.wait_for_everything();
    terminal.send("\x03");
    let status = terminal.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{}", terminal.text());
    incident.nothing_left_and_again("Ctrl-C", containment, before);
}

fn terminal_closed(containment: &str) {
    let Some(incident) = Incident::new(containment) else { return };
    let mut terminal = incident.terminal();
    let before = incident.wait_for_everything();
    terminal.close();
    incident.nothing_left_and_again("terminal closed", containment, before);
}

fn daemon_killed(containment: &str) {
    let Some(incident) = Incident::new(containment) else { return };
    incident.kennel(&["up", "-d"]);
    let before = incident.wait_for_everything();
    send(&incident.scratch.daemon(), Signal::KILL);
    wait_until(DEADLINE, "nothing of the stack", || incident.stack().is_empty());
    assert!(incident.ports.iter().all(|port| port_is_free(*port)));
    // What runs now is kennel alone: the next daemon.
    incident.kennel(&["down"]);
    incident.nothing_left_and_again("SIGKILL of the daemon", containment, before);
}

#[test]
fn incident_down_cgroup() {
    down("cgroup");
}

#[test]
fn incident_ctrl_c_cgroup() {
    ctrl_c("cgroup");
}

#[test]
fn incident_terminal_closed_cgroup() {
    terminal_closed("cgroup");
}

#[test]
fn incident_daemon_killed_cgroup() {
    daemon_killed("cgroup");
}

#[test]
fn incident_down_reaper() {
    down("reaper");
}

#[test]
fn incident_daemon_killed_reaper() {
    daemon_killed("reaper");
}

/// One pool more than the machine bears: the default rules see it before 200 processes, it stands still where it is, and is ended on
/// request. Everybody else goes on.
fn runaway(containment: &str) {
    let Some(mut incident) = Incident::new(containment) else { return };
    incident.scratch.env("ON_RUNAWAY", "freeze");
    incident.kennel(&["up", "-d"]);
    let calm = incident.wait_for_everything();
    assert!(calm < 100, "{calm} processes are too many already");
    let others = |incident: &Incident| -> Vec<(Value, Value, Value)> {
        let others = incident.services().into_iter().filter(|one| one["name"] != "more-tests");
        others.map(|one| (one["name"].clone(), one["pid"].clone(), one["restarts"].clone())).collect()
    };
    let before = others(&incident);

    incident.kennel(&["start", "more-tests"]);
    let mut most = 0;
    let runaway = wait_for(START, "the runaway to be frozen", || {
        most = most.max(incident.stack().len());
        incident.services().into_iter().find(|one| one["name"] == "more-tests" && one["frozen"] == true)
    });
    assert_eq!(runaway["reason"], "frozen by rule stack-processes", "{runaway}");
    let then = incident.wait_until_steady(Duration::from_secs(2));
    most = most.max(then);
    assert!((101..200).contains(&then) && most < 200, "{then} processes, {most} at the most");

    // Shown wherever somebody looks, with the one to blame.
    let alerts = incident.kennel(&["alerts"]).stdout;
    assert!(alerts.contains("stack-processes  open") && alerts.contains("threshold 100, frozen"), "{alerts}");
    assert!(alerts.contains("more-tests of all services") && alerts.contains("vitest"), "{alerts}");
    let ps = incident.kennel(&["ps"]).stdout;
    let line = ps.lines().find(|line| line.starts_with("more-tests ")).unwrap_or_else(|| panic!("{ps}"));
    assert!(line.contains("frozen") && line.contains("alert stack-processes"), "{ps}");
    let top = incident.kennel(&["top", "--once"]).stdout;
    // What is foreseen of another figure may stand before it.
    assert!(top.contains("▲ ") && top.contains("■ more-tests"), "{top}");

    let stopped = incident.kennel(&["stop", "more-tests"]);
    assert!(stopped.all().contains("left 0"), "{}", stopped.all());
    wait_until(DEADLINE, "what there was before", || incident.stack().len() <= calm);
    assert_eq!(others(&incident), before, "the same processes, and no restart");
    assert!(before.iter().all(|(_, pid, restarts)| pid.is_u64() && *restarts == 0), "{before:?}");
    assert!(!incident.ports.iter().any(|port| port_is_free(*port)), "both servers listen");
    let open = incident.kennel(&["alerts"]).stdout;
    assert!(open.contains("stack-processes  over") || open.contains("stack-processes  open"), "{open}");
    incident.kennel(&["down"]);
    incident.nothing_left_and_again("runaway, frozen and stopped", containment, then);
}

#[test]
fn incident_runaway_cgroup() {
    runaway("cgroup");
}

#[test]
fn incident_runaway_reaper() {
    runaway("reaper");
}

/// The same programs without kennel, to see that the test can see: this one must leave something.
#[test]
fn incident_without_kennel() {
    let Some(incident) = Incident::new("auto") else { return };
    let services = ["api", "web", "bundle", "types", "worker", "queues", "tests"];
    let concurrently = directory().join("node_modules/.bin/concurrently");
    let commands: Vec<String> = services.iter().map(|name| format!("npm run {name}")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let mut run = incident.scratch.spawn_program(&concurrently, &commands, Stdio::null(), |command| {
        command.current_dir(directory());
    });
    let before = incident.wait_for_everything();
    run.signal(Signal::KILL);
    run.wait(DEADLINE);
    // Some end when their pipe closes.
    let left = incident.wait_until_steady(Duration::from_secs(3));
    let taken = incident.ports.iter().filter(|port| !port_is_free(**port)).count();
    row("concurrently", "SIGKILL of concurrently", before, left, &format!("no: {taken} of 2 ports are taken"));
    incident.scratch.kill_everything();
    assert!(left > 20, "the test would not see survivors: {left} of {before}");
}
