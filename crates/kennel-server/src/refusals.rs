//! What was refused, in the audit: all of it one by one as long as that is little, else how often.
//!
//! Whoever floods a door must not wash out of the audit what others did, nor fill the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kennel_engine::Handle;

/// So many are written one by one in one go.
const BURST: u32 = 200;
/// How long it takes until there is room for one more.
const EACH: Duration = Duration::from_secs(1);
/// How long those that were only counted wait until their number is written.
const COUNTED: Duration = Duration::from_secs(5);

/// Writes them. Shared by all doors.
#[derive(Debug, Clone)]
pub(crate) struct Refusals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Handle,
    room: Mutex<Room>,
}

/// How many may be written now.
#[derive(Debug)]
struct Room {
    left: u32,
    since: Instant,
    /// Those that were not written.
    counted: u64,
}

impl Room {
    fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, counted: 0 }
    }

    /// Whether there was some for one more.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_millis() / EACH.as_millis();
        if let Some(passed) = u32::try_from(passed).ok().filter(|passed| *passed > 0) {
            self.left = self.left.saturating_add(passed).min(BURST);
            self.since = now;
        }
        let is_room = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_room
    }
}

impl Refusals {
    pub(crate) fn new(engine: Handle) -> Self {
        Self(Arc::new(Inner { engine, room: Mutex::new(Room::new(Instant::now())) }))
    }

    /// Writes that this was refused to somebody: what was asked, and how it was answered.
    pub(crate) fn write(&self, actor: String, action: String, outcome: String) {
        let mut room = self.room();
        if room.take(Instant::now()) {
            return self.0.engine.audit(actor, action, "*".to_owned(), outcome);
        }
        room.counted += 1;
        if room.counted == 1 {
            let later = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(COUNTED).await;
                let counted = std::mem::take(&mut later.room().counted);
                let outcome = format!("{counted} more refused");
                later.0.engine.audit("several".to_owned(), "too many requests".to_owned(), "*".to_owned(), outcome);
            });
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_what_comes_now_and_then_is_written() {
        let begin = Instant::now();
        let mut room = Room::new(begin);
        let written = (0..10_000).filter(|_| room.take(begin)).count();
        assert_eq!(written, BURST as usize);
        let later = begin + 3 * EACH;
        assert_eq!((0..10).filter(|_| room.take(later)).count(), 3);
        let much_later = begin + 10_000 * EACH;
        assert_eq!((0..10_000).filter(|_| room.take(much_later)).count(), BURST as usize);
    }
}
