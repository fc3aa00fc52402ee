//! What kennel costs when nothing happens, and when somebody looks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_testkit::Scratch;

use crate::{Row, api, median, ms, rates};

/// A figure of `/proc/PID/smaps_rollup`, summed over its lines with one of these names, KiB.
fn smaps(pid: u32, names: &[&str]) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it lives");
    let figures = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
    figures.map(|line| line.split_ascii_whitespace().nth(1).expect("a figure").parse::<u64>().expect("a figure")).sum()
}

/// Memory of daemon and keeper.
pub(crate) fn memory(kennel: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for (count, what, target) in [
        (1, "memory of daemon + keeper, 1 service", "≤ 8 MiB RSS"),
        (100, "memory of daemon + keeper, 100 services", "≤ 9 MiB RSS"),
        (500, "memory of daemon + keeper, 500 services", "–"),
        (1000, "memory of daemon + keeper, 1,000 services", "≤ 14 kB each"),
    ] {
        let scratch = rates::sleepers(kennel, count);
        scratch.ok(&["up", "-d", "-q"]);
        let (daemon, keeper) = (scratch.daemon().pid, scratch.keeper().pid);
        // At rest: what only the start needed is given back after two seconds.
        kennel_sys::process::pause(Duration::from_secs(4));
        let mib = |kib: u64| kib as f64 / 1024.0;
        let text = format!(
            "RSS {:.1} + {:.1}, PSS {:.1} + {:.1}, private {:.1} + {:.2} MiB",
            mib(smaps(daemon, &["Rss:"])),
            mib(smaps(keeper, &["Rss:"])),
            mib(smaps(daemon, &["Pss:"])),
            mib(smaps(keeper, &["Pss:"])),
            mib(smaps(daemon, &["Private_"])),
            mib(smaps(keeper, &["Private_"])),
        );
        rows.push(Row::new(what, "–".into(), text, "–".into(), target));
        scratch.down();
    }
    rows
}

/// Context switches, voluntary or not, of every thread of a process: each is a wake-up.
fn switches(pid: u32) -> BTreeMap<OsString, u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let count = |text: String| {
        let figures = text.lines().filter(|line| line.contains("ctxt_switches:"));
        figures.map(|line| line.rsplit('\t').next().unwrap_or("0").parse::<u64>().unwrap_or(0)).sum()
    };
    threads
        .filter_map(|thread| {
            Some((thread.file_name(), count(std::fs::read_to_string(thread.path().join("status")).ok()?)))
        })
        .collect()
}

/// Wake-ups since `before`; a thread that has ended meanwhile counts as one.
fn wake_ups(pid: u32, before: &BTreeMap<OsString, u64>) -> u64 {
    let after = switches(pid);
    let ended = before.keys().filter(|thread| !after.contains_key(*thread)).count() as u64;
    ended + after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0)).sum::<u64>()
}

/// How long it may take until a stack that has just begun is at rest, on a machine with much to do.
const AT_REST: Duration = Duration::from_secs(120);

/// Wake-ups of daemon and keeper in ten seconds in which nothing happens.
pub(crate) fn idle(kennel: &Path) -> Vec<Row> {
    [100, 1000].into_iter().map(|count| idle_with(kennel, count)).collect()
}

fn idle_with(kennel: &Path, count: usize) -> Row {
    let scratch = rates::sleepers(kennel, count);
    scratch.ok(&["up", "-d", "-q"]);
    let (daemon, keeper) = (scratch.daemon().pid, scratch.keeper().pid);
    // Nobody looks any more at what the built-in rules watch: from here on the kernel tells of activity.
    kennel_testkit::wait_until(AT_REST, "the last look", || scratch.daemon_threads("samples") == 0);
    // Past everything that has to do with the start: idle threads of the runtime end after ten seconds.
    kennel_sys::process::pause(Duration::from_secs(15));
    let before = (switches(daemon), switches(keeper));
    kennel_sys::process::pause(Duration::from_secs(10));
    let text = format!("{} + {}", wake_ups(daemon, &before.0), wake_ups(keeper, &before.1));
    let armed = triggers(daemon);
    scratch.down();
    let what = format!("wake-ups of daemon + keeper in 10 s idle, {count} services, {armed} pressure trigger(s) set");
    Row::new(what, "0".into(), text, "–".into(), "0")
}

/// Pressure triggers that a process waits for: the rules that every stack has are watched by them while it is at rest.
fn triggers(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten();
    let targets = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.filter(|target| target.ends_with("cpu.pressure")).count()
}

fn measure(rounds: usize, mut act: impl FnMut()) -> Duration {
    let timed = |_| {
        let begin = Instant::now();
        act();
        begin.elapsed()
    };
    median((0..rounds).map(timed).collect())
}

/// How long a look takes.
pub(crate) fn status(kennel: &Path) -> Vec<Row> {
    let scratch = rates::sleepers(kennel, 100);
    scratch.ok(&["up", "-d", "-q"]);
    let one = measure(50, || drop(api::call(&scratch, "GET", "/v1/services/s7", "")));
    let list = measure(50, || drop(api::call(&scratch, "GET", "/v1/services", "")));
    let ps = measure(20, || drop(run(&scratch)));
    scratch.down();
    vec![
        Row::new("status of one service over the socket", "–".into(), ms(one), "–".into(), "≤ 1 ms"),
        Row::new("list of 100 services over the socket", "–".into(), ms(list), "–".into(), "–"),
        Row::new("`kennel ps` of 100 as a whole process", "–".into(), ms(ps), "–".into(), "≤ 4 ms"),
    ]
}

fn run(scratch: &Scratch) -> String {
    scratch.ok(&["ps"]).stdout
}
