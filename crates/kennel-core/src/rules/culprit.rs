//! Whose growth it is that made a stack too much.

use std::collections::BTreeMap;

/// What one instance has of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Which run.
    pub id: u64,
    /// Now.
    pub now: f64,
    /// Some ten seconds ago; nothing if it had not begun.
    pub lately: f64,
    /// The least of all readings that there are; nothing if it began within the last minute.
    pub before: f64,
}

/// Growth below this share of the threshold is no growth.
const GROWTH: f64 = 0.05;

/// Who is to blame: who has grown most of late, else, if nobody has grown to speak of, who has grown most at all, else who has
/// most. `None` if there is nobody. Of equals the youngest run.
///
/// A database with 5 GiB that was always there does not pay for the test runner that took the other three, nor does a test run that has
/// begun all its workers for the one that begins them now.
#[must_use]
pub fn blame(shares: &[Share], above: f64) -> Option<u64> {
    let at_all = || most(shares, |share| share.now - share.before, above * GROWTH);
    grows(shares, above).or_else(at_all).or_else(|| most(shares, |share| share.now, f64::NEG_INFINITY))
}

/// Who grows just now, most of all. `None` if nobody does to speak of.
#[must_use]
pub fn grows(shares: &[Share], above: f64) -> Option<u64> {
    most(shares, |share| share.now - share.lately, above * GROWTH)
}

fn most(shares: &[Share], key: fn(&Share) -> f64, least: f64) -> Option<u64> {
    let most = shares.iter().max_by(|one, other| key(one).total_cmp(&key(other)).then(one.id.cmp(&other.id)));
    most.filter(|share| key(share) >= least).map(|share| share.id)
}

/// One process of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// What it has of the figure by itself; 1 where processes are counted.
    pub weight: f64,
}

/// The process whose growth it is: the deepest one that has, with all below it, more than half of everything. `None` if there is
/// nobody.
///
/// Everything is below the main process, so that would be no answer; and of a pool of workers each has little.
#[must_use]
pub fn root_of(members: &[Member]) -> Option<u32> {
    let index: BTreeMap<u32, usize> = members.iter().enumerate().map(|(at, member)| (member.pid, at)).collect();
    let mut sums: Vec<f64> = members.iter().map(|member| member.weight).collect();
    let mut depths = vec![0_usize; members.len()];
    for (at, member) in members.iter().enumerate() {
        // As far up as parents are members; a number that was used again cannot make a ring longer than all.
        let (mut above, mut steps) = (member.ppid, 0);
        while let Some(parent) = index.get(&above).copied().filter(|parent| *parent != at && steps < members.len()) {
            if let (Some(sum), Some(one)) = (sums.get_mut(parent), members.get(parent)) {
                *sum += member.weight;
                above = one.ppid;
            }
            steps += 1;
        }
        if let Some(depth) = depths.get_mut(at) {
            *depth = steps;
        }
    }
    let all: f64 = members.iter().map(|member| member.weight).sum();
    let found = members.iter().zip(sums).zip(depths);
    let heavy = found.clone().filter(|((_, sum), _)| *sum > all / 2.0);
    let deepest = heavy.max_by_key(|((_, _), depth)| *depth);
    let heaviest = || found.max_by(|((_, one), _), ((_, other), _)| one.total_cmp(other));
    deepest.or_else(heaviest).map(|((member, _), _)| member.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(pid: u32, ppid: u32, weight: f64) -> Member {
        Member { pid, ppid, weight }
    }

    #[test]
    fn the_parent_of_a_pool_is_blamed_and_not_the_shell_above_it() {
        let mut tree = vec![member(1, 0, 1.0), member(2, 1, 1.0), member(3, 2, 1.0), member(4, 1, 1.0)];
        tree.extend((10..90).map(|pid| member(pid, 3, 1.0)));
        assert_eq!(root_of(&tree), Some(3));
    }

    #[test]
    fn a_hog_is_blamed_itself() {
        let tree = [member(1, 0, 10.0), member(2, 1, 10.0), member(3, 2, 900.0), member(4, 2, 20.0)];
        assert_eq!(root_of(&tree), Some(3));
    }

    #[test]
    fn those_whose_parent_is_gone_are_blamed_by_size() {
        let tree = [member(1, 0, 1.0), member(2, 77, 4.0), member(3, 77, 4.0), member(4, 77, 3.0)];
        assert_eq!(root_of(&tree), Some(3));
        assert_eq!(root_of(&[]), None);
        assert_eq!(root_of(&[member(5, 5, 1.0)]), Some(5));
        assert!(root_of(&[member(5, 6, 1.0), member(6, 5, 1.0)]).is_some(), "a ring ends");
    }

    /// One that has not changed of late.
    fn share(id: u64, before: f64, now: f64) -> Share {
        Share { id, now, lately: now, before }
    }

    #[test]
    fn growth_of_late_goes_before_growth_at_all() {
        let (first, second) = (share(1, 0.0, 44.0), Share { lately: 0.0, ..share(2, 0.0, 18.0) });
        assert_eq!(blame(&[first, second], 100.0), Some(2));
        assert_eq!(grows(&[first, second], 100.0), Some(2));
        assert_eq!(grows(&[first, share(2, 0.0, 18.0)], 100.0), None);
        let little = Share { lately: 17.0, ..second };
        assert_eq!(blame(&[first, little], 100.0), Some(1), "a process more is no growth");
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
