//! One run of a service, from spawn to down, as a pure transition function.
//!
//! The stop algorithm is here, whole and for every back end:
//!
//! 1. A stop begins because somebody asks, because the main process ended and left stragglers for longer than
//!    [`SETTLE`], or because the start took too long.
//! 2. The stages of [`Policy::stop`] follow each other: a signal to the scope or to the main process, or a command. Each
//!    waits for its time at most; the moment the scope is empty, the rest is skipped.
//! 3. Then the kill of the whole scope, which the keeper goes on with until the scope is empty, and which is asked for again
//!    every [`KILL_AGAIN`]. What it cannot end is told as stuck, and stays ours.
//! 4. Down is main process reaped *and* scope empty, never one alone.
//!
//! "Main exited" and "scope empty" are two facts that arrive in either order; down needs both. Every state that
//! waits has a timer, and a late timer is recognised by its stage and ignored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Exit, StopStage};

/// How long stragglers may take to leave by themselves after the main process ended, before the stop sequence
/// begins. Covers the 10 ms for which the kernel may hold back the notice that a cgroup is empty.
pub const SETTLE: Duration = Duration::from_millis(20);

/// Pause between two kills of a scope that does not get empty, for example for uninterruptible sleep.
pub const KILL_AGAIN: Duration = Duration::from_secs(5);

/// What is fixed for one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Stages before the kill.
    pub stop: Vec<StopStage>,
    /// Whether something has to say that it is ready; otherwise started is ready.
    pub probed: bool,
    /// From spawn to ready.
    pub start_timeout: Duration,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The spawn is under way; a stop asked for meanwhile waits for its answer.
    Starting {
        /// Why and how long, if a stop was asked for.
        stop: Option<(Reason, Option<Duration>)>,
    },
    /// Executed.
    Running {
        /// What the probe says.
        health: Health,
    },
    /// Being emptied.
    Stopping(Stopping),
    /// Main process reaped and scope empty; nothing less.
    Down(End),
}

/// What the probe says of a running instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// It can serve.
    Ready,
    /// It could and cannot now.
    Unhealthy,
}

/// A stop under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Why it began.
    pub reason: Reason,
    /// How far it is.
    pub stage: Stage,
    /// How the main process ended, once known.
    pub exit: Option<Exit>,
    /// Whether the scope is empty.
    pub empty: bool,
    /// Whether it had been ready before.
    pub was_ready: bool,
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The main process ended by itself; stragglers may leave by themselves for [`SETTLE`].
    Settle,
    /// This stage of the sequence.
    Step(usize),
    /// The scope is killed, again and again.
    Kill,
}

/// Why a stop began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Somebody asked.
    Requested,
    /// Somebody asked for a restart.
    Restart,
    /// The whole stack goes down.
    Down,
    /// The main process ended by itself.
    MainExited,
    /// It was not ready in time.
    StartTimeout,
    /// The daemon was lost.
    DaemonLost,
    /// The keeper was lost.
    KeeperLost,
    /// The client that held it went away.
    ClientGone,
    /// Its owner ended.
    OwnerEnded,
    /// It ran for as long as it may.
    MaxRuntime,
    /// It went beyond one of its limits.
    Limit,
    /// It wrote nothing for as long as it may.
    Idle,
    /// Its liveness failed.
    NotAlive,
    /// It hung.
    Hung,
    /// It wrote more than it may.
    LogBound,
    /// A rule says that it is too much.
    Rule,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Nothing was started.
    NotSpawned {
        /// Why, one line.
        error: String,
        /// Whether trying again may help.
        transient: bool,
        /// Whether a stop had been asked for.
        stop: Option<Reason>,
    },
    /// It ran.
    Ran {
        /// How its main process ended.
        exit: Exit,
        /// Why its stop began.
        reason: Reason,
        /// Whether it had been ready.
        was_ready: bool,
    },
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The main process was executed.
    Spawned,
    /// It was not, and nothing is left of the attempt.
    SpawnFailed {
        /// Why, one line.
        error: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// The probe says that it can serve.
    ProbePassed,
    /// The probe says that it cannot.
    ProbeFailed,
    /// The main process was reaped.
    MainExited(Exit),
    /// No living process is left.
    ScopeEmptied,
    /// Somebody wants it down; `limit` bounds the time before the kill, zero kills at once.
    StopRequested {
        /// Why.
        reason: Reason,
        /// Longest time before the kill.
        limit: Option<Duration>,
    },
    /// A timer that an action armed has elapsed.
    Elapsed(Timer),
}

/// The timers of one run. Arming one replaces the earlier one of the same kind, save that
/// `Limit` keeps the earlier of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Time to get ready.
    Start,
    /// Time of this stop stage.
    Stage(Stage),
    /// Time before the kill, whatever the stages say.
    Limit,
}

impl std::hash::Hash for Stage {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Settle => 0.hash(state),
            Self::Kill => 1.hash(state),
            Self::Step(index) => (2, index).hash(state),
        }
    }
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin to probe.
    StartProbe,
    /// End the probe; its late answers are harmless.
    StopProbe,
    /// Arm a timer.
    Arm(Timer, Duration),
    /// Say that it can serve.
    AnnounceReady,
    /// Say that it cannot serve any more.
    AnnounceUnhealthy,
    /// Say that a stop began.
    AnnounceStop(Reason),
    /// Do this stage of the stop sequence.
    Step(usize),
    /// Kill the scope until it is empty.
    Kill,
    /// It is down.
    Finish(End),
}

impl State {
    /// The state of a run whose spawn has just been asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::Starting { stop: None }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// One transition. Total: every pair of state and event has an answer, and none blocks or fails.
#[must_use]
pub fn step(policy: &Policy, state: State, event: Event) -> (State, Vec<Action>) {
    match state {
        State::Starting { stop } => starting(policy, stop, event),
        State::Running { health } => running(policy, health, event),
        State::Stopping(stopping) => while_stopping(policy, stopping, event),
        // Late timers, probes and repeated requests are normal.
        down @ State::Down(_) => (down, vec![]),
    }
}

/// What another daemon has to do for a run that it takes over in this state: nothing is assumed to be armed, probed or
/// known to have been done. A stage of a stop is done again, since nobody can tell whether its signal was sent.
#[must_use]
pub fn resume(policy: &Policy, state: &State) -> Vec<Action> {
    match state {
        State::Starting { .. } | State::Down(_) => vec![],
        State::Running { health: Health::Starting } if policy.probed => {
            vec![Action::StartProbe, Action::Arm(Timer::Start, policy.start_timeout)]
        }
        State::Running { .. } if policy.probed => vec![Action::StartProbe],
        State::Running { .. } => vec![],
        State::Stopping(stopping) => match stopping.stage {
            // Only the exit is missing.
            stage if stopping.empty => vec![Action::Arm(Timer::Stage(stage), KILL_AGAIN)],
            Stage::Settle => vec![Action::Arm(Timer::Stage(Stage::Settle), SETTLE)],
            Stage::Step(index) => match policy.stop.get(index) {
                Some(stage) => vec![Action::Step(index), Action::Arm(Timer::Stage(stopping.stage), stage.wait)],
                // Of a definition that had more stages: at once the next thing after the last.
                None => vec![Action::Arm(Timer::Stage(stopping.stage), Duration::ZERO)],
            },
            Stage::Kill => vec![Action::Kill, Action::Arm(Timer::Stage(Stage::Kill), KILL_AGAIN)],
        },
    }
}

fn starting(policy: &Policy, stop: Option<(Reason, Option<Duration>)>, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::Spawned => match stop {
            Some((reason, limit)) => begin_stop(policy, Health::Starting, reason, limit),
            None if policy.probed => (
                State::Running { health: Health::Starting },
                vec![Action::StartProbe, Action::Arm(Timer::Start, policy.start_timeout)],
            ),
            None => (State::Running { health: Health::Ready }, vec![Action::AnnounceReady]),
        },
        Event::SpawnFailed { error, transient } => {
            down(End::NotSpawned { error, transient, stop: stop.map(|(reason, _)| reason) })
        }
        Event::StopRequested { reason, limit } => {
            let stop = match stop {
                None => (reason, limit),
                Some((first, earlier)) => (first, shorter(earlier, limit)),
            };
            (State::Starting { stop: Some(stop) }, vec![])
        }
        // The driver hears of these only after `Spawned`; from a lost keeper they may come without it.
        Event::MainExited(exit) => because(stop, main_exited(Health::Starting, exit)),
        Event::ScopeEmptied => because(stop, scope_emptied(Health::Starting)),
        Event::ProbePassed | Event::ProbeFailed | Event::Elapsed(_) => (State::Starting { stop }, vec![]),
    }
}

/// Keeps the reason of a stop that was asked for before the end was known.
fn because(
    stop: Option<(Reason, Option<Duration>)>,
    (mut state, actions): (State, Vec<Action>),
) -> (State, Vec<Action>) {
    if let (Some((reason, _)), State::Stopping(stopping)) = (stop, &mut state) {
        stopping.reason = reason;
    }
    (state, actions)
}

fn running(policy: &Policy, health: Health, event: Event) -> (State, Vec<Action>) {
    let stay = |health| State::Running { health };
    match event {
        Event::ProbePassed if health != Health::Ready => (stay(Health::Ready), vec![Action::AnnounceReady]),
        Event::ProbeFailed if health == Health::Ready => (stay(Health::Unhealthy), vec![Action::AnnounceUnhealthy]),
        Event::MainExited(exit) => main_exited(health, exit),
        Event::ScopeEmptied => scope_emptied(health),
        Event::StopRequested { reason, limit } => begin_stop(policy, health, reason, limit),
        Event::Elapsed(Timer::Start) if health == Health::Starting => {
            begin_stop(policy, health, Reason::StartTimeout, None)
        }
        Event::Spawned | Event::SpawnFailed { .. } | Event::ProbePassed | Event::ProbeFailed | Event::Elapsed(_) => {
            (stay(health), vec![])
        }
    }
}

fn while_stopping(policy: &Policy, mut stopping: Stopping, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::MainExited(exit) => {
            stopping.exit.get_or_insert(exit);
            settle(stopping)
        }
        Event::ScopeEmptied => {
            stopping.empty = true;
            settle(stopping)
        }
        // Asking twice never extends a wait; asking more urgently shortens it.
        Event::StopRequested { limit, reason } => {
            if stopping.reason == Reason::MainExited && stopping.stage == Stage::Settle {
                stopping.reason = reason;
            }
            hasten(stopping, limit)
        }
        Event::Elapsed(Timer::Limit) if stopping.stage != Stage::Kill => kill(stopping),
        Event::Elapsed(Timer::Stage(stage)) if stage == stopping.stage => match stage {
            Stage::Settle => enter(policy, stopping, 0),
            Stage::Step(index) => enter(policy, stopping, index + 1),
            Stage::Kill => kill(stopping),
        },
        Event::Spawned | Event::SpawnFailed { .. } | Event::ProbePassed | Event::ProbeFailed | Event::Elapsed(_) => {
            (State::Stopping(stopping), vec![])
        }
    }
}

/// The main process left by itself: what it left behind goes too, politely first.
fn main_exited(health: Health, exit: Exit) -> (State, Vec<Action>) {
    leave(health, Some(exit), false)
}

/// A zombie no longer populates its scope, so "empty" can be reported before the exit.
fn scope_emptied(health: Health) -> (State, Vec<Action>) {
    leave(health, None, true)
}

fn leave(health: Health, exit: Option<Exit>, empty: bool) -> (State, Vec<Action>) {
    let stopping = Stopping {
        reason: Reason::MainExited,
        stage: Stage::Settle,
        exit,
        empty,
        was_ready: health != Health::Starting,
    };
    (State::Stopping(stopping), vec![Action::StopProbe, Action::Arm(Timer::Stage(Stage::Settle), SETTLE)])
}

fn begin_stop(policy: &Policy, health: Health, reason: Reason, limit: Option<Duration>) -> (State, Vec<Action>) {
    let stopping =
        Stopping { reason, stage: Stage::Settle, exit: None, empty: false, was_ready: health != Health::Starting };
    let mut actions = vec![Action::StopProbe, Action::AnnounceStop(reason)];
    let (state, more) = match limit {
        Some(Duration::ZERO) => kill(stopping),
        Some(limit) => {
            actions.push(Action::Arm(Timer::Limit, limit));
            enter(policy, stopping, 0)
        }
        None => enter(policy, stopping, 0),
    };
    actions.extend(more);
    (state, actions)
}

/// Enters the stage with this index, or the kill after the last. A scope that is empty needs neither.
fn enter(policy: &Policy, mut stopping: Stopping, index: usize) -> (State, Vec<Action>) {
    if stopping.empty {
        // Only the exit is missing; the keeper reports it when the process is reaped.
        let again = Action::Arm(Timer::Stage(stopping.stage), KILL_AGAIN);
        return (State::Stopping(stopping), vec![again]);
    }
    let announce = stopping.stage == Stage::Settle && stopping.reason == Reason::MainExited;
    let mut actions: Vec<Action> = announce.then_some(Action::AnnounceStop(Reason::MainExited)).into_iter().collect();
    let Some(stage) = policy.stop.get(index) else {
        let (state, more) = kill(stopping);
        actions.extend(more);
        return (state, actions);
    };
    stopping.stage = Stage::Step(index);
    actions.push(Action::Step(index));
    actions.push(Action::Arm(Timer::Stage(stopping.stage), stage.wait));
    (State::Stopping(stopping), actions)
}

fn kill(mut stopping: Stopping) -> (State, Vec<Action>) {
    stopping.stage = Stage::Kill;
    (State::Stopping(stopping), vec![Action::Kill, Action::Arm(Timer::Stage(Stage::Kill), KILL_AGAIN)])
}

fn hasten(stopping: Stopping, limit: Option<Duration>) -> (State, Vec<Action>) {
    match limit {
        Some(Duration::ZERO) if stopping.stage != Stage::Kill => kill(stopping),
        Some(limit) if stopping.stage != Stage::Kill => {
            (State::Stopping(stopping), vec![Action::Arm(Timer::Limit, limit)])
        }
        _ => (State::Stopping(stopping), vec![]),
    }
}

fn settle(stopping: Stopping) -> (State, Vec<Action>) {
    match stopping {
        Stopping { exit: Some(exit), empty: true, reason, was_ready, .. } => down(End::Ran { exit, reason, was_ready }),
        stopping => (State::Stopping(stopping), vec![]),
    }
}

fn down(end: End) -> (State, Vec<Action>) {
    (State::Down(end.clone()), vec![Action::Finish(end)])
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
