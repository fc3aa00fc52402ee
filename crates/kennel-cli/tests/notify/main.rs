//! Notifications on the desktop: over a session bus of the test's own, to a receiver of its own.
//!
//! covers: A8, B8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod desktop;

mod shown;
mod trouble;

use std::path::Path;
use std::time::Duration;

use kennel_testkit::Scratch;

const DEADLINE: Duration = Duration::from_secs(60);

/// A kennel that is not up yet.
fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// Declares these services, and these keys of `notify`.
fn config(scratch: &Scratch, notify: &str, services: &str) {
    scratch.config(&format!(
        "name: shop\nnotify: {{ {notify} }}\nservices:\n  web: {{ command: [sleep, '1000'] }}\n{services}"
    ));
}

/// A service that fails when it is started.
const BAD: &str = "  bad: { command: ['false'], restart: 'no', profiles: [broken] }\n";

/// Has it fail once more.
fn fail(scratch: &Scratch) {
    let before = scratch.events_of("bad", "service.failed").len();
    scratch.kennel(&["start", "bad"]);
    scratch.wait_events("bad", "service.failed", before + 1);
}
