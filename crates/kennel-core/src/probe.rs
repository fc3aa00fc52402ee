//! Turns single probe answers into "ready" and "unhealthy" by counting them in rows.

/// Counts answers in a row. A verdict is given when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    passes_needed: u32,
    failures_needed: u32,
    row: Row,
    verdict: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Passes(u32),
    Failures(u32),
}

impl Counter {
    /// Thresholds of zero count as one.
    #[must_use]
    pub fn new(passes_needed: u32, failures_needed: u32) -> Self {
        Self {
            passes_needed: passes_needed.max(1),
            failures_needed: failures_needed.max(1),
            row: Row::Failures(0),
            verdict: None,
        }
    }

    /// As [`Counter::new`], for a probe that has given a verdict before.
    #[must_use]
    pub fn resumed(passes_needed: u32, failures_needed: u32, ready: bool) -> Self {
        Self { verdict: Some(ready), ..Self::new(passes_needed, failures_needed) }
    }

    /// Takes one answer; `Some(ready)` if the verdict changes with it. Before the first pass there is nothing to
    /// lose, so failures give no verdict until then.
    pub fn answer(&mut self, passed: bool) -> Option<bool> {
        self.row = match (self.row, passed) {
            (Row::Passes(row), true) => Row::Passes(row.saturating_add(1)),
            (Row::Failures(row), false) => Row::Failures(row.saturating_add(1)),
            (_, true) => Row::Passes(1),
            (_, false) => Row::Failures(1),
        };
        let verdict = match self.row {
            Row::Passes(row) if row >= self.passes_needed => Some(true),
            Row::Failures(row) if row >= self.failures_needed && self.verdict == Some(true) => Some(false),
            _ => None,
        };
        let changed = verdict.filter(|now| self.verdict != Some(*now));
        self.verdict = changed.or(self.verdict);
        changed
    }

    /// Whether the latest verdict is "ready".
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.verdict == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ready_needs_a_row_of_passes_and_its_loss_a_row_of_failures(
            answers in proptest::collection::vec(any::<bool>(), 0..60), passes in 1u32..5, failures in 1u32..5,
        ) {
            let mut counter = Counter::new(passes, failures);
            let (mut row, mut last) = (0, None);
            for answer in answers {
                row = if last == Some(answer) { row + 1 } else { 1 };
                last = Some(answer);
                let before = counter.is_ready();
                let change = counter.answer(answer);
                prop_assert_eq!(change.is_some(), before != counter.is_ready());
                if change == Some(true) {
                    prop_assert!(answer && row >= passes);
                }
                if change == Some(false) {
                    prop_assert!(!answer && row >= failures);
                }
                if answer && row >= passes {
                    prop_assert!(counter.is_ready());
                }
                if !answer && row >= failures {
                    prop_assert!(!counter.is_ready());
                }
            }
        }
    }
}
