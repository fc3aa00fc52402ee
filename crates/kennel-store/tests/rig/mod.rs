//! What the tests of the store have in common.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::path::Path;

use kennel_store::{Change, PAGE, Recent, Restored, Store};
use kennel_wire::{EndedProcess, Event, EventKind, Exit, Receipt, StopReason};
use tempfile::TempDir;

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, "boot").unwrap().0
}

/// Numbers and publishes that many; the number of the last.
pub(crate) fn say(store: &mut Store, count: u64) -> u64 {
    for _ in 0..count {
        store.number(Some("web"), Some(1), EventKind::Stopped {});
    }
    store.flush().unwrap()
}

/// A copy of all files but for the index, which a kill leaves to nobody: the state of a killed process.
pub(crate) fn image(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// The stream as a reader gets it who begins at its begin.
pub(crate) fn all(store: &Store) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let since = events.last().map_or(0, |event| event.seq);
        let page = match store.after(since, PAGE) {
            Recent::Events(page) if page.is_empty() => return events,
            Recent::Events(page) => page,
            Recent::Older(before) => match store.history().page(since, before, PAGE).unwrap() {
                page if !page.is_empty() => page,
                _ => match store.after(before - 1, PAGE) {
                    Recent::Events(page) if page.is_empty() => return events,
                    Recent::Events(page) => page,
                    Recent::Older(_) => unreachable!("it is in memory"),
                },
            },
        };
        events.extend(page);
    }
}

pub(crate) fn numbers(store: &Store) -> Vec<u64> {
    all(store).iter().map(|event| event.seq).collect()
}

/// Number of the event that tells of a loss, the file that was set aside, what was kept and what is missing.
pub(crate) fn recovered(store: &Store) -> Option<(u64, Option<String>, u64, Option<u64>)> {
    all(store).into_iter().rev().find_map(|event| match event.kind {
        EventKind::StoreRecovered { file, kept, lost_from, .. } => Some((event.seq, file, kept, lost_from)),
        _ => None,
    })
}

/// Nothing is left out in whichever way it is asked for.
pub(crate) fn restored(dir: &Path) -> Restored {
    Store::open(dir, "boot").unwrap().1
}

/// A receipt that tells how big it is to be.
pub(crate) fn receipt(service: &str, instance: u64, processes: u32) -> Change {
    let ended = |pid| EndedProcess {
        pid,
        start_ticks: Some(7),
        inode: None,
        command: Some("sleep 60".to_owned()),
        exit: Some(Exit::Signal { signal: 15 }),
        stage: Some("TERM".to_owned()),
        main: pid == 0,
        escaped_to: None,
    };
    let receipt = Receipt {
        service: service.to_owned(),
        instance,
        scope: format!("{service}.{instance}"),
        boot_id: "boot".to_owned(),
        reason: StopReason::Requested,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration_ms: 12,
        exit: Exit::Code { code: 3 },
        out_of_memory: None,
        limit: None,
        stages: Vec::new(),
        processes: (0..processes).map(ended).collect(),
        left: 0,
        survivors: Vec::new(),
    };
    Change::Receipt { service: service.to_owned(), instance, receipt: Box::new(receipt) }
}
