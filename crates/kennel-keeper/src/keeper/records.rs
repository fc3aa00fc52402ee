//! What the daemon, or the one after it, will want to know of a scope if it has to ask again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use crate::codec::{
    Malformed, Reader, Writer, read_exit, read_identity, read_place, write_exit, write_identity, write_place,
};
use crate::proto::{Adopt, Event, Exit, Identity, Known, Place, ScopeId, Spawn, Started};

/// How much output a pipe takes while there is no daemon, bytes: what an ordinary user may ask for by default.
const PIPE: usize = 1 << 20;

/// Every scope that the daemon has not forgotten.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<ScopeId, Record>);

#[derive(Debug)]
struct Record {
    name: String,
    keep: bool,
    note: Vec<u8>,
    stage: Stage,
    ending: bool,
}

#[derive(Debug)]
enum Stage {
    /// The start is under way.
    Starting,
    /// It is to be taken over, with this main process.
    Adopting(Identity),
    Running(Run),
}

#[derive(Debug)]
struct Run {
    identity: Identity,
    place: Place,
    pipes: Option<[OwnedFd; 2]>,
    exit: Option<Exit>,
    empty: bool,
    frozen: bool,
}

impl Records {
    /// A start was asked for. A number that is in use keeps its record: that start fails.
    pub(super) fn begin(&mut self, spawn: &Spawn) {
        let Spawn { name, keep, note, .. } = spawn;
        let record =
            || Record { name: name.clone(), keep: *keep, note: note.clone(), stage: Stage::Starting, ending: false };
        self.0.entry(spawn.scope).or_insert_with(record);
    }

    /// A scope is to be taken over. A number that is in use keeps its record: that is refused.
    pub(super) fn begin_adoption(&mut self, adopt: &Adopt, keep: bool) {
        let Adopt { leaf, note, .. } = adopt;
        let stage = || Stage::Adopting(adopt.process);
        let record = || Record { name: leaf.clone(), keep, note: note.clone(), stage: stage(), ending: false };
        self.0.entry(adopt.scope).or_insert_with(record);
    }

    /// A kill was asked for.
    pub(super) fn ending(&mut self, scope: ScopeId) {
        if let Some(record) = self.0.get_mut(&scope) {
            record.ending = true;
        }
    }

    /// Everything is being killed but these.
    pub(super) fn ending_all_but(&mut self, kept: &BTreeSet<ScopeId>) {
        self.0.iter_mut().filter(|(scope, _)| !kept.contains(scope)).for_each(|(_, record)| record.ending = true);
    }

    /// What is not empty, or still being started, and is to outlive the daemon.
    pub(super) fn kept(&self) -> BTreeSet<ScopeId> {
        let lives = |record: &Record| record.run().is_none_or(|run| !run.empty);
        self.0.iter().filter(|(_, record)| record.keep && lives(record)).map(|(scope, _)| *scope).collect()
    }

    /// Makes room for output while nobody reads it. A pipe that may not be larger stays as it is.
    pub(super) fn enlarge_pipes(&self) {
        let running = self.0.values().filter_map(Record::run).filter(|run| !run.empty);
        for pipe in running.flat_map(|run| run.pipes.iter().flatten()) {
            if rustix::pipe::fcntl_getpipe_size(pipe).is_ok_and(|size| size < PIPE) {
                let _refused = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
            }
        }
    }

    /// The daemon has recorded the end. One whose start is under way is needed until that is answered.
    pub(super) fn forget(&mut self, scope: ScopeId) {
        self.0.remove(&scope);
    }

    /// Keeps what an event says.
    pub(super) fn keep(&mut self, event: Event) {
        match event {
            Event::Spawned { scope, identity, place, pipes, .. } => {
                if let Some(record) = self.0.get_mut(&scope) {
                    record.stage = Stage::Running(Run::new(identity, place, pipes));
                }
                kennel_sys::crash_point!("spawn.recorded");
            }
            Event::SpawnFailed { scope, .. } => {
                // Not that of another start with the same number, which is what failed this one.
                if self.0.get(&scope).is_some_and(|record| matches!(record.stage, Stage::Starting)) {
                    self.0.remove(&scope);
                }
            }
            Event::Adopted { scope, place, pipes, .. } => {
                if let Some(record) = self.0.get_mut(&scope)
                    && let Stage::Adopting(identity) = record.stage
                {
                    record.stage = Stage::Running(Run::new(identity, place, pipes));
                }
            }
            Event::AdoptRefused { scope, .. } => {
                if self.0.get(&scope).is_some_and(|record| matches!(record.stage, Stage::Adopting(_))) {
                    self.0.remove(&scope);
                }
            }
            Event::MainExited { scope, exit, .. } => {
                if let Some(run) = self.run_mut(scope) {
                    run.exit = Some(exit);
                }
            }
            Event::Emptied { scope } => {
                if let Some(run) = self.run_mut(scope) {
                    run.empty = true;
                }
                kennel_sys::crash_point!("stop.emptied");
            }
            Event::Frozen { scope, frozen } => {
                if let Some(run) = self.run_mut(scope) {
                    run.frozen = frozen;
                }
            }
            Event::Bounded { .. }
            | Event::PoolBounded { .. }
            | Event::OutOfMemory { .. }
            | Event::Welcome { .. }
            | Event::Held { .. }
            | Event::Leftovers { .. }
            | Event::Reaped { .. }
            | Event::Stuck { .. }
            | Event::Stage { .. }
            | Event::Escaped { .. }
            | Event::Strays { .. }
            | Event::StrayEnded { .. }
            | Event::Successor(_)
            | Event::Executed { .. }
            | Event::Signalled { .. } => {}
        }
    }

    /// For a welcome; the pipes are duplicated.
    pub(super) fn known(&self) -> Vec<Known> {
        self.0.iter().map(|(scope, record)| record.known(*scope)).collect()
    }

    pub(super) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        writer.length(self.0.len());
        for (scope, record) in &self.0 {
            writer.scope(*scope);
            writer.bytes(record.name.as_bytes());
            writer.bool(record.keep);
            writer.bytes(&record.note);
            record.stage.save(writer);
            writer.bool(record.ending);
        }
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let records = reader.list(|reader| {
            let scope = reader.scope()?;
            let (name, keep, note) = (reader.text()?, reader.bool()?, reader.bytes()?.to_vec());
            Ok((scope, Record { name, keep, note, stage: Stage::load(reader)?, ending: reader.bool()? }))
        })?;
        Ok(Self(records.into_iter().collect()))
    }

    fn run_mut(&mut self, scope: ScopeId) -> Option<&mut Run> {
        match &mut self.0.get_mut(&scope)?.stage {
            Stage::Running(run) => Some(run),
            Stage::Starting | Stage::Adopting(_) => None,
        }
    }
}

impl Run {
    fn new(identity: Identity, place: Place, pipes: Option<[OwnedFd; 2]>) -> Self {
        Self { identity, place, pipes, exit: None, empty: false, frozen: false }
    }
}

impl Stage {
    fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        match self {
            Self::Starting => writer.u8(1),
            Self::Adopting(identity) => {
                writer.u8(2);
                write_identity(writer, identity);
            }
            Self::Running(Run { identity, place, pipes, exit, empty, frozen }) => {
                writer.u8(3);
                write_identity(writer, identity);
                write_place(writer, place);
                writer.option(pipes.as_ref(), |writer, pipes| writer.fds(pipes));
                writer.option(exit.as_ref(), write_exit);
                writer.bool(*empty);
                writer.bool(*frozen);
            }
        }
    }

    fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            1 => Ok(Self::Starting),
            2 => Ok(Self::Adopting(read_identity(reader)?)),
            3 => Ok(Self::Running(Run {
                identity: read_identity(reader)?,
                place: read_place(reader)?,
                pipes: reader.option(Reader::fds)?,
                exit: reader.option(read_exit)?,
                empty: reader.bool()?,
                frozen: reader.version >= 5 && reader.bool()?,
            })),
            other => Err(Malformed::Unknown("stage of a scope", other)),
        }
    }
}

impl Record {
    fn run(&self) -> Option<&Run> {
        match &self.stage {
            Stage::Running(run) => Some(run),
            Stage::Starting | Stage::Adopting(_) => None,
        }
    }

    fn known(&self, scope: ScopeId) -> Known {
        let started = self.run().map(|run| Started {
            identity: run.identity,
            place: Some(run.place.clone()),
            pipes: run.pipes.as_ref().and_then(cloned),
            exit: run.exit,
            ending: self.ending && !run.empty,
            empty: run.empty,
            frozen: run.frozen && !run.empty,
        });
        Known { scope, name: self.name.clone(), keep: self.keep, note: self.note.clone(), started }
    }
}

fn cloned(pipes: &[OwnedFd; 2]) -> Option<[OwnedFd; 2]> {
    let [out, err] = pipes;
    Some([out.try_clone().ok()?, err.try_clone().ok()?])
}
