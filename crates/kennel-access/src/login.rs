use std::time::{Duration, Instant};

use crate::{Digest, Secret};

/// How long a link is good.
const GOOD: Duration = Duration::from_secs(5 * 60);
/// Most links that are good at once; the oldest gives way.
const MOST: usize = 16;

/// Links that log a browser in, each once.
#[derive(Debug, Default)]
pub struct Logins(Vec<(Digest, Instant)>);

impl Logins {
    /// Makes one of this secret good.
    pub fn add(&mut self, secret: &Secret, now: Instant) {
        self.0.retain(|(_, end)| *end > now);
        let over = (self.0.len() + 1).saturating_sub(MOST);
        self.0.drain(..over);
        self.0.push((secret.digest(), now + GOOD));
    }

    /// Whether what was shown is good; it is not any more.
    pub fn take(&mut self, shown: &str, now: Instant) -> bool {
        let shown = Digest::of(shown);
        let mut found = None;
        for (at, (digest, _)) in self.0.iter().enumerate() {
            if digest.is(&shown) {
                found = Some(at);
            }
        }
        found.is_some_and(|at| self.0.remove(at).1 > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once_and_for_a_while() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        let [one, other] = [(); 2].map(|()| Secret::random().unwrap());
        logins.add(&one, now);
        logins.add(&other, now);
        assert!(!logins.take("x", now));
        assert!(logins.take(one.reveal(), now) && !logins.take(one.reveal(), now));
        assert!(!logins.take(other.reveal(), now + GOOD));
        logins.add(&one, now);
        for _ in 0..MOST {
            logins.add(&other, now);
        }
        assert!(!logins.take(one.reveal(), now), "the oldest has given way");
    }
}
