//! What the keeper alone can do, driven over its channel by this program in the place of a daemon.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Isolation, Privileges, Request, ScopeId, Spawn, Stdio, VERSION};
use kennel_sys::spawn::{Exec, Spawner};
use kennel_sys::{process, wait};
use rustix::event::{PollFd, PollFlags};

use crate::{Row, bare, median, ms};

const COUNT: usize = 500;
const RUNS: usize = 7;
/// What the daemon's part writes its figures to.
const RESULT: &str = "result";

/// Rate and cost of 500 starts, asked for as fast as the channel takes them.
pub(crate) fn spawn(_kennel: &Path) -> Vec<Row> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    run_keeper(dir.path());
    let text = std::fs::read_to_string(dir.path().join(RESULT)).expect("the daemon's part wrote its figures");
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
    let [bare, kennel, cpu] = figures[..] else { panic!("three figures, not {text}") };
    let (bare, kennel) = (Duration::from_secs_f64(bare), Duration::from_secs_f64(kennel));
    let share = format!("{:.0} % of the rate", 100.0 * bare.as_secs_f64() / kennel.as_secs_f64());
    let per_spawn = format!("{:.0} µs", cpu * 1e6);
    vec![
        Row::new("500 starts at the keeper", ms(bare), ms(kennel), share, "≥ 80 % of the rate"),
        Row::new("CPU of the keeper for one start", "–".into(), per_spawn, "–".into(), "≤ 150 µs"),
    ]
}

/// Runs a keeper, which runs [`daemon`], to its end.
fn run_keeper(dir: &Path) {
    let program = std::env::current_exe().expect("own path");
    let ready = std::fs::File::options().write(true).open("/dev/null").expect("/dev/null");
    let text = |text: &Path| CString::new(text.as_os_str().as_encoded_bytes()).expect("no NUL");
    let flag = |name: &str| CString::new(name).expect("no NUL");
    let name = format!("bench-{}", std::process::id());
    let argv = [
        text(&program),
        flag("__keeper"),
        flag("--name"),
        flag(&name),
        flag("--state-dir"),
        text(dir),
        flag("--runtime-dir"),
        text(dir),
        flag("--ready-fd"),
        flag("3"),
    ];
    let exec = Exec {
        argv: &argv,
        env: &[c"PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
        fds: &[ready.as_fd(), ready.as_fd(), ready.as_fd(), ready.as_fd()],
        ..bare::exec()
    };
    let keeper = Spawner::new().expect("a stack").spawn(&exec).expect("it starts");
    wait::reap(keeper.pid, true).expect("it is ours");
}

/// The daemon's part: measures, writes the figures, says goodbye.
pub(crate) fn daemon(args: &[OsString]) -> ExitCode {
    let after = args.iter().skip_while(|arg| *arg != "--runtime-dir").nth(1).map(PathBuf::from);
    let dir = after.expect("the keeper names its directory");
    let channel = process::inherited(3).expect("the channel");
    let ready = process::inherited(4).expect("the ready descriptor");
    rustix::io::write(&ready, b"ready\n").expect("it is open");
    let link = Link::new(channel).expect("the channel");
    send(&link, &Request::Hello { version: VERSION });
    let Event::Welcome { pid: keeper, .. } = receive(&link) else { panic!("no welcome") };
    let (mut bares, mut kennels, mut cpus) = (vec![], vec![], vec![]);
    for run in 0..RUNS {
        let begin = Instant::now();
        let children = bare::sleepers(COUNT);
        bares.push(begin.elapsed());
        bare::kill_and_reap(children);
        let (time, cpu) = starts(&link, keeper, run * COUNT);
        kennels.push(time);
        cpus.push(cpu / u32::try_from(COUNT).expect("it is small"));
    }
    let figures = [median(bares), median(kennels), median(cpus)].map(|time| time.as_secs_f64().to_string());
    std::fs::write(dir.join(RESULT), figures.join(" ")).expect("the directory is ours");
    send(&link, &Request::Bye);
    ExitCode::SUCCESS
}

/// Starts and ends `COUNT` scopes; the time of the starts, and the keeper's CPU time for them.
fn starts(link: &Link, keeper: u32, first: usize) -> (Duration, Duration) {
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
    Request::Spawn(Box::new(Spawn {
        scope: ScopeId(number as u64 + 1),
        name: format!("s.{}", number + 1),
        argv: [c"sleep", c"100000"].map(CString::from).to_vec(),
        env: vec![c"PATH=/usr/bin:/bin".to_owned()],
        cwd: c"/".to_owned(),
        user: None,
        umask: None,
        isolation: Isolation::default(),
        privileges: Privileges::default(),
        kill_escaped: true,
        stdio: Stdio::Capture,
    }))
}

/// Time on a CPU. Source: `/proc/PID/schedstat`, first field, nanoseconds.
fn cpu_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    Duration::from_nanos(text.split_whitespace().next().and_then(|field| field.parse().ok()).expect("a figure"))
}

fn send(link: &Link, request: &Request) {
    while let Err(error) = link.try_send(request) {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        wait_for(link, PollFlags::OUT);
    }
}

fn receive(link: &Link) -> Event {
    loop {
        match link.try_recv() {
            Ok(event) => return event.expect("the keeper lives"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
        }
        wait_for(link, PollFlags::IN);
    }
}

fn wait_for(link: &Link, flags: PollFlags) {
    // Interrupted at worst, and then asked again.
    let _again = rustix::event::poll(&mut [PollFd::new(link, flags)], None);
}
