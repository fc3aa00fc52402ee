//! One service: every key of it, read into the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use kennel_core::model::{
    Dependency, OnDaemonLoss, OnEscape, Probe, ProbeKind, RestartMode, RestartPolicy, Service, StopStage,
    default_stop_sequence,
};

use crate::command::{self, Shell};
use crate::depends::{self, Edge};
use crate::diagnostic::{Report, Span};
use crate::probe::Around;
use crate::reader::{Fields, Key, key};
use crate::tree::Entry;
use crate::{
    address, duration, environment, hints, isolation, limits, liveness, logs, path, privileges, probe, restart, rules,
    schedule, stop, watch, who,
};

const WORKING_DIR: Key = key("working_dir", &["cwd", "directory", "dir"]);

/// Where a service says that it runs, by whichever name of the key, as it is written.
#[must_use]
pub fn written_working_dir(definition: &serde_json::Map<String, serde_json::Value>) -> Option<&str> {
    let names = std::iter::once(&WORKING_DIR.name).chain(WORKING_DIR.aliases);
    names.into_iter().find_map(|name| definition.get(*name)).and_then(serde_json::Value::as_str)
}

/// Keys of a service.
pub(crate) const KEYS: &[Key] = &[
    key("command", &[]),
    key("shell", &[]),
    WORKING_DIR,
    key("environment", &["env"]),
    key("env_file", &[]),
    key("depends_on", &[]),
    key("restart", &[]),
    key("restart_policy", &[]),
    key("readiness", &["readiness_probe"]),
    key("healthcheck", &[]),
    key("liveness", &["liveness_probe"]),
    key("hang", &[]),
    key("start_timeout", &["start_timeout_seconds"]),
    key("stop_signal", &[]),
    key("stop_grace_period", &["stop_grace_period_seconds"]),
    key("stop", &[]),
    key("kill_mode", &[]),
    key("success_exit_codes", &[]),
    key("ports", &[]),
    key("replicas", &["scale", "instances"]),
    key("user", &[]),
    key("group", &[]),
    key("umask", &[]),
    key("no_new_privileges", &[]),
    key("security_opt", &[]),
    key("cap_drop", &[]),
    key("cap_add", &[]),
    key("ulimits", &[]),
    key("nice", &[]),
    key("cpu_affinity", &["cpuset"]),
    key("io_priority", &[]),
    key("oom_score_adj", &["oom_score_adjust"]),
    key("isolation", &[]),
    key("on_daemon_loss", &[]),
    key("on_escape", &[]),
    key("max_runtime", &["max_runtime_seconds"]),
    key("idle_timeout", &["idle_timeout_seconds"]),
    key("schedule", &[]),
    key("watch", &[]),
    key("limits", &[]),
    key("mem_limit", &[]),
    key("cpus", &[]),
    key("pids_limit", &[]),
    key("deploy", &[]),
    key("rules", &[]),
    key("dedicated_user", &[]),
    key("profiles", &[]),
    key("labels", &[]),
    key("color", &["colour"]),
    key("logs", &[]),
];

/// How long a start may take unless the file says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What the reader of a service is told of the world.
pub(crate) struct Context<'a> {
    /// Absolute directory of the file.
    pub(crate) directory: &'a Path,
    /// The caller's environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
}

/// A service as far as it could be read. Where something was wrong, a default stands in, so that the rest can still
/// be checked; the report says that nothing of it may be used.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) edges: Vec<Edge>,
    pub(crate) ports: IndexMap<String, (u16, Span)>,
    /// `None`: not said, so others decide.
    restart: Option<RestartMode>,
    service: Service,
}

impl Draft {
    pub(crate) fn has_log_line(&self) -> bool {
        let kind = self.service.readiness.as_ref().map(|probe| &probe.kind);
        matches!(kind, Some(ProbeKind::LogLine(_)))
    }

    pub(crate) fn profiles(&self) -> &[String] {
        &self.service.profiles
    }

    /// Whether some choice of one profile starts both.
    pub(crate) fn may_run_with(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.profiles(), other.profiles());
        ours.is_empty() || theirs.is_empty() || ours.iter().any(|one| theirs.contains(one))
    }

    /// The service of the model. `is_task`: somebody waits for its end, so ending is what it is for.
    pub(crate) fn finish(self, is_task: bool) -> (String, Service) {
        // What the clock starts has its next time.
        let is_task = is_task || self.service.is_timed();
        let usual = if is_task { RestartMode::No } else { RestartMode::OnFailure };
        let depends_on = self.edges.into_iter();
        let service = Service {
            restart: self.restart.unwrap_or(usual),
            depends_on: depends_on
                .map(|edge| Dependency {
                    condition: edge.wait.condition(),
                    service: edge.service,
                    restart: edge.restart,
                })
                .collect(),
            ports: self.ports.into_iter().map(|(name, (port, _))| (name, port)).collect(),
            ..self.service
        };
        (self.name, service)
    }
}

/// Reads a service and everything below it.
pub(crate) fn read(report: &Report<'_>, entry: &Entry, context: &Context<'_>) -> Option<Draft> {
    let name = &entry.key;
    check_name(report, entry);
    let what = format!("the service `{name}`");
    let fields = Fields::open(report, &entry.value, &what, KEYS, hints::service)?;
    let working_dir = working_dir(&fields, context);
    let ports = fields.read("ports", |report, entry| address::ports(report, &entry.value));
    let ports = ports.unwrap_or_default();
    let numbers = ports.iter().map(|(name, (port, _))| (name.clone(), *port)).collect();
    let around = Around { working_dir: &working_dir, ports: &numbers };
    let (readiness, start_at_least) = readiness(&fields, &around);
    let start_timeout = fields.read("start_timeout", duration::read);
    let (restart, restart_policy) = restart(&fields);
    let (user, group) = who::user_and_group(&fields);
    let edges = fields.read("depends_on", |report, entry| depends::read(report, &entry.value));
    let limits = limits::of_service(&fields);
    let replicas = who::replicas(&fields).unwrap_or(1);
    let service = Service {
        command: command(&fields, entry.key_span, &what).unwrap_or_default(),
        environment: environment(&fields, context),
        depends_on: Vec::new(),
        restart: RestartMode::OnFailure,
        restart_policy,
        readiness,
        liveness: fields.read("liveness", |report, entry| liveness::liveness(report, &entry.value, &around)),
        hang: fields.read("hang", liveness::hang),
        start_timeout: start_timeout.unwrap_or(START_TIMEOUT.max(start_at_least)),
        stop: stop::sequence(&fields).unwrap_or_else(default_stop),
        success_exit_codes: who::success_exit_codes(&fields).unwrap_or_default(),
        ports: IndexMap::new(),
        replicas,
        user,
        group,
        umask: who::umask(&fields),
        on_daemon_loss: on_daemon_loss(&fields).unwrap_or_default(),
        on_escape: on_escape(&fields).unwrap_or_default(),
        max_runtime: limit(&fields, "max_runtime"),
        idle_timeout: limit(&fields, "idle_timeout"),
        watch: fields.read("watch", |report, entry| watch::read(report, &entry.value, &working_dir)),
        schedule: fields.read("schedule", |report, entry| schedule::read(report, &entry.value)),
        rules: rules::of_service(&fields, &limits),
        isolation: isolation::read(&fields),
        privileges: privileges::read(&fields),
        limits,
        profiles: who::profiles(&fields).unwrap_or_default(),
        labels: fields.read("labels", |report, entry| environment::labels(report, &entry.value)).unwrap_or_default(),
        color: who::color(&fields),
        logs: logs::of_service(&fields, context.directory, replicas),
        working_dir,
    };
    let edges = edges.unwrap_or_default();
    Some(Draft { name: name.clone(), edges, ports, restart, service })
}

fn default_stop() -> Vec<StopStage> {
    default_stop_sequence()
}

fn check_name(report: &Report<'_>, entry: &Entry) {
    let name = &entry.key;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let ok = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good);
    if !ok || name.len() > 63 {
        let message = format!("`{}` cannot be the name of a service", name.escape_debug());
        let help = "at most 63 letters, digits, `_` and `-`, beginning with a letter or digit";
        report.error_help(entry.key_span, "bad_name", message, help);
    }
}

fn command(fields: &Fields<'_>, name: Span, what: &str) -> Option<Vec<String>> {
    let shell = match fields.get("shell") {
        Some(entry) => command::shell(fields.report, &entry.value),
        None => Some(Shell::None),
    };
    let Some(entry) = fields.get("command") else {
        let help = "say what to run, for example `command: npm run dev`";
        fields.missing("command", name, format!("{what} has no `command`"), help);
        return None;
    };
    command::read(fields.report, &entry.value, "`command`", &shell?)
}

fn working_dir(fields: &Fields<'_>, context: &Context<'_>) -> PathBuf {
    let given = fields.read("working_dir", |report, entry| {
        let text = crate::reader::filled(report, &entry.value, &format!("`{}`", entry.key))?;
        path::resolve(report, &entry.value, context.directory, &text)
    });
    given.unwrap_or_else(|| context.directory.to_owned())
}

fn environment(fields: &Fields<'_>, context: &Context<'_>) -> BTreeMap<String, String> {
    let mut variables = match fields.get("env_file") {
        Some(entry) => environment::files(fields.report, &entry.value, context.directory, context.environment),
        None => BTreeMap::new(),
    };
    let own = fields.read("environment", |report, entry| environment::read(report, &entry.value, context.environment));
    variables.extend(own.unwrap_or_default());
    variables
}

fn readiness(fields: &Fields<'_>, around: &Around<'_>) -> (Option<Probe>, Duration) {
    let report = fields.report;
    match (fields.get("readiness"), fields.get("healthcheck")) {
        (Some(entry), healthcheck) => {
            if let Some(second) = healthcheck {
                let message = format!("`{}` and `healthcheck` are two ways to say one thing", entry.key);
                report.error_help(second.key_span, "conflict", message, "keep `readiness`");
            }
            (probe::readiness(report, &entry.value, around), Duration::ZERO)
        }
        (None, Some(entry)) => match probe::healthcheck(report, &entry.value).flatten() {
            Some((probe, start_at_least)) => (Some(probe), start_at_least),
            None => (None, Duration::ZERO),
        },
        (None, None) => (None, Duration::ZERO),
    }
}

fn restart(fields: &Fields<'_>) -> (Option<RestartMode>, RestartPolicy) {
    let mode = fields.read("restart", restart::mode);
    let count = mode.and_then(|(_, count)| count);
    let policy = restart::policy(fields.report, fields.get("restart_policy"), count);
    (mode.map(|(mode, _)| mode), policy.unwrap_or_default())
}

fn on_daemon_loss(fields: &Fields<'_>) -> Option<OnDaemonLoss> {
    let words = [("stop", OnDaemonLoss::Stop), ("keep", OnDaemonLoss::Keep)];
    fields
        .read("on_daemon_loss", |report, entry| crate::reader::choice(report, &entry.value, "`on_daemon_loss`", &words))
}

/// A time that is over before anything can run is a mistake.
fn limit(fields: &Fields<'_>, name: &str) -> Option<Duration> {
    fields.read(name, |report, entry| {
        let limit = duration::read(report, entry)?;
        if limit.is_zero() {
            let message = format!("`{}` of no time at all lets nothing run", entry.key);
            report.error_help(entry.value.span, "out_of_range", message, "leave it out for no limit");
            return None;
        }
        Some(limit)
    })
}

fn on_escape(fields: &Fields<'_>) -> Option<OnEscape> {
    let words = [("kill", OnEscape::Kill), ("report", OnEscape::Report)];
    fields.read("on_escape", |report, entry| crate::reader::choice(report, &entry.value, "`on_escape`", &words))
}
