//! Commands beside the instances: exec probes, stop commands, `run` and `exec`. Each has a scope of its own, so
//! that it never outlives its time.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel_core::instance::{End, Event, Reason};
use kennel_core::limit::Limits;
use kennel_core::model::{self, Exit, Service};
use kennel_keeper::proto::{Request, ScopeId, SpawnErrorKind};
use kennel_wire::{Code, Problem, Receipt, RunReport, RunRequest};
use tokio::sync::oneshot;

use super::owners::limits_of;
use super::runs::Kind;
use super::spawn::{Launch, problem_code};
use super::view::wire_exit;
use super::{Driver, Reply, TimerKey, Work};

/// What a helper is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Answers a readiness probe of this run.
    Probe { of: u64, reply: oneshot::Sender<Result<(), String>> },
    /// Is a stage of this run's stop.
    StopCommand { of: u64 },
    /// Files of this run's service have changed.
    Changed { of: u64, service: String },
    /// Was asked for by a client that handed over its descriptors under this token.
    /// Nobody waits for an answer while the client is on its way from another daemon.
    OneOff { token: String, reply: Option<Reply<Result<RunReport, Problem>>> },
}

impl Purpose {
    fn of(&self) -> Option<u64> {
        match self {
            Self::Probe { of, .. } | Self::StopCommand { of } | Self::Changed { of, .. } => Some(*of),
            Self::OneOff { .. } => None,
        }
    }
}

impl Driver {
    fn helper_id(&mut self) -> u64 {
        self.next_helper += 1;
        self.next_helper
    }

    /// Runs a command with the environment of run `of`, for at most `limit`.
    pub(super) fn run_helper(&mut self, of: u64, command: Vec<String>, limit: Duration, purpose: Purpose) {
        let Some(run) = self.runs.get(&of) else { return };
        let (name, service) = (run.name.clone(), Arc::clone(&run.service));
        let mut environment = self.environment_of(&name, &service);
        if let Some(pid) = run.pid {
            environment.insert("MAINPID".into(), pid.to_string());
        }
        environment.insert("KENNEL_SERVICE".into(), name.clone());
        // What a probe prints is of no use; what a stop command prints belongs to the service's log.
        let stdio = match purpose {
            Purpose::Probe { .. } => match nowhere() {
                Ok(stdio) => Some(stdio),
                Err(error) => return tracing::error!(%error, "cannot open /dev/null"),
            },
            _ => None,
        };
        let id = self.helper_id();
        let mut run = self.new_run(&name, Kind::Helper(purpose), &service, &command);
        run.policy.stop = Vec::new();
        self.timers.arm(TimerKey::RunTime(id), Instant::now() + limit);
        let leaf = format!("{name}.helper");
        self.launch(id, run, Launch { argv: command, environment, stdio, leaf, keep: false, note: Vec::new() });
    }

    /// Kills the helpers of a run that match.
    pub(super) fn stop_helpers_of(&mut self, of: u64, matches: impl Fn(&Purpose) -> bool) {
        let reason = Reason::Requested;
        for (id, run) in &self.runs {
            if let Kind::Helper(purpose) = &run.kind
                && purpose.of() == Some(of)
                && matches(purpose)
            {
                let stop = Event::StopRequested { reason, limit: Some(Duration::ZERO) };
                self.queue.push_back(Work::Run(*id, stop));
            }
        }
    }

    pub(super) fn run_time_is_over(&mut self, id: u64) {
        // A helper is killed, a one-off is stopped as its stop sequence says.
        let one_off = |run: &super::runs::Run| matches!(run.kind, Kind::Helper(Purpose::OneOff { .. }));
        let reason = if self.runs.get(&id).is_some_and(one_off) { Reason::MaxRuntime } else { Reason::Requested };
        let stop = Event::StopRequested { reason, limit: None };
        self.queue.push_back(Work::Run(id, stop));
    }

    pub(super) fn run_one_off(&mut self, request: RunRequest, reply: Reply<Result<RunReport, Problem>>) {
        let Some(stdio) = self.stdio.remove(&request.token) else {
            let problem = Problem::new(Code::UnknownRun, "no descriptors were handed over under this token");
            return drop(reply.send(Err(problem)));
        };
        let (service, environment) = match &request.service {
            None => (Arc::new(Service::plain(request.command.clone(), request.directory.clone())), request.environment),
            Some(name) => {
                let Some((place, slot)) = self.slots.iter().find(|(_, slot)| slot.service_name == *name) else {
                    return drop(reply.send(Err(self.unknown_service(name))));
                };
                let service = self.with_ports(place, &slot.service);
                let mut environment = request.environment;
                environment.extend(service.environment.clone());
                environment.insert("PWD".into(), service.working_dir.to_string_lossy().into_owned());
                environment.insert("KENNEL_SERVICE".into(), name.clone());
                (service, environment)
            }
        };
        // What a service may use is not for what is done beside it, but for each process by itself.
        let open_files = service.limits.open_files;
        let limits = request.limits.as_ref().map(limits_of).unwrap_or_default();
        let limits = Limits { open_files: limits.open_files.or(open_files), ..limits };
        let service = match service.limits == limits {
            true => service,
            false => Arc::new(Service { limits, ..(*service).clone() }),
        };
        if let Some(problem) = self.too_weak_beside(service.isolation.pid) {
            return drop(reply.send(Err(problem)));
        }
        let opened = match request.owner.as_ref().map(|owner| self.prepare_owner(owner)).transpose() {
            Ok(opened) => opened,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let id = self.helper_id();
        let purpose = Purpose::OneOff { token: request.token, reply: Some(reply) };
        let mut run = self.new_run("run", Kind::Helper(purpose), &service, &request.command);
        run.owner = opened.as_ref().and_then(|opened| opened.owner.clone());
        run.opened = opened;
        run.policy.stop = model::default_stop_sequence();
        if let Some(limit) = request.timeout_ms {
            let at = Instant::now() + Duration::from_millis(limit);
            run.ends_at = Some(at);
            self.timers.arm(TimerKey::RunTime(id), at);
        }
        let (stdio, leaf) = (Some(stdio), "run".into());
        let launch = Launch { argv: request.command, environment, stdio, leaf, keep: false, note: Vec::new() };
        self.launch(id, run, launch);
    }

    pub(super) fn one_off(&self, token: &str) -> Option<u64> {
        self.runs.iter().find_map(|(id, run)| match &run.kind {
            Kind::Helper(Purpose::OneOff { token: own, .. }) if own == token => Some(*id),
            _ => None,
        })
    }

    /// The client that handed over descriptors is gone, or has its answer.
    pub(super) fn stdio_closed(&mut self, token: &str) {
        self.stdio.remove(token);
        if let Some(id) = self.one_off(token) {
            let stop = Event::StopRequested { reason: Reason::ClientGone, limit: None };
            self.queue.push_back(Work::Run(id, stop));
        }
    }

    pub(super) fn signal_one_off(&mut self, token: &str, signal: i32) -> Result<(), Problem> {
        let id = self.one_off(token).ok_or_else(|| Problem::new(Code::UnknownRun, "no such run"))?;
        self.link.send(Request::Signal { scope: ScopeId(id), signal, everyone: true });
        Ok(())
    }

    pub(super) fn helper_ended(
        &mut self,
        purpose: Purpose,
        name: &str,
        end: End,
        refused: Option<SpawnErrorKind>,
        receipt: Receipt,
    ) {
        // Whoever waits for an answer may have gone meanwhile.
        match purpose {
            Purpose::Probe { reply, .. } => drop(reply.send(match end {
                End::Ran { reason: Reason::Requested, .. } => Err("the probe ran too long".into()),
                End::Ran { exit: Exit::Code(0), .. } => Ok(()),
                End::Ran { exit, .. } => Err(format!("the probe ended: {}", wire_exit(exit))),
                End::NotSpawned { error, .. } => Err(error),
            })),
            Purpose::Changed { of, service } => self.change_command_ended(of, &service, &end),
            Purpose::StopCommand { .. } => {
                if let End::NotSpawned { error, .. } = end {
                    tracing::warn!(error, service = name, "cannot run the stop command");
                }
            }
            Purpose::OneOff { token, reply } => {
                self.stdio.remove(&token);
                let result = match end {
                    End::Ran { exit, .. } => Ok(RunReport { exit: wire_exit(exit), receipt }),
                    End::NotSpawned { error, .. } => {
                        Err(Problem::new(refused.map_or(Code::SpawnFailed, problem_code), error))
                    }
                };
                match reply {
                    Some(reply) => drop(reply.send(result)),
                    None => self.keep_result(token, result),
                }
            }
        }
    }
}

fn nowhere() -> std::io::Result<[OwnedFd; 3]> {
    let open = || OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok([open()?, open()?, open()?])
}
