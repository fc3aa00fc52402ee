//! Whose growth it is that made a stack too much.

/// What one instance has of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Which run.
    pub id: u64,
    /// Now.
    pub now: f64,
    /// The least of the last readings.
    pub before: f64,
}

/// Growth below this share of the threshold is no growth.
const GROWTH: f64 = 0.05;

/// Who is to blame: who has grown most, else, if nobody has grown to speak of, who has most. `None` if there is nobody. Of
/// equals the youngest run.
///
/// A database with 5 GiB that was always there does not pay for the test runner that took the other three.
#[must_use]
pub fn blame(shares: &[Share], above: f64) -> Option<u64> {
    let growth = |share: &Share| share.now - share.before;
    let most = |key: fn(&Share) -> f64| {
        shares.iter().max_by(|one, other| key(one).total_cmp(&key(other)).then(one.id.cmp(&other.id)))
    };
    let grown = most(|share| share.now - share.before).filter(|share| growth(share) >= above * GROWTH);
    grown.or_else(|| most(|share| share.now)).map(|share| share.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(id: u64, before: f64, now: f64) -> Share {
        Share { id, now, before }
    }

    #[test]
    fn growth_is_blamed_and_not_size() {
        assert_eq!(blame(&[share(1, 5.0, 5.0), share(2, 0.1, 3.0), share(3, 0.0, 0.2)], 8.0), Some(2));
    }

    #[test]
    fn without_growth_size_is() {
        assert_eq!(blame(&[share(1, 5.0, 5.1), share(2, 3.0, 3.3)], 8.0), Some(1));
        assert_eq!(blame(&[], 8.0), None);
        assert_eq!(blame(&[share(4, 1.0, 4.0), share(7, 1.0, 4.0)], 8.0), Some(7));
    }
}
