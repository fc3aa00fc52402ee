//! Leaves that a lost keeper was to keep: listed, adopted one by one, or ended on request. Never ended unasked.

use std::path::Path;
use std::time::Instant;

use kennel_sys::cgroup::{Group, Killer, Step};

use super::{Cgroups, SWEEP};
use crate::codec::{Malformed, Reader, Writer};
use crate::contain::reported;
use crate::proto::{self, AdoptError, Event};
use crate::saved::{read_group, write_group};
use crate::start::note;

/// A leaf that nobody has adopted.
pub(super) struct Stray {
    group: Group,
    /// While it is being ended, with the begin of that.
    killer: Option<(Killer, Instant)>,
}

impl Stray {
    pub(super) fn new(group: Group) -> Self {
        Self { group, killer: None }
    }

    pub(super) fn save<'a>(writer: &mut Writer<'a>, stray: &'a Self) {
        write_group(writer, &stray.group);
        writer.bool(stray.killer.is_some());
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut stray = Self::new(read_group(reader)?);
        if reader.bool()? {
            stray.kill();
        }
        Ok(stray)
    }

    fn leaf(&self) -> String {
        self.group.directory().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.killer.as_ref().map(|(killer, _)| killer.due())
    }

    /// Members, while it is being ended.
    pub(super) fn ending(&self) -> Vec<u32> {
        if self.killer.is_some() { self.group.members() } else { Vec::new() }
    }

    /// Whether it is about to be gone; what cannot be ended holds nobody up.
    pub(super) fn is_waited_for(&self) -> bool {
        self.killer.as_ref().is_some_and(|(_, begin)| begin.elapsed() < SWEEP)
    }

    fn kill(&mut self) {
        self.killer.get_or_insert_with(|| {
            let now = Instant::now();
            // If the one write fails, the steps kill one by one.
            let (killer, _failed) = Killer::start(&self.group, now);
            (killer, now)
        });
    }
}

impl Cgroups {
    /// What nobody has adopted and nobody ends, sorted by leaf. What has become empty by itself is dropped.
    pub(crate) fn strays(&mut self) -> Vec<proto::Stray> {
        self.strays.retain(|stray| {
            let lives = stray.killer.is_some() || stray.group.populated().unwrap_or(true);
            lives || stray.group.remove().is_err()
        });
        let idle = self.strays.iter().filter(|stray| stray.killer.is_none());
        let told = |stray: &Stray| proto::Stray { leaf: stray.leaf(), processes: reported(&stray.group.members()) };
        let mut strays: Vec<proto::Stray> = idle.map(told).collect();
        strays.sort_by(|one, other| one.leaf.cmp(&other.leaf));
        strays
    }

    /// Whether a cgroup is a leaf of a scope or a stray, or below one.
    pub(crate) fn has_leaf(&self, path: &Path) -> bool {
        let strays = self.strays.iter().map(|stray| &stray.group);
        self.live.values().map(|live| &live.group).chain(strays).any(|group| group.covers(path))
    }

    /// Whether any is left.
    pub(crate) fn has_strays(&self) -> bool {
        !self.strays.is_empty()
    }

    /// Begins to end one. Answers whether there is one with this name.
    pub(crate) fn kill_stray(&mut self, leaf: &str) -> bool {
        let mut named = self.strays.iter_mut().filter(|stray| stray.leaf() == leaf).peekable();
        let is_there = named.peek().is_some();
        named.for_each(Stray::kill);
        is_there
    }

    pub(crate) fn kill_strays(&mut self) {
        self.strays.iter_mut().for_each(Stray::kill);
    }

    /// Goes on with those that are being ended.
    pub(super) fn end_strays(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.strays.retain_mut(|stray| {
            let leaf = stray.leaf();
            let Some((killer, _)) = stray.killer.as_mut().filter(|(killer, _)| killer.due() <= now) else {
                return true;
            };
            match killer.step(&stray.group, now) {
                Step::Empty => {
                    out.push(Event::StrayEnded { leaf });
                    false
                }
                Step::Stuck => {
                    note!("{} does not get empty", stray.group.directory().display());
                    true
                }
                Step::Again => true,
            }
        });
    }

    /// Takes one out, to be adopted.
    pub(super) fn take_stray(&mut self, leaf: &str) -> Result<Group, AdoptError> {
        let Some(at) = self.strays.iter().position(|stray| stray.leaf() == leaf) else {
            let is_live = self.leaves.keys().any(|path| path.file_name().is_some_and(|name| name == leaf));
            let gathered = || self.place.leaf_named(leaf).filter(|(group, _)| group.populated().unwrap_or(true));
            return if is_live { Err(AdoptError::Taken) } else { gathered().map(|it| it.0).ok_or(AdoptError::Gone) };
        };
        if self.strays.get(at).is_some_and(|stray| stray.killer.is_some()) {
            return Err(AdoptError::Taken);
        }
        let group = self.strays.remove(at).group;
        if group.populated().unwrap_or(true) || group.remove().is_err() {
            return Ok(group);
        }
        Err(AdoptError::Gone)
    }

    /// Whether what is in a leaf is to outlive the keeper: all of an earlier one that nobody has adopted is.
    pub(crate) fn keeps(&self, leaf: &str) -> bool {
        let is_stray = self.strays.iter().any(|stray| stray.leaf() == leaf);
        is_stray || self.place.leaf_named(leaf).is_none_or(|(_, kept)| kept)
    }

    /// Puts one back that could not be adopted.
    pub(super) fn return_stray(&mut self, group: Group) {
        self.strays.push(Stray::new(group));
    }
}
