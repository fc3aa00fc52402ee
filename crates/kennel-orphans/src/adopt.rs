//! An orphan that is to be held again: who it is, who comes with it, and bringing them together.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_keeper::orphans::{GatherError, Gathering, Orphan, gather};
use kennel_sys::home::Home;
use kennel_sys::identity::Identity;
use kennel_sys::proc;
use kennel_sys::tag::{Instance, Tag};

use crate::search::{Error, Search};
use crate::{Tracking, words};

/// How long they may take to stand still.
const STILL: Duration = Duration::from_secs(5);

/// Which process is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    /// Process id.
    pub pid: u32,
    /// When it began, clock ticks since boot.
    pub start_ticks: u64,
    /// Also if it is only likely that it is ours.
    pub likely: bool,
}

/// Why an orphan cannot be adopted. Nothing was done to anybody, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// They cannot be looked for, or it is none.
    #[error(transparent)]
    Search(#[from] Error),
    /// The process that is meant has ended; the number may be another's.
    #[error("process {pid} has ended{}", if *.is_another { ", and the number is another process's" } else { "" })]
    Gone {
        /// The process id.
        pid: u32,
        /// Somebody else has the number.
        is_another: bool,
    },
    /// A stranger could look like it.
    #[error("process {pid} is only likely to be ours: {why}")]
    Uncertain {
        /// The process id.
        pid: u32,
        /// What it is known by.
        why: String,
    },
    /// It runs as another user.
    #[error("process {pid} runs as {user}, whom this kennel has no right to signal")]
    NoRight {
        /// The process id.
        pid: u32,
        /// A name, or a number that has none.
        user: String,
    },
    /// They will not stand still; they go on as before.
    #[error("process {pid} and those below it do not stand still within {} s, so one could get away", STILL.as_secs())]
    Restless {
        /// The process id.
        pid: u32,
    },
    /// It runs a kennel, whose services have groups of their own.
    #[error("process {below} below it is a service of another kennel")]
    OtherKennel {
        /// That process.
        below: u32,
    },
    /// The system does not let them be moved.
    #[error("{what}")]
    Move {
        /// What was to be done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// An orphan and everybody of its scope.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it is told.
    pub orphan: kennel_wire::Orphan,
    /// The group of its scope, if it is in that.
    pub group: Option<PathBuf>,
    /// The main process, as far as one can tell: that of a record, else the one that began first.
    pub main: Identity,
    /// Everybody of the scope, by process id.
    pub members: Vec<Identity>,
    /// Nothing that they carry lets a later keeper end them.
    pub outlives: bool,
    tags: Vec<Tag>,
    instance: Option<Instance>,
}

/// Finds the orphan that is meant beside its daemon, which says what it tracks.
///
/// # Errors
/// [`AdoptError`], all but those of moving.
pub fn pick(home: &Home, mut tracks: impl FnMut() -> Option<Tracking>, meant: Meant) -> Result<Target, AdoptError> {
    let Meant { pid, start_ticks, likely } = meant;
    let (found, records) = Search::beside(home, &mut tracks).look()?;
    let now = proc::stat(pid).map(|stat| stat.start_ticks);
    let of_that_number = found.iter().find(|it| it.process.identity.pid == pid);
    let Some(one) = of_that_number.filter(|it| it.process.identity.start_ticks == start_ticks) else {
        return Err(match now {
            Some(now) if now == start_ticks => Error::NoOrphan { instance: home.name.clone(), pid }.into(),
            now => AdoptError::Gone { pid, is_another: now.is_some() },
        });
    };
    let orphan = words::orphan(one, home, &records);
    if !one.is_certain && !likely {
        return Err(AdoptError::Uncertain { pid, why: orphan.why });
    }
    if !one.process.may_signal && one.group.is_none() {
        return Err(AdoptError::NoRight { pid, user: orphan.user });
    }
    let mates: Vec<&Orphan> = found.iter().filter(|it| is_mate(one, it, likely)).collect();
    let stamp = one.evidence.stamp;
    let main = mates.iter().find(|it| it.evidence.record.is_some());
    let oldest = || mates.iter().min_by_key(|it| (it.process.identity.start_ticks, it.process.identity.pid));
    Ok(Target {
        orphan,
        group: one.group.clone(),
        main: main.or_else(oldest).map_or(one.process.identity, |it| it.process.identity),
        members: mates.iter().map(|it| it.process.identity).collect(),
        outlives: mates.iter().filter_map(|it| it.evidence.stamp).all(Tag::is_kept),
        tags: stamp.into_iter().filter(|_| likely && one.group.is_none()).collect(),
        instance: Instance::at(&home.lock_file()).ok(),
    })
}

/// Whether one is of the same scope as the orphan that is meant, and as surely ours.
fn is_mate(meant: &Orphan, one: &Orphan, likely: bool) -> bool {
    if one.process.identity == meant.process.identity {
        return true;
    }
    match &meant.group {
        Some(group) => one.group.as_ref() == Some(group),
        None => {
            let same = meant.evidence.stamp.is_some() && one.evidence.stamp == meant.evidence.stamp;
            same && (one.is_certain || likely) && one.process.may_signal && one.group.is_none()
        }
    }
}

impl Target {
    /// Gathers everybody of the scope, with all their descendants, in a fresh leaf of a keeper's root; answers with who is there,
    /// by process id. Blocks.
    ///
    /// # Errors
    /// [`AdoptError::Gone`], [`AdoptError::Restless`], [`AdoptError::OtherKennel`], [`AdoptError::Move`]. All of them go on; who
    /// was moved by then is an orphan in that leaf.
    pub fn gather(&self, root: &Path, leaf: &str, kept: bool) -> Result<Vec<Identity>, AdoptError> {
        let pid = self.orphan.pid;
        let until = Instant::now() + STILL;
        let wanted = Gathering { instance: self.instance, known: self.members.clone(), tags: self.tags.clone(), until };
        gather(root, leaf, kept, &wanted).map_err(|error| match error {
            GatherError::Gone => AdoptError::Gone { pid, is_another: false },
            GatherError::Restless => AdoptError::Restless { pid },
            GatherError::OtherKennel { pid: below } => AdoptError::OtherKennel { below },
            GatherError::Group { directory, source } => {
                AdoptError::Move { what: format!("cannot make the cgroup `{}`", directory.display()), source }
            }
            GatherError::Move { pid, source } => {
                AdoptError::Move { what: format!("cannot move process {pid} to a cgroup of this kennel"), source }
            }
        })
    }
}
