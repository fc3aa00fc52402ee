//! A leak: memory that grows at a steady pace, up to a bound so that a test that misses it does no harm.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::os;

/// What is taken at once, MiB.
const STEP: u64 = 4;

/// Fills `rate` MiB a second until it has `most` MiB; with `is_asked`, from SIGUSR1 on. Then it sleeps.
pub(crate) fn run(rate: u64, most: u64, is_asked: bool) -> ExitCode {
    if is_asked {
        let asked = os::Awaited::new(libc::SIGUSR1);
        os::say_up();
        asked.wait();
    } else {
        os::say_up();
    }
    let pause = Duration::from_millis(1000 * STEP / rate.max(1));
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for _ in 0..most / STEP {
        let begin = Instant::now();
        // Not zeros, which cost nothing until they are written to.
        taken.push(vec![1; usize::try_from(STEP << 20).unwrap_or(0)]);
        // Each step by itself: time in which it stood still is not made up for.
        std::thread::sleep(pause.saturating_sub(begin.elapsed()));
    }
    std::hint::black_box(&taken);
    os::forever()
}
