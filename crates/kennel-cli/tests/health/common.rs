//! What the tests of health share.

use std::time::Duration;

use kennel_testkit::{Scratch, wait_for};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until a service is in this health; gives its entry.
pub(crate) fn wait_health(scratch: &Scratch, service: &str, health: &str) -> Value {
    wait_for(DEADLINE, &format!("`{service}` to be {health}"), || {
        Some(scratch.ps(service)).filter(|entry| entry["health"] == health)
    })
}
