//! Builds the receipt of one stop while it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use kennel_keeper::proto::{Identity, Place};
use kennel_sys::{identity, pidfd, proc};
use kennel_wire::{EndedProcess, Exit, LimitHit, OutOfMemory, Receipt, Stage, StopReason, Survivor};

use crate::held::Held;

/// Commands are read for this many processes of a scope; of the rest only the ids are kept, because reading them
/// would cost more than ending them.
const COMMANDS: usize = 256;
const COMMAND_CHARS: usize = 200;

/// Stages that are entered once however often what they do is repeated.
const ONCE: [&str; 3] = [KILL, SWEEP, STUCK];
/// The kill of the whole scope.
pub(crate) const KILL: &str = "KILL";
/// The one kill was not enough: each process is stopped and killed by itself.
pub(crate) const SWEEP: &str = "KILL sweep";
/// That was not enough either: who is left was reported, and the kill goes on.
pub(crate) const STUCK: &str = "stuck";

/// Whose receipt it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) service: &'a str,
    pub(crate) instance: u64,
    pub(crate) scope: &'a str,
    pub(crate) boot_id: &'a str,
}

/// What is known of one stop so far.
#[derive(Debug)]
pub(crate) struct Builder {
    main: Member,
    main_pid: Option<u32>,
    /// Who left the scope's cgroup, from the start of the run: the cgroup does not list them.
    escaped: BTreeMap<u32, Member>,
    begun: Option<Begun>,
    /// Who was killed for want of memory, in all.
    out_of_memory: Option<OutOfMemory>,
    limit: Option<LimitHit>,
}

#[derive(Debug)]
struct Begun {
    reason: StopReason,
    at: Instant,
    time: Timestamp,
    stages: Vec<(String, Instant)>,
    members: BTreeMap<u32, Member>,
    survivors: Vec<Survivor>,
}

#[derive(Debug, Clone, Default)]
struct Member {
    /// Start time in clock ticks, and inode of the pidfd.
    identity: Option<(u64, Option<u64>)>,
    command: Option<String>,
    exit: Option<Exit>,
    /// For who is reaped by its own parent.
    held: Option<Arc<Held>>,
    /// Index of the stage it ended in.
    stage: Option<usize>,
    escaped_to: Option<String>,
}

impl Builder {
    /// `command` is the main process's own.
    pub(crate) fn new(command: String) -> Self {
        let main = Member { command: Some(command), ..Member::default() };
        Self { main, main_pid: None, escaped: BTreeMap::new(), begun: None, out_of_memory: None, limit: None }
    }

    /// The main process was executed.
    pub(crate) fn spawned(&mut self, process: &Identity) {
        self.main_pid = Some(process.pid);
        self.main.identity = Some((process.start_ticks, Some(process.inode).filter(|inode| *inode != 0)));
    }

    /// A stop begins; a second begin of the same stop changes nothing.
    pub(crate) fn begin(&mut self, reason: StopReason) {
        self.begun.get_or_insert_with(|| Begun {
            reason,
            at: Instant::now(),
            time: Timestamp::now(),
            stages: Vec::new(),
            members: BTreeMap::new(),
            survivors: Vec::new(),
        });
    }

    /// A stage begins: who has gone since the last one ended in that, who is new is noted. Answers whether it is
    /// news: the kill is repeated until the scope is empty, and is one stage all the same.
    pub(crate) fn enter(&mut self, stage: &str, place: Option<&Place>) -> bool {
        let Some(begun) = &mut self.begun else { return false };
        if ONCE.contains(&stage) && begun.stages.iter().any(|(name, _)| name == stage) {
            return false;
        }
        let living = place.map(members).unwrap_or_default();
        if let Some(last) = begun.stages.len().checked_sub(1) {
            begun.end_all_but(&living, last);
        }
        let mut commands = begun.members.values().filter(|member| member.command.is_some()).count();
        for pid in living {
            begun.members.entry(pid).or_insert_with(|| {
                if commands >= COMMANDS {
                    return Member::default();
                }
                let mut member = Member::hold(pid);
                member.command = proc::command(pid, COMMAND_CHARS);
                commands += usize::from(member.command.is_some());
                member
            });
        }
        begun.stages.push((stage.to_owned(), Instant::now()));
        true
    }

    /// Somebody was killed for want of memory.
    pub(crate) fn out_of_memory(&mut self, what: OutOfMemory) {
        let before = self.out_of_memory.as_ref().map_or(0, |before| before.kills);
        self.out_of_memory = Some(OutOfMemory { kills: before + what.kills, ..what });
    }

    /// It was found beyond a limit, and is stopped for it.
    pub(crate) fn limit_hit(&mut self, hit: LimitHit) {
        self.limit.get_or_insert(hit);
    }

    /// The main process was reaped.
    pub(crate) fn main_exited(&mut self, exit: Exit) {
        self.main.exit = Some(exit);
        self.main.stage = self.begun.as_ref().and_then(|begun| begun.stages.len().checked_sub(1));
    }

    /// Whether a process was told to have left the scope's cgroup.
    pub(crate) fn has_escaped(&self, pid: u32) -> bool {
        self.escaped.contains_key(&pid)
    }

    /// A process left the cgroup of its scope.
    pub(crate) fn escaped(&mut self, pid: u32, command: String, cgroup: String) {
        if self.main_pid == Some(pid) {
            self.main.escaped_to = Some(cgroup);
        } else {
            let (identity, command, escaped_to) = (identity(pid), Some(command), Some(cgroup));
            let member = Member { identity, command, escaped_to, ..Member::default() };
            self.escaped.insert(pid, member);
        }
    }

    /// Another process of the scope was reaped by us.
    pub(crate) fn reaped(&mut self, pid: u32, exit: Exit) {
        if let Some(member) = self.escaped.get_mut(&pid).filter(|member| member.exit.is_none()) {
            member.exit = Some(exit);
            member.stage = self.begun.as_ref().and_then(|begun| begun.stages.len().checked_sub(1));
        } else if let Some(begun) = &mut self.begun {
            let stage = begun.stages.len().checked_sub(1);
            let member = begun.members.entry(pid).or_default();
            member.exit = Some(exit);
            member.stage = member.stage.or(stage);
        }
    }

    /// The kill does not get the scope empty.
    pub(crate) fn stuck(&mut self, survivors: Vec<Survivor>) {
        if let Some(begun) = &mut self.begun {
            begun.survivors = survivors;
        }
    }

    /// The receipt as of now; `empty` says whether the scope is proved empty.
    pub(crate) fn receipt(&self, of: &Subject<'_>, empty: bool) -> Receipt {
        let now = Instant::now();
        let (reason, at, time) = self.begun.as_ref().map_or_else(
            || (StopReason::MainExited, now, Timestamp::now()),
            |begun| (begun.reason, begun.at, begun.time),
        );
        let stages: &[(String, Instant)] = self.begun.as_ref().map_or(&[], |begun| &begun.stages);
        let mut members = self.begun.as_ref().map(|begun| begun.members.clone()).unwrap_or_default();
        members.extend(self.escaped.clone());
        if let Some(pid) = self.main_pid {
            members.insert(pid, self.main.clone());
        }
        if empty {
            for member in members.values_mut() {
                member.exit = member.learnt().or(Some(Exit::Unknown));
                member.stage = member.stage.or(stages.len().checked_sub(1));
            }
        }
        let survivors = self.begun.as_ref().filter(|_| !empty).map(|begun| begun.survivors.clone()).unwrap_or_default();
        let left = if empty { 0 } else { u32::try_from(survivors.len()).unwrap_or(u32::MAX).max(1) };
        Receipt {
            service: of.service.to_owned(),
            instance: of.instance,
            scope: of.scope.to_owned(),
            boot_id: of.boot_id.to_owned(),
            reason,
            started_at: time,
            duration_ms: millis(now - at),
            exit: self.main.exit.unwrap_or(Exit::Unknown),
            out_of_memory: self.out_of_memory.clone(),
            limit: self.limit.clone(),
            stages: stages
                .iter()
                .enumerate()
                .map(|(index, stage)| timed(stages, index, stage, &members, now))
                .collect(),
            processes: members.into_iter().map(|(pid, member)| self.ended(pid, member, stages)).collect(),
            left,
            survivors,
        }
    }

    fn ended(&self, pid: u32, member: Member, stages: &[(String, Instant)]) -> EndedProcess {
        EndedProcess {
            pid,
            start_ticks: member.identity.map(|(start_ticks, _)| start_ticks),
            inode: member.identity.and_then(|(_, inode)| inode),
            command: member.command,
            exit: member.exit,
            stage: member.stage.and_then(|index| stages.get(index)).map(|(name, _)| name.clone()),
            main: self.main_pid == Some(pid),
            escaped_to: member.escaped_to,
        }
    }
}

impl Member {
    /// Takes hold of a process, as far as it is still there.
    fn hold(pid: u32) -> Self {
        let Ok(fd) = pidfd::open(pid) else { return Self::default() };
        let Ok(it) = identity::Identity::read(pid, &fd) else { return Self::default() };
        let identity = Some((it.start_ticks, Some(it.inode).filter(|inode| *inode != 0)));
        Self { identity, held: Held::new(fd).map(Arc::new), ..Self::default() }
    }

    /// How it ended, as far as it is known by now.
    fn learnt(&self) -> Option<Exit> {
        let by_us = self.exit.filter(|exit| *exit != Exit::Unknown);
        by_us.or_else(|| self.held.as_ref()?.exit()).or(self.exit)
    }
}

impl Begun {
    fn end_all_but(&mut self, living: &[u32], stage: usize) {
        for (pid, member) in &mut self.members {
            if member.stage.is_none() && !living.contains(pid) {
                member.stage = Some(stage);
                member.exit = member.learnt().or(Some(Exit::Unknown));
            }
        }
    }
}

fn timed(
    stages: &[(String, Instant)],
    index: usize,
    (name, at): &(String, Instant),
    members: &BTreeMap<u32, Member>,
    now: Instant,
) -> Stage {
    let end = stages.get(index + 1).map_or(now, |(_, next)| *next);
    let ended = members.values().filter(|member| member.stage == Some(index) && member.exit.is_some()).count();
    Stage { name: name.clone(), duration_ms: millis(end - *at), ended: u32::try_from(ended).unwrap_or(u32::MAX) }
}

/// Living members of a scope.
pub(crate) fn members(place: &Place) -> Vec<u32> {
    match place {
        Place::Cgroup(leaf) => proc::cgroup_members(leaf),
        Place::Reaper(reaper) => {
            let living = proc::descendants(*reaper).into_iter().filter(|stat| !proc::has_ended(stat));
            living.map(|stat| stat.pid).collect()
        }
    }
}

/// Start time in clock ticks and inode of the pidfd of a process; `None` once it is gone.
pub(crate) fn identity(pid: u32) -> Option<(u64, Option<u64>)> {
    let it = identity::Identity::read(pid, pidfd::open(pid).ok()?).ok()?;
    Some((it.start_ticks, Some(it.inode).filter(|inode| *inode != 0)))
}

/// Whole milliseconds, for the wire.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Subject<'_> = Subject { service: "web", instance: 3, scope: "web.3", boot_id: "x" };

    #[test]
    fn each_process_ends_in_the_stage_it_ended_in() {
        let mut builder = Builder::new("sleep 1".into());
        builder.spawned(&Identity { pid: 10, start_ticks: 7, inode: 0 });
        builder.begin(StopReason::Requested);
        builder.enter("TERM", None);
        builder.reaped(11, Exit::Signal { signal: 15 });
        builder.enter("KILL", None);
        builder.main_exited(Exit::Signal { signal: 9 });
        assert!(!builder.enter("KILL", None));
        let receipt = builder.receipt(&WEB, true);
        assert_eq!(receipt.left, 0);
        let stage = |pid| receipt.processes.iter().find(|process| process.pid == pid).and_then(|p| p.stage.clone());
        assert_eq!((stage(10).as_deref(), stage(11).as_deref()), (Some("KILL"), Some("TERM")));
        assert_eq!(receipt.stages.iter().map(|stage| stage.ended).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn who_left_the_cgroup_is_in_the_receipt() {
        let mut builder = Builder::new("x".into());
        builder.spawned(&Identity { pid: 10, start_ticks: 7, inode: 0 });
        builder.escaped(11, "sleep 1".into(), "/".into());
        builder.escaped(12, "sleep 2".into(), "/a".into());
        // Killed before anybody asked for a stop.
        builder.reaped(11, Exit::Signal { signal: 9 });
        builder.escaped(10, "x".into(), "/".into());
        builder.begin(StopReason::Down);
        builder.enter("TERM", None);
        builder.reaped(12, Exit::Code { code: 0 });
        let found = builder.receipt(&WEB, true).processes;
        let of = |pid| {
            found.iter().find(|process| process.pid == pid).map(|it| (it.exit, it.main, it.escaped_to.as_deref()))
        };
        assert_eq!(of(11), Some((Some(Exit::Signal { signal: 9 }), false, Some("/"))));
        assert_eq!(of(12), Some((Some(Exit::Code { code: 0 }), false, Some("/a"))));
        assert_eq!(of(10), Some((Some(Exit::Unknown), true, Some("/"))));
    }

    #[test]
    fn what_is_not_proved_empty_is_left() {
        let mut builder = Builder::new("x".into());
        builder.begin(StopReason::Down);
        assert_eq!(builder.receipt(&WEB, false).left, 1);
    }
}
