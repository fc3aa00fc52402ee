//! The tags of scopes, and the search for what carries them when nothing else tells any more whose it is.
//!
//! Cgroups and reapers hold scopes together as long as they are there. When keeper and reaper were killed at once,
//! or keeper and daemon, or when a process went where neither sees it, the tag is what is left: see
//! [`kennel_sys::tag`].
//!
//! A kennel that runs inside of a service carries that service's tag on its keeper and daemon and gives its own
//! services other ones. It ends with the service, as everything in there does: whoever descends from a carrier is
//! hunted with it.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_sys::tag::{self, Instance, Tag};
use kennel_sys::{proc, process};

use crate::codec::{Reader, Writer};
use crate::hunt::{Hunt, Pass, Quarry};
use crate::start::note;

/// How long a start waits for leftovers to be gone; what is left after that is gone on with beside the rest.
const SWEEP: Duration = Duration::from_secs(3);

/// Gives out the tags of one keeper.
pub(crate) struct Tags {
    instance: Instance,
    /// Number of the first.
    begin: u32,
    next: Cell<u32>,
}

impl Tags {
    /// `lock` is held by this process.
    pub(crate) fn new(lock: &File) -> io::Result<Self> {
        // A process that an earlier keeper could not end may still have one of its numbers, so each begins
        // elsewhere: two keepers of one instance begin at different ticks.
        let begin = proc::stat(std::process::id()).map_or(0, |stat| stat.start_ticks.wrapping_mul(64));
        let begin = u32::try_from(begin & 0xffff_ffff).unwrap_or(0);
        Ok(Self { instance: Instance::of(lock)?, begin, next: Cell::new(begin) })
    }

    pub(crate) fn save(&self, writer: &mut Writer<'_>) {
        writer.u32(self.begin);
        writer.u32(self.next.get());
    }

    /// `lock` is held by this process, since before it had another program.
    pub(crate) fn load(reader: &mut Reader<'_>, lock: &File) -> io::Result<Self> {
        Ok(Self { begin: reader.u32()?, next: Cell::new(reader.u32()?), instance: Instance::of(lock)? })
    }

    /// `keep`: the scope is to outlive this keeper.
    pub(crate) fn next(&self, keep: bool) -> Tag {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let tag = self.instance.tag(number);
        if keep { tag.kept() } else { tag }
    }

    /// Whether this keeper has given a tag. One of an earlier keeper seems so only if both were started a multiple of 22
    /// minutes apart, to some ticks.
    pub(crate) fn gave(&self, tag: Tag) -> bool {
        let number = |number: u32| self.instance.tag(number).number();
        let given = self.next.get().wrapping_sub(self.begin);
        let place = number(tag.number().wrapping_sub(number(self.begin)));
        tag.instance() == self.instance && (place < given)
    }

    pub(crate) fn instance(&self) -> Instance {
        self.instance
    }
}

/// Which processes of an instance are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that are to outlive a keeper are somebody's to adopt.
    NotKept,
    /// Nothing is to be left.
    All,
    /// One scope alone.
    Scope(Tag),
}

impl Which {
    fn includes(self, instance: Instance, tag: Tag) -> bool {
        tag.instance() == instance
            && match self {
                Self::NotKept => !tag.is_kept(),
                Self::All => true,
                Self::Scope(scope) => tag == scope,
            }
    }
}

/// A hunt for processes of an instance, from a time when none of them may live.
pub(crate) struct Leftovers {
    instance: Instance,
    which: Which,
    hunt: Hunt,
}

impl Leftovers {
    /// Ends what there is. `None`: nothing is left; else what is to be gone on with.
    pub(crate) fn sweep(instance: Instance, which: Which) -> Option<Self> {
        // What starts us may itself be a leftover; we are none.
        let _kept = tag::shed(instance);
        let mut this = Self::hunt(instance, which);
        let begin = Instant::now();
        while begin.elapsed() < SWEEP {
            this.step(|_| false)?;
            process::pause(this.hunt.due().saturating_duration_since(Instant::now()));
        }
        Some(this)
    }

    /// Begins to end them, at the next [`Leftovers::go_on`].
    pub(crate) fn hunt(instance: Instance, which: Which) -> Self {
        Self { instance, which, hunt: Hunt::wary(Instant::now()) }
    }

    pub(crate) fn due(&self) -> Instant {
        self.hunt.due()
    }

    /// Who was left at the last look.
    pub(crate) fn left(&self) -> impl Iterator<Item = u32> {
        self.hunt.living()
    }

    /// Looks again, when due; `None` when nothing is left. By now this keeper may have scopes of its own.
    pub(crate) fn go_on(mut self, tags: &Tags) -> Option<Self> {
        match self.step(|tag| tags.gave(tag))? {
            Pass::Stuck(pids) => note!("what an earlier keeper left cannot be ended: {pids:?}"),
            Pass::Again | Pass::Gone => {}
        }
        Some(self)
    }

    /// One pass; `None` when nothing is left.
    fn step(&mut self, is_spared: impl Fn(Tag) -> bool) -> Option<Pass> {
        let (instance, which) = (self.instance, self.which);
        match self.hunt.pass_on(&Quarry::Tagged(&|tag| which.includes(instance, tag) && !is_spared(tag))) {
            Pass::Gone => None,
            pass => Some(pass),
        }
    }
}

/// Ends whatever carries a tag of the instance with this lock file and is not to outlive its keeper, for a daemon whose
/// keeper was lost. Returns when nothing is left; blocks, so it is for a thread of its own. `stuck` is told every five seconds who is left.
///
/// The caller holds the lock, so that nothing of the instance lives that should.
pub fn end_all(lock: &Path, mut stuck: impl FnMut(&[u32])) {
    // Without its file nobody can have the lock.
    let Ok(instance) = Instance::at(lock) else { return };
    let mut leftovers = Leftovers::hunt(instance, Which::NotKept);
    while let Some(pass) = leftovers.step(|_| false) {
        if let Pass::Stuck(pids) = pass {
            stuck(&pids);
        }
        process::pause(leftovers.due().saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_tags_are_known_and_no_others_also_where_the_numbers_begin_anew() {
        let file = tempfile::tempfile().unwrap();
        for begin in [0, 7, 0x7f_fff0, u32::MAX - 20] {
            let instance = Instance::of(&file).unwrap();
            let tags = Tags { instance, begin, next: Cell::new(begin) };
            assert!(!tags.gave(instance.tag(begin)));
            let given: Vec<Tag> = (0..50).map(|at| tags.next(at % 2 == 0)).collect();
            assert!(given.iter().all(|tag| tags.gave(*tag)), "{begin}");
            for other in [begin.wrapping_sub(1), begin.wrapping_add(50)] {
                assert!(!tags.gave(instance.tag(other)), "{begin} {other}");
            }
        }
    }
}
