//! Processes that somebody outside holds: kennel cannot end them, says who does, and knows when they end after all.

use kennel_testkit::{Background, Seen, Signal, send, wait_for, wait_until};
use rustix::mount::UnmountFlags;

use crate::exits::kill_both;
use crate::record::Verdict;
use crate::stack::{Cell, DEADLINE, Stack};

/// Whoever holds the processes of each cell, while it runs.
struct Holders<'a> {
    stack: &'a Stack,
    running: Vec<(Cell, Background)>,
}

impl<'a> Holders<'a> {
    /// Starts the stack in the hands of outsiders.
    fn up(stack: &'a Stack) -> Self {
        let mut holders = Self { stack, running: Vec::new() };
        for cell in stack.cells.iter().filter(|cell| cell.name() == "hung-files") {
            let dir = stack.scratch.dir("hung").display().to_string();
            holders.start(*cell, &["hung-files", &dir]);
        }
        stack.up();
        for cell in &stack.cells {
            let pids: Vec<String> = stack.cell(*cell).iter().map(|seen| seen.pid.to_string()).collect();
            let options: &[&str] = match cell.name() {
                "traced" => &["trace"],
                "traced-exit" => &["trace", "--exit"],
                _ => continue,
            };
            let call: Vec<&str> = options.iter().copied().chain(pids.iter().map(String::as_str)).collect();
            holders.start(*cell, &call);
        }
        if let Some((_, server)) = holders.running.iter().find(|(cell, _)| cell.name() == "hung-files") {
            wait_until(DEADLINE, "a request that is not answered", || server.stdout().contains("taken"));
        }
        holders
    }

    /// As root, who may trace anybody and mount anything.
    fn start(&mut self, cell: Cell, arguments: &[&str]) {
        let program = self.stack.scratch.badchild();
        let holder = self.stack.scratch.spawn_outsider(&program, arguments);
        wait_until(DEADLINE, &format!("{arguments:?}"), || {
            assert!(!holder.has_ended(), "{arguments:?} is not possible here");
            holder.stdout().starts_with("up\n")
        });
        self.running.push((cell, holder));
    }

    /// Who is held in this cell and cannot end: all but what a signal has ended.
    fn held(&self, cell: Cell) -> Vec<Seen> {
        self.stack.cell(cell)
    }

    fn let_go(&mut self) {
        for (_, mut holder) in self.running.drain(..) {
            holder.signal(Signal::KILL);
            holder.wait(DEADLINE);
        }
        let _not_mounted = rustix::mount::unmount(self.stack.scratch.path("hung"), UnmountFlags::DETACH);
    }
}

impl Drop for Holders<'_> {
    fn drop(&mut self) {
        self.let_go();
    }
}

pub(crate) fn service_stop(stack: &Stack) {
    let holders = Holders::up(stack);
    for cell in &stack.cells {
        let answer = stack.scratch.kennel(&["stop", cell.name(), "--json"]);
        let said: serde_json::Value = serde_json::from_str(&answer.stdout).expect("json");
        assert_ne!(answer.code(), 0, "{said}");
        assert_ne!(said["left"], 0, "{said}");
    }
    says_stuck(stack, &holders);
    let_go(stack, "service_stop", "stuck", holders);
}

pub(crate) fn down(stack: &Stack) {
    let holders = Holders::up(stack);
    let answer = stack.scratch.kennel(&["down", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&answer.stdout).expect("json");
    assert_ne!(answer.code(), 0, "{said}");
    assert_ne!(said["left"], 0, "{said}");
    says_stuck(stack, &holders);
    let_go(stack, "down", "stuck", holders);
}

pub(crate) fn main_killed(stack: &Stack) {
    let holders = Holders::up(stack);
    let mains = stack.mains();
    for (_, main) in &mains {
        send(main, Signal::KILL);
    }
    // The kernel tells nobody but the tracer of the end of a process that is traced, and who is in an uninterruptible
    // sleep has not ended yet: there is nothing that kennel could know.
    for (cell, main) in &mains {
        wait_for(DEADLINE, &format!("{} is killed and held", cell.name()), || {
            let seen = holders.held(*cell);
            let now = seen.iter().find(|seen| seen.pid == main.pid);
            // One that waits for an answer of the file system may die of it where the kernel lets it.
            now.is_none_or(|now| matches!(now.state, 'Z' | 't' | 'D')).then_some(())
        });
    }
    let_go(stack, "main_killed", "not known to have ended", holders);
}

pub(crate) fn daemon_killed(stack: &Stack) {
    let holders = Holders::up(stack);
    send(&stack.scratch.daemon(), Signal::KILL);
    still_held(stack, &holders);
    let_go(stack, "daemon_killed", "stuck", holders);
}

pub(crate) fn keeper_killed(stack: &Stack) {
    let holders = Holders::up(stack);
    send(&stack.scratch.keeper(), Signal::KILL);
    still_held(stack, &holders);
    let_go(stack, "keeper_killed", "stuck", holders);
}

pub(crate) fn both_killed(stack: &Stack) {
    let holders = Holders::up(stack);
    kill_both(stack);
    if !stack.cells.iter().all(|cell| stack.environment.ends_alone(cell.name())) {
        // Nobody is there who could: the next command kills, and does not claim that they are gone.
        let answer = stack.scratch.kennel(&["down", "--json"]);
        let said: serde_json::Value = serde_json::from_str(&answer.stdout).expect("json");
        assert_eq!(answer.code(), 6, "{said}");
        let left = said["leftovers"].as_array().cloned().unwrap_or_default();
        let said_left: Vec<u64> = left.iter().filter_map(|one| one["pid"].as_u64()).collect();
        let held = stack.cells.iter().flat_map(|cell| holders.held(*cell));
        let living: Vec<u64> = held.filter(|seen| seen.living).map(|seen| seen.pid.into()).collect();
        // A tracer that does not hold the exit itself only keeps a zombie.
        assert!(!living.is_empty() && living.iter().all(|pid| said_left.contains(pid)), "{living:?}: {said}");
    }
    still_held(stack, &holders);
    let_go(stack, "both_killed", "stuck", holders);
}

/// `stuck` in `ps`, with the tracer or the place in the kernel.
fn says_stuck(stack: &Stack, holders: &Holders<'_>) {
    for cell in &stack.cells {
        let shown = stack.scratch.wait_state(cell.name(), "stuck", DEADLINE);
        let left = shown["survivors"].as_array().cloned().unwrap_or_default();
        assert!(!left.is_empty(), "{shown}");
        let holder = holders.running.iter().find(|(of, _)| of.number == cell.number).map(|(_, holder)| holder.pid());
        for one in left {
            match cell.name() {
                "hung-files" => assert_eq!(one["state"], "D", "{shown}"),
                _ => assert_eq!(one["tracer"].as_u64(), holder.map(u64::from), "{shown}"),
            }
        }
    }
}

/// Whoever can act has killed, and this is who it could not end.
fn still_held(stack: &Stack, holders: &Holders<'_>) {
    for cell in &stack.cells {
        wait_for(DEADLINE, &format!("{} is killed and held", cell.name()), || {
            let held = holders.held(*cell);
            let killed = |seen: &Seen| matches!(seen.state, 'Z' | 't' | 'D');
            (!held.is_empty() && held.iter().all(killed)).then_some(())
        });
    }
}

/// Nobody holds them any more: then they end, and kennel notices by itself.
fn let_go(stack: &Stack, exit: &str, how: &str, mut holders: Holders<'_>) {
    holders.let_go();
    let mut verdicts: Vec<Verdict> = stack.end_within(&stack.cells, DEADLINE);
    for verdict in &mut verdicts {
        let who = if verdict.escape == "hung-files" { "file system" } else { "tracer" };
        verdict.note = format!("{how} until the {who} lets go");
    }
    crate::record::conclude(stack.environment, exit, &verdicts);
    stack.down();
    stack.scratch.expect_nothing(DEADLINE);
}
