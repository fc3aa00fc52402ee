//! Rules: which figures are watched, when they are looked at, and what they say.
//!
//! Nothing is read of a stack in which nothing happens: a tripwire of the kernel, or a start, begins the looks, and a few looks at
//! which nothing has changed end them. Where the kernel does not tell they go on, rarely.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use kennel_core::rules::pace::{Nearness, USUAL, Vigil};
use kennel_core::rules::{Extent, Measure, Outcome, Reading, Rule, Watch, defaults};
use kennel_core::sample::{Rates, Sample};
use kennel_keeper::proto::Backend;

use super::Driver;
use super::alerts::Alerts;
use super::runs::{Kind, Run};
use super::sampling::Need;
use crate::clock;
use crate::tripwire::Tripwire;

/// Two looks are at least so far apart: those that come together are one.
const APART: Duration = Duration::from_millis(100);

/// Restarts count for so long.
const MINUTE: Duration = Duration::from_secs(60);

/// CPU time below this share is no activity.
const IDLE_SHARE: f64 = 0.005;

/// A change of memory below this is none, bytes.
const STEADY: f64 = 16_777_216.0;

/// What is watched.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Rules over all instances together.
    stack: Vec<Watched>,
    /// Rules over single ones, by their names in `ps`.
    places: HashMap<String, Vec<Watched>>,
    /// What was read last, by run.
    pub(super) last: HashMap<u64, (Sample, Option<Rates>)>,
    /// Restarts of the last minute, by the names in `ps`.
    restarts: VecDeque<(Duration, String)>,
    vigil: Vigil,
    /// How often everything is looked at.
    pace: Option<Duration>,
    tripwire: Option<Tripwire>,
    /// Whether the kernel was asked to tell and does not.
    is_mute: bool,
    /// The last look at everything.
    before: Option<Total>,
    pub(super) alerts: Alerts,
}

/// One rule over one figure.
#[derive(Debug)]
struct Watched {
    rule: Rule,
    watch: Watch,
    /// Its value at the last look at everything.
    before: Option<f64>,
}

/// All that runs, at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Total {
    at: Duration,
    cpu_usec: u64,
    memory: f64,
    processes: u32,
}

/// Whose figure it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Stack,
    /// Name in `ps`.
    Place(String),
}

impl Rules {
    fn watched(&mut self, whose: &Whose) -> &mut [Watched] {
        match whose {
            Whose::Stack => &mut self.stack,
            Whose::Place(name) => self.places.get_mut(name).map_or(&mut [], Vec::as_mut_slice),
        }
    }

    /// How soon a rule's figure will be too much.
    pub(super) fn foreseen(&self, whose: &Whose, rule: &str) -> Option<Duration> {
        let all = match whose {
            Whose::Stack => Some(&self.stack),
            Whose::Place(name) => self.places.get(name),
        };
        all?.iter().find(|watched| watched.rule.name == rule)?.watch.foreseen()
    }

    /// Whom a rule has frozen goes on, for somebody wants that.
    pub(super) fn let_go_on(&mut self, whose: &Whose, rule: &str) {
        for watched in self.watched(whose).iter_mut().filter(|watched| watched.rule.name == rule) {
            watched.watch.let_go_on(&watched.rule, clock::now());
        }
    }
}

/// Whether it is an instance of a service whose processes can be looked at.
fn is_running(run: &Run) -> bool {
    matches!(run.kind, Kind::Slot) && run.pid.is_some()
}

impl Driver {
    /// Takes the rules of a configuration that was loaded again, for what runs already.
    pub(super) fn renew_rules(&mut self) {
        self.renew_stack();
        let names: Vec<String> = self.slots.keys().chain(self.rules.places.keys()).cloned().collect();
        names.iter().for_each(|name| self.renew_place(name));
        if !self.has_rules() {
            self.rules.tripwire = None;
            self.look_every(None);
        } else {
            self.something_happens();
        }
    }

    /// What is declared as before goes on as it was.
    fn renew_stack(&mut self) {
        let rules = self.loaded.as_ref().map_or_else(defaults, |loaded| loaded.project.rules.clone());
        let rules = rules.into_iter().filter(|rule| rule.extent == Extent::Stack).collect();
        let gone = renew(&mut self.rules.stack, rules);
        gone.into_iter().for_each(|(rule, outcome)| self.alert(&Whose::Stack, &rule, outcome));
    }

    /// The rules over one place: its own, and those of the file over each service, of which its own go before.
    fn renew_place(&mut self, name: &str) {
        let slot = self.slots.get(name);
        let own: Vec<Rule> = slot.map(|slot| slot.service.rules.clone()).unwrap_or_default();
        let of_file = self.loaded.iter().filter(|_| slot.is_some()).flat_map(|loaded| &loaded.project.rules);
        let of_file = of_file.filter(|rule| rule.extent == Extent::Service);
        let of_file = of_file.filter(|rule| !own.iter().any(|own| own.name == rule.name)).cloned();
        let rules: Vec<Rule> = of_file.chain(own.iter().cloned()).collect();
        if rules.is_empty() && !self.rules.places.contains_key(name) {
            return;
        }
        let is_empty = rules.is_empty();
        let gone = renew(self.rules.places.entry(name.to_owned()).or_default(), rules);
        if is_empty {
            self.rules.places.remove(name);
        }
        gone.into_iter().for_each(|(rule, outcome)| self.alert(&Whose::Place(name.to_owned()), &rule, outcome));
    }

    fn has_rules(&self) -> bool {
        let is_sampled = |watched: &Watched| watched.rule.measure.is_sampled();
        self.rules.stack.iter().any(is_sampled) || self.rules.places.values().flatten().any(is_sampled)
    }

    /// A run has begun, or the kernel has told of activity.
    pub(super) fn something_happens(&mut self) {
        if self.has_rules() && self.runs.values().any(is_running) {
            self.rules.tripwire = None;
            let begins = self.rules.vigil.wake();
            if begins || self.rules.pace.is_none() {
                self.look_every(Some(USUAL));
            }
        }
    }

    /// An instance has begun.
    pub(super) fn watch_run(&mut self, id: u64) {
        let Some(name) = self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot)).map(|run| run.name.clone())
        else {
            return;
        };
        self.renew_stack();
        self.renew_place(&name);
        self.something_happens();
        if let Some(every) = self.rules.pace {
            self.need_samples(id, every, Need::Rules);
        }
    }

    /// An instance is down: what it has no figure of any more is over.
    pub(super) fn unwatch_run(&mut self, id: u64, name: &str) {
        self.rules.last.remove(&id);
        self.end_sampled(&Whose::Place(name.to_owned()));
        if !self.runs.values().any(is_running) {
            // No look comes any more that would find an alert over.
            self.end_sampled(&Whose::Stack);
        } else if self.rules.stack.iter().any(|watched| watched.watch.is_open()) {
            // What is left may be little enough.
            self.something_happens();
        }
    }

    /// There is nothing left to read of these figures: what was too much is over.
    fn end_sampled(&mut self, whose: &Whose) {
        let now = clock::now();
        let mut over = Vec::new();
        for watched in self.rules.watched(whose).iter_mut().filter(|watched| watched.rule.measure.is_sampled()) {
            let outcome = watched.watch.end(now);
            over.extend(outcome.map(|outcome| (watched.rule.clone(), outcome)));
        }
        over.into_iter().for_each(|(rule, outcome)| self.alert(whose, &rule, outcome));
    }

    /// The restart of a service has begun.
    pub(super) fn count_restart(&mut self, name: &str) {
        let counts = |watched: &Watched| watched.rule.measure == Measure::Restarts;
        if !self.rules.stack.iter().any(counts)
            && !self.rules.places.get(name).is_some_and(|all| all.iter().any(counts))
        {
            return;
        }
        self.rules.restarts.push_back((clock::now(), name.to_owned()));
        self.step_place(name, None, false);
        self.step_stack(false);
        // An alert that is open has to be closed again.
        self.something_happens();
    }

    fn restarts_of(&mut self, name: Option<&str>) -> u32 {
        let begin = clock::now().saturating_sub(MINUTE);
        while self.rules.restarts.front().is_some_and(|(at, _)| *at < begin) {
            self.rules.restarts.pop_front();
        }
        let of = self.rules.restarts.iter().filter(|(_, of)| name.is_none_or(|name| name == of));
        u32::try_from(of.count()).unwrap_or(u32::MAX)
    }

    /// A sample of a run: the rules over it alone.
    pub(super) fn rules_sample(&mut self, id: u64, sample: &Sample, rates: Option<Rates>) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        let (name, frozen) = (run.name.clone(), run.frozen.is_some());
        self.rules.last.insert(id, (*sample, rates));
        if self.rules.places.contains_key(&name) {
            self.step_place(&name, Some((sample, rates)), frozen);
        }
    }

    fn step_place(&mut self, name: &str, sample: Option<(&Sample, Option<Rates>)>, frozen: bool) {
        let restarts = self.restarts_of(Some(name));
        let at = clock::now();
        let mut news = Vec::new();
        for watched in self.rules.places.get_mut(name).into_iter().flatten() {
            let measure = watched.rule.measure;
            let value = match sample {
                Some((sample, rates)) => measure.of(sample, rates.as_ref(), restarts),
                None => (!measure.is_sampled()).then(|| f64::from(restarts)),
            };
            let outcomes = watched.watch.step(&watched.rule, Reading { at, value, frozen });
            news.extend(outcomes.into_iter().map(|outcome| (watched.rule.clone(), outcome)));
        }
        news.into_iter().for_each(|(rule, outcome)| self.alert(&Whose::Place(name.to_owned()), &rule, outcome));
    }

    /// Samples have come: the rules over all together, and when to look again.
    pub(super) fn rules_pass(&mut self) {
        let now = clock::now();
        if self.rules.before.is_some_and(|before| now.saturating_sub(before.at) < APART) {
            return;
        }
        self.step_stack(true);
        let total = self.total(now);
        let before = self.rules.before.replace(total);
        let figures = self.nearness(now, before.map(|before| before.at));
        let watched = || self.rules.stack.iter().chain(self.rules.places.values().flatten());
        let is_open = watched().any(|watched| watched.watch.awaits_time(&watched.rule));
        if !self.rules.vigil.looks() {
            if is_open {
                self.something_happens();
            }
            return;
        }
        let changed = before.is_none_or(|before| total.differs(&before));
        let tells = !self.rules.is_mute;
        match self.rules.vigil.looked(changed, tells, is_open, &figures) {
            Some(pause) => self.look_every(Some(pause)),
            None => self.listen(),
        }
    }

    /// Nobody looks any more; the kernel tells when something happens.
    fn listen(&mut self) {
        let groups = match &self.backend {
            Backend::Cgroup { root } => kennel_keeper::groups_of_scopes(root),
            Backend::Reaper { .. } => Vec::new(),
        };
        let groups: Vec<&Path> = groups.iter().map(std::path::PathBuf::as_path).collect();
        match Tripwire::set(&groups, &self.inbox_sender) {
            Ok(tripwire) => {
                self.rules.tripwire = Some(tripwire);
                self.look_every(None);
            }
            Err(error) => {
                tracing::debug!(%error, "the kernel does not tell of activity, so it is looked for now and then");
                self.rules.is_mute = true;
                self.something_happens();
            }
        }
    }

    fn look_every(&mut self, pace: Option<Duration>) {
        if self.rules.pace == pace {
            return;
        }
        self.rules.pace = pace;
        let running = self.runs.iter().filter(|(_, run)| is_running(run));
        let ids: Vec<u64> = running.map(|(id, _)| *id).collect();
        for id in ids {
            match pace {
                Some(every) => self.need_samples(id, every, Need::Rules),
                None => self.drop_need(id, Need::Rules),
            }
        }
        if pace.is_none() {
            // What is looked at next is no comparison with what was long ago.
            self.rules.before = None;
            self.rules.last = HashMap::new();
        }
    }

    fn step_stack(&mut self, all: bool) {
        let restarts = self.restarts_of(None);
        let at = clock::now();
        let mut news = Vec::new();
        for watched in self.rules.stack.iter_mut().filter(|watched| all || !watched.rule.measure.is_sampled()) {
            let value = stack_value(watched.rule.measure, &self.rules.last, restarts);
            let mut targets = self.rules.alerts.stack_targets(&watched.rule.name).peekable();
            let stands = |id: u64| self.runs.get(&id).is_some_and(|run| run.frozen.is_some());
            let frozen = targets.peek().is_some() && targets.all(stands);
            let outcomes = watched.watch.step(&watched.rule, Reading { at, value, frozen });
            news.extend(outcomes.into_iter().map(|outcome| (watched.rule.clone(), outcome)));
        }
        news.into_iter().for_each(|(rule, outcome)| self.alert(&Whose::Stack, &rule, outcome));
    }

    /// How near every watched figure is to its threshold.
    fn nearness(&mut self, now: Duration, before: Option<Duration>) -> Vec<Nearness> {
        let over = before.map(|before| now.saturating_sub(before).as_secs_f64()).filter(|over| *over > 0.0);
        let one = |watched: &mut Watched, value: Option<f64>| {
            let value = value?;
            let then = watched.before.replace(value);
            let slope = over.zip(then).map(|(over, then)| (value - then) / over);
            // What is spent a second comes and goes; only what lasts counts, and that has time.
            let slope = slope.filter(|_| watched.rule.measure.has_slope());
            let value = if watched.rule.measure.has_slope() { value } else { 0.0 };
            Some(Nearness { value, slope, above: watched.rule.above })
        };
        let Rules { stack, places, last, .. } = &mut self.rules;
        let mut all: Vec<Nearness> = stack
            .iter_mut()
            .filter(|watched| watched.rule.measure.is_sampled())
            .filter_map(|watched| {
                let value = stack_value(watched.rule.measure, last, 0);
                one(watched, value)
            })
            .collect();
        for (name, watched) in places {
            let run = self.slots.get(name).and_then(|slot| slot.run);
            let Some((sample, rates)) = run.and_then(|id| last.get(&id)) else { continue };
            for watched in watched.iter_mut().filter(|watched| watched.rule.measure.is_sampled()) {
                let value = watched.rule.measure.of(sample, rates.as_ref(), 0);
                all.extend(one(watched, value));
            }
        }
        all
    }

    fn total(&self, at: Duration) -> Total {
        let samples = || self.rules.last.values().map(|(sample, _)| sample);
        #[expect(clippy::cast_precision_loss, reason = "compared with a bound")]
        let memory = samples().filter_map(|sample| sample.memory).map(|bytes| bytes as f64).sum();
        Total {
            at,
            cpu_usec: samples().filter_map(|sample| sample.cpu_usec).sum(),
            memory,
            processes: samples().map(|sample| sample.processes).sum(),
        }
    }
}

impl Total {
    fn differs(&self, before: &Self) -> bool {
        let over = self.at.saturating_sub(before.at).as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "compared with a bound")]
        let share = self.cpu_usec.abs_diff(before.cpu_usec) as f64 / 1e6 / over;
        self.processes != before.processes || share > IDLE_SHARE || (self.memory - before.memory).abs() > STEADY
    }
}

impl Watched {
    fn new(rule: Rule) -> Self {
        Self { rule, watch: Watch::default(), before: None }
    }
}

/// Takes these rules instead; answers with alerts of those that are gone.
fn renew(watched: &mut Vec<Watched>, rules: Vec<Rule>) -> Vec<(Rule, Outcome)> {
    let mut before = std::mem::take(watched);
    for rule in rules {
        let same = before.iter().position(|one| one.rule == rule);
        watched.push(same.map_or_else(|| Watched::new(rule), |index| before.swap_remove(index)));
    }
    let now = clock::now();
    before.into_iter().filter_map(|mut one| one.watch.end(now).map(|outcome| (one.rule, outcome))).collect()
}

/// The value of all together.
fn stack_value(measure: Measure, last: &HashMap<u64, (Sample, Option<Rates>)>, restarts: u32) -> Option<f64> {
    match measure {
        Measure::Restarts => Some(f64::from(restarts)),
        measure => measure.together(last.values().filter_map(|(sample, rates)| measure.of(sample, rates.as_ref(), 0))),
    }
}
