//! A signal for one process: only one that is in a scope of ours, and only through the keeper, which checks again.

use kennel_keeper::proto::{self, Place, Request, ScopeId, SignalRefused};
use kennel_keeper::{Whose, whose};
use kennel_sys::cgroup::{self, Hierarchy};
use kennel_sys::{identity, pidfd, proc, user};
use kennel_wire::{Code, Problem, SignalReport};

use super::runs::{Kind, Run};
use super::view::wire_identity;
use super::{Driver, Reply};

/// Longest command in an explanation, characters.
const COMMAND_CHARS: usize = 80;

/// A signal that the keeper was asked to send.
#[derive(Debug)]
pub(super) struct Asked {
    scope: u64,
    process: proto::Identity,
    report: SignalReport,
    reply: Reply<Result<SignalReport, Problem>>,
}

impl Driver {
    pub(super) fn signal_process(
        &mut self,
        (pid, began): (u32, Option<u64>),
        signal: i32,
        reply: Reply<Result<SignalReport, Problem>>,
    ) {
        match self.aim(pid, began, signal) {
            Ok((scope, process, report)) => {
                self.signals.push(Asked { scope, process, report, reply });
                self.link.send(Request::SignalProcess { scope: ScopeId(scope), process, signal });
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    /// Which scope the process is in, and which process it is. If it is said when it began, clock ticks since boot, none
    /// that has its number since.
    fn aim(&self, pid: u32, began: Option<u64>, signal: i32) -> Result<(u64, proto::Identity, SignalReport), Problem> {
        if self.keeper_lost {
            return Err(Problem::new(Code::ShuttingDown, "the daemon is shutting down"));
        }
        let gone = || Problem::new(Code::ProcessGone, format!("there is no process {pid}"));
        let fd = pidfd::open(pid).map_err(|_| gone())?;
        let it = identity::Identity::read(pid, &fd).map_err(|_| gone())?;
        if began.is_some_and(|began| began != it.start_ticks) {
            return Err(another(pid));
        }
        let stat = proc::stat(pid).ok_or_else(gone)?;
        if let Some(problem) = self.own(pid) {
            return Err(problem);
        }
        if proc::has_ended(&stat) {
            let parent = describe(stat.ppid);
            let problem = Problem::new(
                Code::ProcessIsZombie,
                format!("process {pid} [{}] has ended already and is a zombie; nothing was sent", stat.comm),
            );
            return Err(problem.hint(format!("it is gone when its parent waits for it or ends: {parent}")));
        }
        let (id, run) = self.run_of(pid).ok_or_else(|| not_ours(pid, &self.home.name))?;
        let process = proto::Identity { pid, start_ticks: it.start_ticks, inode: it.inode };
        let report = SignalReport {
            process: wire_identity(&process, &self.boot_id, &run.scope),
            command: proc::command(pid, 200).unwrap_or_else(|| format!("[{}]", stat.comm)),
            signal,
            service: run.name.clone(),
            instance: id & !super::HELPERS,
            main: run.pid == Some(pid),
        };
        Ok((id, process, report))
    }

    /// Why a process is none to be signalled, if it is kennel's own.
    fn own(&self, pid: u32) -> Option<Problem> {
        let reaper_of =
            || self.runs.values().find(|run| matches!(run.place, Some(Place::Reaper(reaper)) if reaper == pid));
        let (what, hint) = if pid == std::process::id() {
            ("this kennel's daemon".to_owned(), "`kennel down` stops everything, then the daemon".to_owned())
        } else if pid == self.keeper_pid {
            ("this kennel's keeper".to_owned(), "`kennel down` stops everything, then the keeper".to_owned())
        } else if let Some(run) = reaper_of() {
            let hint = match run.kind {
                Kind::Slot => format!("`kennel kill {}` ends the service", run.name),
                Kind::Helper(_) => "it ends with its command".to_owned(),
            };
            (format!("the reaper that holds `{}` together", run.name), hint)
        } else {
            return None;
        };
        let problem = Problem::new(Code::ProcessIsKennel, format!("process {pid} is {what}; nothing was sent"));
        Some(problem.hint(hint))
    }

    /// The run whose scope a process seems to be in. Only a question of whom to ask: the keeper decides.
    fn run_of(&self, pid: u32) -> Option<(u64, &Run)> {
        let path = cgroup::of_process(pid).unwrap_or_default();
        let hierarchies = Hierarchy::mounted().unwrap_or_default();
        let above: Vec<u32> = proc::ancestors(pid).into_iter().map(|stat| stat.pid).collect();
        let is_in = |run: &Run| match &run.place {
            Some(Place::Cgroup(leaf)) => {
                hierarchies.iter().filter_map(|it| it.path(leaf)).any(|leaf| path.starts_with(leaf))
            }
            Some(Place::Reaper(reaper)) => above.contains(reaper),
            None => false,
        };
        // One that left its cgroup is below the main process, as long as that lives, or was told of.
        let is_below = |run: &Run| {
            run.pid.is_some_and(|main| main == pid || above.contains(&main)) || run.receipt.has_escaped(pid)
        };
        let find = |is: &dyn Fn(&Run) -> bool| self.runs.iter().find(|(_, run)| is(run)).map(|(id, run)| (*id, run));
        find(&is_in).or_else(|| find(&is_below))
    }

    pub(super) fn signalled(&mut self, scope: u64, process: proto::Identity, refused: Option<SignalRefused>) {
        let Some(at) = self.signals.iter().position(|one| (one.scope, one.process) == (scope, process)) else { return };
        let Asked { report, reply, .. } = self.signals.swap_remove(at);
        let pid = process.pid;
        let answer = match refused {
            None => Ok(report),
            Some(SignalRefused::Gone) => {
                Err(Problem::new(Code::ProcessGone, format!("process {pid} ended before the signal could be sent")))
            }
            Some(SignalRefused::NotTheSame) => Err(another(pid)),
            Some(SignalRefused::NotInScope) => Err(not_ours(pid, &self.home.name)),
            Some(SignalRefused::Os(errno)) => {
                let error = std::io::Error::from_raw_os_error(errno);
                let error = error.to_string();
                let error = error.split(" (os error").next().unwrap_or_default();
                Err(Problem::new(Code::Forbidden, format!("cannot signal {}: {error}", describe(pid))))
            }
        };
        // Whoever asked may have gone.
        drop(reply.send(answer));
    }
}

fn another(pid: u32) -> Problem {
    let detail = format!("process {pid} has ended and its number is another process's now; nothing was sent");
    Problem::new(Code::ProcessGone, detail)
}

/// Why a process is none of ours, who it is and what could be done.
fn not_ours(pid: u32, instance: &str) -> Problem {
    let is = |what: &str| format!("process {pid} {what}; nothing was sent: {}", describe(pid));
    match whose(pid) {
        Some(Whose { instance: other, is_kennel: true }) if other != instance => {
            Problem::new(Code::ProcessIsKennel, is(&format!("runs the kennel instance `{other}`")))
                .hint(format!("`kennel --instance {other} down` stops that one"))
        }
        Some(Whose { is_kennel: true, .. }) => {
            Problem::new(Code::ProcessIsKennel, is("is part of this kennel")).hint("`kennel down` ends it")
        }
        Some(Whose { instance: other, is_kennel: false }) if other != instance => {
            Problem::new(Code::ProcessNotOurs, is(&format!("belongs to the kennel instance `{other}`")))
                .hint(format!("`kennel --instance {other} kill --pid {pid}` reaches it"))
        }
        _ => Problem::new(Code::ProcessNotOurs, is("was not started by this kennel")),
    }
}

/// `812 (node server.js), user deploy, child of 1 (systemd)`
fn describe(pid: u32) -> String {
    let command = |pid: u32| proc::command(pid, COMMAND_CHARS).unwrap_or_else(|| "gone".to_owned());
    let mut text = format!("{pid} ({})", command(pid));
    if let Some(uid) = proc::owner(pid) {
        let name = user::account(&uid.to_string()).map_or_else(|| uid.to_string(), |account| account.name);
        text.push_str(&format!(", user {name}"));
    }
    match proc::stat(pid) {
        Some(stat) if stat.ppid != 0 => text.push_str(&format!(", child of {} ({})", stat.ppid, command(stat.ppid))),
        _ => {}
    }
    text
}
