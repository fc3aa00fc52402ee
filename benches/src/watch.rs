//! What it costs to see: a look at many services, at many processes one by one, and a storm that nobody looks at.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_sys::sample::Group;
use kennel_testkit::{Scratch, User};

use crate::{Row, api, median, ms, rates, times};

const SERVICES: usize = 1000;
const PROCESSES: usize = 1000;
const LOOKS: usize = 20;

/// CPU time of all threads of a process, those that have ended not counted. Source: kernel documentation,
/// "Scheduler Statistics".
pub(crate) fn cpu(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let spent = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// CPU time of this thread that `work` takes.
pub(crate) fn spent(work: impl FnOnce()) -> Duration {
    let now = || Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).expect("a time");
    let before = now();
    work();
    now() - before
}

/// Leaves of a scratch's scopes.
fn leaves(scratch: &Scratch) -> Vec<PathBuf> {
    let all = scratch.cgroups();
    all.into_iter().filter(|dir| dir.parent().is_some_and(|parent| parent.ends_with("svc"))).collect()
}

/// A look at 1,000 services that rest: the readers against a loop that reads what they read.
pub(crate) fn services(kennel: &Path) -> Vec<Row> {
    let scratch = rates::sleepers(kennel, SERVICES);
    scratch.ok(&["up", "-d", "-q"]);
    let leaves = leaves(&scratch);
    assert_eq!(leaves.len(), SERVICES);
    let mut groups: Vec<Group> = leaves.iter().map(|leaf| Group::open(leaf).expect("it is there")).collect();
    let open = |name: &str| leaves.iter().map(|leaf| File::open(leaf.join(name)).expect("it is there")).collect();
    let files: Vec<File> = open("cpu.stat");
    let mut clock = Duration::from_secs(1);
    let mut look = || {
        clock += Duration::from_secs(1);
        for group in &mut groups {
            assert!(group.read(clock).is_some());
        }
    };
    // What is new, and what is slow, is read once.
    (0..12).for_each(|_| look());
    let mut buffer = [0; 4096];
    let bare_look = || {
        for file in &files {
            assert!(file.read_at(&mut buffer, 0).expect("it can be read") > 0);
        }
    };
    let bare_look = std::cell::RefCell::new(bare_look);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        bare.push(spent(|| bare_look.borrow_mut()()));
        ours.push(spent(&mut look));
    }
    let (bare, ours) = (median(bare), median(ours));
    let rows = vec![
        Row::new("a look at 1,000 services at rest, CPU", ms(bare), ms(ours), times(ours, bare), "≤ 1.3×, ≤ 3 ms"),
        asked(&scratch, "/v1/usage", "`GET /v1/usage` of 1,000 services, CPU of the daemon", None, "–"),
    ];
    scratch.down();
    rows
}

/// 1,000 processes of one service one by one, as the API tells them, against a loop that reads the same files.
pub(crate) fn processes(kennel: &Path) -> Vec<Row> {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config(&format!(
        "services:\n  s:\n    command: [kennel-badchild, many, '{PROCESSES}']\n    readiness: {{ log_line: '^up' }}\n"
    ));
    scratch.ok(&["up", "-d", "-q"]);
    let leaf = leaves(&scratch).pop().expect("one scope");
    let pids = std::fs::read_to_string(leaf.join("cgroup.procs")).expect("it is there");
    let pids: Vec<&str> = pids.lines().collect();
    let mut buffer = [0; 4096];
    let mut bare_look = || {
        for pid in &pids {
            for name in ["stat", "io"] {
                let file = File::open(format!("/proc/{pid}/{name}")).expect("it lives");
                assert!(file.read_at(&mut buffer, 0).expect("it can be read") > 0);
            }
            assert!(std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count() > 0);
        }
    };
    let bare = median((0..LOOKS).map(|_| spent(&mut bare_look)).collect());
    let what = "1,000 processes one by one by `GET /v1/usage`, CPU of the daemon";
    let row = asked(&scratch, "/v1/usage?service=s&processes=true", what, Some(bare), "≤ 1.3×, ≤ 15 ms");
    scratch.down();
    vec![row]
}

/// CPU of the daemon for one answer, HTTP and JSON included.
fn asked(scratch: &Scratch, path: &str, what: &str, bare: Option<Duration>, target: &'static str) -> Row {
    let daemon = scratch.daemon().pid;
    let mut costs = Vec::new();
    drop(api::call(scratch, "GET", path, ""));
    for _ in 0..LOOKS {
        let before = cpu(daemon);
        drop(api::call(scratch, "GET", path, ""));
        costs.push(cpu(daemon).saturating_sub(before));
        // What was told a moment ago is not read again.
        kennel_sys::process::pause(Duration::from_millis(1100));
    }
    let cost = median(costs);
    let ratio = bare.map_or_else(|| "–".to_owned(), |bare| times(cost, bare));
    Row::new(what, bare.map_or_else(|| "–".to_owned(), ms), ms(cost), ratio, target)
}

/// A service that makes 50,000 processes which kennel has to reap, as fast as the machine gives them.
pub(crate) fn storm(kennel: &Path) -> Vec<Row> {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config("services:\n  s:\n    command: [kennel-badchild, spray, '5000', '300']\n");
    scratch.ok(&["up", "-d", "-q"]);
    let (daemon, keeper) = (scratch.daemon().pid, scratch.keeper().pid);
    let forks = || {
        let text = std::fs::read_to_string("/proc/stat").expect("it is there");
        let line = text.lines().find_map(|line| line.strip_prefix("processes "));
        line.and_then(|count| count.parse::<u64>().ok()).expect("it counts")
    };
    let (begin, before, first) = (Instant::now(), (cpu(daemon), cpu(keeper)), forks());
    let mut made = 0;
    while begin.elapsed() < Duration::from_secs(20) && made < 50_000 {
        kennel_sys::process::pause(Duration::from_millis(50));
        made = forks() - first;
    }
    let share = |now: Duration, before: Duration| {
        format!("{:.1} %", 100.0 * now.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64())
    };
    let (daemon, keeper) = (share(cpu(daemon), before.0), share(cpu(keeper), before.1));
    let rate = made as f64 / begin.elapsed().as_secs_f64();
    scratch.down();
    let what = format!("storm of {made} forks, {rate:.0} a second: share of a core, daemon (and keeper)");
    vec![Row::new(what, "–".into(), format!("{daemon} ({keeper})"), "–".into(), "≤ 5 %")]
}
