//! What runs use: who wants it read, how often, and what was read last.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_core::history::Collector;
use kennel_core::limit::Limits;
use kennel_core::sample::{Rates, Sample};
use kennel_keeper::proto::{Backend, Place};
use kennel_sys::cgroup::bounds::Controller;
use kennel_wire::{Problem, ServiceUsage, Usage, UsageReport, UsageRequest};
use tokio::sync::oneshot;

use super::runs::Kind;
use super::{Driver, Reply, TimerKey, view};
use crate::sampling::{Asked, Found, Ring, Sampler, Subject, capacity};

/// Pace while somebody looks.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// For so long after a question somebody is taken to look.
const STAYS: Duration = Duration::from_secs(5);
/// Shares of the CPU that a report tells of the past.
const RECENT: usize = 60;

/// What figures of a run are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Limits that no controller holds.
    Limits,
    /// The same, of several instances together.
    Together,
    /// Rules over what it uses.
    Rules,
    /// Whether it hangs.
    Hang,
}

/// What is read, and what was.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    needs: HashMap<u64, BTreeMap<Need, Duration>>,
    /// Until when somebody is taken to look at everything.
    looked_until: Option<Instant>,
    /// Pace of the runs that are being read.
    paces: HashMap<u64, Duration>,
    pub(super) rings: HashMap<u64, Ring>,
    /// What is not recorded yet.
    pub(super) collector: Collector,
    /// Only as long as something is read.
    sampler: Option<Sampler>,
}

/// What the driver knows of a question about usage; the figures follow.
#[derive(Debug)]
pub(crate) struct Looked {
    services: Vec<Seen>,
    /// Of all together.
    stack: Limits,
    found: Option<oneshot::Receiver<Found>>,
}

/// One service of a report, without its figures.
#[derive(Debug)]
pub(crate) struct Seen {
    id: u64,
    /// Output that is in no log, bytes.
    lost: u64,
    usage: ServiceUsage,
}

impl Driver {
    /// Has a run read at least so often, until [`Driver::drop_need`] or its end. Again: at another pace.
    pub(super) fn need_samples(&mut self, id: u64, every: Duration, why: Need) {
        self.sampling.needs.entry(id).or_default().insert(why, every);
        self.pace_samples(id);
    }

    /// The figures of a run are not wanted for this any more.
    pub(super) fn drop_need(&mut self, id: u64, why: Need) {
        if let Some(needs) = self.sampling.needs.get_mut(&id) {
            needs.remove(&why);
            if needs.is_empty() {
                self.sampling.needs.remove(&id);
            }
        }
        self.pace_samples(id);
    }

    /// What was read of a run within the last quarter of an hour, as far as there is room for it, the youngest last; empty
    /// where nothing is read.
    pub(super) fn recent_samples(&self, id: u64) -> Vec<Sample> {
        self.sampling.rings.get(&id).map(Ring::all).unwrap_or_default()
    }

    /// The youngest of those.
    pub(super) fn last_sample(&self, id: u64) -> Option<Sample> {
        self.sampling.rings.get(&id)?.last()
    }

    /// Called for each sample of a run that is still there, after it was taken in.
    fn on_samples(&mut self, id: u64, sample: &Sample, rates: Option<Rates>) {
        self.limits_sampled(id, sample);
        self.hang_sample(id, sample, rates);
        self.rules_sample(id, sample, rates);
    }

    /// What has been read.
    pub(super) fn samples(&mut self, samples: Vec<(u64, Sample)>) {
        let capacity = capacity(self.sampling.paces.len());
        for (id, mut sample) in samples {
            // One that was left or has ended since it was read.
            let Some(run) = self.runs.get(&id).filter(|_| self.sampling.paces.contains_key(&id)) else { continue };
            sample.frozen = run.frozen.is_some();
            let rates = self.sampling.rings.entry(id).or_default().push(sample, capacity);
            if let Some(rates) = &rates {
                self.note_usage(id, &sample, rates);
            }
            self.on_samples(id, &sample, rates);
        }
        self.pools_pass();
        self.rules_pass();
    }

    /// Has the processes of a run read one by one, if it is sampled.
    pub(super) fn ask_processes(&mut self, id: u64) -> Option<oneshot::Receiver<Found>> {
        let sampler = self.sampling.sampler.as_ref().filter(|_| self.sampling.paces.contains_key(&id))?;
        let (reply, found) = oneshot::channel();
        sampler.ask(Asked {
            ids: vec![id],
            processes: true,
            zombies: false,
            pss: false,
            at_once: false,
            keeper: self.keeper_pid,
            reply,
        });
        Some(found)
    }

    /// Answers what services use, and has all of them read for a while.
    pub(super) fn usage(&mut self, request: &UsageRequest, reply: Reply<Result<Looked, Problem>>) {
        let names = match request.services.as_slice() {
            [] => Ok(self.slots.keys().cloned().collect()),
            named => self.named(named),
        };
        let names: Vec<String> = match names {
            Ok(names) => names,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        self.look_at_all();
        let services: Vec<Seen> = names.iter().filter_map(|name| self.unread(name)).collect();
        let found = self.sampling.sampler.as_ref().map(|sampler| {
            let (reply, found) = oneshot::channel();
            let ids = services.iter().map(|seen| seen.id).collect();
            let UsageRequest { processes, zombies, pss, at_once, .. } = *request;
            sampler.ask(Asked { ids, processes, zombies, pss, at_once, keeper: self.keeper_pid, reply });
            found
        });
        let _asker_gone = reply.send(Ok(Looked { services, stack: self.stack_limits(), found }));
    }

    fn unread(&self, name: &str) -> Option<Seen> {
        let slot = self.slots.get(name)?;
        let id = slot.run?;
        let run = self.runs.get(&id).filter(|run| run.pid.is_some())?;
        let usage = ServiceUsage {
            name: name.to_owned(),
            instance: id,
            state: view::shown(slot, Some(run)).0,
            health: self.health(slot, Some(run), true).word,
            frozen: run.frozen.is_some(),
            usage: Usage {
                memory_limit_bytes: run.service.limits.memory,
                processes_limit: run.service.limits.pids,
                ..Usage::default()
            },
            cpu_recent: self.sampling.rings.get(&id).map(|ring| ring.cpu(RECENT)).unwrap_or_default(),
            source: match run.place.as_ref()? {
                Place::Cgroup(_) if !self.controllers_1(id).is_empty() => "cgroup+v1".to_owned(),
                Place::Cgroup(_) => "cgroup".to_owned(),
                Place::Reaper(_) => "processes".to_owned(),
            },
            processes_detail: Vec::new(),
        };
        Some(Seen { id, lost: run.activity.lost.load(Ordering::Relaxed), usage })
    }

    fn look_at_all(&mut self) {
        let until = Instant::now() + STAYS;
        let begins = self.sampling.looked_until.replace(until).is_none();
        if begins {
            self.timers.arm(TimerKey::LookedAway, until);
            self.pace_all();
        }
        if self.sampling.sampler.is_none() {
            // Also without any service somebody wants to know of the machine.
            self.start_sampler();
        }
    }

    /// The timer is as old as the first question: later ones move it on.
    pub(super) fn may_look_away(&mut self) {
        match self.sampling.looked_until {
            Some(until) if until > Instant::now() => self.timers.arm(TimerKey::LookedAway, until),
            _ => {
                self.sampling.looked_until = None;
                self.pace_all();
            }
        }
    }

    pub(super) fn pace_all(&mut self) {
        let ids: Vec<u64> = self.runs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.pace_samples(id));
        self.stop_sampler();
    }

    /// Has a run read as often as it is wanted, which may be never.
    pub(super) fn pace_samples(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id) else { return self.end_samples(id) };
        let needs = self.sampling.needs.get(&id).into_iter().flat_map(|needs| needs.values().copied());
        let is_looked_at = self.sampling.looked_until.is_some() && matches!(run.kind, Kind::Slot);
        let always = self.loaded.as_ref().and_then(|loaded| loaded.project.sampling);
        let always = always.filter(|_| matches!(run.kind, Kind::Slot)).map(|sampling| sampling.interval);
        let pace = needs.chain(is_looked_at.then_some(LOOKED_AT)).chain(always).min();
        let (Some(every), Some(place)) = (pace, run.place.clone()) else {
            return self.leave(id);
        };
        let groups_1 = self.groups_1(id, &place);
        let subject = Subject { id, place, groups_1, log: run.activity.clone(), every };
        self.sampling.paces.insert(id, every);
        self.start_sampler();
        if let Some(sampler) = &self.sampling.sampler {
            sampler.watch(subject);
        }
    }

    /// Groups of version 1 that count what a run uses.
    pub(super) fn groups_1(&self, id: u64, place: &Place) -> Vec<(Controller, PathBuf)> {
        match (&self.backend, place) {
            (Backend::Cgroup { root }, Place::Cgroup(leaf)) => {
                let controllers = self.controllers_1(id);
                if controllers.is_empty() {
                    return Vec::new();
                }
                let all = crate::sampling::groups_1(root, leaf).into_iter();
                all.filter(|(controller, _)| controllers.contains(controller)).collect()
            }
            (Backend::Reaper { .. }, _) | (_, Place::Reaper(_)) => Vec::new(),
        }
    }

    /// Forgets a run.
    pub(super) fn end_samples(&mut self, id: u64) {
        self.sampling.needs.remove(&id);
        self.sampling.rings.remove(&id);
        self.leave(id);
    }

    fn leave(&mut self, id: u64) {
        if self.sampling.paces.remove(&id).is_some()
            && let Some(sampler) = &self.sampling.sampler
        {
            sampler.leave(id);
        }
        self.stop_sampler();
    }

    fn start_sampler(&mut self) {
        if self.sampling.sampler.is_none() {
            match Sampler::start(self.inbox_sender.clone()) {
                Ok(sampler) => self.sampling.sampler = Some(sampler),
                Err(error) => tracing::error!(%error, "nothing is sampled: no thread can be started"),
            }
        }
    }

    /// The thread costs memory, so it is there only as long as it has something to read or somebody to answer.
    fn stop_sampler(&mut self) {
        if self.sampling.paces.is_empty() && self.sampling.looked_until.is_none() {
            self.sampling.sampler = None;
            self.sampling.rings = HashMap::new();
        }
    }
}

impl Looked {
    /// Waits for the figures; none if the engine ends meanwhile.
    pub(crate) async fn report(self) -> Option<UsageReport> {
        let mut found = match self.found {
            Some(found) => found.await.ok()?,
            None => Found::default(),
        };
        let mut total =
            Usage { memory_limit_bytes: self.stack.memory, processes_limit: self.stack.pids, ..Usage::default() };
        let services = self.services.into_iter().filter_map(|Seen { id, lost, mut usage }| {
            let (sample, rates) = found.samples.get(&id)?;
            let Usage { memory_limit_bytes, processes_limit, .. } = usage.usage;
            let read = in_words(sample, *rates);
            usage.usage = Usage { log_lost_bytes: lost, memory_limit_bytes, processes_limit, ..read };
            usage.processes_detail = found.processes.remove(&id).unwrap_or_default();
            add(&mut total, &usage.usage);
            Some(usage)
        });
        let services = services.collect();
        Some(UsageReport { time: Timestamp::now(), services, total, own: found.own, machine: found.machine })
    }
}

/// The same in the wire's words.
pub(super) fn in_words(sample: &Sample, rates: Option<Rates>) -> Usage {
    let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
    Usage {
        cpu_percent: rates.and_then(|rates| rates.cpu_percent).map(tenths),
        cpu_ms: sample.cpu_usec.map(|usec| usec / 1000),
        throttled_ms: sample.throttled_usec.map(|usec| usec / 1000),
        memory_bytes: sample.memory,
        memory_limit_bytes: None,
        memory_peak_bytes: sample.memory_peak,
        swap_bytes: sample.swap,
        processes: sample.processes,
        processes_limit: None,
        threads: sample.threads,
        read_rate: rates.and_then(|rates| rates.read).map(tenths),
        write_rate: rates.and_then(|rates| rates.written).map(tenths),
        read_bytes: sample.read_bytes,
        written_bytes: sample.written_bytes,
        log_rate: rates.map(|rates| tenths(rates.log)).unwrap_or_default(),
        log_bytes: sample.log_bytes,
        log_lost_bytes: 0,
        cpu_pressure: sample.pressure.map(|pressure| percent(pressure.cpu)),
        memory_pressure: sample.pressure.map(|pressure| percent(pressure.memory)),
        io_pressure: sample.pressure.map(|pressure| percent(pressure.io)),
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Adds one service to the sum of all. Peaks and pressures of several do not add up, and limits bound each by itself.
fn add(total: &mut Usage, one: &Usage) {
    fn plus<T: Copy + std::ops::Add<Output = T>>(total: &mut Option<T>, one: Option<T>) {
        *total = match (*total, one) {
            (Some(total), Some(one)) => Some(total + one),
            (total, one) => total.or(one),
        };
    }
    plus(&mut total.cpu_percent, one.cpu_percent);
    plus(&mut total.cpu_ms, one.cpu_ms);
    plus(&mut total.throttled_ms, one.throttled_ms);
    plus(&mut total.memory_bytes, one.memory_bytes);
    plus(&mut total.swap_bytes, one.swap_bytes);
    plus(&mut total.threads, one.threads);
    plus(&mut total.read_rate, one.read_rate);
    plus(&mut total.write_rate, one.write_rate);
    plus(&mut total.read_bytes, one.read_bytes);
    plus(&mut total.written_bytes, one.written_bytes);
    total.processes += one.processes;
    total.log_rate += one.log_rate;
    total.log_bytes += one.log_bytes;
    total.log_lost_bytes += one.log_lost_bytes;
}
