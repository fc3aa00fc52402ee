//! What a lost keeper was to keep: adopted on request, and what is left of it listed and ended on request. So the daemon
//! decides by its policy, and nothing is ignored.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use kennel_sys::cgroup;
use kennel_sys::tag::Tag;

use super::Keeper;
use crate::contain::reported;
use crate::hunt::living_carriers;
use crate::proto::{Adopt, Event, Stray};
use crate::tag::{Leftovers, Which};

/// Processes that left their leaf are named by this and their tag in hexadecimal. No leaf has such a name.
const TAG: &str = "tag:";

/// Hunts for processes in no leaf, by the name that they were listed with.
pub(super) type Hunted = Vec<(String, Leftovers)>;

impl Keeper {
    pub(super) fn adopt(&mut self, adopt: &Adopt, out: &mut Vec<Event>) {
        self.records.begin_adoption(adopt, self.contain.keeps(&adopt.leaf));
        if let Err(error) = self.contain.adopt(adopt, out) {
            out.push(Event::AdoptRefused { scope: adopt.scope, error });
        }
    }

    /// Everything that was to be kept and that nobody has adopted, and nobody ends already.
    pub(super) fn strays(&mut self) -> Vec<Stray> {
        let mut strays = self.contain.strays();
        strays.extend(self.strays_by_tag());
        strays
    }

    /// Processes in no leaf of ours that carry a tag of a scope to be kept, and no living one. Each is looked at once.
    fn strays_by_tag(&self) -> Vec<Stray> {
        // Only what a keeper has lost can be there.
        if !self.setup.follows_a_loss {
            return Vec::new();
        }
        let hunted: HashSet<&str> = self.hunted.iter().map(|(name, _)| name.as_str()).collect();
        let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (pid, tag) in living_carriers(|tag| self.is_stray(tag)) {
            let in_leaf = cgroup::of_process(pid).is_some_and(|path| self.contain.has_leaf(&path));
            if !in_leaf {
                found.entry(format!("{TAG}{:x}", tag.value())).or_default().push(pid);
            }
        }
        let found = found.into_iter().filter(|(name, _)| !hunted.contains(name.as_str()));
        found.map(|(leaf, pids)| Stray { leaf, processes: reported(&pids) }).collect()
    }

    fn is_stray(&self, tag: Tag) -> bool {
        tag.is_kept() && tag.instance() == self.tools.tags.instance() && !self.contain.holds_tag(tag)
    }

    /// Begins to end one that was listed.
    pub(super) fn kill_stray(&mut self, leaf: String, out: &mut Vec<Event>) {
        let tag = leaf.strip_prefix(TAG).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match tag.and_then(Tag::with_value).filter(|tag| self.is_stray(*tag)) {
            Some(tag) if !self.hunted.iter().any(|(name, _)| *name == leaf) => {
                let hunt = Leftovers::hunt(self.tools.tags.instance(), Which::Scope(tag));
                self.hunted.push((leaf, hunt));
            }
            Some(_) => {}
            None if self.contain.kill_stray(&leaf) => {}
            // Nobody is left of it: that is all that was asked for.
            None => out.push(Event::StrayEnded { leaf }),
        }
    }

    pub(super) fn strays_due(&self) -> Option<Instant> {
        self.hunted.iter().map(|(_, hunt)| hunt.due()).min()
    }

    /// Goes on with those that are being ended. Answers whether it looked.
    pub(super) fn hunt_strays(&mut self, now: Instant, out: &mut Vec<Event>) -> bool {
        let mut looked = false;
        for (name, hunt) in std::mem::take(&mut self.hunted) {
            if hunt.due() > now {
                self.hunted.push((name, hunt));
                continue;
            }
            looked = true;
            match hunt.go_on(&self.tools.tags) {
                Some(hunt) => self.hunted.push((name, hunt)),
                None => out.push(Event::StrayEnded { leaf: name }),
            }
        }
        looked
    }

    /// Whether something that was to be kept is left for a later keeper.
    pub(super) fn leaves_strays(&self) -> bool {
        self.contain.has_strays() || !living_carriers(|tag| self.is_stray(tag)).is_empty()
    }
}
