//! What one round does, all of it drawn from the round's seed.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Mode, Victim};

/// Most services of a round.
const SERVICES: u64 = 40;

/// Shapes of the bad child that a service may have, and how often of [`SHARES`].
const SHAPES: [(&str, u64); 10] = [
    ("daemon", 6),
    ("plain", 3),
    ("ignores-term", 3),
    ("own-group", 2),
    ("holds-stdout", 2),
    ("empty-env", 2),
    ("eats-signal", 2),
    ("many 3", 2),
    ("lost-leader", 1),
    ("stopped", 1),
];
const SHARES: u64 = 24;

/// A small generator of numbers; the same seed gives the same ones on every machine.
///
/// Source: Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What kennel is doing when it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Burst {
    /// `up -d` starts everything.
    Start,
    /// Everything runs, and `down` stops it.
    Down,
    /// Everything runs, and `stop` stops it; keeper and daemon would stay.
    Stop,
}

/// The command that follows the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Ps,
    Down,
    Up,
}

/// One round.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) victim: Victim,
    pub(super) burst: Burst,
    /// From the moment that the victims are there (start) or the command was given (stop) to the strike.
    pub(super) delay: Duration,
    /// Of both, the daemon is hit first.
    pub(super) daemon_first: bool,
    /// The command that was under way is killed together with the victims, so that it cannot begin anew.
    pub(super) client_too: bool,
    pub(super) next: Next,
    /// At the end everything is started and ended once more; else only ended.
    pub(super) once_more: bool,
    /// The shape of each service, with its arguments.
    pub(super) shapes: Vec<&'static str>,
}

impl Plan {
    pub(super) fn draw(seed: u64, victims: &[Victim]) -> Self {
        let mut rng = Rng(seed);
        let victim = victims[usize::try_from(rng.below(victims.len() as u64)).unwrap_or(0)];
        let burst = [Burst::Start, Burst::Start, Burst::Down, Burst::Stop][usize::try_from(rng.below(4)).unwrap_or(0)];
        let services = 4 + rng.below(SERVICES - 3);
        // As long as such a burst takes; its first moments are the ones with the most steps.
        let most = match (rng.one_in(3), burst) {
            (true, _) => 10_000,
            (false, Burst::Start) => 2_000 * services,
            (false, Burst::Down | Burst::Stop) => 120_000,
        };
        let delay = Duration::from_micros(rng.below(most));
        let daemon_first = rng.one_in(2);
        let client_too = !rng.one_in(3);
        let next = [Next::Ps, Next::Down, Next::Up][usize::try_from(rng.below(3)).unwrap_or(0)];
        let once_more = rng.one_in(4);
        let shapes = (0..services).map(|_| shape(rng.below(SHARES))).collect();
        Self { victim, burst, delay, daemon_first, client_too, next, once_more, shapes }
    }

    /// The configuration. No readiness: everything is started as fast as it can be.
    pub(super) fn config(&self, mode: Mode) -> String {
        let mut yaml = "services:\n".to_owned();
        for (index, shape) in self.shapes.iter().enumerate() {
            let cell = index + 1;
            let words = shape.replace(' ', ", ");
            let _never_fails = writeln!(
                yaml,
                "  s{cell}:\n    command: ['@badchild@', --cell, '{cell}', {words}]\n    restart: always\n    \
                 stop_grace_period: 100ms"
            );
            if let Some(isolation) = mode.isolation() {
                let _never_fails = writeln!(yaml, "    isolation: {isolation}");
            }
        }
        yaml
    }
}

fn shape(mut at: u64) -> &'static str {
    for (shape, share) in SHAPES {
        if at < share {
            return shape;
        }
        at -= share;
    }
    SHAPES[0].0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_round() {
        let draw = |seed| format!("{:?}", Plan::draw(seed, &Victim::ALL));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_shares_are_all_there_are() {
        assert_eq!(SHAPES.iter().map(|(_, share)| share).sum::<u64>(), SHARES);
    }

    #[test]
    fn every_kind_of_round_comes_up() {
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::draw(seed, &Victim::ALL)).collect();
        for victim in Victim::ALL {
            for burst in [Burst::Start, Burst::Down, Burst::Stop] {
                assert!(plans.iter().any(|plan| plan.victim == victim && plan.burst == burst), "{victim:?} {burst:?}");
            }
        }
        assert!(plans.iter().all(|plan| (4..=SERVICES).contains(&(plan.shapes.len() as u64))));
    }
}
