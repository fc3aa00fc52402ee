//! Instances that hang: what they are doing, by what they use, and what follows when that is nothing for too long.
//!
//! Only of services with `hang`, which are sampled for it. The samples come from a thread of their own; a closer look at the processes
//! is taken here, rarely and at a bounded number of them (see [`kennel_core::activity`]).

use std::time::Duration;

use jiff::Timestamp;
use kennel_core::activity::{Activity, Posture, Watch};
use kennel_core::instance::{Reason, State};
use kennel_core::liveness::Remedy;
use kennel_core::sample::{Rates, Sample};
use kennel_keeper::proto::Place;
use kennel_sys::{posture, proc};
use kennel_wire::EventKind;

use super::Driver;
use super::liveness::stands_still;
use super::runs::{Kind, Run};
use super::sampling::Need;
use crate::receipt::millis;

/// So many processes of a scope are looked at, the main process first.
const PROCESSES: usize = 48;
/// Longest command that is told, characters.
const COMMAND: usize = 60;

/// What is known of what one run is doing.
#[derive(Debug)]
pub(super) struct Hanging {
    watch: Watch,
    /// Since when it does what it is doing.
    pub(super) since: Timestamp,
    /// Why it counts as unhealthy, while it does.
    pub(super) why: Option<String>,
    /// Time it was held back, as of the last sample: by a limit, and waiting for a CPU where the group does not tell.
    held_back: Duration,
}

impl Hanging {
    pub(super) fn activity(&self) -> Option<Activity> {
        self.watch.activity()
    }
}

impl Driver {
    /// Begins to watch; once for each run.
    pub(super) fn begin_hang(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.kind, Kind::Slot) && run.hang.is_none())
        else {
            return;
        };
        let Some(hang) = &run.service.hang else { return };
        let watch = Watch::new(hang.after);
        let every = watch.every();
        let (since, held_back) = (Timestamp::now(), Duration::ZERO);
        run.hang = Some(Box::new(Hanging { watch, since, why: None, held_back }));
        self.need_samples(id, every, Need::Hang);
    }

    pub(super) fn end_hang(&mut self, id: u64) {
        if self.runs.get_mut(&id).is_some_and(|run| run.hang.take().is_some()) {
            self.drop_need(id, Need::Hang);
        }
    }

    /// One sample of a run that may be watched.
    pub(super) fn hang_sample(&mut self, id: u64, sample: &Sample, rates: Option<Rates>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.state, State::Running { .. })) else { return };
        let Some(mut hang) = run.hang.take() else { return };
        let before = hang.watch.activity();
        if sample.frozen || stands_still(run) {
            // It does nothing because somebody wants that: watched anew when it goes on.
            let after = run.service.hang.as_ref().map_or(Duration::MAX, |hang| hang.after);
            hang.watch = Watch::new(after);
            run.hang = Some(hang);
            return;
        }
        let Some(rates) = rates else { return run.hang = Some(hang) };
        let waiting = hang.waiting_percent(run, sample, rates.over);
        let now = hang.watch.observe(&rates, waiting, || look(run));
        if let Some(now) = now {
            hang.since = Timestamp::now();
            self.has_changed(id, hang, before, now);
        } else {
            run.hang = Some(hang);
        }
    }

    /// Tells what is worth it, and does what is to be done about a hang.
    fn has_changed(&mut self, id: u64, mut hang: Box<Hanging>, before: Option<Activity>, now: Activity) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let silent = hang.watch.since_life();
        let action = run.service.hang.as_ref().map_or(Remedy::Event, |hang| hang.action);
        let detail = detail(run, now);
        let was_worse = before.is_some_and(is_worth_telling);
        hang.why = (now.is_hang() && action != Remedy::Event).then(|| {
            let detail = detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
            match now {
                Activity::Spinning => format!("it has done nothing but compute for {}{detail}", rounded(silent)),
                _ => format!("it has given no sign of life for {}{detail}", rounded(silent)),
            }
        });
        let name = run.name.clone();
        run.hang = Some(hang);
        if is_worth_telling(now) || was_worse {
            let kind = EventKind::Activity { activity: wire(now), silent_ms: millis(silent), detail };
            self.events.publish(Some(&name), Some(id), kind);
        }
        self.note_health(&name);
        // From one kind of hang to the other nothing new is to be done.
        if now.is_hang() && !before.is_some_and(Activity::is_hang) {
            tracing::warn!(service = name, instance = id, activity = ?now, "it hangs");
            self.remedy(id, action, Reason::Hung);
        }
    }
}

impl Hanging {
    /// The share of the time in which the run was held back since the sample before, percent.
    fn waiting_percent(&mut self, run: &Run, sample: &Sample, over: Duration) -> f64 {
        let throttled = Duration::from_micros(sample.throttled_usec.unwrap_or(0));
        let (waited, pressure) = match sample.pressure {
            Some(pressure) => (Duration::ZERO, f64::from(pressure.cpu) / 100.0),
            None => (members(run).into_iter().filter_map(posture::run_delay).map(Duration::from_nanos).sum(), 0.0),
        };
        let total = throttled + waited;
        // Who has ended takes what it waited with it.
        let grown = total.saturating_sub(std::mem::replace(&mut self.held_back, total));
        pressure + (grown.as_secs_f64() * 100.0 / over.as_secs_f64().max(0.001)).min(100.0)
    }
}

fn is_worth_telling(activity: Activity) -> bool {
    match activity {
        Activity::WaitingForInput | Activity::Stalled | Activity::Spinning => true,
        Activity::Active | Activity::Quiet => false,
    }
}

/// The same in the wire's words.
pub(super) fn wire(activity: Activity) -> kennel_wire::Activity {
    match activity {
        Activity::Active => kennel_wire::Activity::Active,
        Activity::Quiet => kennel_wire::Activity::Quiet,
        Activity::WaitingForInput => kennel_wire::Activity::WaitingForInput,
        Activity::Stalled => kennel_wire::Activity::Stalled,
        Activity::Spinning => kennel_wire::Activity::Spinning,
    }
}

/// The main process and others of its scope, without a pass over `/proc`.
fn members(run: &Run) -> Vec<u32> {
    let Some(main) = run.pid else { return Vec::new() };
    let mut pids = match &run.place {
        Some(Place::Cgroup(leaf)) => proc::cgroup_members(leaf),
        Some(Place::Reaper(_)) | None => posture::family(main, PROCESSES),
    };
    pids.sort_by_key(|pid| *pid != main);
    pids.truncate(PROCESSES);
    pids
}

fn look(run: &Run) -> Posture {
    let members = members(run);
    let reads = |pid: &u32| posture::reads_input(*pid, Some(*pid) == run.pid).is_some();
    Posture {
        reads_input: members.iter().any(reads),
        sleeps: members.iter().map(|pid| (*pid, posture::sleeps(*pid))).collect(),
    }
}

/// Who does what: `pid 812 (cc1), state D, in io_schedule`.
fn detail(run: &Run, activity: Activity) -> Option<String> {
    let name = |pid: u32| format!("pid {pid} ({})", proc::command(pid, COMMAND).unwrap_or_else(|| "gone".to_owned()));
    let members = members(run);
    match activity {
        Activity::Active | Activity::Quiet => None,
        Activity::WaitingForInput => members.into_iter().find_map(|pid| {
            let from = posture::reads_input(pid, Some(pid) == run.pid)?;
            Some(format!("{} reads {from}", name(pid)))
        }),
        // Whoever is stuck in the kernel, else the main process.
        Activity::Stalled => {
            let stats: Vec<_> = members.into_iter().filter_map(proc::stat).collect();
            let stuck = stats.iter().find(|stat| stat.state == 'D').or(stats.first())?;
            let place = posture::wchan(stuck.pid).map_or_else(String::new, |place| format!(", in {place}"));
            Some(format!("{}, state {}{place}", name(stuck.pid), stuck.state))
        }
        Activity::Spinning => {
            let stats = members.into_iter().filter_map(proc::stat);
            let busiest = stats.max_by_key(|stat| (stat.state == 'R', stat.cpu_ticks))?;
            Some(format!("{}, state {}", name(busiest.pid), busiest.state))
        }
    }
}

/// Whole seconds say enough of a long time.
fn rounded(time: Duration) -> String {
    format!("{:?}", if time >= Duration::from_secs(10) { Duration::from_secs(time.as_secs()) } else { time })
}
