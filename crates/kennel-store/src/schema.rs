//! The tables, version by version.

use rusqlite::{Connection, TransactionBehavior};

/// Step `n` makes version `n + 1` of version `n`. A step that was released is never changed again: it has been run on the
/// files of users. A new one comes with a file of the version before it in `tests/fixtures`.
pub(crate) const STEPS: &[&str] = &[
    // 1: events. `seq` is the key of the tree itself, so that what is appended goes to its right end and costs one page.
    // `body` is the event as it goes over the wire, without the columns before it. Immutable once written, and
    // `pages` relies on that.
    "CREATE TABLE events (
        seq      INTEGER PRIMARY KEY,
        time     INTEGER NOT NULL, -- nanoseconds since 1970, UTC
        service  TEXT,
        instance INTEGER,
        kind     TEXT NOT NULL,
        body     TEXT NOT NULL
    ) STRICT",
    // 2: state. `sum` is over table, name and body, see `records`. The columns of `runs` and `receipts` that are in the body as
    // well are for whoever asks by SQL.
    "CREATE TABLE project (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE services (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE slots (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE leases (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE meta (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE runs (
        id          INTEGER PRIMARY KEY, -- number of the run
        service     TEXT,
        scope       TEXT,
        boot_id     TEXT,
        pid         INTEGER,
        start_ticks INTEGER,
        inode       INTEGER,
        body        TEXT NOT NULL,
        sum         INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE receipts (
        id       INTEGER PRIMARY KEY, -- rises: the newest of a service is the one with the greatest
        service  TEXT NOT NULL,
        instance INTEGER NOT NULL,
        time     INTEGER NOT NULL,    -- nanoseconds since 1970, UTC: when it was recorded
        exit     TEXT NOT NULL,
        \"left\"   INTEGER NOT NULL,
        body     TEXT NOT NULL,
        sum      INTEGER NOT NULL,
        UNIQUE (service, instance)
     ) STRICT;
     CREATE TABLE audit (
        id      INTEGER PRIMARY KEY,
        time    INTEGER NOT NULL, -- nanoseconds since 1970, UTC
        actor   TEXT NOT NULL,
        action  TEXT NOT NULL,
        subject TEXT NOT NULL,
        outcome TEXT NOT NULL,
        sum     INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE silent_commits (id INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT",
    // 3: webhooks, and what is to be delivered to them. What is sent has a table of its own: it is written once, and read only to be sent.
    "CREATE TABLE webhooks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE deliveries (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
     CREATE TABLE payloads (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT",
];

/// Marks the file as ours (`kenl`), for `file(1)` and for the check at the next start.
pub(crate) const APPLICATION_ID: i64 = 0x6b65_6e6c;

/// The version that this kennel writes.
pub(crate) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Runs the steps that the file has not seen, each in a transaction with the new version number.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let begin = usize::try_from(version(connection)?).unwrap_or(0);
    for (at, step) in steps.iter().enumerate().skip(begin) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(at + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, STEPS).unwrap();
        let bad = [STEPS, &["CREATE TABLE two (a); CREATE TABLE events (a)"]].concat();
        assert!(migrate(&mut connection, &bad).is_err());
        assert_eq!(version(&connection).unwrap(), known());
        let good = [STEPS, &["CREATE TABLE two (a)"]].concat();
        migrate(&mut connection, &good).unwrap();
        assert_eq!(version(&connection).unwrap(), known() + 1);
    }
}
