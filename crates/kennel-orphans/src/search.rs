//! Who is an orphan of an instance.

use std::io;

use kennel_keeper::orphans::{Found, Known, Machine, Orphan, Record, Tracked, Tracking, classify, fleeting};
use kennel_store::Records;
use kennel_sys::home::Home;
use kennel_sys::identity::Identity;
use kennel_sys::tag::Instance;
use kennel_wire::{InstanceOrphans, InstanceState};
use serde::Deserialize;

use crate::{instance, words};

/// Why orphans cannot be looked for, or not be ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine or the lock cannot be looked at.
    #[error("cannot look for orphans of the kennel instance `{instance}`")]
    Look {
        /// Its name.
        instance: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody runs the instance, so what is its own is theirs to tell.
    #[error("somebody holds the lock of the kennel instance `{instance}`")]
    Held {
        /// Its name.
        instance: String,
    },
    /// To end the orphans would end whoever asks for it.
    #[error("this command runs in the scope `{scope}` of the kennel instance `{instance}` that it is to end")]
    Inside {
        /// Its name.
        instance: String,
        /// The scope, `?` where it is not known.
        scope: String,
    },
    /// Such a process is not one of them; nothing was sent to anybody.
    #[error("process {pid} is no orphan of the kennel instance `{instance}`; nothing was sent")]
    NoOrphan {
        /// Its name.
        instance: String,
        /// The process id.
        pid: u32,
    },
}

/// Looks for what runs of an instance that nobody runs. Of one that somebody holds the lock of it answers with nobody,
/// in state `silent`: only who holds it can tell what is tracked.
///
/// # Errors
/// [`Error::Look`].
pub fn find(home: &Home) -> Result<InstanceOrphans, Error> {
    let state = instance::state(home).map_err(|source| Error::Look { instance: home.name.clone(), source })?;
    let mut told = InstanceOrphans::new(&home.name, state);
    if state != InstanceState::Silent {
        let (found, records) = Search::alone(home).look()?;
        told.orphans = found.iter().map(|orphan| words::orphan(orphan, home, &records)).collect();
    }
    Ok(told)
}

/// Looks for what runs of an instance beside its daemon, which says what it tracks, or nothing if it is about to end.
///
/// # Errors
/// [`Error::Look`].
pub fn find_beside(home: &Home, mut tracks: impl FnMut() -> Option<Tracking>) -> Result<InstanceOrphans, Error> {
    let (found, records) = Search::beside(home, &mut tracks).look()?;
    let mut told = InstanceOrphans::new(&home.name, InstanceState::Running);
    told.orphans = found.iter().map(|orphan| words::orphan(orphan, home, &records)).collect();
    Ok(told)
}

/// What to look for, and who says what is tracked.
pub(crate) struct Search<'a> {
    pub(crate) home: &'a Home,
    records: Vec<Record>,
    tracks: Option<&'a mut dyn FnMut() -> Option<Tracking>>,
}

impl<'a> Search<'a> {
    /// Of an instance that nobody runs.
    pub(crate) fn alone(home: &'a Home) -> Self {
        Self { home, records: records(home), tracks: None }
    }

    /// Beside its daemon, whose records are of what it tracks.
    pub(crate) fn beside(home: &'a Home, tracks: &'a mut dyn FnMut() -> Option<Tracking>) -> Self {
        Self { home, records: Vec::new(), tracks: Some(tracks) }
    }

    /// Reads the machine and tells who is one now, and with them the records that they may be known by.
    pub(crate) fn look(&mut self) -> Result<(Vec<Orphan>, Vec<Record>), Error> {
        let (machine, known) = self.read()?;
        Ok((classify(&machine, &known, std::process::id()), known.records))
    }

    /// As [`Search::look`], for whoever is to end them: unless this very process is what it looks for.
    pub(crate) fn look_from_outside(&mut self) -> Result<(Found, Vec<Record>), Error> {
        let (machine, known) = self.read()?;
        let found = classify(&machine, &known, 0);
        let fleeting = fleeting(&machine, &known);
        match found.iter().find(|it| it.process.identity.pid == std::process::id()) {
            None => Ok((Found { orphans: found, fleeting }, known.records)),
            Some(us) => Err(Error::Inside {
                instance: self.home.name.clone(),
                scope: us.scope.clone().unwrap_or_else(|| "?".to_owned()),
            }),
        }
    }

    fn read(&mut self) -> Result<(Machine, Known), Error> {
        let home = self.home;
        let mut known = Known {
            name: home.name.clone(),
            tag: Instance::at(&home.lock_file()).ok(),
            records: self.records.clone(),
            tracked: Tracked::Nothing,
        };
        let machine = Machine::read(&[&known]).map_err(|source| Error::Look { instance: home.name.clone(), source })?;
        // Asked last: what was started before the machine was read is known by then.
        if let Some(tracks) = &mut self.tracks {
            known.tracked = tracks().map_or(Tracked::Everything, Tracked::These);
        } else if known.tag.is_none() {
            // One that never ran has started nobody, whatever a group is called.
            known.tracked = Tracked::Everything;
        }
        Ok((machine, known))
    }
}

/// Runs that the store says to live. One that cannot be read tells of nobody; there are two other ways to find them.
fn records(home: &Home) -> Vec<Record> {
    let runs = Records::read(&home.state_dir).map(|restored| restored.runs).unwrap_or_default();
    runs.into_iter().filter_map(|(run, body)| record(run, body)).collect()
}

/// What is of interest here of the record of a run.
#[derive(Debug, Deserialize)]
struct Run {
    service: String,
    scope: String,
    boot_id: String,
    pid: Option<u32>,
    start_ticks: Option<u64>,
    inode: Option<u64>,
}

/// `None` for one that has no process yet.
fn record(run: u64, body: serde_json::Value) -> Option<Record> {
    let Run { service, scope, boot_id, pid, start_ticks, inode } = serde_json::from_value(body).ok()?;
    let process = Identity { pid: pid?, start_ticks: start_ticks?, inode: inode.unwrap_or(0) };
    Some(Record { service, run, scope, boot_id, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_no_process_is_no_record() {
        let body = |pid: Option<u32>| {
            serde_json::json!({
                "service": "web", "scope": "web.3", "boot_id": "b", "pid": pid, "start_ticks": 7, "of_tomorrow": 1,
            })
        };
        let found = record(3, body(Some(12))).unwrap();
        assert_eq!((found.run, found.process.pid, found.process.inode), (3, 12, 0));
        assert!(record(3, body(None)).is_none());
        assert!(record(3, serde_json::json!("garbage")).is_none());
    }
}
