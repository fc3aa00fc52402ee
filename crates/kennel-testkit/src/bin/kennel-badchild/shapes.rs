//! Shapes with descendants.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::process::ExitCode;

use crate::os::{self, Muster};
use crate::shared;

/// A child that only sleeps.
pub(crate) fn plain() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        muster.here();
        os::forever()
    });
    muster.up(1);
    os::forever()
}

/// As `npm` and `sh` do: exits on TERM, the child is never told.
pub(crate) fn eats_signal() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    os::exits_on(libc::SIGTERM);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGTERM);
        muster.here();
        os::forever()
    });
    muster.up(1);
    os::forever()
}

/// Only SIGKILL ends these.
pub(crate) fn ignores_term() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        os::ignore(signal);
    }
    let muster = Muster::new();
    os::fork(|| {
        os::ignore(libc::SIGUSR1);
        muster.here();
        os::forever()
    });
    muster.up(1);
    os::forever()
}

/// A signal to the group that the supervisor knows reaches neither.
pub(crate) fn own_group() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        new_group();
        muster.here();
        os::forever()
    });
    // Where the supervisor made us a session leader we already lead a group and may not change it.
    if !os::leads_session() {
        new_group();
    }
    muster.up(1);
    os::forever()
}

fn new_group() {
    if let Err(error) = rustix::process::setpgid(None, None) {
        os::fail("setpgid", error);
    }
}

/// The classical daemon: its parent is gone and its session is its own.
pub(crate) fn daemon(closes_output: bool) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    let between = os::fork(|| {
        os::new_session();
        os::fork(|| {
            if closes_output {
                close_output();
            }
            os::ignore(libc::SIGHUP);
            muster.here();
            os::forever()
        });
        os::leave(0)
    });
    os::wait_for(between);
    muster.up(1);
    os::forever()
}

fn close_output() {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.unwrap_or_else(|error| os::fail("/dev/null", error));
    let replaced = rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null));
    if let Err(error) = replaced {
        os::fail("dup2", error);
    }
}

/// Main and child are stopped; the child says `up` once it has seen main stopped, and is stopped next.
pub(crate) fn stopped() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let main = os::own_number();
    os::fork(|| {
        shared::wait(|| state_of(&main) == Some('T'));
        os::say_up();
        loop {
            stop_self();
        }
    });
    loop {
        stop_self();
    }
}

fn stop_self() {
    let me = rustix::process::getpid();
    if let Err(error) = rustix::process::kill_process(me, rustix::process::Signal::STOP) {
        os::fail("kill", error);
    }
}

/// State letter of a process, the first after the command name's closing bracket (`proc_pid_stat(5)`).
fn state_of(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Nothing that was put into the environment survives here, and the child is in a session of its own.
pub(crate) fn empty_env() -> ExitCode {
    if std::env::vars_os().next().is_some() {
        os::execute(c"/proc/self/exe", &["kennel-badchild", "empty-env"], false);
    }
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    let between = os::fork(|| {
        os::new_session();
        os::fork(|| {
            muster.here();
            // exec resets the handler of SIGUSR1 and keeps the session; it never says `up`, which main does.
            os::execute(c"/proc/self/exe", &["kennel-badchild", "sleep", "quiet"], false)
        });
        os::leave(0)
    });
    os::wait_for(between);
    muster.up(1);
    os::forever()
}

/// The first thread is a zombie, so `/proc` shows `Z`, yet the program runs on. `cgroup.kill` of some kernels
/// misses such a process.
pub(crate) fn lost_leader() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        muster.here();
        os::forever()
    });
    muster.wait(1);
    let leader = os::own_number();
    std::thread::spawn(move || {
        shared::wait(|| state_of(&leader) == Some('Z'));
        os::say_up();
        os::forever()
    });
    os::end_thread()
}

/// A pool.
pub(crate) fn many(count: u64) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    for _ in 0..count {
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            muster.here();
            os::forever()
        });
    }
    muster.up(usize::try_from(count).unwrap_or(0));
    os::forever()
}

/// The child has the port, as a server behind `npm` and `sh` has.
pub(crate) fn port(port: u16) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    let listener = TcpListener::bind(("127.0.0.1", port));
    let listener = listener.unwrap_or_else(|error| os::fail(&format!("cannot listen on port {port}"), error));
    os::fork(|| {
        muster.here();
        for connection in listener.incoming() {
            drop(connection);
        }
        os::forever()
    });
    drop(listener);
    muster.up(1);
    os::forever()
}
