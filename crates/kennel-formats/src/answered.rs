//! Servers as a daemon answers them.

use kennel_sys::identity::Identity;
use kennel_wire::{DashboardStatus, ServiceStatus, State};

use crate::server::{Main, Server, distinct, lives};

/// The services of a daemon's answer. `boot_id` is that of now.
#[must_use]
pub fn answered(services: &[ServiceStatus], boot_id: &str) -> Vec<Server> {
    services.iter().map(|one| server(one, boot_id)).collect()
}

fn server(one: &ServiceStatus, boot_id: &str) -> Server {
    let main = main(one, boot_id);
    Server {
        id: one.name.clone(),
        command: one.command.clone(),
        cwd: one.working_dir.clone().unwrap_or_else(|| "/".into()),
        ports: distinct(one.ports.values().copied()),
        status: status(one.state, main.is_some()),
        main,
    }
}

/// It may have ended since the answer was given.
fn main(one: &ServiceStatus, boot_id: &str) -> Option<Main> {
    let it = one.identity.as_ref().filter(|it| it.boot_id == boot_id)?;
    let identity = Identity { pid: it.pid, start_ticks: it.start_ticks, inode: it.inode.unwrap_or(0) };
    lives(&identity).then_some(Main { identity, started_at: one.started_at? })
}

/// The word for a state that a daemon has told.
fn status(state: State, main_lives: bool) -> DashboardStatus {
    match state {
        State::Stopped | State::Completed | State::Pending | State::Scheduled => DashboardStatus::Stopped,
        State::Failed | State::GivenUp | State::Waiting => DashboardStatus::Crashed,
        State::Up | State::Ready | State::Unhealthy if main_lives => DashboardStatus::Running,
        // It runs by the daemon's word, and its main process is gone: on the way to somewhere else.
        State::Up | State::Ready | State::Unhealthy => DashboardStatus::Unknown,
        // What is left of it keeps its place and ports, with or without the main process.
        State::Stopping | State::Stuck => DashboardStatus::Running,
        State::Starting if main_lives => DashboardStatus::Running,
        State::Starting => DashboardStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word() {
        let words = |lives| {
            [
                State::Stopped,
                State::Scheduled,
                State::Pending,
                State::Starting,
                State::Up,
                State::Ready,
                State::Unhealthy,
                State::Stopping,
                State::Stuck,
                State::Waiting,
                State::Completed,
                State::Failed,
                State::GivenUp,
            ]
            .map(|state| status(state, lives))
        };
        use DashboardStatus::{Crashed, Running, Stopped, Unknown};
        let begin = [Stopped; 3];
        let end = [Running, Running, Crashed, Stopped, Crashed, Crashed];
        assert_eq!(words(true)[..3], begin);
        assert_eq!(words(true)[3..7], [Running; 4]);
        assert_eq!(words(true)[7..], end);
        assert_eq!(words(false)[3..7], [Unknown; 4], "nobody is told of a process that is gone");
        assert_eq!(words(false)[7..], end);
    }
}
