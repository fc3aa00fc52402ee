//! The store through ends of every kind: in order, killed, after a power cut, of another version.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kennel_store::{Change, History, Recent, Records, Restored, Store, StoreError};
use kennel_wire::EventKind;
use proptest::prelude::*;
use rig::{all, numbers, open, recovered, say};
use serde_json::json;

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Flush,
    Close,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u8..40).prop_map(Step::Append),
        6 => Just(Step::Flush),
        1 => Just(Step::Close),
        2 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_ends_it_the_stream_is_what_was_acknowledged(steps in steps()) {
        let mut dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let (mut appended, mut acknowledged) = (0, 0);
        for step in steps {
            match step {
                Step::Append(count) => for _ in 0..count {
                    appended = store.number(Some("web"), Some(1), EventKind::Stopped {});
                },
                Step::Flush => if let Some(newest) = store.flush() {
                    prop_assert_eq!(newest, appended);
                    acknowledged = newest;
                },
                Step::Close => {
                    store.close();
                    acknowledged = appended;
                    store = open(dir.path());
                }
                Step::Kill => {
                    let killed = rig::image(dir.path());
                    drop(store);
                    dir = killed;
                    store = open(dir.path());
                    // What was not acknowledged is not there, and its number is free.
                    appended = acknowledged;
                }
            }
            prop_assert_eq!(numbers(&store), (1..=acknowledged).collect::<Vec<_>>());
            prop_assert_eq!(store.newest(), acknowledged);
        }
    }
}

#[test]
fn after_a_power_cut_numbers_are_skipped_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), "boot a").unwrap().0;
    assert_eq!(say(&mut store, 20), 20);
    let cut = rig::image(dir.path());
    // The disk never saw the log.
    fs::remove_file(cut.path().join("store.db-wal")).unwrap();
    let mut store = Store::open(cut.path(), "boot b").unwrap().0;
    store.flush();
    let (event, file, _, lost_from) = recovered(&store).unwrap();
    assert_eq!((event, file, lost_from), (10_001, None, Some(1)));
    // Nobody who has seen 20 waits for it, and a clean end leaves no gap.
    store.close();
    let mut store = Store::open(cut.path(), "boot c").unwrap().0;
    assert_eq!(say(&mut store, 1), 10_002);
}

#[test]
fn numbers_are_reserved_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), "boot a").unwrap().0;
    for _ in 0..6 {
        say(&mut store, 6000);
    }
    let cut = rig::image(dir.path());
    let mut store = Store::open(cut.path(), "boot b").unwrap().0;
    assert!(say(&mut store, 1) > 36_000);
}

#[test]
fn old_events_are_read_in_pages_while_new_ones_are_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    say(&mut store, 10_000);
    let Recent::Older(before) = store.after(0, 512) else { panic!("memory is bounded") };
    assert_eq!(before, 10_000 - 1024 + 1);
    let page = store.history().page(5000, before, 512).unwrap();
    assert_eq!((page.len(), page[0].seq), (512, 5001));
    assert!(
        matches!(store.after(before - 1, 3), Recent::Events(events) if events.len() == 3 && events[0].seq == before)
    );
    assert!(matches!(store.after(u64::MAX - 1, 3), Recent::Events(events) if events.is_empty()));
    assert_eq!(numbers(&store), (1..=10_000).collect::<Vec<_>>());
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    say(&mut store, 3);
    store.close();
    let path = dir.path().join("store.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(dir.path(), "boot").unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 7, known: 3, .. }), "{error:?}");
    assert!(matches!(Records::read(dir.path()), Err(StoreError::TooNew { found: 7, .. })), "tools refuse it as well");
    assert!(matches!(History::of(dir.path()).page(0, 9, 9), Err(StoreError::TooNew { found: 7, .. })));
    let text = error.to_string();
    assert!(text.contains("version 7") && text.contains("up to 3") && text.contains("store.db"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A daemon that is killed in its very first moment leaves a file without tables.
#[test]
fn a_store_without_tables_has_no_history() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.db"), "").unwrap();
    assert_eq!(History::of(dir.path()).page(0, 9, 9).unwrap(), []);
    let made = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    made.execute_batch("PRAGMA store_mode = WAL").unwrap();
    assert_eq!(History::of(dir.path()).page(0, 9, 9).unwrap(), []);
}

/// What the fixtures hold from version 2 on.
fn fixture_changes() -> Vec<Change> {
    let body = |text: &str| Some(json!({ "what": text }));
    vec![
        Change::Project(body("project")),
        Change::Service { name: "web".into(), body: body("service") },
        Change::Slot { name: "web.1".into(), body: body("slot") },
        Change::Run { id: 2, body: Some(json!({ "service": "web.1", "pid": 7, "start_ticks": 9 })) },
        rig::receipt("web.1", 1, 3),
        Change::Owner { name: "me".into(), body: body("owner") },
        Change::Lease { id: "l1".into(), body: body("lease") },
        Change::Meta { key: "last_shutdown".into(), body: body("meta") },
        Change::Audit { actor: "a".into(), action: "b".into(), subject: "c".into(), outcome: "d".into() },
    ]
}

/// The same, as it comes back.
fn fixture_restored() -> Restored {
    let one = |name: &str, text: &str| [(name.to_owned(), json!({ "what": text }))].into_iter().collect();
    let Change::Receipt { receipt, .. } = rig::receipt("web.1", 1, 3) else { unreachable!() };
    Restored {
        project: Some(json!({ "what": "project" })),
        services: one("web", "service"),
        slots: one("web.1", "slot"),
        runs: [(2, json!({ "service": "web.1", "pid": 7, "start_ticks": 9 }))].into_iter().collect(),
        receipts: [("web.1".to_owned(), *receipt)].into_iter().collect(),
        owners: one("me", "owner"),
        leases: one("l1", "lease"),
        meta: one("last_shutdown", "meta"),
        clean: true,
        ..Restored::default()
    }
}

/// Makes the fixture of the version of today, in the directory that `FIXTURE` names.
#[test]
#[ignore = "run by hand when a version is released, see CONTRIBUTING.md"]
fn make_fixture() {
    let dir = std::path::PathBuf::from(std::env::var_os("FIXTURE").unwrap());
    fs::create_dir_all(&dir).unwrap();
    let mut store = open(&dir);
    store.number(None, None, EventKind::DaemonStarted { pid: 7 });
    fixture_changes().into_iter().for_each(|change| store.change(change));
    say(&mut store, 3);
    store.number(Some("web"), Some(2), EventKind::Unhealthy { reason: "GET / answers 503 ".repeat(400) });
    store.close();
}

/// Every version that was ever released opens. A file is made by the kennel of its version and never again.
#[test]
fn stores_of_all_versions_are_read() {
    for (version, events) in [(1, 5), (2, 5)] {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/version-{version}"));
        for name in ["store.db", "store.seq"] {
            fs::copy(fixture.join(name), dir.path().join(name)).unwrap();
        }
        let expected = if version >= 2 { fixture_restored() } else { Restored { clean: true, ..Restored::default() } };
        assert_eq!(
            Records::read(dir.path()).unwrap(),
            expected,
            "a tool that looks before version {version} is taken over"
        );
        let (mut store, found) = Store::open(dir.path(), "boot").unwrap();
        assert_eq!(found, expected, "version {version}");
        assert_eq!(numbers(&store), (1..=events).collect::<Vec<_>>());
        assert!(all(&store).iter().all(|event| event.kind != EventKind::Unreadable {}), "{:?}", all(&store));
        assert_eq!(store.history().audit("c", 9).unwrap().len(), usize::from(version >= 2));
        // It is one of today from now on.
        fixture_changes().into_iter().for_each(|change| store.change(change));
        assert_eq!(say(&mut store, 1), events + 1);
        store.close();
        let found = rig::restored(dir.path());
        assert_eq!((found.slots.len(), found.runs.len(), found.damaged), (1, 1, None));
    }
}

/// What is sent is written once, stays over changes of its delivery, and is read by itself; also from a damaged store.
#[test]
fn what_is_sent_is_read_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (id, sent) = ("hook/7".to_owned(), json!({ "type": "service.failed" }));
    let delivery = |tries: u64| Change::Delivery { id: "hook/7".into(), body: Some(json!({ "tries": tries })) };
    let mut store = open(dir.path());
    store.change(delivery(0));
    store.change(Change::Payload { id: id.clone(), body: Some(sent.clone()) });
    store.change(Change::Webhook { name: "hook".into(), body: Some(json!({ "cursor": 7 })) });
    store.flush();
    store.change(delivery(1));
    store.flush();
    assert_eq!(store.history().payload(&id).unwrap(), Some(sent.clone()));
    assert_eq!(store.history().payload("hook/8").unwrap(), None);
    store.close();
    fs::write(
        dir.path().join("store.db"),
        [&[0; 100], &fs::read(dir.path().join("store.db")).unwrap()[100..]].concat(),
    )
    .unwrap();
    let (mut store, restored) = Store::open(dir.path(), "boot").unwrap();
    assert!(restored.damaged.is_some());
    assert_eq!(
        (&restored.deliveries["hook/7"], &restored.webhooks["hook"]),
        (&json!({ "tries": 1 }), &json!({ "cursor": 7 }))
    );
    assert_eq!(store.history().payload(&id).unwrap(), Some(sent));
    store.change(Change::Payload { id: id.clone(), body: None });
    store.flush();
    assert_eq!(store.history().payload(&id).unwrap(), None);
}

#[test]
fn the_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.db"), "").unwrap();
    let mut store = open(dir.path());
    say(&mut store, 3);
    for name in ["store.db", "store.db-wal", "store.db-shm", "store.seq"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn the_file_of_an_older_kennel_is_taken_in_once() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now();
    let line = |seq: u64| format!("{{\"seq\":{seq},\"time\":\"{now}\",\"event\":\"keeper.lost\"}}\n");
    fs::write(dir.path().join("events.1.ndjson"), line(1) + &line(2)).unwrap();
    fs::write(dir.path().join("events.ndjson"), line(3) + &line(4) + "{\"seq\":5,\"ti").unwrap();
    // It was killed when it had taken in everything but for the new name of the file.
    let again = rig::image(dir.path());
    let mut store = open(dir.path());
    assert_eq!(numbers(&store), [1, 2, 3, 4]);
    assert_eq!(say(&mut store, 1), 5);
    store.close();
    let text = fs::read_to_string(dir.path().join("events.ndjson.imported")).unwrap();
    assert!(text.starts_with(&line(3)) && !dir.path().join("events.ndjson").exists());
    for name in ["events.1.ndjson", "events.ndjson"] {
        fs::copy(again.path().join(name), dir.path().join(name)).unwrap();
    }
    let store = open(dir.path());
    assert_eq!(numbers(&store), [1, 2, 3, 4, 5]);
    assert!(recovered(&store).is_none());
    assert!(History::of(dir.path()).page(4, 9, 9).unwrap()[0].kind == EventKind::Stopped {});
}
