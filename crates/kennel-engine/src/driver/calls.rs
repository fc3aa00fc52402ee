//! Commands that a client waits for, from one daemon to the next: the command runs on, and its client comes after it.

use kennel_core::instance::{Event, Reason};
use kennel_wire::{Code, Problem, RunReport};

use super::oneoff::Purpose;
use super::runs::Kind;
use super::{Driver, Reply, TimerKey, Work};

/// So many results wait for clients that are on their way.
const MOST_RESULTS: usize = 64;

impl Driver {
    /// The client is there, and its command ends with it as always. Once this daemon has let go, nobody answers any more: it
    /// goes on to the one that follows.
    pub(super) fn reheld(&mut self, token: &str, reply: Reply<()>) {
        // A client that is gone meanwhile closes its connection.
        let _unheard = reply.send(());
        if let Some(id) = self.one_off(token) {
            self.timers.disarm(&TimerKey::Unheld(id));
        }
    }

    /// Answers when the command has ended, or at once if it has.
    pub(super) fn await_call(&mut self, token: String, reply: Reply<Result<RunReport, Problem>>) {
        if let Some(at) = self.call_results.iter().position(|(own, _)| *own == token) {
            if let Some((_, result)) = self.call_results.remove(at) {
                // Whoever asked may have gone.
                let _unheard = reply.send(result);
            }
            return;
        }
        let run = self.one_off(&token).and_then(|id| self.runs.get_mut(&id));
        match run.map(|run| &mut run.kind) {
            Some(Kind::Helper(Purpose::OneOff { reply: waiting, .. })) => *waiting = Some(reply),
            _ => drop(reply.send(Err(Problem::new(Code::UnknownRun, "no such run")))),
        }
    }

    /// The client did not come from the daemon before.
    pub(super) fn client_of_call_gone(&mut self, id: u64) {
        let stop = Event::StopRequested { reason: Reason::ClientGone, limit: None };
        self.queue.push_back(Work::Run(id, stop));
    }

    pub(super) fn keep_result(&mut self, token: String, result: Result<RunReport, Problem>) {
        if self.call_results.len() >= MOST_RESULTS {
            self.call_results.pop_front();
        }
        self.call_results.push_back((token, result));
    }

    /// Sends clients that wait for a command on to the daemon that goes on with it.
    pub(super) fn send_callers_on(&mut self, problem: impl Fn() -> Problem) {
        for run in self.runs.values_mut() {
            if let Kind::Helper(Purpose::OneOff { reply, .. }) = &mut run.kind
                && let Some(reply) = reply.take()
            {
                // Whoever asked may have gone.
                let _unheard = reply.send(Err(problem()));
            }
        }
    }
}
