//! How soon to look at a figure again: never while nothing happens, often when it is near or grows fast.

use std::time::Duration;

/// The shortest pause between two looks.
pub const QUICKEST: Duration = Duration::from_millis(250);

/// The pause where it is far and not known yet how fast it grows, and from half of a threshold on.
pub const USUAL: Duration = Duration::from_secs(1);

/// The longest pause while something changes: within it a process that takes a GiB a second is still far below the usual thresholds.
pub const SLOWEST: Duration = Duration::from_secs(3);

/// A figure and its threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearness {
    /// Now.
    pub value: f64,
    /// Change a second, if there were two looks.
    pub slope: Option<f64>,
    /// What is too much.
    pub above: f64,
}

/// The pause until the next look: a quarter of the time that is left at this pace, within the bounds. A figure that is past
/// its threshold is looked at as usual, for the rungs that may be due.
#[must_use]
pub fn next(figures: &[Nearness]) -> Duration {
    figures.iter().map(one).min().unwrap_or(SLOWEST)
}

fn one(figure: &Nearness) -> Duration {
    let left = figure.above - figure.value;
    if left <= 0.0 {
        return Duration::from_secs(1);
    }
    // With half of it used up another process of the same kind is enough.
    let rest = if left < figure.above / 2.0 { USUAL } else { SLOWEST };
    match figure.slope {
        Some(slope) if slope > 0.0 => {
            let quarter = Duration::try_from_secs_f64(left / slope / 4.0).unwrap_or(SLOWEST);
            quarter.clamp(QUICKEST, rest)
        }
        Some(_) => rest,
        // Where it is near already, what comes may be quick.
        None if left < figure.above / 2.0 => QUICKEST,
        None => USUAL,
    }
}

/// After how many looks in a row at which nothing had changed nobody looks any more, where the kernel tells of activity.
const QUIET: u32 = 3;

/// Whether the figures of a stack are to be looked at, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vigil {
    /// Looks in a row at which nothing had changed.
    quiet: u32,
    /// Whether there is anything that runs.
    looks: bool,
}

/// The pause between looks at a stack in which nothing happens, where the kernel does not tell of activity: at first.
const IDLE_FIRST: Duration = Duration::from_secs(5);

/// The same at last.
const IDLE_LAST: Duration = Duration::from_secs(60);

impl Vigil {
    /// Something was heard of: activity, a start, an end. Says whether looking begins by it.
    pub fn wake(&mut self) -> bool {
        self.quiet = 0;
        !std::mem::replace(&mut self.looks, true)
    }

    /// A look is done. `changed`: CPU time was used to speak of, or a figure is another; `told`: whether the kernel tells
    /// of activity; `open`: whether a rule waits for more readings. Answers with the pause until the next one, or none: nobody
    /// looks any more until something is heard of.
    pub fn looked(&mut self, changed: bool, told: bool, open: bool, figures: &[Nearness]) -> Option<Duration> {
        self.quiet = if changed { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet < QUIET || open {
            return Some(next(figures));
        }
        if told {
            *self = Self::default();
            return None;
        }
        let doubled = IDLE_FIRST.saturating_mul(1 << (self.quiet - QUIET).min(8));
        Some(doubled.min(IDLE_LAST))
    }

    /// Whether it is looked at.
    #[must_use]
    pub fn looks(&self) -> bool {
        self.looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, slope: Option<f64>) -> Nearness {
        Nearness { value, slope, above: 100.0 }
    }

    #[test]
    fn the_nearer_and_faster_the_sooner() {
        assert_eq!(next(&[]), SLOWEST);
        assert_eq!(next(&[figure(3.0, None)]), USUAL);
        assert_eq!(next(&[figure(60.0, None)]), QUICKEST);
        assert_eq!(next(&[figure(3.0, Some(0.0))]), SLOWEST);
        assert_eq!(next(&[figure(60.0, Some(0.0))]), USUAL);
        assert_eq!(next(&[figure(60.0, Some(10.0))]), Duration::from_secs(1));
        assert_eq!(next(&[figure(20.0, Some(10.0)), figure(1.0, Some(0.0))]), Duration::from_secs(2));
        assert_eq!(next(&[figure(60.0, Some(1_000.0))]), QUICKEST);
        assert_eq!(next(&[figure(160.0, Some(5.0))]), Duration::from_secs(1));
    }

    #[test]
    fn nobody_looks_where_nothing_happens() {
        let mut vigil = Vigil::default();
        assert!(vigil.wake());
        assert!(!vigil.wake());
        assert!(vigil.looked(true, true, false, &[]).is_some());
        assert!(vigil.looked(false, true, false, &[]).is_some());
        assert!(vigil.looked(false, true, false, &[]).is_some());
        assert_eq!(vigil.looked(false, true, true, &[]), Some(SLOWEST));
        assert_eq!(vigil.looked(false, true, false, &[]), None);
        assert!(!vigil.looks());
        assert!(vigil.wake());
        assert!(vigil.looked(false, true, false, &[]).is_some());
    }

    #[test]
    fn without_the_kernel_the_looks_get_rare() {
        let mut vigil = Vigil::default();
        vigil.wake();
        let pauses: Vec<_> = (0..12).filter_map(|_| vigil.looked(false, false, false, &[])).collect();
        assert_eq!(pauses.len(), 12);
        assert_eq!(pauses[2], IDLE_FIRST);
        assert_eq!(pauses[11], IDLE_LAST);
        assert!(pauses[2..].windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
