//! When a figure that grows will be too much: the line through its last readings.

use std::collections::VecDeque;
use std::time::Duration;

/// Readings that are kept at most.
const KEPT: usize = 24;

/// Readings that are older than this say nothing of what comes.
const WINDOW: Duration = Duration::from_secs(60);

/// Fewer readings are no line.
const LEAST: usize = 5;

/// A shorter time is no trend.
const SHORTEST: Duration = Duration::from_secs(3);

/// Share of the variation that the line has to explain.
const FIT: f64 = 0.9;

/// The last readings of one figure.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Trend {
    readings: VecDeque<(Duration, f64)>,
}

impl Trend {
    /// Takes another reading; the times ascend.
    pub(super) fn push(&mut self, at: Duration, value: f64) {
        self.readings.push_back((at, value));
        while self.readings.len() > KEPT
            || self.readings.front().is_some_and(|(then, _)| at.saturating_sub(*then) > WINDOW)
        {
            self.readings.pop_front();
        }
    }

    /// Nothing is known any more.
    pub(super) fn clear(&mut self) {
        self.readings.clear();
    }

    /// How long it takes from the last reading until the line reaches `above`. `None` if it does not grow, is no line, or
    /// is there already.
    pub(super) fn reaches(&self, above: f64) -> Option<Duration> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let over = last.0.checked_sub(first.0)?;
        if self.readings.len() < LEAST || over < SHORTEST || last.1 >= above {
            return None;
        }
        let (slope, fit) = self.line(last.0)?;
        if slope <= 0.0 || fit < FIT {
            return None;
        }
        // From where it is, not from where the line would have it.
        Duration::try_from_secs_f64((above - last.1) / slope).ok()
    }

    /// Slope a second of the least squares, and the share of the variation that it explains.
    fn line(&self, zero: Duration) -> Option<(f64, f64)> {
        let points = || self.readings.iter().map(move |(at, value)| (-zero.saturating_sub(*at).as_secs_f64(), *value));
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let count = self.readings.len() as f64;
        let (x, y) = points().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (x, y) = (x / count, y / count);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (at, value) in points() {
            let (dx, dy) = (at - x, value - y);
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
        (xx > 0.0 && yy > 0.0).then(|| (xy / xx, xy * xy / (xx * yy)))
    }
}
