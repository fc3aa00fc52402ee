//! How much of what was recorded a sink has not passed on, where its reader has found that something is gone.

/// What a sink has passed on, against what was recorded.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What was there to be passed on beside what was recorded since it began, bytes. Unknown until the sink was at the end once.
    before: Option<i128>,
    passed: u64,
    has_gap: bool,
}

impl Account {
    /// So many bytes were passed on.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.passed += bytes;
    }

    /// Something is gone before the reader has come to it.
    pub(super) fn gap(&mut self) {
        self.has_gap = true;
    }

    /// Whether [`Account::settle`] would say something.
    pub(super) fn is_open(&self) -> bool {
        self.has_gap || self.before.is_none()
    }

    /// At the end of all that there is: `recorded` bytes since the sink began, and `held` of them without the end of their line. Answers
    /// how many are missing where something is; 0 where nobody can know.
    pub(super) fn settle(&mut self, recorded: u64, held: u64) -> Option<u64> {
        let accounted = i128::from(self.passed) + i128::from(held) - i128::from(recorded);
        let missing = self.before.map_or(0, |before| (before - accounted).max(0));
        self.before = Some(accounted);
        std::mem::take(&mut self.has_gap).then(|| u64::try_from(missing).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_counted_once() {
        let mut account = Account::default();
        assert_eq!(account.settle(0, 7), None);
        // 100 come; 50 are passed on, 20 are gone, and of 30 the end of the line is missing, as before of 7 others.
        account.pass(57);
        account.gap();
        assert_eq!(account.settle(100, 30), Some(20));
        account.pass(60);
        assert_eq!(account.settle(130, 0), None);
        account.gap();
        assert_eq!(account.settle(131, 0), Some(1));
    }

    #[test]
    fn of_what_was_there_before_nobody_knows() {
        let mut account = Account::default();
        account.pass(1000);
        account.gap();
        assert!(account.is_open());
        assert_eq!(account.settle(10, 0), Some(0));
        assert!(!account.is_open());
        account.pass(5);
        account.gap();
        assert_eq!(account.settle(20, 2), Some(3));
    }
}
