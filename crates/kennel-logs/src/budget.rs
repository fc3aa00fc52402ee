//! What all logs of an instance take together, and what goes first.

use std::io;
use std::path::Path;

use crate::log;
use crate::segment::{self, Segment};

/// What a log takes on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Name of the log.
    pub name: String,
    /// All its segments, bytes.
    pub bytes: u64,
    /// How many segments it has.
    pub segments: usize,
}

/// What each log below `logs` takes, sorted by name.
#[must_use]
pub fn usage(logs: &Path) -> Vec<Usage> {
    let of = |name: String| {
        let segments = segment::list(&logs.join(&name));
        Usage { bytes: segments.iter().map(|one| one.bytes).sum(), segments: segments.len(), name }
    };
    segment::names(logs).into_iter().map(of).collect()
}

/// What [`keep_within`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// Name of the log and bytes of each segment that went.
    pub gone: Vec<(String, u64)>,
    /// What all logs together take now, bytes.
    pub left: u64,
}

/// Removes closed segments until all logs together take no more than `max`: the oldest of whoever has most goes first.
///
/// # Errors
/// What the system says when a file cannot be removed.
pub fn keep_within(logs: &Path, max: u64) -> io::Result<Trimmed> {
    let mut all: Vec<(String, Vec<Segment>)> =
        segment::names(logs).into_iter().map(|name| (name.clone(), segment::list(&logs.join(name)))).collect();
    let mut gone = Vec::new();
    for at in to_remove(&all.iter().map(|(_, segments)| &segments[..]).collect::<Vec<_>>(), max) {
        let Some((name, segments)) = all.get_mut(at).filter(|(_, segments)| !segments.is_empty()) else { continue };
        let oldest = segments.remove(0);
        log::remove(&logs.join(&*name), &oldest)?;
        gone.push((name.clone(), oldest.bytes));
    }
    let left = all.iter().flat_map(|(_, segments)| segments).map(|one| one.bytes).sum();
    Ok(Trimmed { gone, left })
}

/// Which logs lose their oldest segment, one after the other. The newest of a log is never taken: it is being written.
fn to_remove(all: &[&[Segment]], max: u64) -> Vec<usize> {
    let mut sizes: Vec<(u64, &[Segment])> =
        all.iter().map(|segments| (segments.iter().map(|one| one.bytes).sum(), *segments)).collect();
    let mut total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    let mut removed = Vec::new();
    while total > max {
        let fattest = sizes.iter_mut().enumerate().filter(|(_, (_, segments))| segments.len() > 1);
        let Some((at, (bytes, segments))) = fattest.max_by_key(|(_, (bytes, _))| *bytes) else { break };
        let Some((oldest, rest)) = segments.split_first() else { break };
        total -= oldest.bytes;
        *bytes -= oldest.bytes;
        *segments = rest;
        removed.push(at);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(sizes: &[u64]) -> Vec<Segment> {
        sizes.iter().zip(1..).map(|(bytes, number)| Segment { number, is_packed: true, bytes: *bytes }).collect()
    }

    proptest! {
        #[test]
        fn within_the_bound_or_nothing_left_to_remove(all in proptest::collection::vec(proptest::collection::vec(1..100_u64, 0..8), 0..6), max in 0..1500_u64) {
            let logs: Vec<Vec<Segment>> = all.iter().map(|sizes| segments(sizes)).collect();
            let slices: Vec<&[Segment]> = logs.iter().map(|log| &log[..]).collect();
            let removed = to_remove(&slices, max);
            let mut left: Vec<&[Segment]> = slices.clone();
            for at in &removed {
                prop_assert!(left[*at].len() > 1, "the newest stays");
                left[*at] = &left[*at][1..];
            }
            let total: u64 = left.iter().flat_map(|log| log.iter()).map(|one| one.bytes).sum();
            prop_assert!(total <= max || left.iter().all(|log| log.len() <= 1));
        }
    }

    #[test]
    fn the_fattest_gives_first() {
        let (small, fat) = (segments(&[10, 10]), segments(&[50, 50, 50]));
        assert_eq!(to_remove(&[&small, &fat], 100), [1, 1]);
        assert_eq!(to_remove(&[&small, &fat], 1000), [0; 0]);
    }
}
