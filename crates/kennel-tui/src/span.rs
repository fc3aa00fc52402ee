//! How far back charts go, and what was recorded as the values of a chart.

use jiff::Timestamp;
use kennel_wire::UsagePoint;

use crate::state::Point;

/// How much time a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Span {
    /// The looks so far, a bar for each.
    #[default]
    Looks,
    /// A quarter of an hour, from what was recorded.
    Quarter,
    Hour,
    SixHours,
    Day,
}

impl Span {
    /// The one after it.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Looks => Self::Quarter,
            Self::Quarter => Self::Hour,
            Self::Hour => Self::SixHours,
            Self::SixHours => Self::Day,
            Self::Day => Self::Looks,
        }
    }

    /// Its length in seconds; none: as long as somebody has looked.
    pub(crate) fn seconds(self) -> Option<u32> {
        match self {
            Self::Looks => None,
            Self::Quarter => Some(900),
            Self::Hour => Some(3_600),
            Self::SixHours => Some(21_600),
            Self::Day => Some(86_400),
        }
    }

    /// In words; none where there is nothing to say.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Looks => None,
            Self::Quarter => Some("15 min"),
            Self::Hour => Some("1 hour"),
            Self::SixHours => Some("6 hours"),
            Self::Day => Some("1 day"),
        }
    }
}

/// What was recorded as `width` values, the youngest last; NaN where nothing was. Each is the mean of the CPU and the most memory of its
/// part of the last `seconds` before `now`. `step_s` is how much time each point is about.
pub(crate) fn spread(points: &[UsagePoint], step_s: f64, now: Timestamp, seconds: u32, width: usize) -> Vec<Point> {
    let mut sums = vec![(0.0, 0.0_f64, f64::NAN); width];
    #[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
    let part = f64::from(seconds) / width.max(1) as f64;
    for point in points {
        let begin = f64::from(seconds) - now.duration_since(point.time).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut off at both ends")]
        let (first, last) = ((begin / part).max(0.0) as usize, ((begin + step_s) / part).max(0.0) as usize);
        // A step that is longer than a part fills all that it is about; one that is over before it begins is not shown.
        if begin + step_s < 0.0 {
            continue;
        }
        for (sum, count, memory) in sums.iter_mut().take(last + 1).skip(first) {
            if let Some(cpu) = point.cpu_percent {
                (*sum, *count) = (*sum + cpu, *count + 1.0);
            }
            #[expect(clippy::cast_precision_loss, reason = "for a chart")]
            let used = point.memory_bytes.map_or(f64::NAN, |bytes| bytes as f64);
            *memory = memory.max(used);
        }
    }
    let value = |(sum, count, memory): (f64, f64, f64)| Point { cpu: sum / count, memory };
    sums.into_iter().map(value).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn point(now: Timestamp, ago: i64, cpu: f64, memory: u64) -> UsagePoint {
        let time = now.checked_sub(jiff::SignedDuration::from_secs(ago)).unwrap();
        serde_json::from_value(serde_json::json!({
            "time": time, "cpu_percent": cpu, "memory_bytes": memory, "processes": 1, "log_bytes": 0,
        }))
        .unwrap()
    }

    #[test]
    fn each_value_is_of_its_part_of_the_time() {
        let now = Timestamp::UNIX_EPOCH.checked_add(jiff::SignedDuration::from_hours(9)).unwrap();
        let points =
            [point(now, 95, 7.0, 7), point(now, 55, 10.0, 300), point(now, 52, 30.0, 100), point(now, 5, 50.0, 9)];
        let values = spread(&points, 1.0, now, 90, 9);
        let cpu: Vec<Option<f64>> = values.iter().map(|one| Some(one.cpu).filter(|cpu| !cpu.is_nan())).collect();
        assert_eq!(cpu, [None, None, None, Some(20.0), None, None, None, None, Some(50.0)]);
        assert_eq!((values[3].memory, values[8].memory), (300.0, 9.0));
        assert!(values[0].memory.is_nan());
    }

    #[test]
    fn a_long_step_has_no_gaps() {
        let now = Timestamp::UNIX_EPOCH.checked_add(jiff::SignedDuration::from_hours(9)).unwrap();
        let values = spread(&[point(now, 30, 8.0, 1)], 20.0, now, 60, 6);
        assert_eq!(
            values.iter().map(|one| one.cpu.is_nan()).collect::<Vec<_>>(),
            [true, true, true, false, false, false]
        );
        assert!(spread(&[], 1.0, now, 60, 0).is_empty());
    }
}
