//! Shapes that wait in the kernel, or are held by somebody outside.

use std::process::ExitCode;

use crate::os::{self, Muster};

/// A parent that waits in `vfork` for a child that neither executes nor exits: state `D`, yet it can be killed.
pub(crate) fn vfork_parent() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        muster.here();
        if !os::vfork(0, pause) {
            os::fail("vfork", std::io::Error::last_os_error());
        }
    });
    muster.up(1);
    os::forever()
}

/// Shares the memory of its parent, so it makes a system call and nothing else.
extern "C" fn pause(_: *mut libc::c_void) -> i32 {
    os::forever()
}

/// Main and a child that anybody of the same user may trace.
pub(crate) fn traced() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    // Refused where no such restriction exists.
    // SAFETY: takes numbers.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        // SAFETY: as above; it is not inherited.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
        muster.here();
        os::forever()
    });
    muster.up(1);
    os::forever()
}

/// A child asks for a file and gets no answer: state `D`, and nothing ends it if the file system is hung.
pub(crate) fn asks_for(path: &str) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        muster.here();
        let answer = std::fs::metadata(path);
        // Told where a test can read it; by then it may be killed already.
        eprintln!("kennel-badchild: {path}: {answer:?}");
        os::forever()
    });
    muster.up(1);
    os::forever()
}
