//! What the tests of health share.

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Makes a test of a function for each back end.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod cgroup {
            $(#[test] fn $name() { crate::common::scratch(kennel_testkit::User::Root).inspect(super::$name); })*
        }
        mod reaper {
            $(#[test] fn $name() { crate::common::scratch(kennel_testkit::User::Plain).inspect(super::$name); })*
        }
    };
}
pub(crate) use both;

pub(crate) fn scratch(user: User) -> Option<Scratch> {
    Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// Events of this kind of a service, oldest first.
pub(crate) fn events(scratch: &Scratch, service: &str, kind: &str) -> Vec<Value> {
    scratch.recorded().into_iter().filter(|event| event["event"] == kind && event["service"] == service).collect()
}

/// Waits until a service is in this health; gives its entry.
pub(crate) fn wait_health(scratch: &Scratch, service: &str, health: &str) -> Value {
    wait_for(DEADLINE, &format!("`{service}` to be {health}"), || {
        Some(scratch.ps(service)).filter(|entry| entry["health"] == health)
    })
}

/// Waits until so many of these events are recorded; gives them.
pub(crate) fn wait_events(scratch: &Scratch, service: &str, kind: &str, count: usize) -> Vec<Value> {
    wait_for(DEADLINE, &format!("{count} {kind} of `{service}`"), || {
        Some(events(scratch, service, kind)).filter(|events| events.len() >= count)
    })
}
