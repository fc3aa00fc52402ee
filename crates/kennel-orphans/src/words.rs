//! The same in the words of the protocol.

use jiff::Timestamp;
use kennel_keeper::orphans::{Ended, Match, Orphan, Record};
use kennel_sys::home::Home;
use kennel_sys::wait::Exit;
use kennel_sys::{cgroup, proc, user};
use kennel_wire::{EndedProcess, Fate, KnownBy, Sure, Survivor};

/// Longest command in an explanation, characters.
const COMMAND: usize = 80;

pub(crate) fn orphan(one: &Orphan, home: &Home, records: &[Record]) -> kennel_wire::Orphan {
    let identity = one.process.identity;
    let record = one.evidence.record.and_then(|(at, _)| records.get(at));
    let named = one.scope.as_deref().and_then(named);
    let fate = if one.process.may_signal || one.group.is_some() { Fate::Ended } else { Fate::Refused };
    kennel_wire::Orphan {
        pid: identity.pid,
        start_ticks: identity.start_ticks,
        inode: Some(identity.inode).filter(|inode| *inode != 0),
        command: one.process.command.clone(),
        user: user::name(one.process.uid),
        since: since(identity.start_ticks),
        instance: home.name.clone(),
        service: record.map(|record| record.service.clone()).or_else(|| named.map(|(service, _)| service.to_owned())),
        run: record.map(|record| record.run).or_else(|| named.map(|(_, run)| run)),
        scope: one.scope.clone(),
        known_by: known_by(one),
        sure: if one.is_certain { Sure::Certain } else { Sure::Likely },
        why: why(one, record),
        on_stop: fate,
        on_start: if one.kept { Fate::Adopted } else { fate },
    }
}

pub(crate) fn ended(one: &Ended, main: bool) -> EndedProcess {
    let exit = match one.exit {
        Some(Exit::Code(code)) => kennel_wire::Exit::Code { code },
        Some(Exit::Signal(signal)) => kennel_wire::Exit::Signal { signal },
        None => kennel_wire::Exit::Unknown,
    };
    EndedProcess {
        pid: one.process.pid,
        start_ticks: Some(one.process.start_ticks),
        inode: Some(one.process.inode).filter(|inode| *inode != 0),
        command: Some(one.command.clone()),
        exit: Some(exit),
        stage: Some(if one.killed { "KILL" } else { "TERM" }.to_owned()),
        main,
        escaped_to: None,
    }
}

pub(crate) fn survivor(one: cgroup::Survivor) -> Survivor {
    Survivor {
        pid: one.pid,
        command: one.command,
        state: one.state,
        wchan: one.wchan,
        stack: one.stack,
        tracer: one.tracer,
        tracer_command: (one.tracer != 0).then(|| proc::command(one.tracer, COMMAND)).flatten(),
    }
}

/// `no right to signal 812 (sleep 600), user root, and 1 more`
pub(crate) fn refused(all: &[Orphan]) -> String {
    let Some((first, rest)) = all.split_first() else { return String::new() };
    let process = &first.process;
    let command: String = process.command.chars().take(COMMAND).collect();
    let text = format!("no right to signal {} ({command}), user {}", process.identity.pid, user::name(process.uid));
    if rest.is_empty() { text } else { format!("{text}, and {} more", rest.len()) }
}

fn known_by(one: &Orphan) -> Vec<KnownBy> {
    let evidence = &one.evidence;
    let known = [
        evidence.leaf.map(|_| KnownBy::Scope),
        evidence.record.map(|_| KnownBy::Record),
        evidence.stamp.map(|_| KnownBy::Stamp),
        evidence.parent.map(|_| KnownBy::Descent),
    ];
    known.into_iter().flatten().collect()
}

/// Why it is as sure as it is.
fn why(one: &Orphan, record: Option<&Record>) -> String {
    let evidence = &one.evidence;
    let run = record.map_or_else(String::new, |record| format!("run {} of `{}`", record.run, record.service));
    match (evidence.leaf, evidence.record, evidence.stamp, evidence.parent) {
        (Some(_), ..) => format!("it is in the cgroup of `{}`", one.scope.as_deref().unwrap_or("?")),
        (None, Some((_, Match::Full)), ..) => format!("it is the very process of {run}"),
        (None, Some((_, Match::WithoutInode)), Some(_), _) => {
            format!("it has number and start time of {run}, and carries this kennel's tag")
        }
        (None, Some((_, Match::WithoutInode)), None, _) => {
            format!("it has number and start time of {run}, which another may have by accident")
        }
        (None, None, Some(_), Some(parent)) => {
            format!("it carries this kennel's tag and is a child of {parent}, which is one")
        }
        (None, None, Some(_), None) => {
            "it carries this kennel's tag, which a stranger can take on on purpose".to_owned()
        }
        (None, None, None, Some(parent)) => format!("it is a child of {parent}, which is one"),
        (None, None, None, None) => String::new(),
    }
}

/// Service and run of a scope by its name: `worker.2.17` is run 17 of `worker.2`.
fn named(scope: &str) -> Option<(&str, u64)> {
    let (service, run) = scope.split('~').next()?.rsplit_once('.')?;
    Some((service, run.parse().ok()?))
}

fn since(start_ticks: u64) -> Option<Timestamp> {
    let boot = i64::try_from(proc::boot_time()?).ok()?;
    let ms = i64::try_from(start_ticks.checked_mul(1000)? / proc::ticks_per_second().max(1)).ok()?;
    Timestamp::from_millisecond(boot.checked_mul(1000)?.checked_add(ms)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_names_service_and_run() {
        assert_eq!(named("web.1"), Some(("web", 1)));
        assert_eq!(named("worker.2.17~3"), Some(("worker.2", 17)));
        assert_eq!(named("odd"), None);
        assert_eq!(named("odd.name"), None);
    }

    #[test]
    fn this_process_began_a_moment_ago() {
        let begun = since(proc::stat(std::process::id()).unwrap().start_ticks).unwrap();
        let age = Timestamp::now().duration_since(begun);
        assert!(age.as_secs().abs() < 600, "{age:?}");
    }
}
