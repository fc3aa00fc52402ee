//! What is kept for how long: events, entries of the audit, and receipts that are not the newest of their service.

use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Limits on what is kept; what goes beyond them goes, oldest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of the audit as well.
    pub(crate) events: u64,
    /// Beside the newest of each service.
    pub(crate) receipts: i64,
    /// Services whose newest receipt is kept without a limit of age: `kennel run` makes new names for ever.
    pub(crate) services: i64,
    /// Pages in use, 4 KiB each. Freed ones are used again and the file does not shrink, so this bounds it as well, but for
    /// the state itself and what is spared.
    pub(crate) pages: i64,
    /// The newest events, and as many entries of the audit, do not go because of pages.
    pub(crate) spared: u64,
    pub(crate) age: jiff::SignedDuration,
}

/// 100,000 events, 2,000 receipts, 16 MiB, 30 days.
pub(crate) const LIMITS: Limits = Limits {
    events: 100_000,
    receipts: 2000,
    services: 10_000,
    pages: 4096,
    spared: 4096,
    age: jiff::SignedDuration::from_hours(30 * 24),
};

/// Most rows of a table that one look at the limits removes: it is done in the transaction of an append, and that must not
/// wait. More than [`LOOK_EVERY`], so that removing always keeps up.
const REMOVE: i64 = 1024;
/// Rows between two looks at the limits.
pub(crate) const LOOK_EVERY: u64 = 256;

/// Removes what is beyond the limits, the oldest first, and not everything at once.
pub(crate) fn prune(connection: &Connection, limits: Limits, newest: u64, now: Timestamp) -> rusqlite::Result<()> {
    let time = now.checked_sub(limits.age).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = i64::try_from(time.as_nanosecond()).unwrap_or(0);
    let used: i64 = connection.query_row(
        "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)",
        [],
        |row| row.get(0),
    )?;
    // Too big: a share of what there is, for nobody knows how big each one is.
    let surplus = if used > limits.pages { REMOVE } else { 0 };
    let receipts = prune_receipts(connection, limits, time, surplus)?;
    // An older receipt is in the event of its end as well, so it goes first.
    let surplus = if receipts == 0 { surplus } else { 0 };
    let below = |spared: u64| count(newest.saturating_sub(spared));
    connection.execute(
        "WITH oldest AS (SELECT seq, time, row_number() OVER (ORDER BY seq) AS at FROM events ORDER BY seq LIMIT ?1)
         DELETE FROM events WHERE seq IN
             (SELECT seq FROM oldest WHERE seq <= ?2 OR time < ?3 OR (at <= ?4 AND seq <= ?5))",
        params![REMOVE, below(limits.events), time, surplus, below(limits.spared)],
    )?;
    connection.execute(
        "WITH oldest AS (SELECT id, time, row_number() OVER (ORDER BY id) AS at FROM audit ORDER BY id LIMIT ?1)
         DELETE FROM audit WHERE id IN (SELECT id FROM oldest WHERE
             id <= (SELECT max(id) FROM audit) - ?2 OR time < ?3 OR (at <= ?4 AND id <= (SELECT max(id) FROM audit) - ?5))",
        params![REMOVE, count(limits.events), time, surplus, count(limits.spared)],
    )?;
    Ok(())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many went.
fn prune_receipts(connection: &Connection, limits: Limits, time: i64, surplus: i64) -> rusqlite::Result<usize> {
    connection.execute(
        "WITH newest AS (SELECT max(id) AS id FROM receipts GROUP BY service ORDER BY id DESC LIMIT ?1),
              others AS (SELECT id, time, row_number() OVER (ORDER BY id DESC) AS at,
                                row_number() OVER (ORDER BY id) AS from_oldest
                         FROM receipts WHERE id NOT IN (SELECT id FROM newest))
         DELETE FROM receipts WHERE id IN
             (SELECT id FROM others WHERE at > ?2 OR time < ?3 OR from_oldest <= ?4 ORDER BY id LIMIT ?5)",
        params![limits.services, limits.receipts, time, surplus, REMOVE],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use crate::change::Change;
    use crate::events::{self, Row};
    use crate::records;
    use crate::waiting::Entry;
    use kennel_wire::{Event, EventKind};

    const NONE: Limits = Limits {
        events: 10_000,
        receipts: 10_000,
        services: 10_000,
        pages: 10_000,
        spared: 0,
        age: jiff::SignedDuration::from_hours(100),
    };

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// A store with one row a second until now: an event, a receipt of one of 10 services and an entry of the audit each.
    fn filled(count: i64) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection, crate::schema::STEPS).unwrap();
        let transaction = connection.transaction().unwrap();
        for seq in 1..=count {
            let time = now() - jiff::SignedDuration::from_secs(count - seq);
            let number = u64::try_from(seq).unwrap();
            let kind = EventKind::Stopped {};
            let event = Event { seq: number, time, service: Some("web".into()), instance: Some(1), kind };
            events::insert(&transaction, [Row::of(&event)].iter()).unwrap();
            let time = i64::try_from(time.as_nanosecond()).unwrap();
            let receipt = crate::waiting::tests::receipt(&format!("s{}", seq % 10), number);
            records::apply(&transaction, &Entry { time, change: receipt }).unwrap();
            let subject = seq.to_string();
            let change = Change::Audit { actor: "a".into(), action: "b".into(), subject, outcome: "c".into() };
            records::apply(&transaction, &Entry { time, change }).unwrap();
        }
        transaction.commit().unwrap();
        connection
    }

    /// The oldest event, entry of the audit and receipt, after enough looks.
    fn left(connection: &Connection, count: u64, limits: Limits) -> (i64, i64, i64) {
        for _ in 0..5 {
            prune(connection, limits, count, now()).unwrap();
        }
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).unwrap();
        (
            one("SELECT coalesce(min(seq), 0) FROM events"),
            one("SELECT coalesce(min(id), 0) FROM audit"),
            one("SELECT min(instance) FROM receipts"),
        )
    }

    #[test]
    fn the_oldest_go_by_number_age_and_size() {
        assert_eq!(left(&filled(5000), 5000, NONE), (1, 1, 1));
        assert_eq!(left(&filled(5000), 5000, Limits { events: 3000, ..NONE }), (2001, 2001, 1));
        let age = jiff::SignedDuration::from_secs(600);
        assert_eq!(left(&filled(5000), 5000, Limits { age, ..NONE }), (4400, 4400, 4400));
        assert_eq!(left(&filled(5000), 5000, Limits { receipts: 500, ..NONE }), (1, 1, 4491), "beside the newest 10");
        // Receipts take most of some hundred pages. They go in pieces, and the others only when that is not enough.
        let pages = |connection: &Connection| -> i64 {
            let count = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            count("page_count") - count("freelist_count")
        };
        let connection = filled(5000);
        let enough = pages(&connection) - 100;
        let (events, audit, receipts) = left(&connection, 5000, Limits { pages: enough, ..NONE });
        assert!(
            pages(&connection) <= enough && (events, audit) == (1, 1) && receipts > 1000 && receipts < 4000,
            "{receipts}"
        );
        let connection = filled(5000);
        let spared = Limits { pages: 1, spared: 4500, ..NONE };
        left(&connection, 5000, spared);
        assert_eq!(left(&connection, 5000, spared), (501, 501, 4991));
    }

    #[test]
    fn the_newest_receipt_of_each_service_stays() {
        let everything_else = Limits { age: jiff::SignedDuration::from_secs(-9), pages: 0, receipts: 0, ..NONE };
        let connection = filled(300);
        left(&connection, 300, everything_else);
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM receipts"), 10);
        assert_eq!(count("SELECT min(instance) FROM receipts"), 291);
        // But not of more services than anybody has.
        left(&connection, 300, Limits { services: 4, ..everything_else });
        assert_eq!(count("SELECT min(instance) FROM receipts"), 297);
    }
}
