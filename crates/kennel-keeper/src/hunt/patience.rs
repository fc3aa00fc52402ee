//! How long a tree is stopped before it is killed as it is, because it will not come to rest: somebody continues its
//! members.
//!
//! Measured in passes as well as in time. A pass over hundreds of processes on a busy machine takes as long as all
//! passes over a small tree, and a stop that was given up after one pass has stopped nothing: the kill that follows
//! makes room for those who still move, and the next stop begins with a full tree again.

use std::time::{Duration, Instant};

/// Shortest time of a stage.
const SPAN: Duration = Duration::from_millis(300);
/// So many passes in a row without fewer moving than ever before are in vain.
const IN_VAIN: u32 = 4;
/// More passes are never made before a kill, however well they go.
const MOST: u32 = 32;
/// Fewest passes that kill.
const KILLS: u32 = 2;

/// Whether to stop or to kill.
#[derive(Debug)]
pub(super) struct Patience {
    stage: Stage,
    since: Instant,
    passes: u32,
}

#[derive(Debug)]
enum Stage {
    /// `fewest` moved at once, and `in_vain` passes have not changed that.
    Stopping {
        fewest: usize,
        in_vain: u32,
    },
    Killing,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self { stage: Stage::Stopping { fewest: usize::MAX, in_vain: 0 }, since: now, passes: 0 }
    }

    /// Counts a pass that begins; answers whether it should kill the members as they are.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) > SPAN {
            match self.stage {
                Stage::Stopping { in_vain, .. } if in_vain >= IN_VAIN || self.passes >= MOST => {
                    *self = Self { stage: Stage::Killing, since: now, passes: 0 };
                }
                Stage::Killing if self.passes >= KILLS => *self = Self::new(now),
                Stage::Stopping { .. } | Stage::Killing => {}
            }
        }
        self.passes += 1;
        matches!(self.stage, Stage::Killing)
    }

    /// So many still move.
    pub(super) fn saw(&mut self, moving: usize) {
        if let Stage::Stopping { fewest, in_vain } = &mut self.stage {
            *in_vain = if moving < *fewest { 0 } else { *in_vain + 1 };
            *fewest = moving.min(*fewest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each pass does, `K` or `S`, if passes take so long and see so many move.
    fn course(pass: Duration, moving: impl Fn(usize) -> usize, passes: usize) -> String {
        let begin = Instant::now();
        let mut patience = Patience::new(begin);
        let mut now = begin;
        let mut one = |number| {
            now += pass;
            if patience.is_over(now) {
                return 'K';
            }
            patience.saw(moving(number));
            'S'
        };
        (0..passes).map(&mut one).collect()
    }

    #[test]
    fn a_tree_that_slows_down_is_stopped_however_long_a_pass_takes() {
        let slowly = |number: usize| 500 - number * 20;
        assert_eq!(course(Duration::from_secs(1), slowly, 20), "S".repeat(20));
    }

    #[test]
    fn a_tree_that_somebody_continues_is_killed_as_it_is_again_and_again() {
        assert_eq!(course(Duration::from_millis(50), |_| 40, 23), "SSSSSSKKKKKKKSSSSSSSKKK");
    }

    #[test]
    fn slow_passes_in_vain_are_few() {
        assert_eq!(course(Duration::from_secs(1), |_| 40, 12), "SSSSSKKSSSSS");
    }

    #[test]
    fn no_progress_is_good_enough_for_ever() {
        // One of a thousand fewer each time: somebody plays with us.
        let course = course(Duration::from_millis(50), |number| 1000 - number, 40);
        assert_eq!(course.find('K'), Some(usize::try_from(MOST).unwrap()), "{course}");
    }
}
