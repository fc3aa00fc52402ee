//! The rows of all tables but that of events: how a change is written, and how rows are read back.
//!
//! Each row has a sum over what it says. SQLite checks the structure of its file, and not whether a 3 in a process id has
//! become a 7; a daemon that believed it would look after somebody else's process.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::change::Change;
use crate::sum;
use crate::waiting::{Entry, Key};

/// Tables of the shape `id, name, body, sum`. `id` keeps the order in which things were recorded first.
const NAMED: [&str; 8] = ["project", "services", "slots", "owners", "leases", "meta", "webhooks", "deliveries"];
/// Another one of that shape, which is read only with all receipts.
const PAYLOADS: &str = "payloads";

/// Writes one change.
pub(crate) fn apply(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    match &entry.change {
        Change::Project(body) => named(connection, "project", "", body.as_ref()),
        Change::Service { name, body } => named(connection, "services", name, body.as_ref()),
        Change::Slot { name, body } => named(connection, "slots", name, body.as_ref()),
        Change::Owner { name, body } => named(connection, "owners", name, body.as_ref()),
        Change::Lease { id, body } => named(connection, "leases", id, body.as_ref()),
        Change::Meta { key, body } => named(connection, "meta", key, body.as_ref()),
        Change::Webhook { name, body } => named(connection, "webhooks", name, body.as_ref()),
        Change::Delivery { id, body } => named(connection, "deliveries", id, body.as_ref()),
        Change::Payload { id, body } => named(connection, PAYLOADS, id, body.as_ref()),
        Change::Run { id, body } => run(connection, *id, body.as_ref()),
        Change::Receipt { service, instance, receipt } => {
            let body = serde_json::to_string(receipt).unwrap_or_default();
            // With a new `id` if it was there: the newest of a service is the one that was recorded last.
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO receipts (service, instance, time, exit, \"left\", body, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let sum = sum_of("receipts", &format!("{service} {instance}"), &body);
            let exit = receipt.exit.to_string();
            insert.execute(params![service, signed(*instance), entry.time, exit, receipt.left, body, sum])?;
            Ok(())
        }
        Change::Audit { actor, action, subject, outcome } => {
            let mut insert = connection.prepare_cached(
                "INSERT INTO audit (time, actor, action, subject, outcome, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let sum = sum_of_audit(entry.time, [actor, action, subject, outcome]);
            insert.execute(params![entry.time, actor, action, subject, outcome, sum])?;
            Ok(())
        }
    }
}

fn named(connection: &Connection, table: &str, name: &str, body: Option<&Value>) -> rusqlite::Result<()> {
    let Some(body) = body else {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE name = ?1"))?.execute([name])?;
        return Ok(());
    };
    let body = body.to_string();
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO {table} (name, body, sum) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET body = excluded.body, sum = excluded.sum"
    ))?;
    upsert.execute(params![name, body, sum_of(table, name, &body)])?;
    Ok(())
}

fn run(connection: &Connection, id: u64, body: Option<&Value>) -> rusqlite::Result<()> {
    let Some(body) = body else {
        connection.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([signed(id)])?;
        return Ok(());
    };
    let field = |name: &str| body.get(name).or_else(|| body.get("identity")?.get(name));
    let text = |name: &str| field(name).and_then(Value::as_str);
    let number = |name: &str| field(name).and_then(Value::as_i64);
    let rendered = body.to_string();
    let mut upsert = connection.prepare_cached(
        "INSERT OR REPLACE INTO runs (id, service, scope, boot_id, pid, start_ticks, inode, body, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    upsert.execute(params![
        signed(id),
        text("service"),
        text("scope"),
        text("boot_id"),
        number("pid"),
        number("start_ticks"),
        number("inode"),
        rendered,
        sum_of("runs", &id.to_string(), &rendered),
    ])?;
    Ok(())
}

/// Whether there is a row for it.
pub(crate) fn is_recorded(connection: &Connection, key: &Key) -> rusqlite::Result<bool> {
    let (table, name) = match key {
        Key::Project => ("project", ""),
        Key::Service(name) => ("services", name.as_str()),
        Key::Slot(name) => ("slots", name.as_str()),
        Key::Owner(name) => ("owners", name.as_str()),
        Key::Lease(name) => ("leases", name.as_str()),
        Key::Meta(name) => ("meta", name.as_str()),
        Key::Webhook(name) => ("webhooks", name.as_str()),
        Key::Delivery(name) => ("deliveries", name.as_str()),
        Key::Payload(name) => (PAYLOADS, name.as_str()),
        Key::Run(id) => {
            let mut find = connection.prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?;
            return find.exists([signed(*id)]);
        }
        Key::Receipt(service, instance) => {
            let mut find = connection.prepare_cached("SELECT 1 FROM receipts WHERE service = ?1 AND instance = ?2")?;
            return find.exists(params![service, signed(*instance)]);
        }
    };
    connection.prepare_cached(&format!("SELECT 1 FROM {table} WHERE name = ?1"))?.exists([name])
}

/// Which receipts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipts {
    /// The newest of each service.
    Newest,
    All,
}

/// What was read, in the order in which it was first recorded, and why some of it could not be.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    pub(crate) unreadable: Option<String>,
}

/// Reads every row of state; entries of the audit only with all receipts. Where the structure is damaged, what can be reached
/// from either side of the damage.
pub(crate) fn read(connection: &Connection, receipts: Receipts) -> Found {
    let mut found = Found::default();
    for table in NAMED.into_iter().filter(|table| !is_of_older_version(connection, table)) {
        found.scan(connection, table, "id, name, body, sum", "", |row| read_named(table, row));
    }
    found.scan(connection, "runs", "id, body, sum", "", read_run);
    let newest = "id IN (SELECT max(id) FROM receipts GROUP BY service)";
    let condition = if receipts == Receipts::Newest { newest } else { "" };
    found.scan(connection, "receipts", "id, service, instance, time, body, sum", condition, read_receipt);
    if receipts == Receipts::All {
        found.scan(connection, "audit", "id, time, actor, action, subject, outcome, sum", "", read_audit);
    }
    if receipts == Receipts::All && !is_of_older_version(connection, PAYLOADS) {
        found.scan(connection, PAYLOADS, "id, name, body, sum", "", |row| read_named(PAYLOADS, row));
    }
    found
}

/// Whether this is one of the tables that came with version 3, and the store has not seen that: it is read without being changed.
fn is_of_older_version(connection: &Connection, table: &str) -> bool {
    let is_there = || {
        let count = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
        connection.query_row(count, [table], |row| row.get::<_, i64>(0))
    };
    ["webhooks", "deliveries", PAYLOADS].contains(&table) && is_there() == Ok(0)
}

impl Found {
    fn scan(
        &mut self,
        connection: &Connection,
        table: &str,
        columns: &str,
        condition: &str,
        read: impl Fn(&Row<'_>) -> Result<Entry, String>,
    ) {
        let mut above = i64::MIN;
        let mut rows: Vec<(i64, Entry)> = Vec::new();
        let mut one_way = |order: &str, rows: &mut Vec<(i64, Entry)>| -> rusqlite::Result<()> {
            let within = if condition.is_empty() { "TRUE" } else { condition };
            let sql = format!("SELECT {columns} FROM {table} WHERE id > ?1 AND {within} ORDER BY id {order}");
            let mut statement = connection.prepare(&sql)?;
            let mut cursor = statement.query([above])?;
            while let Some(row) = cursor.next()? {
                let id = row.get(0)?;
                if order == "ASC" {
                    above = id;
                }
                match read(row) {
                    Ok(entry) => rows.push((id, entry)),
                    Err(why) => self.unreadable = Some(format!("{table}: {why}")),
                }
            }
            Ok(())
        };
        let forward = one_way("ASC", &mut rows);
        let Err(error) = forward else {
            self.entries.extend(rows.into_iter().map(|(_, entry)| entry));
            return;
        };
        // What lies behind the damage is read from the other end, as far as it goes.
        let mut behind = Vec::new();
        let _ends_at_the_damage = one_way("DESC", &mut behind);
        self.unreadable = Some(format!("{table}: {error}"));
        rows.extend(behind.into_iter().rev());
        self.entries.extend(rows.into_iter().map(|(_, entry)| entry));
    }
}

/// What is sent with a delivery; none if there is none, or not what was written.
pub(crate) fn payload(connection: &Connection, id: &str) -> rusqlite::Result<Option<Value>> {
    let mut find = connection.prepare("SELECT id, name, body, sum FROM payloads WHERE name = ?1")?;
    let found = find.query_row([id], |row| Ok(read_named(PAYLOADS, row))).optional()?;
    Ok(match found {
        Some(Ok(Entry { change: Change::Payload { body, .. }, .. })) => body,
        Some(_) | None => None,
    })
}

fn read_named(table: &str, row: &Row<'_>) -> Result<Entry, String> {
    let (name, body) = (text(row, 1)?, text(row, 2)?);
    check_sum(row, 3, table, &name, &body)?;
    let body = Some(serde_json::from_str(&body).map_err(|error| format!("`{name}` is not JSON: {error}"))?);
    let change = match table {
        "project" => Change::Project(body),
        "services" => Change::Service { name, body },
        "slots" => Change::Slot { name, body },
        "owners" => Change::Owner { name, body },
        "leases" => Change::Lease { id: name, body },
        "webhooks" => Change::Webhook { name, body },
        "deliveries" => Change::Delivery { id: name, body },
        PAYLOADS => Change::Payload { id: name, body },
        _ => Change::Meta { key: name, body },
    };
    Ok(Entry { time: 0, change })
}

fn read_run(row: &Row<'_>) -> Result<Entry, String> {
    let (id, body) = (number(row, 0)?, text(row, 1)?);
    let id = u64::try_from(id).map_err(|_| format!("{id} is not the number of a run"))?;
    check_sum(row, 2, "runs", &id.to_string(), &body)?;
    let body = Some(serde_json::from_str(&body).map_err(|error| format!("run {id} is not JSON: {error}"))?);
    Ok(Entry { time: 0, change: Change::Run { id, body } })
}

pub(crate) fn read_receipt(row: &Row<'_>) -> Result<Entry, String> {
    let (service, instance, time, body) = (text(row, 1)?, number(row, 2)?, number(row, 3)?, text(row, 4)?);
    let instance = u64::try_from(instance).map_err(|_| format!("{instance} is not the number of a run"))?;
    check_sum(row, 5, "receipts", &format!("{service} {instance}"), &body)?;
    let receipt = serde_json::from_str(&body).map_err(|error| format!("of {service} {instance}: {error}"))?;
    Ok(Entry { time, change: Change::Receipt { service, instance, receipt: Box::new(receipt) } })
}

pub(crate) fn read_audit(row: &Row<'_>) -> Result<Entry, String> {
    let (actor, action, subject, outcome) = (text(row, 2)?, text(row, 3)?, text(row, 4)?, text(row, 5)?);
    let time = number(row, 1)?;
    if number(row, 6)? != sum_of_audit(time, [&actor, &action, &subject, &outcome]) {
        return Err("an entry is not what was written".to_owned());
    }
    Ok(Entry { time, change: Change::Audit { actor, action, subject, outcome } })
}

fn text(row: &Row<'_>, at: usize) -> Result<String, String> {
    match row.get_ref(at) {
        Ok(ValueRef::Text(bytes)) => String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string()),
        Ok(other) => Err(format!("a text is {}", other.data_type())),
        Err(error) => Err(error.to_string()),
    }
}

fn number(row: &Row<'_>, at: usize) -> Result<i64, String> {
    row.get(at).map_err(|error| error.to_string())
}

fn check_sum(row: &Row<'_>, at: usize, table: &str, name: &str, body: &str) -> Result<(), String> {
    if number(row, at)? == sum_of(table, name, body) {
        Ok(())
    } else {
        Err(format!("`{name}` is not what was written"))
    }
}

/// As the signed number of the same bits, which is what SQLite has.
fn sum_of(table: &str, name: &str, body: &str) -> i64 {
    sum::of([table.as_bytes(), name.as_bytes(), body.as_bytes()]).cast_signed()
}

fn sum_of_audit(time: i64, words: [&str; 4]) -> i64 {
    let time = time.to_string();
    sum::of(std::iter::once(time.as_str()).chain(words).map(str::as_bytes)).cast_signed()
}

/// Numbers of SQLite are signed. Ours are far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many commits there were that changed rows and had no event, which no number of an event tells of.
pub(crate) fn silent_commits(connection: &Connection) -> rusqlite::Result<u64> {
    let count: Option<i64> =
        connection.query_row("SELECT count FROM silent_commits", [], |row| row.get(0)).optional()?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

pub(crate) fn count_silent_commit(connection: &Connection, count: u64) -> rusqlite::Result<()> {
    let mut set = connection.prepare_cached("INSERT OR REPLACE INTO silent_commits (id, count) VALUES (1, ?1)")?;
    set.execute([signed(count)])?;
    Ok(())
}
