//! The same work without a supervisor: the limit that kennel is measured against.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kennel_sys::cgroup::{Group, Hierarchy};
use kennel_sys::spawn::{Child, Exec, Settings, Spawner};
use kennel_sys::{pidfd, process, wait};
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

/// What stands for input and output of those who have none.
pub(crate) fn null() -> std::fs::File {
    std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null")
}

/// Sleepers, started one after the other by vfork-like clone3.
pub(crate) fn sleepers(count: usize) -> Vec<Child> {
    let null = null();
    let text = |text: &str| CString::new(text).expect("no NUL");
    let (argv, env) = ([text("sleep"), text("100000")], [text("PATH=/usr/bin:/bin")]);
    let mut spawner = Spawner::new().expect("a stack");
    let start = |_| {
        let exec = Exec { argv: &argv, env: &env, fds: &[null.as_fd(), null.as_fd(), null.as_fd()], ..exec() };
        spawner.spawn(&exec).expect("sleep starts")
    };
    (0..count).map(start).collect()
}

/// A cgroup that goes with whoever measures, also if that fails.
pub(crate) struct Fresh(Group);

impl std::ops::Deref for Fresh {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Of a measurement that succeeds nobody is left in it, and it is removed already.
        let _gone = self.0.kill();
        let end = Instant::now() + Duration::from_secs(5);
        while self.0.populated().unwrap_or(false) && Instant::now() < end {
            process::pause(Duration::from_millis(1));
        }
        let _gone = self.0.remove();
    }
}

/// A fresh cgroup of the bench's own, version 2, outside of any kennel's.
pub(crate) fn group(name: &str) -> Fresh {
    let hierarchies = Hierarchy::mounted().expect("cgroups");
    let mount = &hierarchies.first().expect("cgroup v2 is mounted").mount;
    let directory = mount.join(format!("kennel-bench-{}-{name}", std::process::id()));
    std::fs::create_dir(&directory).expect("root may");
    Fresh(Group::at(&directory).expect("it was just made"))
}

/// The time to start as many sleepers with all that a scope of kennel has: a group of its own and two pipes, and
/// nobody to talk to about it.
pub(crate) fn scopes(count: usize) -> Duration {
    let null = null();
    let (argv, env) = ([c"sleep".to_owned(), c"100000".to_owned()], [c"PATH=/usr/bin:/bin".to_owned()]);
    let mut spawner = Spawner::new().expect("a stack");
    let parent = group("scopes");
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    let mut start = |number: usize| {
        let name = number.to_string();
        let leaf = Group::create(parent.directory().join(&name), name.into()).expect("it is ours");
        let ((out, out_write), (err, err_write)) = (pipe(), pipe());
        let exec = Exec {
            argv: &argv,
            env: &env,
            fds: &[null.as_fd(), out_write.as_fd(), err_write.as_fd()],
            cgroup: Some(leaf.fd().as_fd()),
            ..exec()
        };
        (spawner.spawn(&exec).expect("sleep starts"), leaf, out, err)
    };
    let begin = Instant::now();
    let started: Vec<_> = (0..count).map(&mut start).collect();
    let elapsed = begin.elapsed();
    let mut children = Vec::new();
    let mut leaves = Vec::new();
    for (child, leaf, _out, _err) in started {
        children.push(child);
        leaves.push(leaf);
    }
    kill_and_reap(children);
    for leaf in leaves.iter().chain([&*parent]) {
        leaf.remove().expect("it is empty");
    }
    elapsed
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

/// How long a process lives before it is killed. One that is still loading its libraries ends in a quarter of the time.
/// Trees younger than 10 ms are a case of their own, too: the kernel holds the notices of their cgroups back.
pub(crate) const LIFE: Duration = Duration::from_millis(30);

/// From the kill of a sleeper to its pidfd being reported by epoll.
pub(crate) fn death_notice() -> Duration {
    let child = sleepers(1).remove(0);
    process::pause(LIFE);
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
    process::pause(LIFE);
    let begin = Instant::now();
    pidfd::send_signal(&child.pidfd, SIGKILL).expect("it is ours");
    wait::reap(child.pid, true).expect("it is ours");
    let next = sleepers(1);
    let elapsed = begin.elapsed();
    kill_and_reap(next);
    elapsed
}
