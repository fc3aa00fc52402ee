//! One place of a service (one per replica): what is wanted, what rests, waits or runs, and what follows an end.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::instance::{End, Reason};
use crate::model::{Exit, RestartMode, RestartPolicy};
use crate::restart::{Decision, History};

/// What is fixed for one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Whether an end is followed by another run.
    pub restart: RestartMode,
    /// How soon and how often.
    pub pace: RestartPolicy,
    /// Exit codes that count as success beside 0.
    pub success_exit_codes: Vec<i32>,
    /// From spawn to ready; for the words of a failure.
    pub start_timeout: Duration,
}

/// Where a slot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing runs and nothing will by itself.
    Rest(Rest),
    /// Wanted; waits for dependencies.
    Pending,
    /// An instance exists; see its own state.
    Active {
        /// What follows when it is down.
        then: Then,
    },
    /// Wanted; waits for the next restart.
    Waiting,
}

/// What follows the end of an active instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The restart policy decides.
    Decide,
    /// Nothing: it was stopped on request.
    Rest,
    /// Another run: asked for while the stop was under way.
    Again,
    /// Nothing: it ends with the daemon that was lost.
    Lost,
}

/// Why nothing runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// Never started, or stopped on request.
    Stopped,
    /// Ended with success.
    Completed,
    /// Ended or could not start.
    Failed(Failure),
    /// Failed too often.
    GivenUp(Failure),
}

/// What went wrong, in words for people by `Display`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The main process ended.
    Exited(Exit),
    /// Not ready in time.
    NotReady(Duration),
    /// Ended before it was ready.
    ExitedEarly(Exit),
    /// Nothing could be started.
    Spawn(String),
    /// A dependency cannot be met any more.
    Dependency(String),
    /// More restarts than allowed.
    TooManyRestarts {
        /// Within the window.
        restarts: u32,
        /// The window.
        window: Duration,
        /// The last failure.
        last: Box<Failure>,
    },
    /// It ran for as long as it may.
    MaxRuntime,
    /// Its liveness failed.
    NotAlive,
    /// It hung.
    Hung,
    /// It went beyond one of its limits.
    Limit,
    /// It was ended because the daemon was lost.
    DaemonLost,
    /// The keeper was lost with everything that it held.
    KeeperLost,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => write!(f, "{}", Ended(*exit)),
            Self::NotReady(after) => write!(f, "was not ready within {after:?}"),
            Self::ExitedEarly(exit) => write!(f, "{} before it was ready", Ended(*exit)),
            Self::Spawn(error) | Self::Dependency(error) => f.write_str(error),
            Self::TooManyRestarts { restarts: 0, last, .. } => write!(f, "{last}, and no restart is allowed"),
            Self::TooManyRestarts { restarts, window, last } => {
                write!(f, "{last}, after {restarts} restarts within {window:?}")
            }
            Self::Limit => f.write_str("went beyond one of its `limits`"),
            Self::MaxRuntime => f.write_str("ran for as long as `max_runtime` lets it"),
            Self::NotAlive => f.write_str("its liveness failed"),
            Self::Hung => f.write_str("it hung"),
            Self::DaemonLost => f.write_str("stopped because the daemon was lost; `kennel up` starts it again"),
            Self::KeeperLost => f.write_str("the keeper was lost"),
        }
    }
}

struct Ended(Exit);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Exit::Unknown => f.write_str("ended; nobody could learn how"),
        }
    }
}

/// What can happen to a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody wants it to run.
    Start,
    /// Somebody wants it down.
    Stop {
        /// Why.
        reason: Reason,
        /// Longest time before the kill.
        limit: Option<Duration>,
    },
    /// Somebody wants a new run, whatever is now.
    Restart {
        /// Longest time before the kill of the old one.
        limit: Option<Duration>,
    },
    /// All dependencies hold.
    DependenciesMet,
    /// One cannot hold any more.
    DependencyFailed(String),
    /// The instance is down.
    Ended {
        /// How.
        end: End,
        /// Length of the run.
        ran: Duration,
        /// Monotonic time.
        now: Duration,
        /// Uniform in 0 to 1.
        random: f64,
    },
    /// The pause before a restart is over.
    BackoffElapsed,
    /// It is taken over from a lost daemon, and is not one of those that outlive it.
    DaemonLost,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Look at the dependencies, now and at every change, until told otherwise by the state.
    CheckDependencies,
    /// Spawn an instance.
    Begin,
    /// Ask the instance to stop.
    StopInstance {
        /// Why.
        reason: Reason,
        /// Longest time before the kill.
        limit: Option<Duration>,
    },
    /// Arm the pause before a restart.
    ArmBackoff {
        /// The pause.
        delay: Duration,
        /// Restarts within the window, this one included.
        attempt: u32,
    },
    /// Say that it rests, and why.
    Announce(Rest),
}

/// One transition. Total: every pair of state and event has an answer.
#[must_use]
pub fn step(policy: &Policy, history: &mut History, state: State, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::Start => start(history, state),
        Event::Stop { reason, limit } => stop(state, reason, limit),
        Event::Restart { limit } => match state {
            State::Active { .. } => {
                *history = History::default();
                let stop = Action::StopInstance { reason: Reason::Restart, limit };
                (State::Active { then: Then::Again }, vec![stop])
            }
            State::Rest(_) | State::Pending | State::Waiting => start(history, state),
        },
        Event::DependenciesMet => match state {
            State::Pending => (State::Active { then: Then::Decide }, vec![Action::Begin]),
            other => (other, vec![]),
        },
        Event::DependencyFailed(reason) => match state {
            State::Pending => rest(Rest::Failed(Failure::Dependency(reason))),
            other => (other, vec![]),
        },
        Event::BackoffElapsed => match state {
            State::Waiting => (State::Active { then: Then::Decide }, vec![Action::Begin]),
            other => (other, vec![]),
        },
        Event::DaemonLost => match state {
            State::Pending | State::Waiting => rest(Rest::Failed(Failure::DaemonLost)),
            // Stopped on request before that.
            State::Active { then: Then::Rest } => (state, vec![]),
            State::Active { .. } => {
                let stop = Action::StopInstance { reason: Reason::DaemonLost, limit: Some(Duration::ZERO) };
                (State::Active { then: Then::Lost }, vec![stop])
            }
            resting @ State::Rest(_) => (resting, vec![]),
        },
        Event::Ended { end, ran, now, random } => match state {
            State::Active { then } => ended(policy, history, then, end, ran, now, random),
            other => (other, vec![]),
        },
    }
}

fn start(history: &mut History, state: State) -> (State, Vec<Action>) {
    match state {
        State::Rest(_) | State::Waiting => {
            *history = History::default();
            (State::Pending, vec![Action::CheckDependencies])
        }
        // A stop is under way: the new run begins when the old one is down.
        State::Active { then: Then::Rest | Then::Lost } => (State::Active { then: Then::Again }, vec![]),
        running @ (State::Pending | State::Active { .. }) => (running, vec![]),
    }
}

fn stop(state: State, reason: Reason, limit: Option<Duration>) -> (State, Vec<Action>) {
    match state {
        State::Pending | State::Waiting => rest(Rest::Stopped),
        State::Active { .. } => (State::Active { then: Then::Rest }, vec![Action::StopInstance { reason, limit }]),
        // What failed or completed keeps its word for `ps`; it is down already.
        resting @ State::Rest(_) => (resting, vec![]),
    }
}

fn ended(
    policy: &Policy,
    history: &mut History,
    then: Then,
    end: End,
    ran: Duration,
    now: Duration,
    random: f64,
) -> (State, Vec<Action>) {
    match then {
        Then::Rest => return rest(Rest::Stopped),
        Then::Again => return (State::Pending, vec![Action::CheckDependencies]),
        Then::Decide | Then::Lost => {}
    }
    let failure = match end {
        End::NotSpawned { error, transient: false, .. } => return rest(Rest::Failed(Failure::Spawn(error))),
        End::NotSpawned { error, transient: true, .. } => Some(Failure::Spawn(error)),
        End::Ran { reason: Reason::StartTimeout, .. } => Some(Failure::NotReady(policy.start_timeout)),
        // As a failure: whether it is followed by another run, the restart policy says.
        End::Ran { reason: Reason::MaxRuntime, .. } => Some(Failure::MaxRuntime),
        End::Ran { reason: Reason::NotAlive, .. } => Some(Failure::NotAlive),
        End::Ran { reason: Reason::Hung, .. } => Some(Failure::Hung),
        End::Ran { reason: Reason::Limit, .. } => Some(Failure::Limit),
        End::Ran { reason: Reason::KeeperLost, .. } => return rest(Rest::Failed(Failure::KeeperLost)),
        End::Ran { reason: Reason::DaemonLost, .. } => return rest(Rest::Failed(Failure::DaemonLost)),
        End::Ran { exit, .. } if exit.is_success(&policy.success_exit_codes) => None,
        End::Ran { exit, was_ready: false, .. } => Some(Failure::ExitedEarly(exit)),
        End::Ran { exit, .. } => Some(Failure::Exited(exit)),
    };
    match history.decide(policy.restart, &policy.pace, failure.is_none(), ran, now, random) {
        Decision::Stay => rest(match failure {
            None => Rest::Completed,
            Some(failure) => Rest::Failed(failure),
        }),
        // Nothing that ends with the daemon is started by the next one.
        Decision::Again { .. } if then == Then::Lost => rest(Rest::Failed(Failure::DaemonLost)),
        Decision::Again { delay, attempt } => (State::Waiting, vec![Action::ArmBackoff { delay, attempt }]),
        Decision::GiveUp { restarts } => rest(Rest::GivenUp(Failure::TooManyRestarts {
            restarts,
            window: policy.pace.window,
            last: Box::new(failure.unwrap_or(Failure::Exited(Exit::Code(0)))),
        })),
    }
}

fn rest(rest: Rest) -> (State, Vec<Action>) {
    (State::Rest(rest.clone()), vec![Action::Announce(rest)])
}
