//! Processes of ours that run untracked: no keeper holds them, and no daemon knows them.
//!
//! They are known by what the machine says, never by a command line: by the cgroup of a scope that they are in, by a
//! record of the process that was started, by the tag that everything of a scope inherits, or because they descend
//! from such a one. [`classify`] decides from what [`Machine::read`] has read; [`end`] ends what was found and looks
//! again until nothing of it is there; [`gather`] brings together what a keeper is to adopt.

mod classify;
#[cfg(test)]
mod properties;

mod groups;
mod read;

mod claim;
mod end;
mod gather;

pub use self::claim::{Claim, end_holders};
pub use self::classify::{
    Evidence, Known, Leaf, Machine, Match, Orphan, Process, Record, Tracked, Tracking, classify, fleeting,
};
pub use self::end::{Ended, Ending, Found, Outcome, end};
pub use self::gather::{GatherError, Gathering, gather};
pub use self::groups::{Root, clear, keeps_leaf, roots};
