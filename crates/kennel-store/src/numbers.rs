//! `store.seq`: how far the numbers of events have been handed out.
//!
//! The database alone cannot say that: a power cut takes its last commits, which readers may have seen, and so does damage.
//! Three numbers stand here, in one small record that is written in place (so a full disk does not matter):
//!
//! - `newest`, written without a sync after each commit and before the publication. It survives every end of a process,
//!   and so is exact as long as the machine has not been booted since.
//! - `recorded`, written with it: what of that was committed. The two differ only while commits fail. A database that
//!   ends before it is damaged, however well it is formed: its log was cut, or a bit flipped in it.
//! - `silent`, likewise for commits that have no event: how many of them there were.
//! - `reserved`, written and **synced** before a number near it is handed out, a block ahead. No number beyond it was ever
//!   seen by anybody, whatever the disk has lost. One sync for [`BLOCK`] events.
//!
//! After a clean end `newest` is synced as well, and `clean` says so. An epoch in the upper bits would need no sync, but
//! would make every number unreadable for ever after the first power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::sum;

/// Numbers that are reserved at a time: the most that a power cut makes the numbering skip, for one sync (1-4 ms).
pub(crate) const BLOCK: u64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) reserved: u64,
    pub(crate) newest: u64,
    pub(crate) recorded: u64,
    pub(crate) silent_commits: u64,
    pub(crate) clean: bool,
    pub(crate) boot_id: String,
}

impl State {
    /// Whether all that was written is there: nothing was lost with the page cache.
    pub(crate) fn is_exact(&self, boot_id: &str) -> bool {
        self.clean || self.boot_id == boot_id
    }
}

/// What was found of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Intact,
    Damaged,
}

/// Where the numbering goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) next: u64,
    /// Numbers that may have been seen, and whose events are not there.
    pub(crate) lost: Option<RangeInclusive<u64>>,
}

/// Decides where the numbering goes on: never with a number that anybody may have seen, and without a gap where none is lost.
///
/// `last` is the newest number in the database, `now_s` the time in seconds since 1970.
pub(crate) fn begin(known: Option<&State>, last: u64, boot_id: &str, found: Found, now_s: u64) -> Start {
    let ceiling = match (known, found) {
        // The page cache has outlived the process, or there was nothing left to write back.
        (Some(state), _) if state.is_exact(boot_id) => state.newest,
        (Some(state), _) => state.reserved,
        (None, Found::Nothing) => last,
        // `store.seq` alone is gone; that a power cut took more than two blocks with it is one misfortune too many.
        (None, Found::Intact) => last + 2 * BLOCK,
        // Nothing is known. Less than one event a second since 1970 have been handed out by any kennel.
        (None, Found::Damaged) => now_s.max(last + 2 * BLOCK),
    };
    Start { next: last.max(ceiling) + 1, lost: (ceiling > last).then_some(last + 1..=ceiling) }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Numbers {
    file: File,
    state: State,
    /// What of `state.reserved` is known to be on the disk.
    granted: u64,
}

impl Numbers {
    /// Begins a new run: all that is known is synced.
    pub(crate) fn create(
        path: &Path,
        newest: u64,
        recorded: u64,
        silent_commits: u64,
        boot_id: &str,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let reserved = newest + BLOCK;
        let state = State { reserved, newest, recorded, silent_commits, clean: false, boot_id: boot_id.to_owned() };
        let mut numbers = Self { file, state, granted: 0 };
        numbers.write()?;
        numbers.file.sync_all()?;
        numbers.granted = reserved;
        Ok(numbers)
    }

    /// Whether events up to `seq` may be published.
    pub(crate) fn allows(&self, seq: u64) -> bool {
        seq <= self.granted
    }

    /// Whether it is time for [`Numbers::raise`], long before [`Numbers::allows`] says no.
    pub(crate) fn is_half_used(&self, seq: u64) -> bool {
        seq + BLOCK / 2 > self.granted
    }

    /// To be called before the publication of `seq`, and without a sync: it lasts as long as the page cache.
    pub(crate) fn published(&mut self, seq: u64, recorded: u64, silent_commits: u64) -> io::Result<()> {
        let State { newest, recorded: known, silent_commits: silent, .. } = &mut self.state;
        if (*newest, *known, *silent) == (seq, recorded, silent_commits) {
            return Ok(());
        }
        (*newest, *known, *silent) = (seq, recorded, silent_commits);
        self.write()
    }

    /// First half of a reservation: the caller syncs the file that is returned, without holding a lock, and then
    /// calls [`Numbers::grant`] with the number.
    pub(crate) fn raise(&mut self, seq: u64) -> io::Result<(File, u64)> {
        self.state.reserved = self.state.reserved.max(seq + BLOCK);
        self.write()?;
        Ok((self.file.try_clone()?, self.state.reserved))
    }

    pub(crate) fn grant(&mut self, reserved: u64) {
        self.granted = self.granted.max(reserved);
    }

    /// Says that the database is complete on the disk.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.state.clean = true;
        self.write()?;
        self.file.sync_all()
    }

    /// One write of one sector, in place.
    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(render(&self.state).as_bytes(), 0)
    }
}

/// `None` if there is no such file or it makes no sense.
pub(crate) fn read(path: &Path) -> Option<State> {
    parse(&std::fs::read_to_string(path).ok()?)
}

fn render(state: &State) -> String {
    let State { reserved, newest, recorded, silent_commits, clean, boot_id } = state;
    let clean = u8::from(*clean);
    let numbers = format!("reserved {reserved:020} newest {newest:020} recorded {recorded:020}");
    let text = format!("kennel 2 {numbers} silent {silent_commits:020} clean {clean} boot {boot_id}");
    format!("{text} sum {:016x}\n", sum::of([text.as_bytes()]))
}

fn parse(text: &str) -> Option<State> {
    let (text, given) = text.lines().next()?.rsplit_once(" sum ")?;
    let (version, rest) = text.strip_prefix("kennel ")?.split_once(' ')?;
    let mut words = rest.split(' ');
    let mut value = |name: &str| words.next().filter(|word| *word == name).and_then(|_| words.next());
    let state = State {
        reserved: value("reserved")?.parse().ok()?,
        newest: value("newest")?.parse().ok()?,
        recorded: value("recorded")?.parse().ok()?,
        // Version 1 was written before there was anything but events.
        silent_commits: if version == "1" { 0 } else { value("silent")?.parse().ok()? },
        clean: value("clean")? == "1",
        boot_id: value("boot")?.to_owned(),
    };
    (u64::from_str_radix(given, 16) == Ok(sum::of([text.as_bytes()]))).then_some(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    fn state(newest: u64, clean: bool) -> State {
        State { reserved: newest + 7000, newest, recorded: newest, silent_commits: 5, clean, boot_id: "a".into() }
    }

    #[test]
    fn there_is_a_gap_only_where_something_may_be_missing() {
        let next = |known: Option<&State>, last, boot, found| begin(known, last, boot, found, 1_800_000_000).next;
        assert_eq!(next(None, 0, "a", Found::Nothing), 1);
        assert_eq!(next(Some(&state(50, false)), 50, "a", Found::Intact), 51, "killed");
        assert_eq!(next(Some(&state(50, false)), 51, "a", Found::Intact), 52, "killed before it could say so");
        assert_eq!(next(Some(&state(50, true)), 50, "b", Found::Intact), 51, "booted after a clean end");
        assert_eq!(next(Some(&state(50, false)), 50, "b", Found::Intact), 7051, "power cut");
        assert_eq!(next(Some(&state(50, false)), 0, "a", Found::Nothing), 51, "somebody removed the database");
        assert_eq!(next(None, 0, "a", Found::Damaged), 1_800_000_001);
        assert_eq!(begin(Some(&state(50, false)), 40, "a", Found::Damaged, 0).lost, Some(41..=50));
        assert_eq!(begin(Some(&state(50, false)), 50, "a", Found::Intact, 0).lost, None);
    }

    proptest! {
        /// A life: numbers are published, some of them reach the disk, then the power fails. The disk has any
        /// earlier commit, and `store.seq` either as it was last written or as it was last synced.
        #[test]
        fn after_a_power_cut_no_number_is_given_twice(
            steps in proptest::collection::vec(1_u64..4000, 1..40), kept in 0_usize..40, written_back: bool,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store.seq");
            let mut numbers = Numbers::create(&path, 0, 0, 0, "a").unwrap();
            let mut synced = read(&path).unwrap();
            let mut seen = vec![0];
            for step in steps {
                let seq = seen.last().unwrap() + step;
                if !numbers.allows(seq) {
                    let (file, reserved) = numbers.raise(seq).unwrap();
                    file.sync_all().unwrap();
                    numbers.grant(reserved);
                    synced = read(&path).unwrap();
                }
                numbers.published(seq, seq, 0).unwrap();
                seen.push(seq);
            }
            let known = if written_back { read(&path).unwrap() } else { synced };
            let last = seen[kept.min(seen.len() - 1)];
            let start = begin(Some(&known), last, "b", Found::Intact, 0);
            prop_assert!(start.next > *seen.last().unwrap());
            prop_assert!(start.next <= seen.last().unwrap() + BLOCK + 4000);
        }

        #[test]
        fn what_was_damaged_is_not_believed(at in 0_usize..220, bit in 0_u8..8) {
            let mut bytes = render(&State { boot_id: "0".repeat(36), ..state(50, false) }).into_bytes();
            let at = at.min(bytes.len() - 2);
            bytes[at] ^= 1 << bit;
            let found = String::from_utf8(bytes).ok().and_then(|text| parse(&text));
            prop_assert!(found.is_none() || found == Some(State { boot_id: "0".repeat(36), ..state(50, false) }), "{found:?}");
        }
    }
}
