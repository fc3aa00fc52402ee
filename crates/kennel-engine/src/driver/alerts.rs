//! Alerts: what rules have raised, who it is, and what is done about it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use kennel_core::instance::Reason;
use kennel_core::rules::culprit::{Member, Share, blame, grows, root_of};
use kennel_core::rules::{Act, Measure, Outcome, Rule};
use kennel_core::sample::{Rates, Sample};
use kennel_core::slot::Event;
use kennel_wire::{Alert, AlertReport, Ancestor, Culprit, EventKind, Foreseen, ProcessUsage};

use super::rules::Whose;
use super::{Driver, Input, Work};
use crate::clock;
use crate::receipt::millis;

/// How long it may take to find out who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Processes that a report names.
const NAMED: usize = 5;

/// Alerts that are over and still told of.
const KEPT: usize = 32;

/// Whoever began so lately had nothing before.
const NEW: Duration = Duration::from_secs(60);

/// Growth within this time is what makes it too much now.
const LATELY: Duration = Duration::from_secs(10);

/// What is open, and what was.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    open: Vec<Open>,
    /// The youngest first.
    over: VecDeque<Alert>,
    next: u64,
}

/// One alert that is not over.
#[derive(Debug)]
struct Open {
    number: u64,
    whose: Whose,
    /// Which run it is about; of the stack's, the one that the growth came from.
    target: Option<u64>,
    measure: Measure,
    alert: Alert,
    /// What follows once it is known who it is; none: it is known.
    waiting: Option<Vec<Waiting>>,
    is_throttled: bool,
    /// Whether it is to be seen where services are listed.
    is_shown: bool,
}

#[derive(Debug)]
enum Waiting {
    Tell(EventKind),
    Do(Act),
}

impl Alerts {
    /// The runs that the open alerts of a rule of the stack are about.
    pub(super) fn stack_targets(&self, rule: &str) -> impl Iterator<Item = u64> {
        let open = self.open.iter().filter(move |open| open.whose == Whose::Stack && open.alert.rule == rule);
        open.filter(|open| open.alert.cleared_at.is_none()).filter_map(|open| open.target)
    }
}

impl Driver {
    /// What a rule says.
    pub(super) fn alert(&mut self, whose: &Whose, rule: &Rule, outcome: Outcome) {
        match outcome {
            Outcome::Raised { value, foreseen } => self.raise(whose, rule, value, foreseen),
            Outcome::Due { rung, act, value } => self.climb(whose, rule, rung, act, value),
            Outcome::Again { value } if *whose == Whose::Stack => self.another(rule, value),
            // It is its own figure, which counts on by a little while it stands still.
            Outcome::Again { .. } => {}
            Outcome::Cleared { value, lasted } => self.clear(whose, rule, value, lasted),
        }
    }

    fn raise(&mut self, whose: &Whose, rule: &Rule, value: f64, foreseen: Option<Duration>) {
        let target = match whose {
            Whose::Place(name) => self.slots.get(name).and_then(|slot| slot.run),
            Whose::Stack => self.to_blame(rule),
        };
        self.raise_about(target, whose, rule, value, foreseen);
    }

    fn raise_about(&mut self, target: Option<u64>, whose: &Whose, rule: &Rule, value: f64, foreseen: Option<Duration>) {
        let service = target.and_then(|id| self.runs.get(&id)).map(|run| run.name.clone());
        let service = service.or_else(|| match whose {
            Whose::Place(name) => Some(name.clone()),
            Whose::Stack => None,
        });
        let first = rule.ladder.first().map_or(Act::Event, |rung| rung.act);
        let alert = Alert {
            rule: rule.name.clone(),
            scope: match whose {
                Whose::Stack => "stack".to_owned(),
                Whose::Place(_) => "service".to_owned(),
            },
            service: service.clone(),
            measure: rule.measure.word().to_owned(),
            value,
            threshold: rule.above,
            action: first.word().to_owned(),
            refused: None,
            predicted_ms: foreseen.map(millis),
            due_in_ms: None,
            raised_at: Timestamp::now(),
            cleared_at: None,
            culprits: Vec::new(),
        };
        tracing::warn!(rule = rule.name, service, value, threshold = rule.above, "a rule raises an alert");
        let number = self.rules.alerts.next;
        self.rules.alerts.next += 1;
        self.rules.alerts.open.push(Open {
            number,
            whose: whose.clone(),
            target,
            measure: rule.measure,
            alert,
            waiting: Some(Vec::new()),
            is_throttled: false,
            is_shown: first >= Act::Warn,
        });
        self.look_for_culprits(number, target);
    }

    /// Who of all it is.
    fn to_blame(&self, rule: &Rule) -> Option<u64> {
        blame(&self.shares(rule), rule.above)
    }

    /// What each run has of a figure.
    fn shares(&self, rule: &Rule) -> Vec<Share> {
        if rule.measure == Measure::Restarts {
            let runs = self.slots.values().filter_map(|slot| Some((slot.run?, f64::from(slot.history.total()))));
            return runs.map(|(id, now)| Share { id, now, lately: 0.0, before: 0.0 }).collect();
        }
        let share = |id: u64, sample: &Sample, rates: Option<&Rates>| {
            let now = rule.measure.of(sample, rates, 0)?;
            let (lately, before) = self.earlier(id, rule.measure);
            Some(Share { id, now, lately, before })
        };
        self.rules.last.iter().filter_map(|(id, (sample, rates))| share(*id, sample, rates.as_ref())).collect()
    }

    /// What a run had of a figure some time ago, and the least that is known of it; what has just begun had nothing.
    pub(super) fn earlier(&self, id: u64, measure: Measure) -> (f64, f64) {
        let Some(age) = self.runs.get(&id).map(|run| run.begun.elapsed()).filter(|_| measure.has_slope()) else {
            return (0.0, 0.0);
        };
        let (samples, now) = (self.recent_samples(id), clock::now());
        let readings = || samples.iter().filter_map(|one| Some((one.at, measure.of(one, None, 0)?)));
        let lately = readings().find(|(at, _)| now.saturating_sub(*at) <= LATELY).map_or(0.0, |(_, value)| value);
        let least = readings().map(|(_, value)| value).fold(f64::INFINITY, f64::min);
        (if age < LATELY { 0.0 } else { lately }, if age < NEW { 0.0 } else { least })
    }

    /// Has the processes of the run read, apart from the driver; what was found comes as an input.
    fn look_for_culprits(&mut self, number: u64, target: Option<u64>) {
        let found = target.and_then(|id| Some((id, self.ask_processes(id)?)));
        let inbox = self.inbox_sender.clone();
        let Some((id, found)) = found else {
            return self.culprits(number, Vec::new());
        };
        tokio::spawn(async move {
            let found = tokio::time::timeout(PATIENCE, found).await;
            let found = found.ok().and_then(Result::ok).and_then(|mut found| found.processes.remove(&id));
            let _driver_ended = inbox.send(Input::Culprits(number, found.unwrap_or_default()));
        });
    }

    /// Who it is: now it is told, and done what waited for that.
    pub(super) fn culprits(&mut self, number: u64, processes: Vec<ProcessUsage>) {
        let Some(open) = self.rules.alerts.open.iter_mut().find(|open| open.number == number) else { return };
        let service = open.alert.service.clone().unwrap_or_default();
        open.alert.culprits = culprits_of(open.measure, &service, &processes);
        let alert = &open.alert;
        let (name, id) = (alert.service.clone(), open.target);
        let kind = EventKind::AlertRaised {
            rule: alert.rule.clone(),
            measure: alert.measure.clone(),
            value: alert.value,
            threshold: alert.threshold,
            predicted_ms: alert.predicted_ms,
            action: alert.action.clone(),
            culprits: alert.culprits.clone(),
        };
        let waiting = open.waiting.take().unwrap_or_default();
        self.events.publish(name.as_deref(), id, kind);
        for one in waiting {
            match one {
                Waiting::Tell(kind) => drop(self.events.publish(name.as_deref(), id, kind)),
                Waiting::Do(act) => drop(self.act_on(id, &self.rule_of(number), act)),
            }
        }
        self.forget_over(number);
    }

    /// What was foreseen of the stack has come true: whose growth it is now may be another's than it was then, who is left in peace.
    fn look_again_who(&mut self, rule: &Rule, value: f64) {
        let Some(open) =
            self.positions(&Whose::Stack, rule).first().and_then(|index| self.rules.alerts.open.get(*index))
        else {
            return;
        };
        let was_foreseen = open.alert.predicted_ms.is_some();
        let lasted = Duration::try_from(Timestamp::now().duration_since(open.alert.raised_at)).unwrap_or_default();
        let (before, target) = (open.target, self.to_blame(rule));
        if was_foreseen && before != target {
            self.clear(&Whose::Stack, rule, Some(value), lasted);
            self.raise_about(target, &Whose::Stack, rule, value, None);
        }
    }

    /// Whoever it was stands still, and it grows all the same: somebody else is frozen as well, if it is clear who.
    fn another(&mut self, rule: &Rule, value: f64) {
        let stands = |share: &Share| self.runs.get(&share.id).is_none_or(|run| run.frozen.is_some());
        let shares: Vec<Share> = self.shares(rule).into_iter().filter(|share| !stands(share)).collect();
        let Some(target) = grows(&shares, rule.above) else { return };
        let rung = rule.ladder.iter().position(|rung| rung.act == Act::Freeze).unwrap_or_default();
        self.raise_about(Some(target), &Whose::Stack, rule, value, None);
        if let Some(index) = self.positions(&Whose::Stack, rule).last() {
            self.climb_one(*index, rule, rung, Act::Freeze, value);
        }
    }

    fn rule_of(&self, number: u64) -> String {
        let open = self.rules.alerts.open.iter().find(|open| open.number == number);
        open.map(|open| open.alert.rule.clone()).unwrap_or_default()
    }

    /// The next rung, for all that the rule is about.
    fn climb(&mut self, whose: &Whose, rule: &Rule, rung: usize, act: Act, value: f64) {
        if rung == 0 && *whose == Whose::Stack {
            self.look_again_who(rule, value);
        }
        for index in self.positions(whose, rule) {
            self.climb_one(index, rule, rung, act, value);
        }
    }

    /// What keeps the evidence is done at once; what ends it waits until it is known who it was.
    fn climb_one(&mut self, index: usize, rule: &Rule, rung: usize, act: Act, value: f64) {
        let waits = act >= Act::Stop && self.rules.alerts.open.get(index).is_some_and(|open| open.waiting.is_some());
        let target = self.rules.alerts.open.get(index).and_then(|open| open.target);
        let refused = if waits { None } else { self.act_on(target, &rule.name, act) };
        let Some(open) = self.rules.alerts.open.get_mut(index) else { return };
        open.is_throttled |= act == Act::Throttle && refused.is_none();
        open.is_shown |= act >= Act::Warn;
        open.alert.value = value;
        act.word().clone_into(&mut open.alert.action);
        open.alert.refused.clone_from(&refused);
        if waits && let Some(waiting) = &mut open.waiting {
            waiting.push(Waiting::Do(act));
        }
        // What is done first is in the event that raises the alert.
        let is_told = rung == 0 && open.waiting.is_some() && open.alert.predicted_ms.is_none() && refused.is_none();
        if !is_told {
            let kind = EventKind::AlertEscalated {
                rule: rule.name.clone(),
                measure: rule.measure.word().to_owned(),
                value,
                threshold: rule.above,
                action: act.word().to_owned(),
                refused,
            };
            self.tell_alert(index, kind);
        }
    }

    fn clear(&mut self, whose: &Whose, rule: &Rule, value: Option<f64>, lasted: Duration) {
        let numbers: Vec<u64> = self
            .positions(whose, rule)
            .iter()
            .filter_map(|index| Some(self.rules.alerts.open.get(*index)?.number))
            .collect();
        for number in numbers {
            let kind = EventKind::AlertCleared {
                rule: rule.name.clone(),
                measure: rule.measure.word().to_owned(),
                value,
                lasted_ms: millis(lasted),
            };
            let Some(index) = self.rules.alerts.open.iter().position(|open| open.number == number) else { continue };
            self.tell_alert(index, kind);
            let Some(open) = self.rules.alerts.open.get_mut(index) else { continue };
            open.alert.cleared_at = Some(Timestamp::now());
            open.alert.value = value.unwrap_or(open.alert.value);
            if let Some(id) = open.target.filter(|_| open.is_throttled) {
                self.throttle(id, false);
            }
            self.forget_over(number);
        }
    }

    /// An alert that is over and has been told goes to the others that are.
    fn forget_over(&mut self, number: u64) {
        let alerts = &mut self.rules.alerts;
        let is_over = |open: &Open| open.number == number && open.alert.cleared_at.is_some() && open.waiting.is_none();
        if let Some(index) = alerts.open.iter().position(is_over) {
            alerts.over.push_front(alerts.open.remove(index).alert);
            alerts.over.truncate(KEPT);
        }
    }

    /// The alerts of a rule that are not over: one, or of a rule of the stack one for each that it was.
    fn positions(&self, whose: &Whose, rule: &Rule) -> Vec<usize> {
        let open = self.rules.alerts.open.iter().enumerate();
        let is_meant =
            |open: &Open| open.whose == *whose && open.alert.rule == rule.name && open.alert.cleared_at.is_none();
        open.filter(|(_, open)| is_meant(open)).map(|(index, _)| index).collect()
    }

    /// Publishes, after what raised the alert.
    fn tell_alert(&mut self, index: usize, kind: EventKind) {
        let Some(open) = self.rules.alerts.open.get_mut(index) else { return };
        match &mut open.waiting {
            Some(waiting) => waiting.push(Waiting::Tell(kind)),
            None => drop(self.events.publish(open.alert.service.as_deref(), open.target, kind)),
        }
    }

    /// Does it; answers why it cannot be done.
    fn act_on(&mut self, target: Option<u64>, rule: &str, act: Act) -> Option<String> {
        if !act.intervenes() {
            return None;
        }
        let run = target.and_then(|id| Some((id, self.runs.get(&id)?)));
        let Some((id, name)) = run.map(|(id, run)| (id, run.name.clone())) else {
            return Some("it does not run any more".to_owned());
        };
        match act {
            Act::Event | Act::Warn => {}
            Act::Throttle => self.throttle(id, true),
            Act::Freeze => self.set_frozen(id, true, format!("rule {rule}")),
            Act::Stop | Act::Kill => {
                let limit = (act == Act::Kill).then_some(Duration::ZERO);
                self.queue.push_back(Work::Slot(name, Event::Stop { reason: Reason::Rule, limit }));
            }
        }
        None
    }

    /// Nobody can hold this run back: the alerts that were to have it so say that it goes on as it was.
    pub(super) fn not_throttled(&mut self, id: u64, why: &str) {
        let is_meant = |open: &Open| open.target == Some(id) && open.is_throttled && open.alert.cleared_at.is_none();
        let meant: Vec<usize> =
            self.rules.alerts.open.iter().enumerate().filter(|(_, open)| is_meant(open)).map(|(at, _)| at).collect();
        for index in meant {
            let Some(open) = self.rules.alerts.open.get_mut(index) else { continue };
            open.is_throttled = false;
            open.alert.refused = Some(why.to_owned());
            let alert = &open.alert;
            let kind = EventKind::AlertEscalated {
                rule: alert.rule.clone(),
                measure: alert.measure.clone(),
                value: alert.value,
                threshold: alert.threshold,
                action: Act::Throttle.word().to_owned(),
                refused: Some(why.to_owned()),
            };
            self.tell_alert(index, kind);
        }
    }

    /// All alerts, those that are open first.
    pub(super) fn alert_report(&self) -> AlertReport {
        let open =
            self.rules.alerts.open.iter().map(|open| Alert { due_in_ms: self.due_in(open), ..open.alert.clone() });
        AlertReport { alerts: open.chain(self.rules.alerts.over.iter().cloned()).collect() }
    }

    /// How soon it is too much, in milliseconds.
    fn due_in(&self, open: &Open) -> Option<u64> {
        let is_open = open.alert.cleared_at.is_none();
        self.rules.foreseen(&open.whose, &open.alert.rule).filter(|_| is_open).map(millis)
    }

    /// What of a service will be too much soon: the soonest of all that are shown.
    pub(super) fn foreseen_of(&self, name: &str) -> Option<Foreseen> {
        let open = self.rules.alerts.open.iter().filter(|open| open.is_shown);
        let open = open.filter(|open| open.alert.service.as_deref() == Some(name));
        let foreseen = open.filter_map(|open| Some((self.due_in(open)?, &open.alert)));
        let (in_ms, alert) = foreseen.min_by_key(|(in_ms, _)| *in_ms)?;
        let (rule, measure) = (alert.rule.clone(), alert.measure.clone());
        Some(Foreseen { rule, measure, threshold: alert.threshold, in_ms })
    }

    /// Somebody lets a run go on that a rule has frozen.
    pub(super) fn let_go_on(&mut self, id: u64) {
        let open = self.rules.alerts.open.iter().filter(|open| open.target == Some(id));
        let rules: Vec<(Whose, String)> = open.map(|open| (open.whose.clone(), open.alert.rule.clone())).collect();
        rules.iter().for_each(|(whose, rule)| self.rules.let_go_on(whose, rule));
        // Its cool-down runs, also if nobody has looked since it stood still.
        self.something_happens();
    }

    /// What is to be seen of a service's alerts where services are listed: the names of the rules.
    pub(super) fn alerts_of(&self, name: &str) -> Vec<String> {
        let open = self.rules.alerts.open.iter().filter(|open| open.is_shown && open.alert.cleared_at.is_none());
        open.filter(|open| open.alert.service.as_deref() == Some(name)).map(|open| open.alert.rule.clone()).collect()
    }
}

/// The one to blame, and those that have most of it by themselves.
fn culprits_of(measure: Measure, service: &str, processes: &[ProcessUsage]) -> Vec<Culprit> {
    #[expect(clippy::cast_precision_loss, reason = "compared with each other")]
    let weight = |one: &ProcessUsage| match measure {
        Measure::Processes | Measure::Forks | Measure::Restarts => 1.0,
        Measure::Memory => one.memory_bytes as f64,
        // What is frozen meanwhile spends nothing now.
        Measure::Cpu => one.cpu_ms as f64,
        Measure::OpenFiles => one.open_files.map_or(0.0, f64::from),
        Measure::Written | Measure::WriteRate => one.written_bytes.unwrap_or(0) as f64,
        // Whoever writes to a pipe spends time with it; more is not known.
        Measure::LogRate => one.cpu_ms as f64,
    };
    let members: Vec<Member> =
        processes.iter().map(|one| Member { pid: one.pid, ppid: one.ppid, weight: weight(one) }).collect();
    let index: BTreeMap<u32, &ProcessUsage> = processes.iter().map(|one| (one.pid, one)).collect();
    let first = root_of(&members).and_then(|pid| index.get(&pid).copied());
    let mut heaviest: Vec<&ProcessUsage> =
        processes.iter().filter(|one| first.is_none_or(|it| it.pid != one.pid)).collect();
    heaviest.sort_by(|one, other| {
        weight(other)
            .total_cmp(&weight(one))
            .then(other.start_ticks.cmp(&one.start_ticks))
            .then(other.pid.cmp(&one.pid))
    });
    first.into_iter().chain(heaviest).take(NAMED).map(|one| culprit(one, service, &index)).collect()
}

fn culprit(one: &ProcessUsage, service: &str, all: &BTreeMap<u32, &ProcessUsage>) -> Culprit {
    let below: Vec<&ProcessUsage> = all.values().copied().filter(|other| is_below(other, one.pid, all)).collect();
    let with_own = || below.iter().copied().chain([one]);
    let cpu: Vec<f64> = with_own().filter_map(|it| it.cpu_percent).collect();
    Culprit {
        pid: one.pid,
        start_ticks: one.start_ticks,
        service: service.to_owned(),
        command: one.command.clone(),
        ancestry: parents(one, all).map(|it| Ancestor { pid: it.pid, command: it.command.clone() }).collect(),
        descendants: u32::try_from(below.len()).unwrap_or(u32::MAX),
        cpu_percent: (!cpu.is_empty()).then(|| (cpu.iter().sum::<f64>() * 10.0).round() / 10.0),
        memory_bytes: with_own().map(|it| it.memory_bytes).sum(),
        open_files: one.open_files,
    }
}

/// Its parents among `all`, the nearest first.
fn parents<'a>(one: &ProcessUsage, all: &'a BTreeMap<u32, &'a ProcessUsage>) -> impl Iterator<Item = &'a ProcessUsage> {
    let first = all.get(&one.ppid).copied();
    // A number that was used again cannot make it longer than all.
    std::iter::successors(first, |it| all.get(&it.ppid).copied()).take(all.len())
}

fn is_below(one: &ProcessUsage, pid: u32, all: &BTreeMap<u32, &ProcessUsage>) -> bool {
    one.pid != pid && (one.ppid == pid || parents(one, all).any(|parent| parent.ppid == pid))
}
