//! What services used over time: collected while they are sampled, and recorded once a minute.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_core::history::{FINE, Step};
use kennel_core::sample::{Rates, Sample};
use kennel_store::UsageLog;
use kennel_wire::HistoryRequest;

use super::runs::Kind;
use super::{Driver, TimerKey};
use crate::clock;
use crate::history::seconds;

/// Pause between two writes.
const RECORDED: Duration = Duration::from_secs(60);

/// What the driver knows of a history that is asked for; the rest is in the file.
#[derive(Debug, Default)]
pub(crate) struct Recollected {
    /// Names in `ps` that are meant; none: all.
    pub(crate) names: Option<Vec<String>>,
    /// Fine steps that are not recorded yet.
    pub(crate) waiting: Vec<(String, Step)>,
    /// Samples as they were taken, a step for the time before each.
    pub(crate) raw: Vec<(String, Vec<Step>)>,
}

impl Driver {
    /// Takes in what happened between two samples.
    pub(super) fn note_usage(&mut self, id: u64, sample: &Sample, rates: &Rates) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        let Some(step) = Step::between(rates, sample, unix_ms(sample.at), FINE) else { return };
        if self.sampling.collector.is_empty() {
            self.timers.arm(TimerKey::RecordUsage, Instant::now() + RECORDED);
        }
        self.sampling.collector.add(&run.name, step);
    }

    /// Hands over what is over, to be written beside everything else.
    pub(super) fn record_usage(&mut self) {
        let now = unix_ms(clock::now());
        let steps = self.sampling.collector.take(Some(now));
        if !self.sampling.collector.is_empty() {
            self.timers.arm(TimerKey::RecordUsage, Instant::now() + RECORDED);
        }
        let log = UsageLog::of(&self.home.state_dir);
        tokio::task::spawn_blocking(move || write(&log, &steps, now));
    }

    /// The same with all there is, at the end of this daemon.
    pub(super) async fn record_last_usage(&mut self) {
        let steps = self.sampling.collector.take(None);
        if steps.is_empty() {
            return;
        }
        let (log, now) = (UsageLog::of(&self.home.state_dir), unix_ms(clock::now()));
        let _panicked = tokio::task::spawn_blocking(move || write(&log, &steps, now)).await;
    }

    /// What is in memory of the history of these services.
    pub(super) fn recollect(&self, request: &HistoryRequest) -> Recollected {
        // One that is not declared any more has a history all the same.
        let named = |name: &String| self.named(std::slice::from_ref(name)).unwrap_or_else(|_| vec![name.clone()]);
        let names: Option<Vec<String>> =
            (!request.services.is_empty()).then(|| request.services.iter().flat_map(named).collect());
        let is_meant = |name: &str| names.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
        let waiting = self.sampling.collector.waiting().filter(|(name, _)| is_meant(name));
        let waiting = waiting.map(|(name, step)| (name.to_owned(), *step)).collect();
        let raw = if request.step_ms == Some(0) { self.raw_usage(is_meant) } else { Vec::new() };
        Recollected { names, waiting, raw }
    }

    fn raw_usage(&self, is_meant: impl Fn(&str) -> bool) -> Vec<(String, Vec<Step>)> {
        let rings = self.sampling.rings.iter();
        let runs = rings.filter_map(|(id, ring)| Some((self.runs.get(id)?, ring)));
        let runs = runs.filter(|(run, _)| matches!(run.kind, Kind::Slot) && is_meant(&run.name));
        let mut raw: Vec<(String, Vec<Step>)> = runs
            .map(|(run, ring)| {
                let samples = ring.all();
                let pairs = samples.iter().zip(samples.iter().skip(1));
                let steps = pairs.filter_map(|(before, sample)| {
                    // In milliseconds: seconds would throw away what was asked for.
                    let rates = sample.since(before)?;
                    let step = Step::between(&rates, sample, unix_ms(sample.at), 1)?;
                    Some(Step { begin: unix_ms(sample.at), ..step })
                });
                (run.name.clone(), steps.collect())
            })
            .collect();
        raw.sort_by(|a, b| a.0.cmp(&b.0));
        raw
    }
}

fn write(log: &UsageLog, steps: &[(String, Step)], now_ms: u64) {
    if let Err(error) = log.add(steps, seconds(now_ms)) {
        // A full disk: it is a loss that nothing rests on.
        tracing::warn!(%error, "what services used is not recorded");
    }
}

/// A time by the clock of the daemon as milliseconds since 1970, by the clock of the machine as it is now.
fn unix_ms(at: Duration) -> u64 {
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let ago = clock::now().saturating_sub(at);
    now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
}
