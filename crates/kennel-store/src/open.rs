//! Opens the database: ours, of a version that we know, and whole; else it says why, or sets it aside.
//!
//! It is checked at every start, not only after an unclean end: the file is bounded (see `table::LIMITS`), so the check is
//! cheap, and a mark of a clean end would only be a reason to look away from a disk that has lost a page since.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::StoreError;
use crate::numbers::State;
use crate::pages::PAGE_BYTES;
use crate::records::{self, Receipts};
use crate::{events, salvage, schema};

enum Trouble {
    /// Why the content cannot be what we wrote.
    Damage(String),
    Error(StoreError),
}

/// A store that is ours and whole.
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    /// Where a damaged one went.
    pub(crate) aside: Option<PathBuf>,
    /// What was wrong with it.
    pub(crate) why: Option<String>,
}

/// Opens the store of a state directory for writing, or a new one; a damaged one is set aside.
///
/// `known` is what is known to have been committed to it.
pub(crate) fn open(dir: &Path, known: Option<&State>) -> Result<Opened, StoreError> {
    let path = dir.join("store.db");
    let why = match connect(&path, known) {
        Ok(writer) => return Ok(Opened { writer, aside: None, why: None }),
        Err(Trouble::Error(error)) => return Err(error),
        Err(Trouble::Damage(why)) => why,
    };
    let aside =
        salvage::set_aside(dir, Timestamp::now()).map_err(|source| StoreError::Io { path: path.clone(), source })?;
    tracing::error!(path = %path.display(), aside = %aside.display(), why, "the store is damaged and was set aside");
    match connect(&path, None) {
        Ok(writer) => Ok(Opened { writer, aside: Some(aside), why: Some(why) }),
        Err(Trouble::Error(error)) => Err(error),
        Err(Trouble::Damage(why)) => Err(StoreError::Io { path, source: io::Error::other(why) }),
    }
}

fn connect(path: &Path, known: Option<&State>) -> Result<Connection, Trouble> {
    prepare_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| judge(path, error))?;
    set_up(&connection).map_err(|error| judge(path, error))?;
    let found = schema::version(&connection).map_err(|error| judge(path, error))?;
    if found > schema::known() {
        let path = path.to_owned();
        return Err(Trouble::Error(StoreError::TooNew { path, found, known: schema::known() }));
    }
    check(&mut connection, known)
        .map_err(|error| judge(path, error))?
        .map_or(Ok(()), |why| Err(Trouble::Damage(why)))?;
    let release = || {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        // From now on the driver waits for it. Somebody with a transaction in a shell must not hold up services.
        connection.busy_timeout(Duration::from_millis(20))
    };
    release().map_err(|error| judge(path, error))?;
    Ok(connection)
}

/// Small where the default is generous: the file is read from its end, if at all, and the kernel has it cached.
fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    // What turns out to be damaged is set aside as it was found, with its log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "PRAGMA page_size = 4096;
         PRAGMA cache_size = -256;
         PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA journal_mode = WAL;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA synchronous = NORMAL;",
    )?;
    // A thread does that, for it waits for the disk; this (10 MiB) is for the day on which it cannot, or does not catch up.
    connection.pragma_update(None, "wal_autocheckpoint", 2500)
}

/// `Some` with the reason if the content is not ours or not whole.
fn check(connection: &mut Connection, known: Option<&State>) -> rusqlite::Result<Option<String>> {
    let number = |connection: &Connection, sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number(connection, "SELECT count(*) FROM sqlite_schema")? > 0 {
        if connection.pragma_query_value(None, "application_id", |row| row.get::<_, i64>(0))? != schema::APPLICATION_ID
        {
            return Ok(Some("it is the database of another program".to_owned()));
        }
    } else if number(connection, "PRAGMA page_count")? > 1 {
        return Ok(Some("it has pages and no tables".to_owned()));
    }
    if number(connection, "PRAGMA page_size")? != i64::try_from(PAGE_BYTES).unwrap_or(0) {
        return Ok(Some("it has pages of another size".to_owned()));
    }
    schema::migrate(connection, schema::STEPS)?;
    // Not the quick one, which does not compare indices with their tables. Events, which are the most, have none.
    let said: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    // Names in the schema are text, and a flipped bit in one of them breaks no rule.
    connection.prepare("SELECT seq, time, service, instance, kind, body FROM events")?;
    if let Some(why) = records::read(connection, Receipts::Newest).unreadable {
        return Ok(Some(why));
    }
    let (last, silent) = (events::last(connection)?, records::silent_commits(connection)?);
    // An empty one is new: the old one was set aside or removed.
    let Some(known) = known.filter(|_| last > 0) else { return Ok(None) };
    if last < known.recorded {
        return Ok(Some(format!("it ends with event {last}, and {} was recorded", known.recorded)));
    }
    let missing = known.silent_commits.saturating_sub(silent);
    Ok((missing > 0).then(|| format!("{missing} commits are missing at its end")))
}

/// What can be said before SQLite looks: whether it is a file, whose, and how it begins. Makes a new one, of mode 0600.
///
/// Must run while this process has no connection to the file: to close any descriptor of it drops the locks of all.
/// Source: `fcntl(2)`, "Record locks".
fn prepare_file(path: &Path) -> Result<(), Trouble> {
    let io = |source| Trouble::Error(StoreError::Io { path: path.to_owned(), source });
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A log without its file would be taken for that of the new one.
            if salvage::with(path, "-wal").exists() {
                return Err(Trouble::Damage("it is gone, and its log is there".to_owned()));
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        }
        Err(error) => return Err(io(error)),
        Ok(meta) if !meta.is_file() => return Err(Trouble::Damage("it is not a file".to_owned())),
        Ok(meta) => {
            let us = rustix::process::geteuid().as_raw();
            if meta.uid() != us {
                let path = path.to_owned();
                return Err(Trouble::Error(StoreError::Owner { path, owner: meta.uid(), us }));
            }
            if meta.mode() & 0o777 != 0o600 {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)?;
            }
            let mut head = Vec::new();
            let file = File::options().read(true).write(true).open(path).map_err(io)?;
            if file.metadata().map_err(io)?.len() % PAGE_BYTES as u64 != 0 {
                return Err(Trouble::Damage("it ends within a page".to_owned()));
            }
            file.take(100).read_to_end(&mut head).map_err(io)?;
            // An empty one is new; SQLite would throw away a log that lies beside it.
            let cut = head.is_empty() && salvage::with(path, "-wal").exists();
            if cut || !(head.is_empty() || looks_like_ours(&head)) {
                return Err(Trouble::Damage("it does not begin as a database does".to_owned()));
            }
        }
    }
    Ok(())
}

/// The magic, and read and write versions: with another number there SQLite would call the file read-only.
fn looks_like_ours(head: &[u8]) -> bool {
    let versions = head.get(18..20).unwrap_or_default();
    head.starts_with(b"SQLite format 3\0")
        && head.len() == 100
        && versions.iter().all(|version| matches!(version, 1 | 2))
}

/// An error that is about the content, or about the world around it.
fn judge(path: &Path, error: rusqlite::Error) -> Trouble {
    if is_damage(&error) {
        Trouble::Damage(error.to_string())
    } else {
        Trouble::Error(StoreError::Database { path: path.to_owned(), source: error })
    }
}

/// Whether an error says that the content cannot be what we wrote.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    const SHORT_READ: i32 = 522;
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(
                failure.code,
                ErrorCode::NotADatabase
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::Unknown
                    | ErrorCode::TypeMismatch
                    | ErrorCode::TooBig
            ) || failure.extended_code == SHORT_READ
        }
        // SQL that we know to be right does not fit what is there.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}
