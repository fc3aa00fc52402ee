//! The thread that reads. It sleeps until the next scope is due and ends when nothing is to be read any more.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use kennel_core::sample::{Rates, Sample};
use kennel_keeper::proto::Place;
use kennel_sys::cgroup::bounds::Controller;
use kennel_sys::proc;
use kennel_sys::sample::Table;
use kennel_wire::{MachineUsage, OwnUsage, ProcessUsage};
use tokio::sync::{mpsc, oneshot};

use super::detail::Detail;
use super::machine;
use super::reader::Reader;
use crate::clock;
use crate::driver::Input;
use crate::logs::Counter;

/// Samples that are due so soon are taken at once, so that one wake-up serves them all.
const SLACK: Duration = Duration::from_millis(20);
/// A sample as young as this answers a question.
const FRESH: Duration = Duration::from_millis(200);
/// Between the two looks that a share of the CPU takes.
const BETWEEN: Duration = Duration::from_millis(250);

/// A hand on the thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Sampler {
    commands: Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Watch(Subject),
    Leave(u64),
    Ask(Asked),
}

/// A scope that is to be read.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Number of its run.
    pub(crate) id: u64,
    pub(crate) place: Place,
    /// Groups of version 1 that it is in, where it is bounded there.
    pub(crate) groups_1: Vec<(Controller, PathBuf)>,
    pub(crate) log: Arc<Counter>,
    /// Pause between two looks.
    pub(crate) every: Duration,
}

/// A question about scopes that are being read.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ids: Vec<u64>,
    /// Each process by itself.
    pub(crate) processes: bool,
    /// With the zombies among them.
    pub(crate) zombies: bool,
    /// With its proportional share of memory.
    pub(crate) pss: bool,
    /// Without a second look where there is nothing to compare with.
    pub(crate) at_once: bool,
    /// The keeper's process id.
    pub(crate) keeper: u32,
    pub(crate) reply: oneshot::Sender<Found>,
}

/// What it is answered with. Scopes that are gone are missing.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) samples: HashMap<u64, (Sample, Option<Rates>)>,
    pub(crate) processes: HashMap<u64, Vec<ProcessUsage>>,
    pub(crate) own: OwnUsage,
    pub(crate) machine: MachineUsage,
}

impl Sampler {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when a thread is refused.
    pub(crate) fn start(inbox: mpsc::UnboundedSender<Input>) -> io::Result<Self> {
        let (commands, receiver) = channel();
        let thread = Thread {
            commands: receiver,
            inbox,
            watched: BTreeMap::new(),
            asked: Vec::new(),
            detail: Detail::default(),
        };
        std::thread::Builder::new().name("samples".into()).stack_size(128 << 10).spawn(move || thread.run())?;
        Ok(Self { commands })
    }

    /// Reads a scope from now on, or at another pace.
    pub(crate) fn watch(&self, subject: Subject) {
        self.send(Command::Watch(subject));
    }

    /// Reads it no more.
    pub(crate) fn leave(&self, id: u64) {
        self.send(Command::Leave(id));
    }

    /// Answers with figures that are fresh, and rates if there is any way.
    pub(crate) fn ask(&self, asked: Asked) {
        self.send(Command::Ask(asked));
    }

    fn send(&self, command: Command) {
        // The thread ends after its hand.
        let _ended = self.commands.send(command);
    }
}

struct Watched {
    reader: Reader,
    every: Duration,
    due: Duration,
}

struct Thread {
    commands: Receiver<Command>,
    inbox: mpsc::UnboundedSender<Input>,
    watched: BTreeMap<u64, Watched>,
    /// Questions that wait for a second look, and until when.
    asked: Vec<(Duration, Asked)>,
    detail: Detail,
}

impl Thread {
    fn run(mut self) {
        loop {
            let now = clock::now();
            let due: Vec<u64> =
                self.watched.iter().filter(|(_, one)| one.due <= now + SLACK).map(|(id, _)| *id).collect();
            self.look(&due, now);
            let (ripe, waiting): (Vec<_>, Vec<_>) = self.asked.drain(..).partition(|(at, _)| *at <= now);
            self.asked = waiting;
            ripe.into_iter().for_each(|(_, asked)| self.answer(asked, None));
            let next = self.watched.values().map(|one| one.due).chain(self.asked.iter().map(|(at, _)| *at)).min();
            let command = match next {
                Some(at) => self.commands.recv_timeout(at.saturating_sub(clock::now())),
                None => self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match command {
                Ok(command) => self.command(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Commands come in bursts, as many as there are services.
            while let Ok(command) = self.commands.try_recv() {
                self.command(command);
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Watch(Subject { id, place, groups_1, log, every }) => {
                let now = clock::now();
                let reader = match self.watched.remove(&id) {
                    Some(watched) if watched.reader.is_at(&place, &groups_1) => Some(watched.reader),
                    _ => Reader::new(&place, groups_1, log),
                };
                if let Some(reader) = reader {
                    let due = if reader.last.is_some() { next(now, every) } else { now };
                    self.watched.insert(id, Watched { reader, every, due });
                }
            }
            Command::Leave(id) => drop(self.watched.remove(&id)),
            Command::Ask(asked) => self.begin(asked),
        }
    }

    /// Reads these scopes and tells of them in one message.
    fn look(&mut self, ids: &[u64], now: Duration) {
        if ids.is_empty() {
            return;
        }
        let roots: Vec<u32> = ids.iter().filter_map(|id| self.watched.get(id)?.reader.root()).collect();
        // One pass over all processes for all scopes that have no cgroup.
        let table = if roots.is_empty() { Table::default() } else { Table::read(&roots) };
        let mut samples = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(one) = self.watched.get_mut(id) else { continue };
            one.due = next(now, one.every);
            samples.extend(one.reader.read(&table, now).map(|sample| (*id, sample)));
        }
        // What ended meanwhile is left by the driver.
        let _driver_ended = self.inbox.send(Input::Samples(samples));
    }

    /// Takes the first look, and a second one later where there is nothing yet to compare with.
    fn begin(&mut self, asked: Asked) {
        let now = clock::now();
        let is_old = |one: &Watched| one.reader.last.is_none_or(|last| last.at + FRESH < now);
        let old: Vec<u64> = asked.ids.iter().filter(|id| self.watched.get(id).is_some_and(is_old)).copied().collect();
        self.look(&old, now);
        let has_rates = |id: &u64| self.watched.get(id).is_none_or(|one| one.reader.rates.is_some());
        let mut is_ready = asked.at_once || asked.ids.iter().all(has_rates);
        let mut processes = None;
        if asked.processes && !asked.at_once {
            let (found, is_known) = self.processes(&asked);
            is_ready &= is_known;
            processes = Some(found);
        }
        if is_ready { self.answer(asked, processes) } else { self.asked.push((now + BETWEEN, asked)) }
    }

    /// Answers, with these processes if they were looked at just now.
    fn answer(&mut self, asked: Asked, processes: Option<HashMap<u64, Vec<ProcessUsage>>>) {
        let now = clock::now();
        // Not those that were looked at just now.
        let first =
            |one: &Watched| one.reader.rates.is_none() && one.reader.last.is_none_or(|last| last.at + FRESH < now);
        let ids: Vec<u64> = asked.ids.iter().filter(|id| self.watched.get(id).is_some_and(first)).copied().collect();
        self.look(&ids, now);
        let samples = asked.ids.iter().filter_map(|id| {
            let reader = &self.watched.get(id)?.reader;
            Some((*id, (reader.last?, reader.rates)))
        });
        let samples = samples.collect();
        let processes = match processes {
            None if asked.processes => self.processes(&asked).0,
            processes => processes.unwrap_or_default(),
        };
        let found = Found { samples, processes, own: machine::own(asked.keeper), machine: machine::machine() };
        let _asker_gone = asked.reply.send(found);
    }

    /// The processes of these scopes, and whether it is known what they did since another look.
    fn processes(&mut self, asked: &Asked) -> (HashMap<u64, Vec<ProcessUsage>>, bool) {
        let now = clock::now();
        let mut found = HashMap::new();
        for id in &asked.ids {
            if let Some(one) = self.watched.get_mut(id) {
                let mut pids = one.reader.members_now();
                if asked.zombies {
                    // No cgroup lists them: they are the children of those that it lists.
                    let zombies: Vec<u32> =
                        pids.iter().flat_map(|pid| proc::zombie_children(*pid)).map(|stat| stat.pid).collect();
                    pids.extend(zombies);
                }
                found.insert(*id, self.detail.read(&pids, now, asked.pss));
            }
        }
        self.detail.forget(now);
        let mut all = found.values().flatten().peekable();
        let is_known = all.peek().is_none() || all.any(|one| one.cpu_percent.is_some());
        (found, is_known)
    }
}

/// When the next look is due: at a multiple of the pause, so that scopes of the same pace are read together.
fn next(now: Duration, every: Duration) -> Duration {
    let every = every.max(SLACK * 2);
    let steps = now.as_nanos() / every.as_nanos() + 1;
    let at = steps.saturating_mul(every.as_nanos());
    let at = Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX));
    // A look that was early by the slack is not repeated at once.
    if at <= now + SLACK { at + every } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_of_one_pace_fall_together() {
        let ms = Duration::from_millis;
        assert_eq!(next(ms(1234), ms(1000)), ms(2000));
        assert_eq!(next(ms(1990), ms(1000)), ms(3000), "taken early as that of 2000");
        assert_eq!(next(ms(2000), ms(1000)), ms(3000));
        assert_eq!(next(ms(2000), ms(5000)), ms(5000));
    }
}
