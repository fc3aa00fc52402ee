//! The ways to end.

use std::collections::HashSet;

use kennel_testkit::{Seen, Signal, send, wait_for, wait_until};

use crate::record::Verdict;
use crate::stack::{AGREE, Cell, DEADLINE, Stack, of, show};

/// Each service by itself.
pub(crate) fn service_stop(stack: &Stack) {
    stack.up();
    let mut verdicts = Vec::new();
    for cell in &stack.cells {
        let answer = stack.scratch.json(&["stop", cell.name(), "--json"]);
        let mut verdict = stack.end_within(&[*cell], AGREE).remove(0);
        let ended = answer["receipts"][0]["processes"].as_array().map_or(0, Vec::len);
        if answer["left"] != 0 || answer["ok"] != true || ended < 2 {
            verdict.wrong = format!("the receipt lists {ended} processes: {answer}");
        }
        verdicts.push(verdict);
    }
    stack.conclude("service_stop", &verdicts);
}

pub(crate) fn main_exits(stack: &Stack) {
    main_ends(stack, "main_exits", |main| {
        send(main, Signal::USR1);
        // The one that is stopped has to be woken to exit; its child stays stopped.
        if main.state == 'T' {
            send(main, Signal::CONT);
        }
    });
}

pub(crate) fn main_killed(stack: &Stack) {
    main_ends(stack, "main_killed", |main| send(main, Signal::KILL));
}

fn main_ends(stack: &Stack, exit: &str, end: impl Fn(&Seen)) {
    stack.up();
    for (_, main) in stack.mains() {
        end(&main);
    }
    let mut verdicts = stack.end_within(&stack.cells, DEADLINE);
    // Who was left behind has its line in the receipt, and the service is not running any more.
    let rests = || {
        let listed = stack.scratch.json(&["ps", "--all", "--json"]);
        let listed = listed.as_array().cloned().unwrap_or_default();
        listed
            .into_iter()
            .filter(|service| !matches!(service["state"].as_str(), Some("completed" | "failed")))
            .collect()
    };
    let mut restless: Vec<serde_json::Value> = rests();
    if !restless.is_empty() {
        // The last process is gone a moment before the service is at rest.
        wait_until(AGREE, "kennel and /proc agree", || {
            restless = rests();
            restless.is_empty()
        });
    }
    for service in restless {
        if let Some(verdict) = verdicts.iter_mut().find(|verdict| service["name"] == verdict.escape) {
            verdict.wrong = service.to_string();
        }
    }
    stack.conclude(exit, &verdicts);
}

pub(crate) fn down(stack: &Stack) {
    stack.up();
    stack.down();
    let verdicts = stack.end_within(&stack.cells, AGREE);
    stack.conclude("down", &verdicts);
}

pub(crate) fn ctrl_c(stack: &Stack) {
    let mut terminal = stack.scratch.terminal(&["up"]);
    all_ready(stack);
    terminal.send("\x03");
    let status = terminal.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{}", terminal.text());
    let verdicts = stack.end_within(&stack.cells, AGREE);
    stack.conclude("ctrl_c", &verdicts);
}

pub(crate) fn terminal_closed(stack: &Stack) {
    let mut terminal = stack.scratch.terminal(&["up"]);
    all_ready(stack);
    terminal.close();
    let verdicts = stack.end_within(&stack.cells, DEADLINE);
    stack.conclude("terminal_closed", &verdicts);
}

/// The command in the foreground holds the stack: without it, everything ends.
pub(crate) fn client_killed(stack: &Stack) {
    let mut client = stack.scratch.spawn(&["up"]);
    all_ready(stack);
    client.signal(Signal::KILL);
    client.wait(DEADLINE);
    let verdicts = stack.end_within(&stack.cells, DEADLINE);
    stack.conclude("client_killed", &verdicts);
}

/// In the foreground the command does not return, so readiness is asked for.
fn all_ready(stack: &Stack) {
    stack.check_shapes();
    wait_until(DEADLINE, "all ready", || {
        let listed = stack.scratch.json(&["ps", "--json"]);
        let ready = listed.as_array().unwrap().iter().filter(|service| service["state"] == "ready").count();
        ready == stack.cells.len()
    });
}

pub(crate) fn daemon_killed(stack: &Stack) {
    stack.up();
    let daemon = stack.scratch.daemon();
    send(&daemon, Signal::KILL);
    let verdicts = stack.end_within(&stack.cells, DEADLINE);
    // The keeper starts another, which answers and is told about the one before.
    let next = wait_for(DEADLINE, "another daemon", || {
        let seen = stack.scratch.survivors().into_iter();
        seen.filter(|seen| seen.verb() == "__daemon" && seen.living).find(|seen| seen.pid != daemon.pid)
    });
    assert_ne!(next.pid, daemon.pid);
    stack.up();
    stack.conclude("daemon_killed", &verdicts);
}

pub(crate) fn keeper_killed(stack: &Stack) {
    stack.up();
    send(&stack.scratch.keeper(), Signal::KILL);
    let verdicts = stack.end_within(&stack.cells, DEADLINE);
    stack.up();
    stack.conclude("keeper_killed", &verdicts);
}

/// Nobody is left to act: the kernel or a scope's own reaper does, or the next command does.
pub(crate) fn both_killed(stack: &Stack) {
    stack.up();
    kill_both(stack);
    let (at_once, later): (Vec<Cell>, Vec<Cell>) =
        stack.cells.iter().partition(|cell| stack.environment.ends_alone(cell.name()));
    let mut verdicts = stack.end_within(&at_once, DEADLINE);
    let who = |seen: &Seen| (seen.pid, seen.start_ticks);
    let old: HashSet<(u32, u64)> = stack.scratch.in_cells().iter().map(who).collect();
    stack.up();
    let seen = stack.scratch.in_cells();
    for cell in later {
        let left = of(&seen, cell).filter(|seen| old.contains(&who(seen))).cloned().collect();
        let mut verdict = Verdict::new(cell.name(), left);
        verdict.note = "by the next command".to_owned();
        verdicts.push(verdict);
    }
    stack.conclude("both_killed", &verdicts);
}

/// Stopped first, so that neither sees the other die.
pub(crate) fn kill_both(stack: &Stack) {
    let (keeper, daemon) = (stack.scratch.keeper(), stack.scratch.daemon());
    for signal in [Signal::STOP, Signal::KILL] {
        send(&daemon, signal);
        send(&keeper, signal);
    }
    wait_until(DEADLINE, "both are gone", || {
        let left = stack.scratch.survivors();
        assert!(left.iter().all(|seen| seen.pid != keeper.pid || seen.state != 'T'), "{}", show(&left));
        !left.iter().any(|seen| seen.pid == keeper.pid || seen.pid == daemon.pid)
    });
}
