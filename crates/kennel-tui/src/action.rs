//! What can be done to the chosen line, and the question before it.

use kennel_wire::State;

use crate::rows::Row;
use crate::units::counted;

/// `SIGTERM` and `SIGKILL` by their Linux numbers.
pub(crate) const TERM: i32 = 15;
pub(crate) const KILL: i32 = 9;

/// What was asked for by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
    Restart,
    Kill,
    /// Freezes what runs, and thaws what is frozen.
    Freeze,
}

/// What is done after a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Start(String),
    Stop(String),
    Restart(String),
    Kill(String),
    Freeze(String),
    Thaw(String),
    /// The begin, in clock ticks since boot, says which process is meant.
    Signal {
        pid: u32,
        start_ticks: u64,
        signal: i32,
    },
    /// To leave, which ends everything that runs.
    Leave,
}

/// What comes of a key that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proposal {
    /// It ends or halts something.
    Ask(Ask),
    /// Nothing can be lost by it.
    Do(Deed),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) text: String,
    pub(crate) deed: Deed,
}

impl Ask {
    /// Before a stack that lives as long as it is looked at.
    pub(crate) fn leave(services: usize, processes: u32) -> Self {
        let services = counted(services as u64, "service", "services");
        let processes = counted(processes.into(), "process", "processes");
        Self { text: format!("Stop everything ({services}, {processes}) and leave?"), deed: Deed::Leave }
    }
}

impl Proposal {
    /// About a line; the reason where there is nothing to ask.
    pub(crate) fn about(action: Action, row: &Row<'_>) -> Result<Self, String> {
        match (action, row) {
            (Action::Stop, Row::Process { process, .. }) => Ok(Self::Ask(signal("SIGTERM", TERM, process))),
            (Action::Kill, Row::Process { process, .. }) => Ok(Self::Ask(signal("SIGKILL", KILL, process))),
            // What is done to a service is asked for on any of its lines.
            (Action::Stop | Action::Kill | Action::Start | Action::Restart | Action::Freeze, row) => {
                service(action, row)
            }
        }
    }
}

fn signal(name: &str, signal: i32, process: &kennel_wire::ProcessUsage) -> Ask {
    Ask {
        text: format!("Send {name} to {} {}?", process.pid, process.command),
        deed: Deed::Signal { pid: process.pid, start_ticks: process.start_ticks, signal },
    }
}

fn service(action: Action, row: &Row<'_>) -> Result<Proposal, String> {
    let status = row.service();
    let name = status.name.clone();
    let count = u64::from(status.processes.unwrap_or(0));
    let with = if count > 0 { format!(" ({})", counted(count, "process", "processes")) } else { String::new() };
    let runs = status.pid.is_some() || count > 0;
    // It would be started again: that is what a stop ends as well.
    let rests = !runs && !matches!(status.state, State::Waiting | State::Pending | State::Starting | State::Scheduled);
    let ask = |text: String, deed| Ok(Proposal::Ask(Ask { text, deed }));
    match action {
        Action::Start if runs => Err(format!("{name} runs already")),
        Action::Start => Ok(Proposal::Do(Deed::Start(name))),
        Action::Kill | Action::Freeze if rests || status.state == State::Scheduled => {
            Err(format!("{name} does not run"))
        }
        Action::Stop if rests => Err(format!("{name} does not run")),
        Action::Stop => ask(format!("Stop {name}{with}?"), Deed::Stop(name)),
        Action::Kill => ask(format!("Kill {name}{with} at once?"), Deed::Kill(name)),
        Action::Restart => ask(format!("Restart {name}{with}?"), Deed::Restart(name)),
        Action::Freeze if status.frozen => Ok(Proposal::Do(Deed::Thaw(name))),
        Action::Freeze => ask(format!("Freeze {name}{with}?"), Deed::Freeze(name)),
    }
}
