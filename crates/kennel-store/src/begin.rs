//! The begin of a run: what is there, what of it is to be believed, and what is taken over from files of before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kennel_wire::EventKind;
use rusqlite::{Connection, TransactionBehavior};

use crate::change::Restored;
use crate::error::StoreError;
use crate::events::Row;
use crate::numbers::{self, Found, Numbers, Start};
use crate::open::{self, Opened};
use crate::records::Receipts;
use crate::waiting::Entry;
use crate::{events, filesystem, import, records, salvage};

/// All that a writer begins with.
pub(crate) struct Begun {
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) numbers: Numbers,
    pub(crate) next: u64,
    pub(crate) recorded: u64,
    pub(crate) silent_commits: u64,
    pub(crate) restored: Restored,
    /// What the first event has to tell.
    pub(crate) told: Option<EventKind>,
}

/// What comes from files of before.
#[derive(Default)]
struct Old {
    /// The store that was set aside.
    aside: Option<PathBuf>,
    events: BTreeMap<u64, Row>,
    records: Vec<Entry>,
    imported: Vec<Row>,
}

/// See [`crate::Store::open`].
pub(crate) fn begin(state_dir: &Path, boot_id: &str) -> Result<Begun, StoreError> {
    filesystem::check(state_dir)?;
    let path = state_dir.join("store.db");
    let numbers_path = state_dir.join("store.seq");
    let known = numbers::read(&numbers_path);
    let exact = known.as_ref().filter(|known| known.is_exact(boot_id));
    let opened = open::open(state_dir, exact)?;
    let database = |source| StoreError::Database { path: path.clone(), source };
    let in_database = events::last(&opened.writer).map_err(database)?;

    let old = Old::read(state_dir, &opened, known.as_ref(), in_database);
    let last = old.last().max(in_database);
    let found = match &old.aside {
        Some(_) => Found::Damaged,
        None if last == 0 || (known.is_none() && !old.imported.is_empty()) => Found::Nothing,
        None => Found::Intact,
    };
    let now_s = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let start = numbers::begin(known.as_ref(), last, boot_id, found, now_s);
    let Opened { mut writer, why, .. } = opened;
    let silent_commits = records::silent_commits(&writer).map_err(database)?;
    // Before the first row, so that rows without it mean that somebody took it away.
    let numbers = Numbers::create(&numbers_path, start.next - 1, last, silent_commits, boot_id)
        .map_err(|source| StoreError::Io { path: numbers_path, source })?;
    let kept = old.take_over(&mut writer).map_err(database)?;
    if !old.imported.is_empty() {
        import::done(state_dir);
    }

    let mut restored = Restored::default();
    for entry in records::read(&writer, Receipts::Newest).entries {
        restored.take(entry.change);
    }
    restored.clean = known.as_ref().is_none_or(|known| known.clean);
    let gone = known.as_ref().is_some_and(|known| known.newest > 0) && in_database == 0;
    restored.damaged = old.aside.as_deref().map(|aside| {
        let why = why.as_deref().unwrap_or("it was damaged");
        format!("{}: {why}; it was set aside as {}", path.display(), aside.display())
    });
    if restored.damaged.is_none() && gone {
        restored.damaged = Some(format!("{} was gone or empty, and events were recorded in it", path.display()));
    }
    let told = old.told(&start, kept);
    Ok(Begun { path, writer, numbers, next: start.next, recorded: last, silent_commits, restored, told })
}

impl Old {
    fn read(state_dir: &Path, opened: &Opened, known: Option<&numbers::State>, in_database: u64) -> Self {
        // Also after a start that set a store aside and was cut short before it had taken over what was in it.
        let interrupted = || known.is_none_or(|known| known.newest > 0).then(|| salvage::newest(state_dir))?;
        let aside = opened.aside.clone().or_else(|| if in_database == 0 { interrupted() } else { None });
        let imported = import::read(state_dir);
        let Some(aside) = aside else { return Self { imported, ..Self::default() } };
        let ceiling = known.map_or(1 << 53, |known| known.reserved.max(known.newest));
        let (events, records) = (salvage::events(&aside, ceiling), salvage::records(&aside));
        Self { aside: Some(aside), events, records, imported }
    }

    /// Number of the newest event; 0 if there is none.
    fn last(&self) -> u64 {
        let salvaged = self.events.keys().next_back().copied().unwrap_or(0);
        salvaged.max(self.imported.iter().map(|row| row.seq).max().unwrap_or(0))
    }

    /// Writes it, all or nothing. How many events of a damaged store were kept, or how many there are.
    fn take_over(&self, writer: &mut Connection) -> rusqlite::Result<u64> {
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let kept = events::insert(&transaction, self.events.values())?;
        events::insert(&transaction, self.imported.iter())?;
        for entry in &self.records {
            records::apply(&transaction, entry)?;
        }
        let kept = if self.aside.is_some() { kept } else { events::count(&transaction)? };
        transaction.commit()?;
        Ok(kept)
    }

    fn told(&self, start: &Start, kept: u64) -> Option<EventKind> {
        if self.aside.is_none() && start.lost.is_none() {
            return None;
        }
        let hole = self.aside.as_ref().map(|_| salvage::first_hole(&self.events));
        let lost_from = hole.or(start.lost.as_ref().map(|lost| *lost.start())).filter(|from| *from < start.next);
        let lost_to = lost_from.map(|_| start.next - 1);
        let file = self.aside.as_ref().map(|aside| aside.display().to_string());
        tracing::warn!(file, kept, lost_from, lost_to, "events may be missing");
        Some(EventKind::StoreRecovered { file, kept, lost_from, lost_to })
    }
}
