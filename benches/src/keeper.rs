//! What the keeper alone can do, driven over its channel by this program in the place of a daemon.

mod bomb;
mod starts;

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Isolation, Privileges, Request, ScopeId, Spawn, Stdio, VERSION};
use kennel_sys::spawn::{Exec, Spawner};
use kennel_sys::{process, wait};
use rustix::event::{PollFd, PollFlags};

use crate::bare;

pub(crate) use self::bomb::bomb;
pub(crate) use self::starts::starts;

/// What the daemon's part is to measure; the file with its figures, and the argument of the measure.
const WHAT: &str = "what";
const RESULT: &str = "result";

/// What the daemon's part measures: the keeper's pid and an argument go in, seconds come out.
type Part = fn(&Link, u32, &str) -> Vec<Duration>;

/// Runs a keeper whose daemon is this program with the measure of that name; answers with its figures.
fn figures(measure: &str, argument: &str) -> Vec<Duration> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    std::fs::write(dir.path().join(WHAT), format!("{measure}\n{argument}")).expect("it is ours");
    run_keeper(dir.path());
    let text = std::fs::read_to_string(dir.path().join(RESULT)).expect("the daemon's part wrote its figures");
    let seconds = text.split_whitespace().map(|figure| figure.parse().expect("a figure"));
    seconds.map(Duration::from_secs_f64).collect()
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
    let what = std::fs::read_to_string(dir.join(WHAT)).expect("it was written");
    let (measure, argument) = what.split_once('\n').expect("two lines");
    let part: Part = if measure == bomb::NAME { bomb::part } else { starts::part };
    let channel = process::inherited(3).expect("the channel");
    let ready = process::inherited(4).expect("the ready descriptor");
    rustix::io::write(&ready, b"ready\n").expect("it is open");
    let link = Link::new(channel).expect("the channel");
    send(&link, &Request::Hello { version: VERSION });
    let Event::Welcome { pid: keeper, .. } = receive(&link) else { panic!("no welcome") };
    let figures: Vec<String> =
        part(&link, keeper, argument).iter().map(|time| time.as_secs_f64().to_string()).collect();
    std::fs::write(dir.join(RESULT), figures.join(" ")).expect("the directory is ours");
    send(&link, &Request::Bye);
    ExitCode::SUCCESS
}

/// A scope of its own for a program, with pipes.
fn plan(number: usize, argv: Vec<CString>) -> Request {
    Request::Spawn(Box::new(Spawn {
        scope: ScopeId(number as u64 + 1),
        name: format!("s.{}", number + 1),
        argv,
        env: vec![c"PATH=/usr/bin:/bin".to_owned()],
        cwd: c"/".to_owned(),
        user: None,
        umask: None,
        isolation: Isolation::default(),
        privileges: Privileges::default(),
        kill_escaped: true,
        stdio: Stdio::Capture,
        keep: false,
        note: Vec::new(),
        bounds: Vec::new(),
        owners: Vec::new(),
    }))
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
