//! Ends orphans, and looks again until none is there.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::identity::Identity;
use kennel_sys::wait::Exit;
use kennel_sys::{pidfd, process};
use rustix::process::Signal;

use super::Orphan;
use crate::hunt::{Hunt, Pass, Quarry};

/// Pause between two looks at who goes by itself.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two looks at who was killed.
const LONGEST: Duration = Duration::from_millis(100);
/// How long the parents of the dead may take to wait for them: only then the kernel tells how they ended.
const REAPED: Duration = Duration::from_millis(500);

/// How patient an ending is.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Time between `SIGTERM` and the kill; without any there is no `SIGTERM`.
    pub grace: Duration,
    /// Longest time for the kill.
    pub limit: Duration,
}

/// A process that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which it was.
    pub process: Identity,
    /// Its command line.
    pub command: String,
    /// How it ended, if the kernel tells.
    pub exit: Option<Exit>,
    /// Name of its scope, where that was known.
    pub scope: Option<String>,
    /// It was still there when the kill began.
    pub killed: bool,
}

/// What became of orphans.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// By process id.
    pub ended: Vec<Ended>,
    /// Those that live, by process id.
    pub left: Vec<Orphan>,
    /// Those that there is no right to signal, and that live for that reason.
    pub refused: Vec<Orphan>,
}

/// Ends whatever `find` answers, until it answers with nobody any more or the time is over.
///
/// `find` is asked again and again: each time it reads the machine anew and names those that are to be ended. Blocks,
/// so it is for a thread that has nothing else to do.
///
/// # Errors
/// What `find` fails with; those that were killed by then are.
pub fn end(mut find: impl FnMut() -> io::Result<Vec<Orphan>>, ending: Ending) -> io::Result<Outcome> {
    let mut held = Held::default();
    held.add(find()?);
    held.ask_politely(ending.grace);
    let mut kill = Kill { hunt: Hunt::wary(Instant::now()), groups: HashMap::new() };
    let begin = Instant::now();
    let found = loop {
        let found = find()?;
        held.add(found.clone());
        let (wanted, _) = split(found.clone());
        if wanted.is_empty() && held.living().is_empty() && kill.groups.is_empty() || begin.elapsed() >= ending.limit {
            break found;
        }
        kill.step(&wanted, &held.living());
        process::pause(kill.due().saturating_duration_since(Instant::now()).min(LONGEST));
    };
    let (left, refused) = split(found);
    Ok(Outcome { ended: held.ended(), left, refused })
}

/// Who can be ended, and who there is no right to. A group's kill asks for none over its members.
fn split(found: Vec<Orphan>) -> (Vec<Orphan>, Vec<Orphan>) {
    found.into_iter().partition(|orphan| orphan.process.may_signal || orphan.group.is_some())
}

/// Everybody who was found so far.
#[derive(Default)]
struct Held(BTreeMap<(u32, u64, u64), One>);

struct One {
    orphan: Orphan,
    /// `None` for one that was gone before it could be taken hold of, or where no more can be.
    fd: Option<OwnedFd>,
    killed: bool,
}

impl Held {
    fn add(&mut self, found: Vec<Orphan>) {
        for orphan in split(found).0 {
            let it = orphan.process.identity;
            let fd = || it.open().ok();
            self.0.entry((it.pid, it.start_ticks, it.inode)).or_insert_with(|| One { fd: fd(), orphan, killed: true });
        }
    }

    /// Sends `SIGTERM` to everybody and waits for their end.
    fn ask_politely(&mut self, grace: Duration) {
        if grace.is_zero() {
            return;
        }
        for one in self.0.values() {
            // One that is stopped acts on it when it goes on.
            for signal in [Signal::TERM, Signal::CONT] {
                let _gone = one.fd.as_ref().map(|fd| pidfd::send_signal(fd, signal.as_raw()));
            }
        }
        let end = Instant::now() + grace;
        while !self.living().is_empty() && Instant::now() < end {
            process::pause(PAUSE);
        }
        self.0.values_mut().for_each(|one| one.killed = !has_ended(one));
    }

    /// Those who live, as far as one can tell. Once an orphan, always one: also if what told so is gone by now.
    fn living(&self) -> Vec<Identity> {
        let living = self.0.values().filter(|one| one.fd.is_some() && !has_ended(one));
        living.map(|one| one.orphan.process.identity).collect()
    }

    /// How those ended that have ended.
    fn ended(self) -> Vec<Ended> {
        let end = Instant::now() + REAPED;
        let gone: Vec<One> = self.0.into_values().filter(has_ended).collect();
        let exit = |one: &One| one.fd.as_ref().and_then(pidfd::exit);
        while gone.iter().any(|one| exit(one).is_none() && is_zombie(one)) && Instant::now() < end {
            process::pause(PAUSE);
        }
        let ended = gone.iter().map(|one| Ended {
            process: one.orphan.process.identity,
            command: one.orphan.process.command.clone(),
            exit: exit(one),
            scope: one.orphan.scope.clone(),
            killed: one.killed,
        });
        ended.collect()
    }
}

fn has_ended(one: &One) -> bool {
    match &one.fd {
        Some(fd) => pidfd::has_exited(fd).unwrap_or(true),
        None => one.orphan.process.identity.open().is_err(),
    }
}

/// Whether its parent has not waited for it yet.
fn is_zombie(one: &One) -> bool {
    one.fd.as_ref().is_some_and(|fd| pidfd::send_signal(fd, 0).is_ok())
}

/// The kill, by the group where there is one.
struct Kill {
    hunt: Hunt,
    groups: HashMap<PathBuf, (Group, Option<Killer>)>,
}

impl Kill {
    /// Who is in no group is hunted first, with the groups frozen: their parents may be in there, and would be the
    /// last to tell whose they are.
    fn step(&mut self, wanted: &[Orphan], living: &[Identity]) {
        for directory in wanted.iter().filter_map(|orphan| orphan.group.as_ref()) {
            if !self.groups.contains_key(directory)
                && let Ok(group) = Group::at(directory)
            {
                // Where it cannot be frozen its members are killed all the same.
                let _moving = group.freeze(true);
                self.groups.insert(directory.clone(), (group, None));
            }
        }
        let members: Vec<Identity> =
            wanted.iter().filter(|orphan| orphan.group.is_some()).map(|orphan| orphan.process.identity).collect();
        let outside = wanted.iter().map(|orphan| orphan.process.identity).chain(living.iter().copied());
        let outside: Vec<Identity> = outside.filter(|it| !members.contains(it)).collect();
        let nobody_outside = outside.is_empty() || matches!(self.hunt.pass_on(&Quarry::These(&outside)), Pass::Gone);
        if nobody_outside || self.groups.values().any(|(_, killer)| killer.is_some()) {
            self.kill_groups();
        }
    }

    fn kill_groups(&mut self) {
        let now = Instant::now();
        self.groups.retain(|_, (group, killer)| {
            // If the one write fails, the steps kill one by one.
            let killer = killer.get_or_insert_with(|| Killer::start(group, now).0);
            killer.step(group, now) != Step::Empty
        });
    }

    fn due(&self) -> Instant {
        let killers = self.groups.values().filter_map(|(_, killer)| killer.as_ref());
        killers.map(Killer::due).chain([self.hunt.due()]).min().unwrap_or_else(Instant::now)
    }
}
