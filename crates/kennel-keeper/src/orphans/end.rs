//! Ends orphans, and looks again until none is there.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::identity::Identity;
use kennel_sys::tag::Tag;
use kennel_sys::wait::Exit;
use kennel_sys::{pidfd, process};
use rustix::process::Signal;

use super::Orphan;
use crate::hunt::{Chosen, Hunt, Pass, Quarry};

/// Pause between two looks at who goes.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the parents of the dead may take to wait for them: only then the kernel tells how they ended.
const REAPED: Duration = Duration::from_millis(500);

/// How patient an ending is.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Time between `SIGTERM` and the kill; without any there is no `SIGTERM`.
    pub grace: Duration,
    /// Longest time for the kill.
    pub limit: Duration,
    /// Whoever carries the tag of one that is to be ended is to be ended as well, also one that `find` was not quick enough
    /// to see.
    pub whole_scopes: bool,
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
    /// Scopes of which somebody was seen last who was gone before a closer look: a successor may live, and nobody can be named.
    pub unseen: usize,
}

/// What a look has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Those that are to be ended.
    pub orphans: Vec<Orphan>,
    /// Tags of others that were gone before they could be looked at, and may have successors: see [`super::fleeting`].
    pub fleeting: HashSet<Tag>,
}

/// Ends those that were found and whatever `find` answers, until it answers with nobody any more or the time is over.
///
/// `find` is asked again and again: each time it reads the machine anew and names those that are to be ended. Blocks,
/// so it is for a thread that has nothing else to do.
///
/// # Errors
/// What `find` fails with; those that were killed by then are.
pub fn end(mut found: Found, mut find: impl FnMut() -> io::Result<Found>, ending: Ending) -> io::Result<Outcome> {
    let mut held = Held::default();
    held.add(found.orphans.clone());
    if !ending.grace.is_zero() {
        held.ask_politely(ending.grace);
        found = find()?;
    }
    let until = Instant::now() + ending.limit;
    loop {
        held.add(found.orphans.clone());
        let (wanted, refused) = split(found.orphans.clone());
        let living = held.living();
        let nobody = wanted.is_empty() && living.is_empty() && found.fleeting.is_empty();
        if nobody || Instant::now() >= until {
            break;
        }
        let spared = refused.iter().map(|orphan| orphan.process.identity.pid).collect();
        let tags = std::mem::take(&mut found.fleeting);
        kill(&wanted, &living, Chosen { spared, tags, ..Chosen::default() }, ending.whole_scopes, until);
        found = find()?;
    }
    let unseen = found.fleeting.len();
    let (left, refused) = split(found.orphans);
    Ok(Outcome { ended: held.ended(), left, refused, unseen })
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

/// One round: whoever is in no group is hunted, with the groups frozen, and then the groups are killed. Their members may
/// be the parents of those outside, and would be the last to tell whose they are.
fn kill(wanted: &[Orphan], living: &[Identity], mut chosen: Chosen, whole_scopes: bool, until: Instant) {
    let mut directories: Vec<&PathBuf> = wanted.iter().filter_map(|orphan| orphan.group.as_ref()).collect();
    directories.sort_unstable();
    directories.dedup();
    let groups: Vec<Group> = directories.into_iter().filter_map(|directory| Group::at(directory).ok()).collect();
    for group in &groups {
        // Where it cannot be frozen its members are killed all the same.
        let _moving = group.freeze(true);
    }
    let (inside, outside): (Vec<&Orphan>, Vec<&Orphan>) = wanted.iter().partition(|orphan| orphan.group.is_some());
    let members: HashSet<Identity> = inside.iter().map(|orphan| orphan.process.identity).collect();
    chosen.known.extend(outside.iter().map(|orphan| orphan.process.identity));
    chosen.known.extend(living.iter().filter(|it| !members.contains(it)));
    chosen.tags.extend(outside.iter().filter(|_| whole_scopes).filter_map(|orphan| orphan.evidence.stamp));
    hunt(&chosen, until);
    empty(groups, until);
}

/// Without a look at anything else in between: who starts processes faster than they are looked for is stopped by haste
/// alone, and known by the tag that the newborn carry, too.
fn hunt(chosen: &Chosen, until: Instant) {
    let mut hunt = Hunt::wary(Instant::now());
    while !matches!(hunt.pass_on(&Quarry::These(chosen)), Pass::Gone) && Instant::now() < until {
        process::pause(hunt.due().saturating_duration_since(Instant::now()));
    }
}

/// Side by side, for they die faster so.
fn empty(groups: Vec<Group>, until: Instant) {
    // If the one write fails, the steps kill one by one.
    let begin = |group| {
        let killer = Killer::start(&group, Instant::now()).0;
        (group, killer)
    };
    let mut groups: Vec<(Group, Killer)> = groups.into_iter().map(begin).collect();
    while !groups.is_empty() && Instant::now() < until {
        groups.retain_mut(|(group, killer)| killer.step(group, Instant::now()) != Step::Empty);
        if !groups.is_empty() {
            process::pause(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_sys::tag::Instance;

    use super::*;

    /// Where the machine has so much to do that nobody of a lineage lives long enough to be looked at.
    #[test]
    fn who_is_gone_before_every_look_is_not_taken_for_ended() {
        // Open until the end: its inode, by which the instance is named, could be that of another test's else.
        let lock = tempfile::tempfile().unwrap();
        let tag = Instance::of(&lock).unwrap().tag(7);
        let found = || Found { orphans: Vec::new(), fleeting: [tag].into() };
        let ending = Ending { grace: Duration::ZERO, limit: Duration::ZERO, whole_scopes: true };
        let outcome = end(found(), || Ok(found()), ending).unwrap();
        assert_eq!((outcome.left.len(), outcome.unseen), (0, 1));
        // And once nobody is seen any more, nobody is there.
        let ending = Ending { limit: Duration::from_secs(30), ..ending };
        let outcome = end(found(), || Ok(Found::default()), ending).unwrap();
        assert_eq!((outcome.left.len(), outcome.unseen), (0, 0));
    }
}
