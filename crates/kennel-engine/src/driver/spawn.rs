//! From a declared service to the keeper's spawn request.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use kennel_core::instance::{self, State};
use kennel_core::liveness::Check;
use kennel_core::model::{Exit, OnEscape, ProbeKind, Service};
use kennel_core::probe::Counter;
use kennel_keeper::proto::{self, Ids, Request, ScopeId, Spawn, SpawnErrorKind, Stdio};
use kennel_sys::{proc, user};

use super::health::Zombie;
use super::runs::{Kind, Run};
use super::{Driver, Input, Work, privileges, usage};
use crate::notify::{Notify, Said};
use crate::receipt::{Builder, members};
use crate::records::Note;

/// What is to be executed.
pub(super) struct Launch {
    pub(super) argv: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) stdio: Option<[OwnedFd; 3]>,
    /// Name of the scope's leaf before its number.
    pub(super) leaf: String,
    /// Whether it outlives the daemon.
    pub(super) keep: bool,
    /// The keeper's copy of the record.
    pub(super) note: Vec<u8>,
}

impl Driver {
    /// Starts an instance of a service.
    pub(super) fn spawn_service(
        &mut self,
        id: u64,
        name: &str,
        service_name: &str,
        replica: u32,
        service: Arc<Service>,
        kind: Kind,
    ) {
        let chosen = self.choose_ports(name);
        let service = self.with_ports(name, &service);
        let mut environment = self.environment_of(name, &service);
        environment.insert("KENNEL_SERVICE".into(), service_name.into());
        environment.insert("KENNEL_REPLICA".into(), replica.to_string());
        let mut run = self.new_run(name, kind, &service, &service.command);
        run.policy.probed = service.readiness.is_some();
        run.policy.start_timeout = service.start_timeout;
        let patience = watchdog(&service);
        if service.readiness.as_ref().is_some_and(|probe| probe.kind == ProbeKind::Notify) || patience.is_some() {
            let heard = self.heard(id, &service);
            match ids(&service).and_then(|ids| {
                let uid = ids.map_or_else(|| rustix::process::geteuid().as_raw(), |ids| ids.uid);
                Notify::open(uid, heard).map_err(|error| error.to_string())
            }) {
                Ok(notify) => {
                    environment.insert("NOTIFY_SOCKET".into(), notify.address.clone());
                    if let Some(patience) = patience {
                        environment.insert("WATCHDOG_USEC".into(), patience.as_micros().to_string());
                    }
                    run.notify = Some(notify);
                }
                Err(error) => tracing::warn!(error, service = name, "cannot open the notify socket"),
            }
        }
        if let Some(conflict) = chosen.err().or_else(|| self.port_conflict(service_name, &service)) {
            self.runs.insert(id, run);
            let failed = instance::Event::SpawnFailed { error: conflict, transient: false };
            return self.queue.push_back(Work::Run(id, failed));
        }
        let argv = service.command.clone();
        let keep = service.is_kept();
        let note = self.note_of(&run);
        self.let_ports_go(name);
        self.launch(id, run, Launch { argv, environment, stdio: None, leaf: name.to_owned(), keep, note });
    }

    /// What another daemon needs to know of a run if its record is lost.
    pub(super) fn note_of(&self, run: &Run) -> Vec<u8> {
        let Some(slot) = self.slots.get(&run.name) else { return Vec::new() };
        let note = Note {
            name: run.name.clone(),
            service: slot.service_name.clone(),
            replica: slot.replica,
            definition: (*run.service).clone(),
            ad_hoc: slot.ad_hoc.as_ref().map(|ad_hoc| ad_hoc.about.clone()),
        };
        serde_json::to_vec(&note).unwrap_or_default()
    }

    /// What is done when a service says something of itself.
    fn heard(&self, id: u64, service: &Service) -> impl Fn(Said) + Send + 'static {
        let inbox = self.inbox_sender.clone();
        let by_notify = service.readiness.as_ref().is_some_and(|probe| probe.kind == ProbeKind::Notify);
        move |said| {
            let input = match said {
                Said::Ready if by_notify => Input::SaidReady(id),
                // Its readiness is asked for elsewhere.
                Said::Ready => return,
                Said::Trouble => Input::SaidTrouble(id),
            };
            drop(inbox.send(input));
        }
    }

    /// Listens again where a service that was taken over says that it is ready.
    pub(super) fn reopen_notify(&self, id: u64, run: &mut Run, address: Option<&str>) {
        let Some(address) = address else { return };
        let heard = self.heard(id, &run.service);
        let uid = ids(&run.service).ok().flatten().map_or_else(|| rustix::process::geteuid().as_raw(), |ids| ids.uid);
        match Notify::reopen(address, uid, heard) {
            Ok(notify) => run.notify = Some(notify),
            Err(error) => tracing::warn!(%error, service = run.name, "cannot open the notify socket again"),
        }
    }

    /// A declared port that somebody else listens on, in words. Replicas of one service may share a port.
    fn port_conflict(&self, service_name: &str, service: &Service) -> Option<String> {
        service.ports.iter().find_map(|(port_name, port)| {
            let holder = proc::tcp_listener(*port)?;
            let is_in = |run: &&Run| {
                let members = run.place.as_ref().map(members).unwrap_or_default();
                holder.pid.is_some_and(|pid| members.contains(&pid))
            };
            let ours = self.runs.values().find(is_in);
            let is_same = |run: &Run| self.slots.get(&run.name).is_some_and(|slot| slot.service_name == service_name);
            if ours.is_some_and(is_same) {
                return None;
            }
            let by = match (ours, holder.pid) {
                (Some(run), Some(pid)) => format!("service `{}`, pid {pid}", run.name),
                (_, Some(pid)) => {
                    let command = holder.command.as_deref().unwrap_or("no command");
                    format!("pid {pid} ({command}), user {}", user::name(holder.uid))
                }
                (_, None) => format!("a process of user {}", user::name(holder.uid)),
            };
            Some(format!("port {port} (`{port_name}`) is taken by {by}"))
        })
    }

    /// The caller's environment overlaid by the service's own; `name` is that of its slot.
    pub(super) fn environment_of(&self, name: &str, service: &Service) -> BTreeMap<String, String> {
        let ad_hoc = self.slots.get(name).and_then(|slot| slot.ad_hoc.as_deref());
        let base = match ad_hoc {
            Some(ad_hoc) => Some(&ad_hoc.environment),
            None => self.loaded.as_ref().map(|loaded| &loaded.environment),
        };
        let mut environment = base.cloned().unwrap_or_default();
        if let Some(owner) = ad_hoc.and_then(|ad_hoc| ad_hoc.about.owner.clone()) {
            environment.insert("KENNEL_OWNER".into(), owner);
        }
        // Meant for whoever started kennel, not for what kennel starts.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            environment.remove(name);
        }
        if let Some(account) = service.user.as_deref().and_then(user::account) {
            environment.insert("HOME".into(), account.home.to_string_lossy().into_owned());
            environment.insert("SHELL".into(), account.shell.to_string_lossy().into_owned());
            environment.insert("USER".into(), account.name.clone());
            environment.insert("LOGNAME".into(), account.name);
        }
        environment.insert("PWD".into(), service.working_dir.to_string_lossy().into_owned());
        environment.extend(service.environment.clone());
        environment
    }

    pub(super) fn new_run(&self, name: &str, kind: Kind, service: &Arc<Service>, command: &[String]) -> Run {
        let policy =
            instance::Policy { stop: service.stop.clone(), probed: false, start_timeout: service.start_timeout };
        Run {
            name: name.to_owned(),
            kind,
            service: Arc::clone(service),
            policy,
            state: State::new(),
            pid: None,
            identity: None,
            scope: String::new(),
            place: None,
            reaper: None,
            begun: Instant::now(),
            started_at: Timestamp::now(),
            ready_after_ms: None,
            receipt: Builder::new(shown(command)),
            counter: Counter::new(1, 1),
            probe: None,
            notify: None,
            ready_early: false,
            refused: None,
            probe_said: None,
            probe_took: None,
            live: None,
            zombie: Zombie::default(),
            hang: None,
            is_stuck: false,
            bounded: super::bounds::Bounded::default(),
            zombies: super::zombies::Seen::default(),
            frozen: None,
            freezing: None,
            cpu_seen: usage::CpuSeen::default(),
            exit: None,
            ends_at: None,
            limit_at: None,
            pipes: None,
            activity: Arc::default(),
            owner: None,
            opened: None,
        }
    }

    /// Hands a run to the keeper; what cannot even be asked for fails as a spawn that failed.
    pub(super) fn launch(&mut self, id: u64, mut run: Run, launch: Launch) {
        let mut request = request(id, &run.service, launch);
        if let Ok(request) = &mut request {
            run.scope.clone_from(&request.name);
            if run.is_bounded() {
                request.bounds = super::bounds::wanted(&run.service.limits);
                request.owners = self.owner_path(&run);
            }
        }
        self.dirty.run(id);
        self.runs.insert(id, run);
        self.sync_pools();
        let refused = match request {
            Ok(_) if self.keeper_lost => "the keeper was lost".to_owned(),
            Ok(request) => {
                self.link.send(Request::Spawn(Box::new(request)));
                kennel_sys::crash_point!("daemon.spawn-sent");
                return;
            }
            Err(error) => error,
        };
        let failed = instance::Event::SpawnFailed { error: refused, transient: false };
        self.queue.push_back(Work::Run(id, failed));
    }
}

/// How often a service has to say that it is alive, if that is its liveness.
fn watchdog(service: &Service) -> Option<std::time::Duration> {
    match service.liveness.as_ref()?.check {
        Check::Watchdog(patience) => Some(patience),
        Check::Ask(_) | Check::Heartbeat { .. } | Check::LogSilence(_) => None,
    }
}

fn request(id: u64, service: &Service, launch: Launch) -> Result<Spawn, String> {
    let nul = |what: &str| format!("{what} holds a NUL byte");
    let argv = launch.argv.iter().map(|arg| CString::new(arg.as_str()).map_err(|_| nul("an argument")));
    let env = launch.environment.iter().map(|(key, value)| {
        CString::new(format!("{key}={value}")).map_err(|_| nul(&format!("environment variable `{key}`")))
    });
    Ok(Spawn {
        scope: ScopeId(id),
        // Helpers' numbers are long; the leaf needs only a name that is free.
        name: format!("{}.{}", launch.leaf, id & !super::HELPERS),
        argv: argv.collect::<Result<_, _>>()?,
        env: env.collect::<Result<_, _>>()?,
        cwd: c_path(&service.working_dir)?,
        user: ids(service)?,
        umask: service.umask,
        isolation: proto::Isolation {
            pid: service.isolation.pid,
            proc: service.isolation.proc,
            tmp: service.isolation.tmp,
            network: service.isolation.network,
        },
        privileges: privileges::wanted(service)?,
        keep: launch.keep,
        note: launch.note,
        bounds: Vec::new(),
        owners: Vec::new(),
        kill_escaped: service.on_escape == OnEscape::Kill,
        stdio: launch.stdio.map_or(Stdio::Capture, Stdio::Passed),
    })
}

fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| format!("{} holds a NUL byte", path.display()))
}

/// Names are looked up at each spawn, since the user database may change while kennel runs.
fn ids(service: &Service) -> Result<Option<Ids>, String> {
    let Some(name) = service.user.as_deref().or(service.group.as_ref().map(|_| "")) else { return Ok(None) };
    let own;
    let name = if name.is_empty() {
        own = rustix::process::geteuid().as_raw().to_string();
        &own
    } else {
        name
    };
    let found = user::lookup(name, service.group.as_deref()).map_err(|error| error.to_string())?;
    Ok(Some(Ids { uid: found.uid, gid: found.gid, groups: found.groups }))
}

/// A command in one line of bounded length, as `sys::proc` shows those of other processes.
fn shown(command: &[String]) -> String {
    command.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// The keeper's word on an end, as the model has it.
pub(super) fn model_exit(exit: proto::Exit) -> Exit {
    match exit {
        proto::Exit::Code(code) => Exit::Code(code),
        proto::Exit::Signal(signal) => Exit::Signal(signal),
        proto::Exit::Unknown => Exit::Unknown,
    }
}

/// One clear line about a failed spawn.
pub(super) fn explain(error: &proto::SpawnError, service: &Service) -> String {
    let subject = &error.subject;
    let system = system(error.errno);
    match error.kind {
        SpawnErrorKind::NotFound if subject.contains('/') => format!("cannot execute `{subject}`: no such file"),
        SpawnErrorKind::NotFound => format!("cannot execute `{subject}`: not found in PATH"),
        SpawnErrorKind::NotExecutable => format!("cannot execute `{subject}`: {system}"),
        SpawnErrorKind::BadInterpreter => {
            let program = service.command.first().map_or("", String::as_str);
            format!("cannot execute `{program}`: its interpreter `{subject}` is not there")
        }
        SpawnErrorKind::BadCwd => format!("cannot enter the working directory `{subject}`: {system}"),
        SpawnErrorKind::BadUser => bad_user(error, service, &system),
        SpawnErrorKind::Setting(setting) => privileges::explain(setting, subject, error.errno, service),
        SpawnErrorKind::TooLong => {
            let suspects = privileges::suspects(error.errno, service);
            format!("arguments and environment are too long for the system{suspects}")
        }
        SpawnErrorKind::Isolation => format!("cannot isolate: {subject}"),
        SpawnErrorKind::Scope => format!("cannot make the scope `{subject}`: {system}"),
        SpawnErrorKind::Resources => {
            let suspects = privileges::suspects(error.errno, service);
            format!("the system is short of processes, memory or descriptors: {system}{suspects}")
        }
    }
}

/// What the system says of an `errno`.
pub(super) fn system(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn bad_user(error: &proto::SpawnError, service: &Service, system: &str) -> String {
    let (key, name) = match (&service.user, &service.group) {
        (None, Some(group)) => ("group", group.as_str()),
        (user, _) => ("user", user.as_deref().unwrap_or(&error.subject)),
    };
    let plain = !rustix::process::geteuid().is_root() && error.errno == rustix::io::Errno::PERM.raw_os_error();
    match plain {
        true => format!("cannot run as {key} `{name}`: that needs root; start kennel as root, or leave `{key}` out"),
        false => format!("cannot run as {key} `{name}`: {system}"),
    }
}

/// The stable code for a failed one-off.
pub(super) fn problem_code(kind: SpawnErrorKind) -> kennel_wire::Code {
    match kind {
        SpawnErrorKind::NotFound => kennel_wire::Code::NotFound,
        SpawnErrorKind::NotExecutable | SpawnErrorKind::BadInterpreter => kennel_wire::Code::NotExecutable,
        SpawnErrorKind::BadCwd
        | SpawnErrorKind::BadUser
        | SpawnErrorKind::Setting(_)
        | SpawnErrorKind::TooLong
        | SpawnErrorKind::Isolation
        | SpawnErrorKind::Scope
        | SpawnErrorKind::Resources => kennel_wire::Code::SpawnFailed,
    }
}
