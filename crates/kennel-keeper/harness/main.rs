//! Plays `kennel` for the tests: a real keeper, and a daemon that lends its end of the channel to the test.
//!
//! Also the bad children that no shell can play.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let mut verb = args.next().unwrap_or_default();
    if verb == "marked" {
        if mark(&args.next().unwrap_or_default()).is_none() {
            return ExitCode::from(2);
        }
        verb = args.next().unwrap_or_default();
    }
    let rest: Vec<OsString> = args.collect();
    match verb.to_str() {
        Some("__keeper") if promises_too_much(&rest) => kennel_keeper::main_of_another_format(rest),
        Some("__keeper") => kennel_keeper::main(rest),
        Some("__daemon") => daemon(&rest),
        Some("leaderless") => leaderless(),
        Some("tracer") => tracer(&rest),
        _ => ExitCode::from(2),
    }
}

/// Under this name it says that it can take over from a keeper, and then it cannot.
fn promises_too_much(args: &[OsString]) -> bool {
    let named = std::env::current_exe().is_ok_and(|exe| exe.ends_with("kennel-that-reads-nothing"));
    named && args.iter().any(|arg| arg == "--resume-fd")
}

/// Takes on a limit that everything started from here inherits, whatever else it sheds, and nothing else has.
fn mark(number: &OsStr) -> Option<()> {
    let number = number.to_str()?.parse().ok()?;
    let limit = Rlimit { current: Some(number), maximum: Some(number) };
    rustix::process::setrlimit(Resource::Msgqueue, limit).ok()
}

/// Gives the test everything that a daemon has, and then only lives, until the test lets go or kills it.
fn daemon(args: &[OsString]) -> ExitCode {
    let at = args.iter().position(|arg| arg == "--runtime-dir").map(|at| at + 1);
    let Some(runtime_dir) = at.and_then(|at| args.get(at)).map(PathBuf::from) else { return ExitCode::from(2) };
    let manner = args.last().and_then(|arg| arg.to_str()).filter(|arg| arg.starts_with("--"));
    match lend(&runtime_dir, manner) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn lend(runtime_dir: &Path, manner: Option<&str>) -> std::io::Result<()> {
    let channel = kennel_sys::process::inherited(3)?;
    let ready = kennel_sys::process::inherited(4)?;
    let lock = kennel_sys::process::inherited(5)?;
    rustix::io::write(&ready, b"ready\n")?;
    drop(ready);
    let mut test = kennel_sys::unix::connect(&runtime_dir.join("test.sock"))?;
    let greeting = match manner {
        Some("--recovered") => b"recovered",
        Some("--successor") => b"successor",
        _ => b"first one",
    };
    kennel_sys::unix::send_fds(&test, greeting, &[channel.as_fd()])?;
    drop(channel);
    // The end of the connection is the test's permission to exit.
    test.read_to_end(&mut Vec::new())?;
    drop(lock);
    Ok(())
}

/// A process whose main thread has ended while another one lives on: `cgroup.kill` misses it on some kernels.
fn leaderless() -> ExitCode {
    std::thread::spawn(|| {
        loop {
            kennel_sys::process::pause(std::time::Duration::from_secs(600));
        }
    });
    kennel_sys::process::exit_thread()
}

/// Holds a process so that nobody can end it, until stdin ends.
fn tracer(args: &[OsString]) -> ExitCode {
    let pid = args.first().and_then(|arg| arg.to_str()?.parse().ok());
    let Some(Ok(())) = pid.map(kennel_sys::process::hold_at_end) else { return ExitCode::FAILURE };
    let told = rustix::io::write(rustix::stdio::stdout(), b"held\n");
    let read = std::io::stdin().read_to_end(&mut Vec::new());
    if told.is_ok() && read.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
