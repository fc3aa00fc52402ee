//! Starts, as fast as the channel takes them.

use std::ffi::CString;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Request, ScopeId};

use super::{figures, plan, receive, send};
use crate::{Row, bare, median, ms, share};

const NAME: &str = "starts";
const COUNT: usize = 500;
const RUNS: usize = 7;

/// Rate and cost of 500 starts: beside starts that make nothing, and beside those that make a group and two pipes, too.
pub(crate) fn starts(_kennel: &Path) -> Vec<Row> {
    let figures = figures(NAME, "");
    let [bare, same, kennel, cpu] = figures[..] else { panic!("four figures, not {figures:?}") };
    let per_spawn = format!("{:.0} µs", cpu.as_secs_f64() * 1e6);
    let target = "≥ 80 % of the rate";
    vec![
        Row::new("500 starts at the keeper", ms(bare), ms(kennel), share(kennel, bare), target),
        Row::new("the same, bare ones with cgroup and pipes", ms(same), ms(kennel), share(kennel, same), "–"),
        Row::new("CPU of the keeper for one start", "–".into(), per_spawn, "–".into(), "≤ 150 µs"),
    ]
}

/// In turns, so that all see the same machine.
pub(super) fn part(link: &Link, keeper: u32, _argument: &str) -> Vec<Duration> {
    let (mut bares, mut sames, mut kennels, mut cpus) = (vec![], vec![], vec![], vec![]);
    for run in 0..RUNS {
        let begin = Instant::now();
        let children = bare::sleepers(COUNT);
        bares.push(begin.elapsed());
        bare::kill_and_reap(children);
        sames.push(bare::scopes(COUNT));
        let (time, cpu) = one_run(link, keeper, run * COUNT);
        kennels.push(time);
        cpus.push(cpu / u32::try_from(COUNT).expect("it is small"));
    }
    [bares, sames, kennels, cpus].map(median).to_vec()
}

/// Starts and ends `COUNT` scopes; the time of the starts, and the keeper's CPU time for them.
fn one_run(link: &Link, keeper: u32, first: usize) -> (Duration, Duration) {
    let before = cpu_time(keeper);
    let begin = Instant::now();
    let (mut sent, mut started) = (0, 0);
    while started < COUNT {
        while sent < COUNT && link.try_send(&start(first + sent)).is_ok() {
            sent += 1;
        }
        match receive(link) {
            Event::Spawned { .. } => started += 1,
            other => panic!("{other:?}"),
        }
    }
    let result = (begin.elapsed(), cpu_time(keeper).saturating_sub(before));
    for scope in first..first + COUNT {
        send(link, &Request::Kill { scope: ScopeId(scope as u64 + 1) });
    }
    let mut emptied = 0;
    while emptied < COUNT {
        if let Event::Emptied { scope } = receive(link) {
            emptied += 1;
            send(link, &Request::Forget { scope });
        }
    }
    result
}

fn start(number: usize) -> Request {
    plan(number, [c"sleep", c"100000"].map(CString::from).to_vec())
}

/// Time on a CPU. Source: `/proc/PID/schedstat`, first field, nanoseconds.
fn cpu_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    Duration::from_nanos(text.split_whitespace().next().and_then(|field| field.parse().ok()).expect("a figure"))
}
