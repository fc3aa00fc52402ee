//! State beside the events: what is restored is what was committed last, whatever ended the writer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use kennel_store::{Change, History, Records, Restored, Store};
use kennel_wire::EventKind;
use proptest::prelude::*;
use rig::{numbers, open, receipt, restored, say};
use serde_json::{Value, json};

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Event,
    Flush,
    Close,
    Kill,
}

fn change() -> impl Strategy<Value = Change> {
    let body = || {
        proptest::option::weighted(0.7, (any::<u32>(), 0_usize..3000).prop_map(|(n, long)| {
        json!({"n": n, "text": "ä\u{0}\"".repeat(long / 3), "pid": n, "identity": {"inode": u64::MAX}})
    }))
    };
    let name = || (0_u8..6).prop_map(|n| format!("name {n}"));
    prop_oneof![
        1 => body().prop_map(Change::Project),
        4 => (name(), body()).prop_map(|(name, body)| Change::Service { name, body }),
        4 => (name(), body()).prop_map(|(name, body)| Change::Slot { name, body }),
        4 => (0_u64..5, body()).prop_map(|(id, body)| Change::Run { id: id << 60, body }),
        4 => (name(), 0_u64..9, 0_u32..9).prop_map(|(name, instance, size)| receipt(&name, instance, size)),
        1 => (name(), body()).prop_map(|(name, body)| Change::Owner { name, body }),
        1 => (name(), body()).prop_map(|(id, body)| Change::Lease { id, body }),
        1 => (name(), body()).prop_map(|(key, body)| Change::Meta { key, body }),
        1 => (name(), body()).prop_map(|(name, body)| Change::Webhook { name, body }),
        1 => (name(), body()).prop_map(|(id, body)| Change::Delivery { id, body }),
        1 => Just(audit(0)),
    ]
}

fn audit(n: u64) -> Change {
    let subject = format!("subject {n}");
    Change::Audit { actor: "user 1000".into(), action: "clean".into(), subject, outcome: "done".into() }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => change().prop_map(Step::Change),
        4 => Just(Step::Event),
        10 => Just(Step::Flush),
        1 => Just(Step::Close),
        2 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What the store should restore, kept in the plainest way there is.
fn learn(model: &mut Restored, change: &Change) {
    fn set(map: &mut indexmap::IndexMap<String, Value>, name: &str, body: &Option<Value>) {
        match body {
            Some(body) => drop(map.insert(name.to_owned(), body.clone())),
            None => drop(map.shift_remove(name)),
        }
    }
    match change {
        Change::Project(body) => model.project = body.clone(),
        Change::Service { name, body } => set(&mut model.services, name, body),
        Change::Slot { name, body } => set(&mut model.slots, name, body),
        Change::Run { id, body: Some(body) } => drop(model.runs.insert(*id, body.clone())),
        Change::Run { id, body: None } => drop(model.runs.remove(id)),
        Change::Receipt { service, receipt, .. } => drop(model.receipts.insert(service.clone(), (**receipt).clone())),
        Change::Owner { name, body } => set(&mut model.owners, name, body),
        Change::Lease { id, body } => set(&mut model.leases, id, body),
        Change::Meta { key, body } => set(&mut model.meta, key, body),
        Change::Webhook { name, body } => set(&mut model.webhooks, name, body),
        Change::Delivery { id, body } => set(&mut model.deliveries, id, body),
        Change::Payload { .. } | Change::Audit { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // covers: B3
    #[test]
    fn what_is_restored_is_what_was_committed_last(steps in steps()) {
        let mut dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let (mut model, mut committed, mut events) = (Restored::default(), Restored::default(), 0);
        for step in steps {
            let clean = matches!(step, Step::Close);
            match step {
                Step::Change(change) => {
                    learn(&mut model, &change);
                    store.change(change);
                }
                Step::Event => events = store.number(None, None, EventKind::Stopped {}),
                Step::Flush => {
                    store.flush();
                    committed = model.clone();
                    prop_assert_eq!(store.newest(), events);
                    let seen = Records::read(dir.path()).unwrap();
                    prop_assert_eq!(seen, Restored { clean: false, ..committed.clone() }, "beside a living writer");
                }
                Step::Close | Step::Kill => {
                    if clean {
                        store.close();
                        committed = model.clone();
                    } else {
                        let killed = rig::image(dir.path());
                        drop(store);
                        dir = killed;
                    }
                    let expected = Restored { clean, ..committed.clone() };
                    let files = listing(dir.path());
                    prop_assert_eq!(Records::read(dir.path()).unwrap(), expected.clone(), "without a writer");
                    if clean {
                        prop_assert_eq!(listing(dir.path()), files, "a reader writes nothing");
                    }
                    let (again, found) = Store::open(dir.path(), "boot").unwrap();
                    prop_assert_eq!(found, expected);
                    store = again;
                    model = committed.clone();
                    events = store.newest();
                }
            }
        }
    }
}

fn listing(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn columns_are_there_for_whoever_asks_by_sql() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let identity = json!({"boot_id": "b", "pid": 9, "start_ticks": 8, "inode": u64::MAX, "scope": "web.3"});
    store.change(Change::Run { id: 3, body: Some(json!({"service": "web", "identity": identity})) });
    store.change(Change::Run { id: 4, body: Some(json!({"service": "db", "pid": 7})) });
    store.change(Change::Run { id: 5, body: Some(json!("odd")) });
    store.change(receipt("web", 2, 1));
    store.flush();
    let sql = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let row =
        sql.query_row("SELECT service, scope, boot_id, pid, start_ticks, inode FROM runs WHERE pid = 9", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        });
    let expected: (String, String, String, i64, i64, Option<i64>) =
        ("web".into(), "web.3".into(), "b".into(), 9, 8, None);
    assert_eq!(row.unwrap(), expected, "a number that SQLite does not have is none");
    let count: i64 = sql
        .query_row("SELECT count(*) FROM runs WHERE service = 'db' OR service IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 2);
    let receipt = sql.query_row("SELECT service, instance, exit, \"left\" FROM receipts", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    });
    assert_eq!(receipt.unwrap(), ("web".into(), 2, "exit 3".into(), 0));
}

#[test]
fn receipts_and_the_audit_have_a_history() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let history = store.history();
    assert_eq!(history.receipts("web", u64::MAX, 9).unwrap().len(), 0);
    for instance in 1..=5 {
        store.change(receipt("web", instance, 2));
        store.change(receipt("db", instance + 10, 0));
        store.change(audit(instance));
        store.flush();
    }
    store.close();
    let history = History::of(dir.path());
    let found: Vec<u64> =
        history.receipts("web", u64::MAX, 3).unwrap().iter().map(|(_, receipt)| receipt.instance).collect();
    assert_eq!(found, [5, 4, 3]);
    let before = history.receipts("web", 3, 9).unwrap();
    assert_eq!(before.iter().map(|(_, receipt)| receipt.instance).collect::<Vec<_>>(), [2, 1]);
    let age = history.receipts("db", u64::MAX, 1).unwrap()[0].0.duration_until(jiff::Timestamp::now());
    assert!(age.as_secs() < 60, "{age:?}");
    assert_eq!(history.audit("subject 2", 9).unwrap().len(), 1);
    let all: Vec<Change> = history.audit("", 2).unwrap().into_iter().map(|(_, change)| change).collect();
    assert_eq!(all, [audit(5), audit(4)]);
}

#[test]
fn where_there_is_no_store_there_is_nothing_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Restored { clean: true, ..Restored::default() };
    assert_eq!(Records::read(dir.path()).unwrap(), nothing);
    assert!(listing(dir.path()).is_empty());
    // A name that a URI would read otherwise.
    let odd = dir.path().join("100%3f?mode=memory#a");
    fs::create_dir(&odd).unwrap();
    let mut store = open(&odd);
    store.change(Change::Project(Some(json!(1))));
    say(&mut store, 1);
    store.close();
    assert_eq!(Records::read(&odd).unwrap(), Restored { project: Some(json!(1)), ..nothing });
    fs::remove_file(odd.join("store.db")).unwrap();
    let gone = Records::read(&odd).unwrap();
    assert!(gone.project.is_none() && gone.damaged.unwrap().contains("is gone"));
}

#[test]
fn whoever_waits_for_the_disk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let (done, is_done) = mpsc::channel();
    for turn in 0..50 {
        say(&mut store, 1);
        let done = done.clone();
        store.when_durable(Box::new(move || done.send(turn).unwrap()));
    }
    let told: Vec<i32> = (0..50).map(|_| is_done.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    assert_eq!(told, (0..50).collect::<Vec<_>>());
    assert_eq!(store.trouble(), None);
    store.close();
    store.when_durable(Box::new(move || done.send(99).unwrap()));
    assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(99), "also after the end");
}

/// A commit without an event has no number that would tell of its loss.
#[test]
fn a_silent_commit_that_is_missing_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.change(Change::Slot { name: "web".into(), body: Some(json!("up")) });
    say(&mut store, 3);
    let before = fs::read(dir.path().join("store.db-wal")).unwrap();
    store.change(Change::Slot { name: "web".into(), body: Some(json!("stopped")) });
    assert_eq!(store.flush(), None);
    let killed = rig::image(dir.path());
    assert_eq!(restored(killed.path()).slots["web"], "stopped");
    let killed = rig::image(dir.path());
    fs::write(killed.path().join("store.db-wal"), before).unwrap();
    let (store, found) = Store::open(killed.path(), "boot").unwrap();
    assert!(found.damaged.unwrap().contains("1 commits are missing"));
    assert_eq!(found.slots["web"], "up", "what there is of it");
    assert_eq!(numbers(&store), [1, 2, 3]);
}
