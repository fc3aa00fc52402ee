//! A fork bomb of 500 that ignores TERM, ended.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Request};
use kennel_sys::spawn::{Exec, Spawner};
use kennel_sys::{process, wait};

use super::{figures, plan, receive, send};
use crate::{Row, bare, median, ms, times};

pub(super) const NAME: &str = "bomb";
const PROCESSES: &CStr = c"500";
const RUNS: usize = 7;

/// From the request to the word that the scope is empty, all reaped; beside the one write to `cgroup.kill`, until the
/// kernel says that nobody lives there.
pub(crate) fn bomb(kennel: &Path) -> Vec<Row> {
    let program = kennel.with_file_name("kennel-badchild");
    let program = program.to_str().expect("a plain path");
    let alone = median((0..RUNS).map(|_| alone(program)).collect());
    let kennel = median(figures(NAME, program));
    let what = "fork bomb of 500, killed by request to the keeper; bare: `cgroup.kill` alone";
    vec![Row::new(what, ms(alone), ms(kennel), times(kennel, alone), "≤ 2×")]
}

/// The bomb as a program; it says a line once its limit is reached.
fn argv(program: &str) -> Vec<CString> {
    vec![CString::new(program).expect("no NUL"), c"bomb".to_owned(), PROCESSES.to_owned()]
}

pub(super) fn part(link: &Link, _keeper: u32, program: &str) -> Vec<Duration> {
    (0..RUNS).map(|run| by_keeper(link, run, program)).collect()
}

fn by_keeper(link: &Link, run: usize, program: &str) -> Duration {
    send(link, &plan(run, argv(program)));
    let Event::Spawned { scope, pipes: Some([out, _err]), .. } = receive(link) else { panic!("it does not start") };
    wait_for_line(out);
    let begin = Instant::now();
    send(link, &Request::Kill { scope });
    while !matches!(receive(link), Event::Emptied { .. }) {}
    let elapsed = begin.elapsed();
    send(link, &Request::Forget { scope });
    elapsed
}

/// With nobody who does anything but wait.
fn alone(program: &str) -> Duration {
    process::become_subreaper().expect("it is allowed");
    let group = bare::group("bomb");
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    let null = bare::null();
    let argv = argv(program);
    let exec = Exec {
        argv: &argv,
        fds: &[null.as_fd(), write.as_fd(), null.as_fd()],
        cgroup: Some(group.fd().as_fd()),
        ..bare::exec()
    };
    Spawner::new().expect("a stack").spawn(&exec).expect("it starts");
    drop(write);
    wait_for_line(read);
    let begin = Instant::now();
    group.kill().expect("it is ours");
    while group.populated().expect("it is ours") {
        process::pause(Duration::from_micros(200));
    }
    let elapsed = begin.elapsed();
    while let Ok(Some((pid, _))) = wait::peek(false) {
        wait::reap(pid, true).expect("it is ours");
    }
    group.remove().expect("it is empty");
    elapsed
}

/// The pipe does not block where the keeper made it.
fn wait_for_line(pipe: OwnedFd) {
    rustix::io::ioctl_fionbio(&pipe, false).expect("a pipe");
    let mut byte = [0];
    File::from(pipe).read_exact(&mut byte).expect("the bomb says that it is there");
}
