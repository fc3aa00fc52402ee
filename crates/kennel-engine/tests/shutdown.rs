//! The coordinator as an embedding program uses it.
//!
//! covers: A2, A3, A4, A7, D1

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kennel_engine::shutdown::{Call, Cleanup, Coordinator, Patience, Phase, RegisterError, STATE_FILE, Urgency, last};
use kennel_wire::{CleanupOutcome, ShutdownReport};
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_secs(3600);

/// What was done, in order.
#[derive(Debug, Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A cleanup that notes that it ran.
    fn cleanup(&self, name: &'static str, phase: Phase) -> Cleanup {
        let diary = self.clone();
        Cleanup::new(name, phase, move |_| async move {
            tokio::task::yield_now().await;
            diary.note(name);
            Ok(())
        })
    }
}

fn outcome<'r>(report: &'r ShutdownReport, name: &str) -> &'r CleanupOutcome {
    &report.cleanups.iter().find(|cleanup| cleanup.name == name).unwrap().outcome
}

#[tokio::test]
async fn each_phase_has_its_turn_whatever_the_one_before_did() {
    let (coordinator, diary) = (Coordinator::new(LONG), Diary::default());
    for (name, phase) in [
        ("last words", Phase::End),
        ("queue", Phase::Drain),
        ("graph", Phase::Cleanup),
        ("trackers", Phase::Reset),
        ("state", Phase::Persist),
    ] {
        coordinator.register(diary.cleanup(name, phase)).unwrap();
    }
    let fails = |name: &'static str| Cleanup::new(name, Phase::Cleanup, |_| async { Err("no such graph".to_owned()) });
    let panics = |name: &'static str, phase| {
        Cleanup::new(name, phase, |_: Call| async move {
            let none: Option<u32> = None;
            none.map(|_| ()).ok_or_else(|| panic!("it is {}", 1 + 1))
        })
    };
    // The closure itself, before there is anything to wait for.
    let at_once = Cleanup::new("at once", Phase::Cleanup, |_| {
        if true {
            panic!("not even begun");
        }
        async { Ok(()) }
    });
    coordinator.register_all(vec![fails("broken"), panics("wild", Phase::Persist), at_once]).unwrap();
    coordinator.register(diary.cleanup("after broken", Phase::Cleanup).after(&["broken", "at once", "graph"])).unwrap();

    let report = coordinator.shutdown("test").await;
    assert_eq!(diary.read(), ["state", "trackers", "graph", "after broken", "queue", "last words"]);
    assert!(!report.ok && report.left == 0 && report.reason == "test", "{report:?}");
    assert_eq!(*outcome(&report, "broken"), CleanupOutcome::Failed { error: "no such graph".into() });
    assert_eq!(*outcome(&report, "wild"), CleanupOutcome::Panicked { error: "it is 2".into() });
    assert_eq!(*outcome(&report, "at once"), CleanupOutcome::Panicked { error: "not even begun".into() });
    let phases: Vec<_> = report.cleanups.iter().map(|cleanup| cleanup.phase).collect();
    assert!(phases.is_sorted(), "{phases:?}");
}

#[tokio::test]
async fn independent_ones_run_side_by_side() {
    let coordinator = Coordinator::new(LONG);
    let (ping, heard_ping) = oneshot::channel::<()>();
    let (pong, heard_pong) = oneshot::channel::<()>();
    // Each needs the other to go on.
    let one = Cleanup::new("one", Phase::Cleanup, |_| async move {
        let _sent = ping.send(());
        heard_pong.await.map_err(|error| error.to_string())
    });
    let other = Cleanup::new("other", Phase::Cleanup, |_| async move {
        heard_ping.await.map_err(|error| error.to_string())?;
        pong.send(()).map_err(|()| "nobody listens".to_owned())
    });
    coordinator.register_all(vec![one, other]).unwrap();
    assert!(coordinator.shutdown("test").await.ok);
}

#[tokio::test]
async fn whoever_asks_again_joins() {
    let (coordinator, diary) = (Coordinator::new(LONG), Diary::default());
    coordinator.register(diary.cleanup("once", Phase::Cleanup)).unwrap();
    let (first, second) = tokio::join!(coordinator.shutdown("first"), coordinator.shutdown("second"));
    assert_eq!(first, second);
    assert_eq!((first.reason.as_str(), diary.read().len()), ("first", 1));
    // Also long after.
    assert_eq!(coordinator.shutdown("third").await, first);
    let late = coordinator.register(diary.cleanup("late", Phase::End)).unwrap_err();
    assert_eq!(late, RegisterError::TooLate("late".into()));
}

#[tokio::test]
async fn what_takes_too_long_is_dropped() {
    struct Told(Option<oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _nobody = self.0.take().map(|told| told.send(()));
        }
    }
    let (coordinator, diary) = (Coordinator::new(LONG), Diary::default());
    let (told, dropped) = oneshot::channel();
    let told = Told(Some(told));
    let hangs = Cleanup::new("hangs", Phase::Cleanup, |_| async move {
        let _told = told;
        pending().await
    });
    coordinator.register(hangs.timeout(Duration::from_millis(10))).unwrap();
    coordinator.register(diary.cleanup("next", Phase::Cleanup).after(&["hangs"])).unwrap();
    let report = coordinator.shutdown("test").await;
    assert_eq!(*outcome(&report, "hangs"), CleanupOutcome::TimedOut);
    assert_eq!(diary.read(), ["next"]);
    dropped.await.unwrap();
}

#[tokio::test]
async fn the_whole_has_a_time_too() {
    let (coordinator, diary) = (Coordinator::new(Duration::from_millis(10)), Diary::default());
    coordinator.register(Cleanup::new("hangs", Phase::Cleanup, |_| pending()).timeout(LONG)).unwrap();
    coordinator.register(diary.cleanup("last", Phase::End)).unwrap();
    let forced = Patience { forced: LONG, ..Patience::new(LONG) };
    coordinator.register(diary.cleanup("must", Phase::End).patience(forced)).unwrap();
    let report = coordinator.shutdown("test").await;
    assert_eq!(*outcome(&report, "hangs"), CleanupOutcome::TimedOut);
    assert_eq!(*outcome(&report, "last"), CleanupOutcome::Skipped);
    assert_eq!(diary.read(), ["must"]);
}

#[tokio::test]
async fn a_second_and_a_third_request_hasten_it() {
    let (coordinator, diary) = (Coordinator::new(LONG), Diary::default());
    let (began, has_begun) = oneshot::channel();
    let noted = diary.clone();
    let slow = Cleanup::new("slow", Phase::Cleanup, |mut call| async move {
        let _sent = began.send(());
        while call.urgency() < Urgency::Force {
            let urgency = call.hastened().await;
            noted.note(&format!("{urgency:?}"));
        }
        call.leave(2);
        Ok(())
    });
    // Told of the end, it has a moment for last words.
    let slow = slow.patience(Patience { graceful: LONG, hurried: LONG, forced: LONG });
    coordinator.register_all(vec![slow, diary.cleanup("last", Phase::End)]).unwrap();
    assert_eq!(coordinator.interrupt("SIGTERM"), Urgency::Graceful);
    has_begun.await.unwrap();
    assert_eq!(coordinator.interrupt("SIGTERM"), Urgency::Hurry);
    while diary.read().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(coordinator.interrupt("SIGINT"), Urgency::Force);
    let report = coordinator.report().await;
    assert_eq!(diary.read(), ["Hurry", "Force"]);
    assert_eq!(*outcome(&report, "last"), CleanupOutcome::Skipped);
    assert_eq!((report.left, report.ok, report.reason.as_str()), (2, false, "SIGTERM"));
}

#[tokio::test]
async fn its_state_is_saved_before_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::new(LONG).saved_in(dir.path());
    let seen = Arc::new(Mutex::new(None));
    let (see, path) = (Arc::clone(&seen), dir.path().to_owned());
    let look = Cleanup::new("look", Phase::Persist, |_| async move {
        *see.lock().unwrap() = last(&path).map_err(|error| error.to_string())?;
        Ok(())
    });
    coordinator.register(look).unwrap();
    assert_eq!(last(dir.path()).unwrap(), None);
    let report = coordinator.shutdown("test").await;
    let before = seen.lock().unwrap().take().expect("saved before the first cleanup");
    assert_eq!((before.reason.as_str(), before.timestamp, before.report), ("test", report.timestamp, None));
    let after = last(dir.path()).unwrap().unwrap();
    assert_eq!((after.timestamp, after.report), (report.timestamp, Some(report)));
    let text = std::fs::read_to_string(dir.path().join(STATE_FILE)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(json["timestamp"].is_string() && json["reason"] == "test", "{text}");
}

#[tokio::test]
async fn a_state_that_cannot_be_saved_is_no_good_end() {
    let dir = tempfile::tempdir().unwrap();
    let (coordinator, diary) = (Coordinator::new(LONG).saved_in(&dir.path().join("gone")), Diary::default());
    coordinator.register(diary.cleanup("all the same", Phase::Cleanup)).unwrap();
    let report = coordinator.shutdown("test").await;
    assert!(!report.ok);
    assert_eq!(diary.read(), ["all the same"]);
}
