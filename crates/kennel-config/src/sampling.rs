//! `sampling`: that everything is sampled always.

use std::time::Duration;

use kennel_core::model::Sampling;

use crate::diagnostic::Report;
use crate::duration;
use crate::reader::{Fields, Key, key, no_hint};
use crate::tree::Entry;

/// Keys of `sampling`.
pub(crate) const SAMPLING: &[Key] = &[key("interval", &["interval_seconds"])];

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);

/// `sampling: { interval: 5s }`.
pub(crate) fn read(report: &Report<'_>, entry: &Entry) -> Option<Sampling> {
    let fields = Fields::open(report, &entry.value, "`sampling`", SAMPLING, no_hint)?;
    let Some(given) = fields.get("interval") else {
        fields.missing(
            "interval",
            entry.key_span,
            "`sampling` has no `interval`".to_owned(),
            "for example `interval: 5s`",
        );
        return None;
    };
    let interval = duration::read(report, given)?;
    if !(SHORTEST..=LONGEST).contains(&interval) {
        let message = format!("`{}` must be between 200ms and 60s", given.key);
        report.error(given.value.span, "out_of_range", message);
        return None;
    }
    Some(Sampling { interval })
}
