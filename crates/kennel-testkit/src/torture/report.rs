//! What the rounds came to.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::Plan;
use super::{Mode, Victim};

/// A round in which nothing was left.
#[derive(Debug, Clone)]
pub struct Figures {
    pub(super) victim: Victim,
    /// Starts of services that were recorded before anything was asked for again.
    pub(super) services: usize,
    /// Processes that were seen alive right after the strike, kennel's own included.
    pub(super) processes: usize,
    /// From the strike, or from the next command, until nobody was left; `None`: everything was started anew.
    pub(super) empty: Option<Duration>,
    /// The time is that of the next command.
    pub(super) by_command: bool,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victim = self.victim.name();
        write!(f, "{victim} killed, {} services started, {} processes alive, ", self.services, self.processes)?;
        match (self.empty, self.by_command) {
            (None, _) => f.write_str("all started anew by the command under way"),
            (Some(empty), false) => write!(f, "empty after {:.1} ms", ms(empty)),
            (Some(empty), true) => write!(f, "empty by the next command in {:.1} ms", ms(empty)),
        }
    }
}

/// A round that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The round's own seed.
    pub seed: u64,
    /// How to run this round alone, and what it was.
    pub round: String,
    /// Who was left and how it came to that.
    pub history: String,
}

impl Failure {
    pub(super) fn new(mode: Mode, seed: u64, plan: &Plan, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().cloned();
        let history = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        let (mode, victim) = (mode.name(), plan.victim.name());
        let round = format!("--mode {mode} --victim {victim} --rounds 1 --seed {seed}\n{plan:?}");
        Self { seed, round, history }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED, again with: {}\n{}", self.round, self.history)
    }
}

/// All rounds of one mode.
#[derive(Debug)]
pub struct Report {
    mode: Mode,
    seed: u64,
    passed: Vec<Figures>,
    /// Rounds that failed.
    pub failures: Vec<Failure>,
}

impl Report {
    pub(super) fn new(mode: Mode, seed: u64) -> Self {
        Self { mode, seed, passed: Vec::new(), failures: Vec::new() }
    }

    pub(super) fn add(&mut self, result: Result<Figures, Failure>) {
        match result {
            Ok(figures) => self.passed.push(figures),
            Err(failure) => self.failures.push(failure),
        }
    }

    /// One object: the mode, and for each victim the figures. Times in milliseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let victims: Vec<Value> = Victim::ALL.iter().filter_map(|victim| self.victim(*victim)).collect();
        let failed: Vec<u64> = self.failures.iter().map(|failure| failure.seed).collect();
        json!({
            "mode": self.mode.name(),
            "seed": self.seed,
            "rounds": self.passed.len() + self.failures.len(),
            "failed_seeds": failed,
            "services": self.passed.iter().map(|figures| figures.services).sum::<usize>(),
            "processes": self.passed.iter().map(|figures| figures.processes).sum::<usize>(),
            "victims": victims,
        })
    }

    fn victim(&self, victim: Victim) -> Option<Value> {
        let rounds: Vec<&Figures> = self.passed.iter().filter(|figures| figures.victim == victim).collect();
        let times = |by_command: bool| {
            let wanted = rounds.iter().filter(|figures| figures.by_command == by_command);
            let mut times: Vec<Duration> = wanted.filter_map(|figures| figures.empty).collect();
            times.sort_unstable();
            let median = times.get(times.len() / 2).copied().map(ms);
            json!({ "rounds": times.len(), "median_ms": median, "max_ms": times.last().copied().map(ms) })
        };
        (!rounds.is_empty()).then(|| {
            json!({
                "victim": victim.name(),
                "rounds": rounds.len(),
                "services": rounds.iter().map(|figures| figures.services).sum::<usize>(),
                "by_itself": times(false),
                "by_the_next_command": times(true),
            })
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| mode | killed | rounds | services started | empty by itself, median / max | by the next command |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for victim in Victim::ALL.iter().filter_map(|victim| self.victim(*victim)) {
            let times = |of: &Value| match (of["median_ms"].as_f64(), of["max_ms"].as_f64()) {
                (Some(median), Some(max)) => format!("{median:.0} / {max:.0} ms ({})", of["rounds"]),
                _ => "–".to_owned(),
            };
            let (alone, command) = (times(&victim["by_itself"]), times(&victim["by_the_next_command"]));
            let name = victim["victim"].as_str().unwrap_or_default();
            let (mode, rounds, services) = (self.mode.name(), &victim["rounds"], &victim["services"]);
            writeln!(f, "| {mode} | {name} | {rounds} | {services} | {alone} | {command} |")?;
        }
        let rounds = self.passed.len() + self.failures.len();
        write!(f, "{}: {rounds} rounds from seed {}, {} failed", self.mode.name(), self.seed, self.failures.len())
    }
}

/// Milliseconds.
fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
