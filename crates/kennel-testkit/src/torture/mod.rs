//! Crash torture: kennel starts or stops as much as it can, as fast as it can, and at a random instant its daemon,
//! its keeper or both are killed. Nothing may be left; who is left is found without asking kennel.

mod plan;
mod report;
mod round;
mod strike;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::User;
use plan::Plan;
pub use report::{Failure, Figures, Report};

/// On what the services are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Root, a cgroup for each scope.
    Cgroup,
    /// An ordinary user without cgroups.
    Reaper,
    /// As `Cgroup`, and a PID namespace for each scope.
    Pidns,
    /// As `Reaper`, and a PID namespace for each scope.
    PidnsUser,
}

impl Mode {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Cgroup, Self::Reaper, Self::Pidns, Self::PidnsUser];

    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Reaper => "reaper",
            Self::Pidns => "pidns",
            Self::PidnsUser => "pidns-user",
        }
    }

    pub(crate) fn user(self) -> User {
        match self {
            Self::Cgroup | Self::Pidns => User::Root,
            Self::Reaper | Self::PidnsUser => User::Plain,
        }
    }

    /// Value of every service's `isolation`.
    pub(crate) fn isolation(self) -> Option<&'static str> {
        match self {
            Self::Cgroup | Self::Reaper => None,
            Self::Pidns | Self::PidnsUser => Some("pid"),
        }
    }

    /// Whether the kernel ends everything together with kennel, without another command.
    pub(crate) fn ends_by_itself(self) -> bool {
        self.isolation().is_some()
    }
}

/// Whom the `SIGKILL` hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The daemon.
    Daemon,
    /// The keeper.
    Keeper,
    /// Both, one right after the other.
    Both,
    /// Both, and every process that holds a scope together.
    Every,
}

impl Victim {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Daemon, Self::Keeper, Self::Both, Self::Every];

    /// Whether neither keeper nor daemon is left to act.
    pub(crate) fn leaves_nobody(self) -> bool {
        matches!(self, Self::Both | Self::Every)
    }

    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Keeper => "keeper",
            Self::Both => "both",
            Self::Every => "every",
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Torture {
    /// The program to torture, with the bad child beside it.
    pub kennel: PathBuf,
    /// Where it is tortured.
    pub mode: Mode,
    /// Who is killed, drawn anew for each round.
    pub victims: Vec<Victim>,
    /// Seed of the first round; each next one has the next number.
    pub seed: u64,
    /// How many rounds.
    pub rounds: u64,
    /// No round begins after this time.
    pub limit: Option<Duration>,
}

impl Torture {
    /// Runs all rounds, also after one that failed, and shows each as it ends. `None` where the mode cannot be had.
    ///
    /// # Panics
    /// If the test itself cannot go on, for example without a directory for temporary files.
    #[must_use]
    pub fn run(&self, mut show: impl FnMut(u64, &Result<Figures, Failure>)) -> Option<Report> {
        let mut report = Report::new(self.mode, self.seed);
        let begin = Instant::now();
        for count in 0..self.rounds {
            if self.limit.is_some_and(|limit| begin.elapsed() > limit) {
                break;
            }
            let seed = self.seed.wrapping_add(count);
            let mut plan = Plan::draw(seed, &self.victims);
            if self.mode.ends_by_itself() && plan.victim.leaves_nobody() {
                // A command that went on would be a further one, and nothing is to need that.
                plan.client_too = true;
            }
            // A failing round panics with its whole history, as a failing test does; the rounds after it tell more.
            let run = || round::run(&self.kennel, self.mode, &plan);
            let result = match catch_unwind(AssertUnwindSafe(run)) {
                Ok(figures) => Ok(figures?),
                Err(panic) => Err(Failure::new(self.mode, seed, &plan, panic.as_ref())),
            };
            show(seed, &result);
            report.add(result);
        }
        Some(report)
    }
}
