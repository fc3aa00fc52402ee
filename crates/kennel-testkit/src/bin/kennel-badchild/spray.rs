//! Thousands of processes a second that exit at once, all of them children of whoever adopted their parent: kennel
//! has to reap each one.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::os::{self, Muster};

/// A spray that nobody ends runs dry.
const LASTS: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(2);

/// `rate` in processes a second, as far as the machine gives them, and as far as they are reaped: never more than
/// `most` of this user, for a machine full of zombies starts nothing any more.
pub(crate) fn run(rate: u64, most: u64) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    crate::bomb::bound(most);
    let muster = Muster::new();
    let between = os::fork(|| {
        os::new_session();
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::ignore(libc::SIGTERM);
            spray(rate, &muster)
        });
        os::leave(0)
    });
    os::wait_for(between);
    muster.up(1);
    os::forever()
}

fn spray(rate: u64, muster: &Muster) -> ! {
    let begin = Instant::now();
    let (mut made, mut muster) = (0, Some(muster));
    while begin.elapsed() < LASTS {
        let due = u64::try_from(begin.elapsed().as_micros()).unwrap_or(0) * rate / 1_000_000;
        // Its parent is ours: it is nobody's but kennel's to reap.
        while made < due && os::vfork(libc::CLONE_PARENT, leave) {
            made += 1;
        }
        if made > 0
            && let Some(muster) = muster.take()
        {
            muster.here();
        }
        std::thread::sleep(TICK);
    }
    os::forever()
}

extern "C" fn leave(_: *mut libc::c_void) -> i32 {
    os::leave(0)
}
