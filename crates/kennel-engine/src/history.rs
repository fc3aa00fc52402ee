//! A history that is asked for: what the file has, what is not in it yet, and how it is divided.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kennel_core::history::{COARSE, FINE, Step, regroup};
use kennel_store::{FINE_KEPT, UsageLog};
use kennel_wire::{Code, HistoryRequest, Problem, UsageHistory, UsagePoint, UsageSeries};

use crate::driver::Recollected;

/// Without a begin, so much before the end.
const USUAL: SignedDuration = SignedDuration::from_mins(15);
/// Points of one service at most, where the step is not given.
const POINTS: u64 = 720;

/// Which time, in which steps; seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    since: u64,
    until: u64,
    /// 0: samples as they were taken.
    step: u64,
}

impl Span {
    /// # Errors
    /// `bad_request` if there is no time in it.
    pub(crate) fn of(request: &HistoryRequest, now: Timestamp) -> Result<Self, Problem> {
        let until = request.until.unwrap_or(now);
        let since = request.since.unwrap_or_else(|| until.saturating_sub(USUAL).unwrap_or(Timestamp::UNIX_EPOCH));
        if since >= until {
            return Err(Problem::new(Code::BadRequest, "`since` is not before `until`"));
        }
        let of = |time: Timestamp| u64::try_from(time.as_second()).unwrap_or(0);
        // The second that has begun is part of it.
        let (since, until) = (of(since), of(until) + 1);
        let is_old = of(now).saturating_sub(since) > FINE_KEPT;
        let unit = if is_old { COARSE } else { FINE };
        let step = match request.step_ms {
            Some(0) => 0,
            Some(ms) => ms.div_ceil(1000).next_multiple_of(unit),
            None => (until - since).div_ceil(POINTS).next_multiple_of(unit),
        };
        Ok(Self { since, until, step })
    }
}

/// Whole seconds.
pub(crate) fn seconds(ms: u64) -> u64 {
    ms / 1000
}

/// Reads the file and adds what is not in it yet. Not for a thread that must not wait.
pub(crate) fn put_together(state_dir: &Path, span: &Span, known: Recollected) -> Result<UsageHistory, Problem> {
    let Recollected { names, waiting, raw } = known;
    if span.step == 0 {
        let is_in = |step: &Step| (span.since..span.until).contains(&seconds(step.begin));
        let series = raw.into_iter().map(|(name, steps)| {
            let points = steps.iter().filter(|step| is_in(step)).map(|step| point(step, step.begin));
            UsageSeries { name, points: points.collect() }
        });
        return Ok(UsageHistory { step_ms: 0, series: series.collect() });
    }
    let services = names.unwrap_or_default();
    let recorded = UsageLog::of(state_dir).read(&services, span.since - span.since % span.step, span.until, span.step);
    let recorded = recorded.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let mut all: BTreeMap<String, Vec<Step>> = recorded.into_iter().collect();
    for (name, step) in waiting {
        if (span.since..span.until).contains(&step.begin) {
            all.entry(name).or_default().push(step);
        }
    }
    let series = all.into_iter().map(|(name, steps)| {
        let points = regroup(steps, span.step);
        UsageSeries { name, points: points.iter().map(|step| point(step, step.begin.saturating_mul(1000))).collect() }
    });
    Ok(UsageHistory { step_ms: span.step * 1000, series: series.collect() })
}

fn point(step: &Step, unix_ms: u64) -> UsagePoint {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let tenths = |percent: f64| (percent * 10.0).round() / 10.0;
    UsagePoint {
        time: time.unwrap_or(Timestamp::UNIX_EPOCH),
        cpu_percent: step.cpu_percent().map(tenths),
        cpu_percent_max: step.cpu_percent_max.map(tenths),
        memory_bytes: step.memory,
        memory_bytes_max: step.memory_max,
        processes: step.processes,
        read_bytes: step.read_bytes,
        written_bytes: step.written_bytes,
        log_bytes: step.log_bytes,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    fn span(since_ago: i64, step_ms: Option<u64>) -> Span {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let since = Timestamp::from_second(1_000_000_000 - since_ago).unwrap();
        let request = HistoryRequest { since: Some(since), step_ms, ..HistoryRequest::default() };
        Span::of(&request, now).unwrap()
    }

    #[test]
    fn the_step_fits_the_time() {
        assert_eq!(span(600, None).step, 10);
        assert_eq!(span(3600, None).step, 10);
        assert_eq!(span(86_400, None).step, 130);
        assert_eq!(span(7 * 86_400, None).step, 900);
        assert_eq!((span(600, Some(1)).step, span(600, Some(25_000)).step), (10, 30));
        assert_eq!((span(600, Some(0)).step, span(2 * 86_400, Some(10_000)).step), (0, 300));
        let now = Timestamp::UNIX_EPOCH;
        let request = HistoryRequest { since: Some(now), until: Some(now), ..HistoryRequest::default() };
        assert_eq!(Span::of(&request, now).unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn what_is_not_recorded_yet_counts() {
        let dir = tempfile::tempdir().unwrap();
        let step = Step { begin: 1000, over_ms: 5000, cpu_usec: Some(2_500_000), processes: 1, ..Step::default() };
        UsageLog::of(dir.path()).add(&[("web".to_owned(), step)], 1000).unwrap();
        let known =
            Recollected { waiting: vec![("web".to_owned(), step), ("db".to_owned(), step)], ..Recollected::default() };
        let history = put_together(dir.path(), &Span { since: 900, until: 1100, step: 10 }, known).unwrap();
        let names: Vec<&str> = history.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["db", "web"]);
        assert_eq!(history.series[1].points[0].cpu_percent, Some(50.0));
        assert_eq!(history.series[1].points.len(), 1);
    }
}
