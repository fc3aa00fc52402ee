//! The rows of the table of events.

use jiff::Timestamp;
use kennel_wire::{Event, EventKind};
use rusqlite::{Connection, params};

/// How the JSON of every event begins, before its name.
const TAG: &str = "{\"event\":\"";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) service: Option<String>,
    pub(crate) instance: Option<i64>,
    pub(crate) kind: String,
    pub(crate) body: String,
}

impl Row {
    pub(crate) fn of(event: &Event) -> Self {
        // An event is a struct with names and numbers: it has a JSON form, and its tag comes first in it.
        let body = serde_json::to_string(&event.kind).unwrap_or_default();
        let tag = body.strip_prefix(TAG).and_then(|rest| rest.split('"').next());
        let kind = tag.unwrap_or_default().to_owned();
        Self {
            seq: event.seq,
            time: i64::try_from(event.time.as_nanosecond()).unwrap_or(i64::MAX),
            service: event.service.clone(),
            instance: event.instance.map(signed),
            kind,
            body,
        }
    }

    /// One that cannot be read, because of damage or because another version wrote it, keeps its place in the stream.
    fn event(self) -> Event {
        Event {
            seq: self.seq,
            time: Timestamp::from_nanosecond(i128::from(self.time)).unwrap_or(Timestamp::UNIX_EPOCH),
            service: self.service,
            instance: self.instance.and_then(|instance| u64::try_from(instance).ok()),
            kind: serde_json::from_str(&self.body).unwrap_or(EventKind::Unreadable {}),
        }
    }
}

/// Rows that are there already stay as they are.
pub(crate) fn insert<'r>(connection: &Connection, rows: impl Iterator<Item = &'r Row>) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO events (seq, time, service, instance, kind, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut inserted = 0;
    for row in rows {
        let Row { seq, time, service, instance, kind, body } = row;
        let added = statement.execute(params![signed(*seq), time, service, instance, kind, body])?;
        inserted += u64::from(added > 0);
    }
    Ok(inserted)
}

const COLUMNS: &str = "SELECT seq, time, service, instance, body FROM events";

/// Events after number `since` and below `before`, oldest first, `limit` at most.
pub(crate) fn page(connection: &Connection, since: u64, before: u64, limit: usize) -> rusqlite::Result<Vec<Event>> {
    let bounds = params![signed(since), signed(before), i64::try_from(limit).unwrap_or(i64::MAX)];
    let within = "WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare(&format!("{COLUMNS} {within}"))?;
    let events: rusqlite::Result<Vec<Event>> = statement.query_map(bounds, read)?.collect();
    if events.is_ok() {
        return events;
    }
    // One of them is damaged where no check looks: in a part of a long text. The others are read one by one.
    let mut statement = connection.prepare(&format!("SELECT seq FROM events {within}"))?;
    let numbers: Vec<i64> = statement.query_map(bounds, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut one = connection.prepare(&format!("{COLUMNS} WHERE seq = ?1"))?;
    let lost = |seq| {
        let seq = u64::try_from(seq).unwrap_or_default();
        Row { seq, time: 0, service: None, instance: None, kind: String::new(), body: String::new() }.event()
    };
    Ok(numbers.into_iter().map(|seq| one.query_row([seq], read).unwrap_or_else(|_| lost(seq))).collect())
}

/// Damage may have made something else of a value than its column says.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    let seq: i64 = row.get(0)?;
    let read = Row {
        seq: u64::try_from(seq).unwrap_or_default(),
        time: row.get(1).unwrap_or_default(),
        service: row.get(2).unwrap_or_default(),
        instance: row.get(3).unwrap_or_default(),
        kind: String::new(),
        body: row.get_ref(4)?.as_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned(),
    };
    Ok(read.event())
}

/// Number of the newest event; 0 if there is none.
pub(crate) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
    Ok(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
}

pub(crate) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Numbers of SQLite are signed. Ours are far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_and_what_is_no_event_keeps_its_place() {
        let event = Event {
            seq: 7,
            time: "2026-01-02T03:04:05.123456789Z".parse().unwrap(),
            service: None,
            instance: Some(1 << 62),
            kind: EventKind::DaemonStarted { pid: 3 },
        };
        assert_eq!(Row::of(&event).event(), event);
        assert_eq!(Row::of(&event).kind, "daemon.started");
        let odd = Row { body: "{\"event\":\"of.tomorrow\"}".into(), ..Row::of(&event) };
        assert_eq!(odd.event(), Event { kind: EventKind::Unreadable {}, ..event });
    }
}
