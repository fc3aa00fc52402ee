//! Who is connected over TCP, within bounds: those who have shown a right, and strangers, of whom the oldest gives way.
//!
//! Strangers cost a connection each before anything is known of them. Were the newest refused, whoever opens many would keep
//! everybody else out; so the oldest goes, and who has something to say has said it long before it is the oldest.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Most strangers at once.
const STRANGERS: usize = 256;
/// Most connections of those who have shown a right.
const KNOWN: usize = 2048;

/// All who are connected.
#[derive(Debug, Clone)]
pub(crate) struct Crowd(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    next: u64,
    /// By the order in which they came; each with what tells it to go.
    strangers: BTreeMap<u64, oneshot::Sender<()>>,
    /// Connections of each name.
    known: HashMap<String, usize>,
    most: usize,
}

/// One connection, as long as it is open.
#[derive(Debug)]
pub(crate) struct Guest {
    crowd: Crowd,
    number: u64,
    /// As whom it counts once it has shown a right.
    name: Mutex<Option<String>>,
}

impl Crowd {
    /// `descriptors`: how many this process may have open; half of them stay for everything else.
    pub(crate) fn new(descriptors: Option<u64>) -> Self {
        let half = descriptors.and_then(|most| usize::try_from(most / 2).ok()).unwrap_or(usize::MAX);
        let most = KNOWN.min(half.saturating_sub(STRANGERS));
        let inside = Inside { next: 0, strangers: BTreeMap::new(), known: HashMap::new(), most };
        Self(Arc::new(Mutex::new(inside)))
    }

    /// Takes somebody in. The second says when it has to go, for it is the oldest of too many strangers; it is dropped unsaid once
    /// that cannot be any more.
    pub(crate) fn enter(&self) -> (Arc<Guest>, oneshot::Receiver<()>) {
        let mut inside = self.inside();
        if inside.strangers.len() >= STRANGERS
            && let Some((_, oldest)) = inside.strangers.pop_first()
        {
            // It may be going already.
            let _gone = oldest.send(());
        }
        let (go, gone) = oneshot::channel();
        let number = inside.next;
        inside.next += 1;
        inside.strangers.insert(number, go);
        drop(inside);
        (Arc::new(Guest { crowd: self.clone(), number, name: Mutex::default() }), gone)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// It has shown this right, and is no stranger from now on. Not if there are too many already, of this name or of all:
    /// one name alone never takes more than three quarters.
    pub(crate) fn is_known_as(&self, name: &str) -> bool {
        let mut own = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if own.is_some() {
            return true;
        }
        let mut inside = self.crowd.inside();
        let of_name = inside.known.get(name).copied().unwrap_or(0);
        if inside.known.values().sum::<usize>() >= inside.most || of_name >= inside.most / 4 * 3 {
            return false;
        }
        // Who was told to go a moment ago is on its way out.
        if inside.strangers.remove(&self.number).is_none() {
            return false;
        }
        *inside.known.entry(name.to_owned()).or_default() += 1;
        *own = Some(name.to_owned());
        true
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let own = self.name.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let mut inside = self.crowd.inside();
        inside.strangers.remove(&self.number);
        if let Some(name) = own
            && let Some(count) = inside.known.get_mut(&name)
        {
            *count -= 1;
            if *count == 0 {
                inside.known.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_gives_way_and_nobody_who_is_known() {
        let crowd = Crowd::new(None);
        let (friend, mut friend_goes) = crowd.enter();
        assert!(friend.is_known_as("token ci") && friend.is_known_as("token ci"));
        let mut guests: Vec<_> = (0..=STRANGERS).map(|_| crowd.enter()).collect();
        assert_eq!(guests[0].1.try_recv(), Ok(()), "one too many");
        assert!(guests[1].1.try_recv().is_err() && friend_goes.try_recv() != Ok(()));
        assert!(!guests[0].0.is_known_as("token ci"), "too late");
        drop(guests);
        assert!(crowd.inside().strangers.is_empty());
        drop(friend);
        assert!(crowd.inside().known.is_empty());
    }

    #[test]
    fn one_name_leaves_room_for_others() {
        let crowd = Crowd::new(Some(2 * 256 + 2 * 100));
        let known = |name: &str| Some(crowd.enter().0).filter(|guest| guest.is_known_as(name));
        let many: Vec<_> = (0..200).map_while(|_| known("token a")).collect();
        assert_eq!(many.len(), 75);
        let others: Vec<_> = (0..200).map_while(|_| known("token b")).collect();
        assert_eq!(others.len(), 25);
        drop(many);
        assert!(known("token a").is_some());
    }
}
