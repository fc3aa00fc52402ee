//! The same work without a supervisor: the limit that kennel is measured against.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kennel_sys::spawn::{Child, Exec, Settings, Spawner};
use kennel_sys::{pidfd, wait};
use rustix::event::epoll;

const SIGKILL: i32 = 9;

/// A start that changes nothing; program, environment and descriptors are the caller's.
pub(crate) fn exec<'a>() -> Exec<'a> {
    Exec {
        argv: &[],
        env: &[],
        cwd: c"/",
        user: None,
        umask: None,
        fds: &[],
        nofile: None,
        tag: None,
        settings: Settings::default(),
        no_new_privs: false,
        cgroup: None,
    }
}

/// Sleepers, started one after the other by vfork-like clone3.
pub(crate) fn sleepers(count: usize) -> Vec<Child> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null");
    let text = |text: &str| CString::new(text).expect("no NUL");
    let (argv, env) = ([text("sleep"), text("100000")], [text("PATH=/usr/bin:/bin")]);
    let mut spawner = Spawner::new().expect("a stack");
    let start = |_| {
        let exec = Exec { argv: &argv, env: &env, fds: &[null.as_fd(), null.as_fd(), null.as_fd()], ..exec() };
        spawner.spawn(&exec).expect("sleep starts")
    };
    (0..count).map(start).collect()
}

/// Kills each and reaps each.
pub(crate) fn kill_and_reap(children: Vec<Child>) -> Duration {
    let begin = Instant::now();
    for child in &children {
        pidfd::send_signal(&child.pidfd, SIGKILL).expect("it is ours");
    }
    for child in &children {
        wait::reap(child.pid, true).expect("it is ours");
    }
    begin.elapsed()
}

/// From the kill of a sleeper to its pidfd being reported by epoll.
pub(crate) fn death_notice() -> Duration {
    let child = sleepers(1).remove(0);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    epoll::add(&poll, &child.pidfd, epoll::EventData::new_u64(0), epoll::EventFlags::IN).expect("epoll");
    let begin = Instant::now();
    pidfd::send_signal(&child.pidfd, SIGKILL).expect("it is ours");
    let mut events = Vec::with_capacity(1);
    epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None).expect("epoll");
    let elapsed = begin.elapsed();
    wait::reap(child.pid, true).expect("it is ours");
    elapsed
}

/// From the kill of a sleeper to the next one being executed.
pub(crate) fn death_to_next() -> Duration {
    let child = sleepers(1).remove(0);
    let begin = Instant::now();
    pidfd::send_signal(&child.pidfd, SIGKILL).expect("it is ours");
    wait::reap(child.pid, true).expect("it is ours");
    let next = sleepers(1);
    let elapsed = begin.elapsed();
    kill_and_reap(next);
    elapsed
}
