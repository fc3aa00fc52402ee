//! The record of a running daemon. One that is found at the start is of a daemon that could not say goodbye.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state;

/// Name of the file, in the state directory.
const FILE: &str = "running.json";
/// Most earlier daemons that are remembered: one that dies at each start must not fill the disk.
const MOST: usize = 16;

/// What is known of a daemon that was ended by force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// Its process id.
    pub pid: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// `/proc/sys/kernel/random/boot_id` of its time.
    pub boot_id: String,
    /// Why it was shutting down, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    own: Terminated,
    /// Those before, as long as it is not known that nothing of them is left; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Terminated>,
}

/// This daemon's own record, which says that it runs until [`Running::end`].
#[derive(Debug)]
pub struct Running {
    path: PathBuf,
    record: Record,
}

impl Running {
    /// Finds out which daemons before this one were ended by force, oldest first, and records that this one runs.
    /// Their records stay until [`Running::cleared`]. The caller holds the lock of the instance, so there is no other.
    ///
    /// A record that cannot be read is replaced, with a warning: that there is one is what counts.
    ///
    /// # Errors
    /// What the file system says, naming the file.
    pub fn begin(directory: &Path, boot_id: &str) -> io::Result<(Self, Vec<Terminated>)> {
        let path = directory.join(FILE);
        let found = match state::read::<Record>(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::InvalidData || is_json(&error) => {
                tracing::warn!(%error, "the record of an earlier daemon is damaged; it was ended by force");
                None
            }
            Err(error) => return Err(error),
        };
        let earlier = found.map(|found| found.all(during(directory))).unwrap_or_default();
        let own = Terminated {
            pid: std::process::id(),
            started_at: Timestamp::now(),
            boot_id: boot_id.to_owned(),
            during: None,
        };
        let running = Self { path, record: Record { own, earlier: earlier.clone() } };
        state::replace(&running.path, &running.record)?;
        Ok((running, earlier))
    }

    /// Nothing is left of the daemons before this one.
    ///
    /// # Errors
    /// What the file system says, naming the file.
    pub fn cleared(&mut self) -> io::Result<()> {
        self.record.earlier.clear();
        state::replace(&self.path, &self.record)
    }

    /// This daemon ends as it should, and nothing is left of it. Those before it are still remembered, if they have to be.
    ///
    /// # Errors
    /// What the file system says, naming the file.
    pub fn end(mut self) -> io::Result<()> {
        match self.record.earlier.pop() {
            None => state::remove(&self.path),
            Some(last) => {
                self.record.own = last;
                state::replace(&self.path, &self.record)
            }
        }
    }
}

impl Record {
    /// All daemons in it, the last of which was in the middle of something.
    fn all(mut self, during: Option<String>) -> Vec<Terminated> {
        self.own.during = self.own.during.or(during);
        self.earlier.push(self.own);
        let surplus = self.earlier.len().saturating_sub(MOST);
        self.earlier.drain(..surplus);
        self.earlier
    }
}

/// Why the last daemon was shutting down, if it did not come to the end of it.
fn during(directory: &Path) -> Option<String> {
    let state = state::last(directory).ok().flatten()?;
    state.report.is_none().then_some(state.reason)
}

/// Errors of the parser have kinds of their own.
fn is_json(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]

    use std::fs;

    use kennel_wire::ShutdownState;

    use super::*;

    fn pids(found: &[Terminated]) -> Vec<u32> {
        found.iter().map(|one| one.pid).collect()
    }

    #[test]
    fn who_ends_as_it_should_leaves_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let (running, found) = Running::begin(dir.path(), "b").unwrap();
        assert!(found.is_empty());
        running.end().unwrap();
        assert!(Running::begin(dir.path(), "b").unwrap().1.is_empty());
    }

    #[test]
    fn records_stay_until_all_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let begin = || Running::begin(dir.path(), "b").unwrap();
        drop(begin());
        let (second, found) = begin();
        assert_eq!(pids(&found), [std::process::id()]);
        assert_eq!(found[0].during, None);
        drop(second);
        let (third, found) = begin();
        assert_eq!(found.len(), 2, "the first one's leftovers were never cleared");
        // It says goodbye, but nobody knows that the others' leftovers are gone.
        third.end().unwrap();
        let (mut fourth, found) = begin();
        assert_eq!(found.len(), 2);
        fourth.cleared().unwrap();
        fourth.end().unwrap();
        assert!(begin().1.is_empty());
    }

    #[test]
    fn who_was_shutting_down_is_known() {
        let dir = tempfile::tempdir().unwrap();
        drop(Running::begin(dir.path(), "b").unwrap());
        let state = ShutdownState { timestamp: Timestamp::now(), reason: "SIGTERM".into(), report: None };
        state::write(dir.path(), &state).unwrap();
        let (_running, found) = Running::begin(dir.path(), "b").unwrap();
        assert_eq!(found[0].during.as_deref(), Some("SIGTERM"));
    }

    #[test]
    fn a_damaged_record_does_not_stop_a_start() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"pid\": \"x\"}", "[]", "\0\0\0"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            Running::begin(dir.path(), "b").unwrap().0.end().unwrap();
        }
    }

    #[test]
    fn the_record_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            drop(Running::begin(dir.path(), "b").unwrap());
        }
        assert_eq!(Running::begin(dir.path(), "b").unwrap().1.len(), MOST);
    }
}
