//! Requests of clients: which slots they mean, what they set going, and what answers them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kennel_core::graph;
use kennel_core::instance::{Event as RunEvent, Reason};
use kennel_core::model::{Project, RequireContainment, Service};
use kennel_core::reload::Selection;
use kennel_core::slot::{Event, Rest, State};
use kennel_keeper::proto::{Backend, Request, ScopeId};
use kennel_store::Change;
use kennel_wire::{ActionReport, ActionRequest, Code, DownRequest, Problem, Urgency};

use super::runs::Kind;
use super::slots::{Held, Slot, slot_name};
use super::waiters::{Waiter, WaitsFor};
use super::{Driver, Input, Loaded, Reply, Started, Work};
use crate::handle::Up;

const SIGKILL: i32 = 9;

impl Driver {
    pub(super) fn input(&mut self, input: Input) {
        // Whoever asked may have gone; answers to nobody are dropped.
        match input {
            Input::Up(up, reply) => self.up(*up, reply),
            Input::Start(request, reply) => self.start_services(&request, reply),
            Input::Stop(request, reply) => self.stop_services(&request, reply),
            Input::Restart(request, reply) => self.restart_services(&request, reply),
            Input::Kill(request, reply) => self.kill_services(request, reply),
            Input::Freeze(request, frozen, reply) => self.freeze_services(&request, frozen, reply),
            Input::Activity => self.something_happens(),
            Input::Culprits(number, processes) => self.culprits(number, processes),
            Input::Alerts(reply) => drop(reply.send(self.alert_report())),
            Input::LoadedFrom(reply) => drop(reply.send(self.loaded_from())),
            Input::Reload(reload, reply) => self.reload(*reload, reply),
            Input::Down(request, reason, reply) => {
                let since = self.begin_to_end();
                self.down(&request, reason);
                let slots = self.slots.keys().cloned().collect();
                self.wait(slots, WaitsFor::Down { since, reply });
            }
            Input::GiveUp => self.given_up = true,
            Input::Cleared(reply) => self.wait(Vec::new(), WaitsFor::Cleared(reply)),
            Input::Log(name, id, notice) => self.log_notice(&name, id, notice),
            Input::Tell(kind) => drop(self.events.publish(None, None, kind)),
            Input::Persist(reply) => {
                self.answer_when_durable(reply, ());
            }
            Input::Stdio(token, stdio) => drop(self.stdio.insert(token, stdio)),
            Input::StdioClosed(token) => self.stdio_closed(&token),
            Input::Reheld(token, reply) => self.reheld(&token, reply),
            Input::AwaitRun(token, reply) => self.await_call(token, reply),
            Input::Run(request, reply) => match self.refuse_while_ending() {
                Some(problem) => drop(reply.send(Err(problem))),
                None => self.run_one_off(*request, reply),
            },
            Input::RunDetached(request, reply) => self.run_detached(*request, reply),
            Input::Owners(reply) => drop(reply.send(self.owner_statuses())),
            Input::OpenOwner(request, reply) => self.open_owner(&request, reply),
            Input::HoldOwner(request, reply) => self.hold_owner(&request, reply),
            Input::RenewOwner(name, reply) => self.renew_owner(&name, reply),
            Input::LeaseLost(id, loss) => self.lease_lost(&id, loss),
            Input::Clean(request, reply) => self.clean(&request, reply),
            Input::SignalRun(token, signal, reply) => drop(reply.send(self.signal_one_off(&token, signal))),
            Input::SignalProcess { pid, began, signal, reply } => self.signal_process((pid, began), signal, reply),
            Input::Ports(reply) => drop(reply.send(self.ported())),
            Input::Services(reply) => self.tell_services(reply),
            Input::MainsMissing(runs) => runs.into_iter().for_each(|id| self.look_for_zombie(id)),
            Input::Health(names, reply) => drop(reply.send(self.health_report(&names))),
            Input::Facts(reply) => drop(reply.send(self.facts())),
            Input::Service(name, reply) => {
                let found = self.named(&[name]).map(|names| names.iter().filter_map(|n| self.status(n)).collect());
                drop(reply.send(found));
            }
            Input::Declared(name, reply) => {
                let found = self.slots.iter().find(|(place, slot)| **place == name || slot.service_name == name);
                let service = found.map(|(_, slot)| slot.service.clone());
                drop(reply.send(service.ok_or_else(|| self.unknown_service(&name))));
            }
            Input::Info(reply) => drop(reply.send(self.info())),
            Input::IsIdle(reply) => {
                let _asker_gone = reply.send(self.is_idle());
            }
            Input::Tracking(reply) => drop(reply.send(self.tracking())),
            Input::Orphans { found, ended } => self.tell_orphans(found, ended),
            Input::PlanAdoption(wants, reply) => drop(reply.send(self.plan_adoption(&wants))),
            Input::Adopt(adoption, reply) => self.adopt_orphan(*adoption, reply),
            Input::Usage(request, reply) => self.usage(&request, reply),
            Input::UsageHistory(request, reply) => drop(reply.send(self.recollect(&request))),
            Input::Samples(samples) => self.samples(samples),
            Input::Probe(id, told) => self.probe_told(id, told),
            Input::SaidReady(id) => self.said_ready(id),
            Input::Files(service, news) => self.files(&service, news),
            Input::Liveness(id, told) => self.liveness_told(id, told),
            Input::SaidTrouble(id) => self.said_trouble(id),
            Input::Emptied(id) => self.emptied(id),
            Input::Remember(key, body) => {
                self.facts.insert(key);
                self.events.change(Change::Meta { key: key.to_owned(), body });
            }
            Input::Webhooks(changes, told, reply) => {
                changes.into_iter().for_each(|change| self.events.change(change));
                for kind in told {
                    self.events.publish(None, None, kind);
                }
                // Nobody hears of it before the end of the turn, which commits it.
                let _office_gone = reply.send(());
            }
            Input::Audit(entry) => self.events.change(entry),
            Input::Serving => self.link.send(Request::Settled),
            Input::Hold(name, fd) => self.link.send(Request::Hold { name, fd }),
            Input::Release(name) => self.link.send(Request::Release { name }),
            Input::Succeed(program, reply) => self.succeed(program, reply),
            Input::ReplaceKeeper(program, reply) => self.replace_keeper(program, reply),
            Input::Swept => {
                kennel_sys::crash_point!("daemon.swept");
                self.swept = true;
            }
        }
    }

    /// Whether nobody would miss the daemon.
    fn is_idle(&self) -> bool {
        self.runs.is_empty()
            && (self.slots.is_empty() && self.loaded.is_none() || self.is_dormant())
            && !self.has_living_owner()
            && self.inherited.is_empty()
            && self.lost.is_empty()
    }

    /// Whether there is nothing but services that were registered once, and none of them was ever asked to be up: whoever asks
    /// the next daemon finds them as they are.
    fn is_dormant(&self) -> bool {
        let rests = |slot: &Slot| slot.ad_hoc.is_none() && !slot.wanted && slot.last_run.is_none();
        let is_registered_alone = |loaded: &Loaded| loaded.config == self.home.registered_file();
        self.loaded.as_ref().is_some_and(is_registered_alone) && self.slots.values().all(rests)
    }

    fn up(&mut self, up: Up, reply: Reply<Result<Started, Problem>>) {
        if let Some(problem) = self.refuse_while_ending() {
            return drop(reply.send(Err(problem)));
        }
        if let Err(error) = graph::order(&up.project) {
            return drop(reply.send(Err(Problem::new(Code::ConfigInvalid, error.to_string()))));
        }
        if let Some(problem) = self.taken_by_ad_hoc(&up.project) {
            return drop(reply.send(Err(problem)));
        }
        let chosen = choose(&up).and_then(|chosen| match self.too_weak(&up.project, chosen.iter()) {
            Some(problem) => Err(problem),
            None => Ok(chosen),
        });
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let mut selection = self.loaded.take().map(|loaded| loaded.selection).unwrap_or_default();
        selection.add(up.services.is_empty(), &up.profiles);
        let names = self.load(up.project, up.config, up.environment, &chosen, selection);
        kennel_sys::crash_point!("daemon.accepted");
        let timed = self.timed(&names);
        self.start_slots(names, timed, reply);
    }

    /// Takes over a configuration: new services get slots, changed ones are redefined, and restarted if they run,
    /// those that are gone are stopped. Returns the names of the chosen slots.
    fn load(
        &mut self,
        project: Project,
        config: std::path::PathBuf,
        environment: std::collections::BTreeMap<String, String>,
        chosen: &BTreeSet<String>,
        selection: Selection,
    ) -> Vec<String> {
        let mut names = Vec::new();
        let mut present = HashSet::new();
        for (service_name, service) in &project.services {
            let service = Arc::new(service.clone());
            for replica in 1..=service.replicas {
                let name = slot_name(service_name, replica, service.replicas);
                present.insert(name.clone());
                self.leaving.remove(&name);
                self.dirty.slot(&name);
                // The result of a run on request whose name the configuration takes.
                if self.is_ad_hoc(&name) {
                    self.forget_slot(&name);
                }
                match self.slots.get_mut(&name) {
                    None => {
                        let slot = Slot::new(service_name, replica, Arc::clone(&service));
                        self.slots.insert(name.clone(), slot);
                    }
                    Some(slot) if *slot.service != *service => {
                        slot.redefine(Arc::clone(&service));
                        if slot.run.is_some() && chosen.contains(service_name) {
                            let restart = Event::Restart { limit: None };
                            self.queue.push_back(Work::Slot(name.clone(), restart));
                        }
                    }
                    Some(_) => {}
                }
                if chosen.contains(service_name) {
                    names.push(name);
                }
            }
        }
        let is_gone = |(name, slot): &(&String, &Slot)| slot.ad_hoc.is_none() && !present.contains(*name);
        let gone: Vec<String> = self.slots.iter().filter(is_gone).map(|(name, _)| name.clone()).collect();
        for name in gone {
            let stop = Event::Stop { reason: Reason::Requested, limit: None };
            self.queue.push_back(Work::Slot(name.clone(), stop));
            self.dirty.slot(&name);
            self.leaving.insert(name);
        }
        self.loaded = Some(Loaded { project, config, environment, selection });
        self.sync_pools();
        self.pace_all();
        self.keep_logs();
        self.dirty.loaded();
        self.sync_schedules();
        self.sync_watches();
        self.choose_all_ports();
        names
    }

    /// Those that the clock starts.
    pub(super) fn timed(&self, names: &[String]) -> HashSet<String> {
        let is_timed = |name: &&String| self.slots.get(*name).is_some_and(|slot| slot.service.is_timed());
        names.iter().filter(is_timed).cloned().collect()
    }

    /// Starts these, but those of them that are `timed` when their time comes.
    fn start_slots(&mut self, names: Vec<String>, timed: HashSet<String>, reply: Reply<Result<Started, Problem>>) {
        let ready = |name: &String| {
            let run = self.slots.get(name).and_then(|slot| slot.run).and_then(|id| self.runs.get(&id));
            run.is_some_and(super::runs::Run::is_ready)
        };
        let already = names.iter().filter(|name| ready(name)).cloned().collect();
        for name in &names {
            self.held.shift_remove(name);
            match timed.contains(name) {
                true => self.arm(name),
                false => self.queue.push_back(Work::Slot(name.clone(), Event::Start)),
            }
        }
        self.wait(names, WaitsFor::Up { already, timed, reply });
    }

    fn start_services(&mut self, request: &ActionRequest, reply: Reply<Result<Started, Problem>>) {
        match self.chosen_to_start(request) {
            // What is named is wanted now, whatever the clock says.
            Ok(names) => self.start_slots(names, HashSet::new(), reply),
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    /// What was named, with all that it depends on.
    fn chosen_to_start(&self, request: &ActionRequest) -> Result<Vec<String>, Problem> {
        if let Some(problem) = self.refuse_while_ending() {
            return Err(problem);
        }
        let (ad_hoc, named) = self.ad_hoc_to_start(request)?;
        if named.is_empty() && !ad_hoc.is_empty() {
            return Ok(ad_hoc);
        }
        let loaded = self.loaded.as_ref().ok_or_else(missing_config)?;
        let services: Vec<String> =
            named.iter().filter_map(|name| self.slots.get(name)).map(|slot| slot.service_name.clone()).collect();
        let needed = graph::with_dependencies(&loaded.project, &services);
        // What was not named is started only if it has to be: a migration that is done is not done again.
        let is_done = |slot: &Slot| slot.state == State::Rest(Rest::Completed);
        let wanted = |(name, slot): &(&String, &Slot)| {
            let is_needed = needed.contains(&slot.service_name) && !services.contains(&slot.service_name);
            named.contains(*name) || (is_needed && !is_done(slot))
        };
        let weak = self.slots.iter().filter(wanted).map(|(_, slot)| &slot.service_name);
        if let Some(problem) = self.too_weak(&loaded.project, weak) {
            return Err(problem);
        }
        Ok(self.slots.iter().filter(wanted).map(|(name, _)| name.clone()).chain(ad_hoc).collect())
    }

    /// What is meant, runs on request apart: those are started again only if they are named, and as long as their owner
    /// lives.
    fn ad_hoc_to_start(&self, request: &ActionRequest) -> Result<(Vec<String>, Vec<String>), Problem> {
        let named = self.meant(request)?;
        let (mut ad_hoc, named): (Vec<String>, Vec<String>) = named.into_iter().partition(|name| self.is_ad_hoc(name));
        if request.all {
            ad_hoc.clear();
        }
        for name in &ad_hoc {
            self.may_begin(name)?;
        }
        Ok((ad_hoc, named))
    }

    fn stop_services(&mut self, request: &ActionRequest, reply: Reply<Result<ActionReport, Problem>>) {
        match self.meant(request) {
            Ok(names) => {
                let limit = request.timeout_ms.map(Duration::from_millis);
                for name in &names {
                    self.hold_stop(name, Held { reason: Reason::Requested, limit });
                }
                self.wait(names, WaitsFor::Rest(reply));
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    fn kill_services(&mut self, request: ActionRequest, reply: Reply<Result<ActionReport, Problem>>) {
        let names = match self.meant(&request) {
            Ok(names) => names,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        match request.signal.unwrap_or(SIGKILL) {
            SIGKILL => {
                let stop = Event::Stop { reason: Reason::Requested, limit: Some(Duration::ZERO) };
                for name in &names {
                    self.queue.push_back(Work::Slot(name.clone(), stop.clone()));
                }
                self.wait(names, WaitsFor::Rest(reply));
            }
            signal @ 1..=64 => {
                let runs: Vec<u64> = names.iter().filter_map(|name| self.slots.get(name)?.run).collect();
                for id in runs {
                    self.link.send(Request::Signal { scope: ScopeId(id), signal, everyone: true });
                }
                let report = ActionReport { ok: true, left: 0, receipts: Vec::new(), started: Vec::new() };
                drop(reply.send(Ok(report)));
            }
            other => drop(reply.send(Err(Problem::new(Code::BadRequest, format!("{other} is no signal"))))),
        }
    }

    fn restart_services(&mut self, request: &ActionRequest, reply: Reply<Result<(ActionReport, Started), Problem>>) {
        let names = self.refuse_while_ending().map_or_else(|| self.ad_hoc_to_start(request), Err);
        let names = names.and_then(|(ad_hoc, mut names)| {
            names.extend(ad_hoc);
            let services = names.iter().filter_map(|name| Some(&self.slots.get(name)?.service_name));
            match self.loaded.as_ref().and_then(|loaded| self.too_weak(&loaded.project, services)) {
                Some(problem) => Err(problem),
                None => Ok(names),
            }
        });
        match names {
            Ok(names) => {
                let limit = request.timeout_ms.map(Duration::from_millis);
                for name in &names {
                    self.queue.push_back(Work::Slot(name.clone(), Event::Restart { limit }));
                }
                self.wait(names, WaitsFor::Restart(reply));
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    /// Stops everything, dependants first; the more urgent, the less is waited for.
    fn down(&mut self, request: &DownRequest, reason: Reason) {
        let timeout = request.timeout_ms.map(Duration::from_millis);
        let limit = match request.urgency {
            Urgency::Graceful => timeout,
            Urgency::Hurry => Some(timeout.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1))),
            Urgency::Kill => Some(Duration::ZERO),
        };
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            if request.urgency == Urgency::Graceful {
                self.hold_stop(&name, Held { reason, limit });
            } else {
                self.held.shift_remove(&name);
                self.queue.push_back(Work::Slot(name, Event::Stop { reason, limit }));
            }
        }
        let helpers = self.runs.iter().filter(|(_, run)| matches!(run.kind, Kind::Helper(_)));
        for (id, _) in helpers {
            self.queue.push_back(Work::Run(*id, RunEvent::StopRequested { reason, limit }));
        }
    }

    pub(super) fn wait(&mut self, slots: Vec<String>, waits_for: WaitsFor) {
        self.waiters.push(Waiter { slots, receipts: Vec::new(), waits_for });
    }

    pub(super) fn refuse_while_ending(&self) -> Option<Problem> {
        (self.down_since.is_some() || self.keeper_lost)
            .then(|| Problem::new(Code::ShuttingDown, "the daemon is shutting down"))
    }

    /// Why these services are not started with what this machine gives, if the project asks for more.
    pub(super) fn too_weak<'n>(
        &self,
        project: &Project,
        services: impl Iterator<Item = &'n String>,
    ) -> Option<Problem> {
        if project.require_containment != RequireContainment::Kernel || self.is_held_by_kernel() {
            return None;
        }
        let wanted: HashSet<&String> = services.collect();
        let is_weak = |(name, service): &(&String, &Service)| wanted.contains(name) && !service.isolation.pid;
        let weak: Vec<String> = project.services.iter().filter(is_weak).map(|(name, _)| format!("`{name}`")).collect();
        (!weak.is_empty()).then(|| self.weaker_than_required(&weak.join(", ")))
    }

    /// As [`Driver::too_weak`], for a command that runs beside the services; `isolated` in a PID namespace.
    pub(super) fn too_weak_beside(&self, isolated: bool) -> Option<Problem> {
        let project = &self.loaded.as_ref()?.project;
        let is_met = project.require_containment != RequireContainment::Kernel || self.is_held_by_kernel() || isolated;
        (!is_met).then(|| self.weaker_than_required("the command"))
    }

    pub(super) fn is_held_by_kernel(&self) -> bool {
        matches!(self.backend, Backend::Cgroup { .. })
    }

    fn weaker_than_required(&self, who: &str) -> Problem {
        let it = &self.containment;
        let because = it.because.as_deref().unwrap_or("no reason is known");
        let text = format!(
            "{who} would not be held together by the kernel, which `require_containment` asks for: no cgroup can be used ({because})"
        );
        let advice = it.advice.as_ref().map(|advice| match &advice.command {
            Some(command) => format!("`{command}` {}", advice.text),
            None => advice.text.clone(),
        });
        let isolate = "`isolation: pid` for a service is enough as well";
        let hint = advice.map_or_else(|| isolate.to_owned(), |advice| format!("{advice}; {isolate}"));
        Problem::new(Code::ContainmentTooWeak, text).hint(hint)
    }

    /// Slots that a request means, in the file's order.
    pub(super) fn meant(&self, request: &ActionRequest) -> Result<Vec<String>, Problem> {
        match (request.all, request.services.is_empty()) {
            (true, true) => Ok(self.slots.keys().cloned().collect()),
            (false, false) => self.named(&request.services),
            (true, false) => Err(Problem::new(Code::BadRequest, "give names or `all`, not both")),
            (false, true) => Err(Problem::new(Code::BadRequest, "no service is named")),
        }
    }

    pub(super) fn named(&self, names: &[String]) -> Result<Vec<String>, Problem> {
        let mut found = Vec::new();
        for name in names {
            let slots = self.slots.iter().filter(|(slot_name, slot)| *slot_name == name || slot.service_name == *name);
            let before = found.len();
            found.extend(slots.map(|(slot_name, _)| slot_name.clone()));
            if found.len() == before {
                return Err(self.unknown_service(name));
            }
        }
        found.sort_by_key(|name| self.slots.get_index_of(name));
        found.dedup();
        Ok(found)
    }

    pub(super) fn unknown_service(&self, name: &str) -> Problem {
        if self.loaded.is_none() && self.slots.is_empty() {
            return missing_config();
        }
        let known: Vec<&str> = self.slots.keys().map(String::as_str).collect();
        Problem::new(Code::UnknownService, format!("no service `{name}`"))
            .hint(format!("there are: {}", known.join(", ")))
    }
}

pub(super) fn missing_config() -> Problem {
    Problem::new(Code::ConfigMissing, "nothing is loaded").hint("`kennel up` loads the configuration")
}

/// Names of the services to start.
fn choose(up: &Up) -> Result<BTreeSet<String>, Problem> {
    if let Some(name) = up.services.iter().find(|name| !up.project.services.contains_key(*name)) {
        let known: Vec<&str> = up.project.services.keys().map(String::as_str).collect();
        return Err(Problem::new(Code::UnknownService, format!("no service `{name}`"))
            .hint(format!("there are: {}", known.join(", "))));
    }
    let named: Vec<String> = if up.services.is_empty() {
        let active = up.project.services.iter().filter(|(_, service)| {
            service.profiles.is_empty() || service.profiles.iter().any(|profile| up.profiles.contains(profile))
        });
        active.map(|(name, _)| name.clone()).collect()
    } else {
        up.services.clone()
    };
    Ok(graph::with_dependencies(&up.project, &named))
}
