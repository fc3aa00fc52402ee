//! Waiting for named conditions with a deadline.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Pause between two looks; a busy loop would take the machine from what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits a moment before the next look, on a slow machine much longer: there a look itself takes its time.
pub fn pause() {
    let slow = patience(PAUSE);
    std::thread::sleep(if slow > PAUSE { slow * 8 } else { PAUSE });
}

/// A deadline for this machine: `KENNEL_TEST_SLOW` says how many times slower it is than others, as an emulated one.
#[must_use]
pub fn patience(deadline: Duration) -> Duration {
    static FACTOR: LazyLock<u32> = LazyLock::new(|| {
        let factor = std::env::var("KENNEL_TEST_SLOW").ok().and_then(|text| text.parse().ok());
        factor.unwrap_or(1).clamp(1, 1000)
    });
    deadline * *FACTOR
}

/// Waits until `look` gives something.
///
/// # Panics
/// With `what` when the deadline passes first.
pub fn wait_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = patience(deadline);
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        pause();
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// With `what` when the deadline passes first.
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(deadline, what, || condition().then_some(()));
}

/// A TCP port of 127.0.0.1 that nobody listens on at the moment, outside the range that the kernel hands out for
/// outgoing connections: one of those would be taken by anybody's connection before the test gets to it.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() * 7 % 12_000).unwrap_or(0);
    let mut offset = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..12_000 {
        let port = 20_000 + (start + offset) % 12_000;
        if port_is_free(port) {
            return port;
        }
        offset = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    panic!("no free port");
}

static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);

/// Whether nobody listens on this port of 127.0.0.1.
#[must_use]
pub fn port_is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
