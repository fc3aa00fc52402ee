//! With the hook that ends the process at a panic: one of a cleanup is still no more than an outcome.
//!
//! Alone in its program, because the hook is there for all of it. That other panics end the process is shown by
//! `a_panic_is_recorded_before_the_daemon_ends`.
//!
//! covers: A3, A7

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_engine::panics;
use kennel_engine::shutdown::{Cleanup, Coordinator, Phase};
use kennel_wire::CleanupOutcome;

#[tokio::test]
async fn a_cleanup_may_panic_and_its_place_is_told() {
    let dying = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&dying);
    panics::persist_first(move |_| told.store(true, Ordering::SeqCst));
    let coordinator = Coordinator::new(Duration::from_secs(3600));
    let wild = Cleanup::new("wild", Phase::Cleanup, |call| async move {
        // Also after it has waited, when it is polled by another turn of the runtime.
        tokio::task::yield_now().await;
        panic!("{:?}", call.urgency());
    });
    coordinator.register_all(vec![wild, Cleanup::new("next", Phase::End, |_| async { Ok(()) })]).unwrap();
    let report = coordinator.shutdown("test").await;
    let CleanupOutcome::Panicked { error } = &report.cleanups[0].outcome else { panic!("{report:?}") };
    assert!(error.starts_with("Graceful (") && error.contains("tests/panics.rs:"), "{error}");
    assert_eq!(report.cleanups[1].outcome, CleanupOutcome::Ok);
    assert!(!dying.load(Ordering::SeqCst));
}
