//! Owners and leases under any order of events.
//!
//! covers: E6

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;
use kennel_core::lease::{Action, Cause, Downtime, Kind, Lease, Loss, Owner, Owners, Refusal, State, Timer};
use kennel_core::limit::Limits;
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    Open(usize, Option<usize>, u64),
    Held(usize, u8),
    Beat(usize, u64),
    Renew(usize),
    Lose(usize, u8),
    End(usize),
    Forget(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..NAMES.len();
    let step = prop_oneof![
        4 => (who(), proptest::option::of(who()), 1u64..20).prop_map(|(who, parent, grace)| Step::Open(who, parent, grace)),
        4 => (who(), 0u8..2).prop_map(|(who, id)| Step::Held(who, id)),
        4 => (who(), 1u64..20).prop_map(|(who, ttl)| Step::Beat(who, ttl)),
        4 => who().prop_map(Step::Renew),
        3 => (who(), 0u8..2).prop_map(|(who, id)| Step::Lose(who, id)),
        1 => who().prop_map(Step::End),
        1 => who().prop_map(Step::Forget),
        6 => (1u64..15).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..80)
}

/// Carries out what the machine asks for, and holds it to its word.
#[derive(Default)]
struct World {
    owners: Owners,
    now: Duration,
    timers: BTreeMap<String, (Timer, Duration)>,
    ended: BTreeSet<String>,
    /// When the last living lease of an owner went, while none has come since.
    bare_since: BTreeMap<String, Duration>,
}

impl World {
    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Arm(timer, at) => drop(self.timers.insert(format!("{timer:?}"), (timer, at))),
                Action::Disarm(timer) => drop(self.timers.remove(&format!("{timer:?}"))),
                Action::End(owner, cause) => {
                    if cause == Cause::Lease {
                        let grace = self.owners.get(&owner).unwrap().grace;
                        let since = self.bare_since[&owner];
                        assert!(self.now >= since + grace, "{owner} ended before its grace was over");
                    }
                    assert!(self.ended.insert(owner), "it ends once");
                }
                Action::AnnounceOpened(_)
                | Action::AnnounceTaken(..)
                | Action::AnnounceLost(..)
                | Action::AnnounceGrace(..)
                | Action::AnnounceHeld(_)
                | Action::RecordOwner(_)
                | Action::RecordLease(_) => {}
            }
        }
        self.check();
    }

    fn has_living_lease(&self, name: &str) -> bool {
        self.owners.leases_of(name).any(|(_, lease)| match lease.kind {
            Kind::Held | Kind::Process { .. } => true,
            Kind::Heartbeat { until, .. } => until.is_some(),
        })
    }

    fn check(&mut self) {
        let names: Vec<String> = self.owners.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            let owner = self.owners.get(&name).unwrap().clone();
            let living = self.has_living_lease(&name);
            match owner.state {
                State::Held => assert!(living, "{name} is held by nothing"),
                State::Grace { .. } | State::Unbound => assert!(!living, "{name} has a lease that does not count"),
                State::Ended(_) => {
                    assert!(self.ended.contains(&name) && self.owners.leases_of(&name).next().is_none());
                }
            }
            if living {
                self.bare_since.remove(&name);
            } else {
                self.bare_since.entry(name.clone()).or_insert(self.now);
            }
            if let State::Grace { .. } = owner.state {
                assert!(self.timers.contains_key(&format!("{:?}", Timer::Grace(name.clone()))), "{name} never ends");
            }
            // A child never outlives its parent, and the way up ends.
            let mut at = owner.clone();
            for _ in 0..=NAMES.len() {
                let Some(parent) = at.parent else { break };
                at = self.owners.get(&parent).expect("a parent is known as long as its children are").clone();
                if matches!(at.state, State::Ended(_)) {
                    assert!(matches!(owner.state, State::Ended(_)), "{name} outlives {parent}");
                }
            }
            assert!(at.parent.is_none(), "{name} is in a cycle");
        }
        for (_, lease) in NAMES.iter().flat_map(|name| self.owners.leases_of(name)) {
            assert!(self.owners.living(&lease.owner).is_ok(), "a lease of nobody");
        }
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some((key, (timer, at))) = self
            .timers
            .iter()
            .min_by_key(|(_, (_, at))| *at)
            .filter(|(_, (_, at))| *at <= end)
            .map(|(k, v)| (k.clone(), v.clone()))
        {
            self.timers.remove(&key);
            self.now = self.now.max(at);
            let actions = self.owners.elapsed(&timer, self.now);
            self.apply(actions);
        }
        self.now = end;
    }

    fn step(&mut self, step: &Step) {
        let before = self.owners.clone();
        let result = match *step {
            Step::Open(who, parent, grace) => {
                self.owners.open(NAMES[who], parent.map(|at| NAMES[at]), Some(Duration::from_secs(grace)))
            }
            Step::Held(who, id) => {
                let lease = Lease { owner: NAMES[who].to_owned(), kind: Kind::Held };
                self.owners.take(&format!("{}{id}", NAMES[who]), lease)
            }
            Step::Beat(who, ttl) => {
                let ttl = Duration::from_secs(ttl);
                let kind = Kind::Heartbeat { ttl, until: Some(self.now + ttl) };
                self.owners.take(&format!("{}beat", NAMES[who]), Lease { owner: NAMES[who].to_owned(), kind })
            }
            Step::Renew(who) => self.owners.renew(NAMES[who], self.now),
            Step::Lose(who, id) => Ok(self.owners.lose(&format!("{}{id}", NAMES[who]), Loss::Closed, self.now)),
            Step::End(who) => Ok(self.owners.end(NAMES[who], &Cause::Stopped)),
            Step::Forget(who) => {
                let actions = self.owners.forget(NAMES[who]);
                if !actions.is_empty() {
                    self.ended.remove(NAMES[who]);
                    self.bare_since.remove(NAMES[who]);
                }
                Ok(actions)
            }
            Step::Wait(seconds) => {
                self.wait(seconds);
                Ok(Vec::new())
            }
        };
        match result {
            Ok(actions) => self.apply(actions),
            Err(_) => assert_eq!(before, self.owners, "what is refused changes nothing"),
        }
    }
}

proptest! {
    #[test]
    fn alive_as_long_as_a_lease_and_its_grace_and_never_again(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            let ended = world.ended.clone();
            world.step(step);
            for name in ended {
                let forgotten = !world.ended.contains(&name);
                let state = world.owners.get(&name).map(|owner| owner.state.clone());
                prop_assert!(forgotten || matches!(state, Some(State::Ended(_))), "{} began again", name);
            }
        }
        // Whoever is only in its grace ends, if nobody comes.
        world.wait(1000);
        for (name, owner) in world.owners.iter() {
            prop_assert!(!matches!(owner.state, State::Grace { .. }), "{} stays in its grace", name);
        }
    }

    #[test]
    fn another_daemon_ends_nobody_sooner_than_its_grace(steps in steps(), away in 0u64..30) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(step));
        let owners: IndexMap<String, Owner> = world.owners.iter().map(|(n, o)| (n.clone(), o.clone())).collect();
        let leases: IndexMap<String, Lease> = NAMES.iter().flat_map(|name| world.owners.leases_of(name))
            .map(|(id, lease)| (id.clone(), lease.clone())).collect();
        let now = world.now + Duration::from_secs(away);
        let (again, actions) = Owners::restore(owners.clone(), leases, now, |kind| match kind {
            Kind::Held => Downtime::Lost(Loss::Closed),
            Kind::Process { .. } | Kind::Heartbeat { .. } => Downtime::GoesOn,
        });
        let mut next = World { owners: again, now, ended: world.ended.clone(), ..World::default() };
        for name in NAMES {
            next.bare_since.insert(name.to_owned(), now);
        }
        next.apply(actions);
        for (name, owner) in &owners {
            let now_is = &next.owners.get(name).unwrap().state;
            let (was_living, is_living) = (!matches!(owner.state, State::Ended(_)), !matches!(now_is, State::Ended(_)));
            prop_assert_eq!(was_living, is_living, "{} {:?}", name, now_is);
            if let State::Grace { until } = now_is {
                prop_assert!(*until >= now + owner.grace);
            }
        }
        next.wait(1000);
    }

    #[test]
    fn what_contradicts_itself_becomes_a_forest(
        parents in proptest::collection::vec(proptest::option::of(0..6usize), NAMES.len()),
        ended in proptest::collection::vec(any::<bool>(), NAMES.len()),
    ) {
        let name = |at: usize| NAMES.get(at).copied().unwrap_or("nobody").to_owned();
        let owners: IndexMap<String, Owner> = NAMES.iter().enumerate().map(|(at, one)| {
            let state = if ended[at] { State::Ended(Cause::Stopped) } else { State::Unbound };
            ((*one).to_owned(), Owner { parent: parents[at].map(name), grace: Duration::from_secs(1), state, limits: Limits::default() })
        }).collect();
        let (again, _) = Owners::restore(owners, IndexMap::new(), Duration::ZERO, |_| Downtime::GoesOn);
        let gone = again.iter().filter(|(_, owner)| matches!(owner.state, State::Ended(_))).map(|(n, _)| n.clone());
        let mut world = World { ended: gone.collect(), owners: again, ..World::default() };
        world.check();
    }
}

fn owners(pairs: &[(&str, Option<&str>)]) -> Owners {
    let mut all = Owners::default();
    for (name, parent) in pairs {
        all.open(name, *parent, Some(Duration::from_secs(5))).unwrap();
    }
    all
}

#[test]
fn an_end_reaches_three_levels_at_once() {
    let mut all = owners(&[("top", None), ("mid", Some("top")), ("low", Some("mid")), ("beside", None)]);
    let ends = |actions: Vec<Action>| -> Vec<String> {
        actions
            .into_iter()
            .filter_map(|action| if let Action::End(name, _) = action { Some(name) } else { None })
            .collect()
    };
    assert_eq!(ends(all.end("top", &Cause::Stopped)), ["top", "mid", "low"]);
    assert_eq!(all.get("low").unwrap().state, State::Ended(Cause::Parent("top".into())));
    assert_eq!(all.get("beside").unwrap().state, State::Unbound);
    assert!(ends(all.end("top", &Cause::Stopped)).is_empty());
    assert_eq!(all.open("new", Some("low"), None), Err(Refusal::Ended("low".into())));
    assert_eq!(all.open("mid", None, None), Err(Refusal::Ended("mid".into())));
    assert!(all.forget("top").is_empty(), "its children are known");
    for name in ["low", "mid", "top"] {
        assert!(!all.forget(name).is_empty());
    }
    assert!(all.open("top", None, None).is_ok(), "a forgotten name is free");
}

#[test]
fn cycles_and_other_parents_are_refused() {
    let mut all = owners(&[("a", None), ("b", Some("a")), ("c", Some("b"))]);
    assert_eq!(all.open("a", Some("c"), None), Err(Refusal::Cycle("a".into(), "c".into())));
    assert_eq!(all.open("a", Some("a"), None), Err(Refusal::Cycle("a".into(), "a".into())));
    assert_eq!(all.open("x", Some("x"), None), Err(Refusal::Cycle("x".into(), "x".into())));
    assert_eq!(all.open("c", Some("a"), None), Err(Refusal::OtherParent("c".into(), "b".into())));
    assert_eq!(all.open("x", Some("y"), None), Err(Refusal::Unknown("y".into())));
    assert_eq!(all.renew("a", Duration::ZERO), Err(Refusal::NoHeartbeat("a".into())));
    assert!(all.open("c", Some("b"), None).is_ok(), "the same again");
}

#[test]
fn a_grace_that_is_changed_while_it_runs_counts_from_the_loss() {
    let seconds = Duration::from_secs;
    let mut all = owners(&[("a", None)]);
    let lease = Lease { owner: "a".into(), kind: Kind::Held };
    all.take("a/1", lease).unwrap();
    all.lose("a/1", Loss::Closed, seconds(100));
    let actions = all.open("a", None, Some(seconds(60))).unwrap();
    assert!(actions.contains(&Action::Arm(Timer::Grace("a".into()), seconds(160))), "{actions:?}");
    assert!(!all.elapsed(&Timer::Grace("a".into()), seconds(159)).iter().any(|it| matches!(it, Action::End(..))));
    assert!(all.elapsed(&Timer::Grace("a".into()), seconds(160)).iter().any(|it| matches!(it, Action::End(..))));
}
