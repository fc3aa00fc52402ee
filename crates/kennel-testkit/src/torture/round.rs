//! One round: burst, strike, and what is left.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::plan::{Burst, Next, Plan};
use super::report::Figures;
use super::strike::{self, Held};
use super::{Mode, Victim};
use crate::processes::Seen;
use crate::scratch::{Scratch, list};
use crate::{Background, Signal};

/// For everything that has to happen, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(30);
/// From kennel's word that nothing is left until `/proc` agrees: a cgroup is empty a moment before its last member
/// shows as dead.
const AGREE: Duration = Duration::from_secs(2);

/// Runs one round. `None` where the mode cannot be had here.
///
/// # Panics
/// With who is left and how it came to that.
pub(super) fn run(kennel: &Path, mode: Mode, plan: &Plan) -> Option<Figures> {
    let scratch = Scratch::new(mode.user(), kennel)?;
    scratch.config(&plan.config(mode));
    let round = Round { scratch: &scratch, mode, plan };
    let (mut client, begun) = round.burst();
    let (keeper, daemon) = strike::parts(&scratch, &client);
    std::thread::sleep(plan.delay.saturating_sub(begun.map_or(Duration::ZERO, |begun| begun.elapsed())));
    let struck = round.strike(&client, keeper.as_ref(), daemon.as_ref());
    let history = scratch.survivors();
    let (empty, again) = round.aftermath(&mut client, daemon.as_ref(), struck, &history);
    let figures = Figures {
        victim: plan.victim,
        services: started(&scratch),
        processes: history.iter().filter(|seen| seen.living).count(),
        empty,
        by_command: again,
    };
    round.works_again();
    Some(figures)
}

struct Round<'a> {
    scratch: &'a Scratch,
    mode: Mode,
    plan: &'a Plan,
}

impl Round<'_> {
    /// Starts what is to be struck; with the moment from which on the delay counts, if that is not later.
    fn burst(&self) -> (Background, Option<Instant>) {
        let verb = match self.plan.burst {
            Burst::Start => return (self.scratch.spawn(&["up", "-d"]), None),
            Burst::Down => "down",
            Burst::Stop => "stop",
        };
        self.scratch.ok(&["up", "-d"]);
        (self.scratch.spawn(&[verb]), Some(Instant::now()))
    }

    fn strike(&self, client: &Background, keeper: Option<&Held>, daemon: Option<&Held>) -> Instant {
        let mut holders = Vec::new();
        let (keeper, daemon) = match self.plan.victim {
            Victim::Daemon => (None, daemon),
            Victim::Keeper => (keeper, None),
            Victim::Both => (keeper, daemon),
            Victim::Every => {
                holders = keeper.map(|keeper| strike::holders(self.scratch, keeper)).unwrap_or_default();
                (keeper, daemon)
            }
        };
        if self.plan.client_too {
            client.signal(Signal::KILL);
        }
        let order = if self.plan.daemon_first { [daemon, keeper] } else { [keeper, daemon] };
        order.into_iter().flatten().chain(&holders).for_each(Held::kill);
        Instant::now()
    }

    /// What must follow the loss; the time until nothing was left, and whether that took another command. No time
    /// where the command under way went on by itself and started everything anew.
    fn aftermath(
        &self,
        client: &mut Background,
        daemon: Option<&Held>,
        struck: Instant,
        history: &[Seen],
    ) -> (Option<Duration>, bool) {
        let ended = client.wait(2 * DEADLINE);
        let may_be_up = self.plan.burst == Burst::Start && !self.plan.client_too;
        if may_be_up && ended.code() == 0 {
            // The command was done before the strike, or its next try has started everything once more.
            self.next(Next::Down, history);
            return (None, true);
        }
        if self.plan.victim.leaves_nobody() && !self.mode.ends_by_itself() {
            let begun = Instant::now();
            self.next(self.plan.next, history);
            return (Some(begun.elapsed()), true);
        }
        // Also the pair that a command under way has started for its next try.
        let stays = self.plan.victim == Victim::Daemon || may_be_up;
        let empty = self.empty(struck, DEADLINE, stays, history);
        if let (Victim::Daemon, Some(daemon)) = (self.plan.victim, daemon) {
            let next = strike::next_daemon(self.scratch, daemon.seen.pid);
            // After `down` was heard the keeper goes as well; a daemon without work goes after some seconds, for which a
            // busy machine may not have let us look.
            let may_go = self.plan.burst == Burst::Down || self.followed(daemon.seen.pid);
            assert!(next.is_some() || may_go, "no daemon followed the lost one\n{}", self.history(history));
        }
        self.next(self.plan.next, history);
        (Some(empty), false)
    }

    /// Waits until nobody is left but, if it `stays`, a keeper with its daemon.
    fn empty(&self, since: Instant, deadline: Duration, stays: bool, history: &[Seen]) -> Duration {
        let end = Instant::now() + deadline;
        loop {
            let mut left = self.scratch.survivors();
            if stays {
                remove_kennel(&mut left);
            }
            if left.is_empty() {
                return since.elapsed();
            }
            assert!(Instant::now() < end, "left after {deadline:?}:\n{}{}", describe(&left), self.history(history));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next kennel command, after which nothing of what was there before may be left.
    fn next(&self, next: Next, history: &[Seen]) {
        let before = self.scratch.survivors();
        match next {
            Next::Ps => {
                self.scratch.ok(&["ps"]);
                self.empty(Instant::now(), AGREE, true, history);
            }
            Next::Down => {
                self.scratch.ok(&["down"]);
                self.empty(Instant::now(), AGREE, false, history);
            }
            Next::Up => {
                self.scratch.ok(&["up", "-d"]);
                let end = Instant::now() + AGREE;
                loop {
                    let mut left = self.scratch.survivors();
                    remove_kennel(&mut left);
                    left.retain(|seen| before.iter().any(|old| old.pid == seen.pid && old.command == seen.command));
                    if left.is_empty() {
                        return;
                    }
                    assert!(Instant::now() < end, "left after `up`:\n{}{}", describe(&left), self.history(history));
                }
            }
        }
    }

    /// Kennel is as good as before, and ends everything.
    fn works_again(&self) {
        if self.plan.once_more {
            self.scratch.ok(&["up", "-d"]);
        }
        self.scratch.down();
        let cgroups = self.scratch.cgroups();
        assert!(cgroups.is_empty(), "cgroups are left: {cgroups:?}");
    }

    /// Whether a daemon other than this one has said that it started.
    fn followed(&self, lost: u32) -> bool {
        let recorded = self.scratch.recorded();
        recorded.iter().any(|event| event["event"] == "daemon.started" && event["pid"] != lost)
    }

    fn history(&self, seen: &[Seen]) -> String {
        let mut text = format!("right after the strike:\n{}", list(seen));
        text.push_str("events:\n");
        for event in self.scratch.recorded() {
            let _never_fails = writeln!(text, "{event}");
        }
        text
    }
}

/// Takes out the keeper and its daemon: not the processes that hold scopes, which carry the keeper's arguments.
fn remove_kennel(left: &mut Vec<Seen>) {
    let is_keeper = |seen: &Seen| seen.living && seen.verb() == "__keeper";
    let keepers: Vec<u32> = left.iter().filter(|seen| is_keeper(seen)).map(|seen| seen.pid).collect();
    let Some(keeper) = left.iter().find(|seen| is_keeper(seen) && !keepers.contains(&seen.ppid)) else { return };
    let keeper = keeper.pid;
    left.retain(|seen| {
        let is_daemon = seen.ppid == keeper && seen.living && seen.verb() == "__daemon";
        seen.pid != keeper && !is_daemon
    });
}

/// Who is left, with what the kernel says of each.
fn describe(left: &[Seen]) -> String {
    let mut text = String::new();
    for seen in left {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", seen.pid)).unwrap_or_default();
        let (wchan, cgroup) = (read("wchan"), read("cgroup"));
        let cgroup = cgroup.lines().find(|line| line.starts_with("0:")).unwrap_or_default();
        let _never_fails = writeln!(text, "  {seen}, cell {:?}, waits in {wchan}, cgroup {cgroup}", seen.cell);
    }
    text
}

/// How many starts the events tell of.
fn started(scratch: &Scratch) -> usize {
    scratch.recorded().iter().filter(|event| event["event"] == "instance.started").count()
}
