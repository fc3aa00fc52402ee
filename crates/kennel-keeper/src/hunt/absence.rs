//! When nobody is believed to be left.
//!
//! A lineage whose members each fork a successor and end can be missed: everybody who was found is dead when it is looked
//! at. On a quiet machine one look proves that nobody is there, see [`kennel_sys::listing`]. Where others start programs
//! all the time there is no proof, but nobody slips through that often.

use std::time::{Duration, Instant};

/// So many looks in a row that find nobody are enough without a proof,
const LOOKS: u32 = 32;
/// if they took at least this long.
const SPAN: Duration = Duration::from_millis(300);

/// Looks in a row that found nobody.
#[derive(Debug, Default)]
pub(super) struct Absence {
    since: Option<Instant>,
    looks: u32,
}

impl Absence {
    /// Counts a look that began `now` and found nobody; answers whether that is to be believed.
    pub(super) fn is_certain(&mut self, is_proven: bool, now: Instant) -> bool {
        self.looks += 1;
        let since = *self.since.get_or_insert(now);
        is_proven || self.looks >= LOOKS && now.duration_since(since) >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the look that is believed, if each takes so long and none is proven but this one.
    fn believed(each: Duration, proven: u32) -> u32 {
        let begin = Instant::now();
        let mut absence = Absence::default();
        let mut looks = (1..).map(|number| (number, absence.is_certain(number == proven, begin + each * number)));
        looks.find_map(|(number, certain)| certain.then_some(number)).unwrap()
    }

    #[test]
    fn a_proof_is_enough_at_any_time() {
        assert_eq!(believed(Duration::ZERO, 1), 1);
        assert_eq!(believed(Duration::from_secs(1), 7), 7);
    }

    #[test]
    fn without_one_it_takes_many_looks_over_some_time() {
        assert_eq!(believed(Duration::from_secs(1), u32::MAX), LOOKS);
        // The first look is at 3 ms, the one at 303 ms is the first that is late enough.
        assert_eq!(believed(Duration::from_millis(3), u32::MAX), 101);
    }
}
