//! A daemon that nothing of what it was started with points to.

use std::process::ExitCode;

use crate::os::{self, Muster};

/// setsid and double fork, all descriptors closed, no environment, and a command line and a name like those of a
/// kernel thread.
pub(crate) fn run() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    let between = os::fork(|| {
        os::new_session();
        os::fork(|| {
            os::ignore(libc::SIGHUP);
            os::ignore(libc::SIGTERM);
            if let Err(error) = std::env::set_current_dir("/") {
                os::fail("/", error);
            }
            muster.here();
            os::close_everything();
            os::execute(c"/proc/self/exe", &["kennel-badchild", "cloaked"], false)
        });
        os::leave(0)
    });
    os::wait_for(between);
    muster.up(1);
    os::forever()
}

/// What it becomes: hides its arguments as well.
pub(crate) fn hide() -> ExitCode {
    // The runtime opens the first three at its start.
    os::close_everything();
    // No descriptor is open, so nobody could be told of an error; the test of this shape looks at the result.
    let _named = rustix::thread::set_name(c"kworker/0:1");
    // Not even the owner may read its memory or environment any more.
    let _undumpable = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Some((begin, end)) = arguments() {
        for at in begin..end {
            // SAFETY: the kernel put the arguments there, on our own stack; nobody reads them while we write, for
            // this is the only thread and `std::env::args` copies them when asked.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(0) };
        }
    }
    os::forever()
}

/// Where this process's arguments are in memory: fields 48 and 49 of `/proc/self/stat` (`proc_pid_stat(5)`).
fn arguments() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
