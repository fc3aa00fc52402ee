//! A stranger takes the process id and even the start time of a main process that has ended, while its scope lives
//! on: nothing that the keeper can be asked for hits it.
//!
//! covers: E9

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_keeper::proto::{Identity, Request, ScopeId};
use kennel_sys::spawn::{Child, Exec, Spawner};
use kennel_sys::{pidfd, wait};
use rig::{HARNESS, ORDINARY, Rig, World, wait_until};
use rustix::process::Signal;
use std::os::fd::{AsFd, OwnedFd};

/// So many strangers with the same id *and* start time; those with another time are tried as well, and do not count.
const EQUAL: usize = 3;
/// A main process lives for some milliseconds, the clock of start times ticks every ten; on a busy machine it takes a
/// while until both are born within one tick.
const LONG_ENOUGH: Duration = Duration::from_secs(180);

/// Starts processes with the ids that it is asked for, of the keeper's user, so that nothing but care protects them.
struct Stranger {
    helper: Child,
    ask: Option<std::io::PipeWriter>,
    answers: BufReader<std::io::PipeReader>,
}

impl Stranger {
    fn new(world: World) -> Self {
        let program = Path::new(HARNESS).with_file_name("kennel-badchild");
        assert!(program.is_file(), "build it first: cargo build --workspace --bins");
        let user = if world == World::Reaper { ORDINARY } else { 0 };
        let (input, ask) = std::io::pipe().unwrap();
        let (answers, output) = std::io::pipe().unwrap();
        let words = [program.to_str().unwrap(), "stranger", &user.to_string()].map(|word| word.to_owned());
        let argv: Vec<_> = words.into_iter().map(|word| std::ffi::CString::new(word).unwrap()).collect();
        let stderr = std::io::stderr();
        let fds = [input.as_fd(), output.as_fd(), stderr.as_fd()];
        let exec = Exec::new(&argv, &[], &fds);
        let helper = Spawner::new().unwrap().spawn(&exec).unwrap();
        Self { helper, ask: Some(ask), answers: BufReader::new(answers) }
    }

    /// Takes an id as soon as it is free; with the start time of who has it now. `None` where somebody else on this
    /// machine was quicker.
    fn take(&mut self, pid: u32) -> Option<(OwnedFd, u64)> {
        let end = Instant::now() + Duration::from_millis(20);
        while Instant::now() < end {
            writeln!(self.ask.as_mut().unwrap(), "{pid}").unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            match line.trim().split_once(' ').unwrap() {
                // It is still the number of the session that main has led.
                ("0", "17") => {}
                ("0", errno) => panic!("clone3 with set_tid is refused: error {errno}"),
                (_, ticks) => return Some((pidfd::open(pid).unwrap(), ticks.parse().unwrap())),
            }
        }
        None
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The end of its input is the end of it and of its child.
        self.ask = None;
        wait::reap(self.helper.pid, true).unwrap();
    }
}

/// A scope whose main process has ended and been reaped, and in which somebody lives on.
fn without_main(rig: &mut Rig) -> (ScopeId, Identity) {
    // In a session of its own, for the number of a session is not given to anybody.
    let (scope, _) = rig.run(&["sh", "-c", "setsid sleep 600 & exit 0"]);
    rig.until("end of main", |seen| seen.exited.get(&scope).copied());
    (scope, *rig.seen.identities.get(&scope).unwrap())
}

/// Asks for everything that signals.
fn ask_for_it(rig: &mut Rig, scope: ScopeId, main: Identity) {
    rig.signal(scope, Signal::TERM.as_raw(), false);
    for signal in [Signal::TERM, Signal::KILL] {
        let before = rig.seen.signalled.len();
        rig.send(&Request::SignalProcess { scope, process: main, signal: signal.as_raw() });
        let refused = rig.until("answer", |seen| seen.signalled.get(before).map(|(_, refused)| *refused));
        assert!(refused.is_some(), "{main:?} was signalled");
    }
    rig.signal(scope, Signal::USR1.as_raw(), true);
    rig.kill(scope);
}

fn is_spared(world: World) {
    if !world.is_here() {
        return;
    }
    let mut rig = Rig::new(world);
    let mut stranger = Stranger::new(world);
    let mut equal = 0;
    let end = Instant::now() + LONG_ENOUGH;
    while equal < EQUAL && Instant::now() < end {
        let (scope, main) = without_main(&mut rig);
        if let Some((fd, start_ticks)) = stranger.take(main.pid) {
            ask_for_it(&mut rig, scope, main);
            assert!(!pidfd::has_exited(&fd).unwrap(), "the stranger was hit");
            equal += usize::from(start_ticks == main.start_ticks);
        } else {
            rig.kill(scope);
        }
        rig.send(&Request::Forget { scope });
    }
    assert_eq!(equal, EQUAL, "so many strangers had the same start time");
    rig.finish();
}

#[test]
fn a_stranger_with_the_number_of_main_is_spared_cgroup() {
    is_spared(World::Cgroup);
}

#[test]
fn a_stranger_with_the_number_of_main_is_spared_reaper() {
    is_spared(World::Reaper);
}

/// The keeper is killed, its scope lives on, and a stranger has the number of the lost main process when the next
/// keeper sweeps.
#[test]
fn a_stranger_is_spared_by_the_sweep_of_the_next_keeper() {
    for world in [World::Cgroup, World::Reaper] {
        if !world.is_here() {
            continue;
        }
        let mut rig = Rig::new(world);
        let mut stranger = Stranger::new(world);
        let (_, main) = without_main(&mut rig);
        rig.signal_process(rig.keeper.pid, 9);
        wait::reap(rig.keeper.pid, true).unwrap();
        // Not before: a keeper that lives starts another daemon, which nobody here lets go.
        rig.leash = None;
        let taken = stranger.take(main.pid);
        let next = rig.successor();
        wait_until("the lost keeper's services", || rig.services().is_empty(), String::new);
        if let Some((fd, _)) = taken {
            assert!(!pidfd::has_exited(&fd).unwrap(), "the stranger was hit");
        }
        next.finish();
    }
}
