//! The mappings of a configuration. Their fields are never read: they carry names, types and descriptions.

#![allow(dead_code, reason = "these types exist for their schema")]

mod limits;
mod notify;
mod probes;
mod rules;
mod webhooks;

use std::collections::BTreeMap;

use schemars::JsonSchema;

use self::limits::{Deploy, Limits, StackLimits, UseLimits};
use self::notify::Notify;
use self::probes::{HangOrTime, Healthcheck, Liveness, Readiness};
use self::rules::{BrakeOrOff, Rules};
use self::webhooks::Webhooks;
use super::values::{
    Anything, Boolean, CapabilitySet, Color, Command, ComposeCount, ComposeSize, Condition, CpuTime, Cpus, Duration,
    ExitCodes, Factor, Identity, IoPriority, Isolation, KillMode, LogEvents, LogSinks, MaxRestarts, Missed, Nice,
    OnDaemonLoss, OnEscape, OnFull, OomScore, Overlap, Pairs, Ports, Replicas, RequireContainment, Restart,
    ScheduledAction, Share, Shell, Signal, Size, Strings, Target, Texts, Umask, WatchAction, WatchPaths,
};

/// A stack of services that kennel runs. Durations are written `500ms`, `10s`, `1m30s`; `${VAR}`, `${VAR:-default}`
/// and `${VAR:?message}` are filled in from the environment, and `$$` is a dollar sign.
#[derive(JsonSchema)]
#[schemars(title = "kennel configuration")]
pub(super) struct File {
    /// Shown to people; the directory's name unless it is set.
    name: String,
    /// Written by compose; accepted without effect.
    version: Anything,
    /// `kernel`: refuse to start services whose processes the kernel itself would not hold together, in a cgroup or with
    /// `isolation: pid`. Default `any`: the best that the machine gives.
    require_containment: RequireContainment,
    /// `journald` or `syslog`: events also go to the log of the machine. Default `none`.
    log_events: LogEvents,
    /// Have everything sampled always, and recorded, not only while somebody looks: see `kennel stats --since`.
    sampling: Sampling,
    /// How much of what all services write is kept.
    logs: ProjectLogs,
    /// What is too much for the whole stack, by names of your choice, and what is done then. Every stack has `stack-processes` (more than
    /// 100: warn) and `stack-memory` (more than 8GiB: warn), which can be changed here, or switched off with `off`.
    rules: Rules,
    /// What all services together may use, with whatever else kennel runs for them.
    limits: StackLimits,
    /// How many restarts all services together may have within a time; more are held back. Default 60 within 60s.
    storm_brake: BrakeOrOff,
    /// Receivers of events over HTTP, by names of your choice; each message is signed (Standard Webhooks).
    webhooks: Webhooks,
    /// Where people are told of events.
    notify: Notify,
    /// What to run, by name.
    services: Services,
}

/// Services by name.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Services(BTreeMap<String, Service>);

/// Something to run.
#[derive(JsonSchema)]
pub(super) struct Service {
    /// Program and arguments. A string is split as a shell would split it, a list is run exactly as it is.
    command: Command,
    /// `true`: `command` is a script for `/bin/sh -c`. Or another shell that takes `-c`, for example `bash`.
    shell: Shell,
    /// Where it runs, relative to this file; the file's directory by default.
    working_dir: String,
    /// Variables, laid over the caller's environment. One without a value is taken from there.
    environment: Pairs,
    /// Files of `NAME=value` lines, relative to this file. Later ones win, and `environment` over all.
    env_file: EnvFiles,
    /// What must be true of other services before it starts.
    depends_on: DependsOn,
    /// Whether it is started again after its end: `no`, `on-failure`, `on-failure:5`, `always`, `unless-stopped`. Default `on-failure`,
    /// but `no` for a service that another one waits for with `completed` or `completed_successfully`.
    restart: Restart,
    /// How soon and how often it is started again.
    restart_policy: RestartPolicy,
    /// How it says that it can serve; without it, started is ready.
    readiness: Readiness,
    /// Compose's words for a readiness by command.
    healthcheck: Healthcheck,
    /// How it is found that it works no more, and what follows. Apart from readiness: who is not ready is left alone.
    liveness: Liveness,
    /// How long it may be silent (no output, no disk accesses, no new process, and no CPU time or nothing else) until it
    /// counts as hanging. Default: its activity is not watched.
    hang: HangOrTime,
    /// How long it may take from spawn to ready before the start has failed. Default 60s.
    start_timeout: Duration,
    /// What asks it to end. Default SIGTERM. Alone, it is sent, 10s pass, it is sent again, 5s pass, and everything left is killed.
    stop_signal: Signal,
    /// How long it may take after the signal until everything left is killed.
    stop_grace_period: Duration,
    /// The stages of a stop one by one, instead of `stop_signal` and `stop_grace_period`. The kill always comes last.
    stop: StopStages,
    /// `control-group`: signals go to every process of the service. `mixed`: to the main process alone. What is left is killed either way.
    kill_mode: KillMode,
    /// Exit codes that count as success beside 0.
    success_exit_codes: ExitCodes,
    /// Ports it listens on, by name or as a list; `auto`: kennel chooses one. Probes may use the names, and texts `${ports.NAME}`.
    ports: Ports,
    /// How many of it run side by side. Default 1.
    replicas: Replicas,
    /// User name or id to run as, or `user:group`.
    user: Identity,
    /// Group name or id to run as.
    group: Identity,
    /// File mode creation mask, octal in quotes.
    umask: Umask,
    /// `true`: executing setuid files gains nothing, for it and all it starts.
    no_new_privileges: Boolean,
    /// Compose's way to write it: `no-new-privileges:true`.
    security_opt: Texts,
    /// Capabilities it can never have, or `ALL`. Needs no rights; see the documentation for ordinary users.
    cap_drop: CapabilitySet,
    /// Capabilities it has whoever it runs as, or `ALL`; kennel must have them. What stands here is not dropped.
    cap_add: CapabilitySet,
    /// Resource limits by name: one number, or `soft` and `hard`. Sizes in bytes, `cpu` in seconds, `rttime` in microseconds.
    ulimits: Limits,
    /// Scheduling priority from -20 (first) to 19 (last). Below kennel's own it needs root.
    nice: Nice,
    /// The CPUs it may run on, for example `0-3,6`.
    cpu_affinity: Cpus,
    /// Priority of its disk accesses: `idle`, `best-effort:0` (first) to `best-effort:7`, or `realtime:0` to `realtime:7`, which needs root.
    io_priority: IoPriority,
    /// How likely it is killed when memory is short: -1000 (never) to 1000 (first). Below kennel's own it needs root.
    oom_score_adj: OomScore,
    /// What all processes of one instance may use together, and what happens when it is more.
    limits: UseLimits,
    /// Compose's way to write `memory` of `limits`: bytes, or `512m`.
    mem_limit: ComposeSize,
    /// Compose's way to write `cpus` of `limits`.
    cpus: CpuTime,
    /// Compose's way to write `pids` of `limits`; 0 and -1 are no limit.
    pids_limit: ComposeCount,
    /// Compose's way to write `limits`: `{ resources: { limits: { memory, cpus, pids } } }`.
    deploy: Deploy,
    /// What it has for itself: `none` (the default), `pid` (a PID namespace that the kernel ends with kennel), or `[pid, proc]`, with a
    /// `/proc` of that namespace.
    isolation: Isolation,
    /// What happens to it when the daemon is lost: `stop`, its processes are killed at once (the default); `keep`, it runs on and the
    /// next daemon takes it over.
    on_daemon_loss: OnDaemonLoss,
    /// What happens to a process that moved itself out of its cgroup: `kill`, at once (the default); `report`, with its service.
    on_escape: OnEscape,
    /// How long one run may take, for example `4h`; then it is stopped, which counts as a failure. Default: no limit.
    max_runtime: Duration,
    /// How long it may write nothing to its output; then it is stopped, and stays so. Default: no limit.
    idle_timeout: Duration,
    /// When the clock starts it, and not `up`: a cron expression, or its parts.
    schedule: ScheduleOrCron,
    /// Files whose changes start it anew: a path, a list, `true` for its working directory, or the parts.
    watch: WatchOrPaths,
    /// What is too much for each of its instances, by names of your choice, and what is done then.
    rules: Rules,
    /// `true`: nothing but this service runs as its `user`, so all processes of that user may be killed at once. Default false.
    dedicated_user: Boolean,
    /// It is started only if one of these is chosen, or if it is named.
    profiles: Strings,
    /// Free for you.
    labels: Pairs,
    /// Colour of its prefix in merged logs: a name such as `cyan` or `bright-red`, or `#rrggbb`.
    color: Color,
    /// How much of its output is kept, and what happens beyond that.
    logs: Logs,
}

/// How much of what a service writes is kept, and where it goes as well.
#[derive(JsonSchema)]
pub(super) struct Logs {
    /// All of it, on the disk; at least 1MiB. Default 64MiB.
    max_size: Size,
    /// How long a part of it is kept after its last byte; as long as there is room unless it is set.
    max_age: Duration,
    /// Another file is begun beyond this. Default an eighth of `max_size`, at most 8MiB.
    segment_size: Size,
    /// Whether files that are not written any more are compressed. Default true.
    compress: Boolean,
    /// At `max_size`: `drop_oldest` (default), `block` (the service waits in its write) or `stop` (it is stopped).
    on_full: OnFull,
    /// The same bytes go to the end of this file, relative to this one. It is not bounded, and begun anew where it was moved away.
    path: String,
    /// Where else each line goes: `journald`.
    to: LogSinks,
}

/// How much of what all services write is kept.
#[derive(JsonSchema)]
pub(super) struct ProjectLogs {
    /// All logs together, on the disk; at least 1MiB. Default 1GiB.
    max_size: Size,
}

/// Paths, or what to do about them as well.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum WatchOrPaths {
    Paths(WatchPaths),
    Watch(Watch),
}

/// Files whose changes make a service act.
#[derive(JsonSchema)]
pub(super) struct Watch {
    /// Files and directories, or patterns such as `src/**/*.ts`, relative to its `working_dir`. Default: all of that.
    paths: WatchPaths,
    /// What does not count, as in `.gitignore`. `.git`, `node_modules`, `target` and the like never count unless `!node_modules/` says so.
    ignore: Strings,
    /// How long it must be quiet before anything is done. Default 300ms.
    debounce: Duration,
    /// `restart`: it is started anew (the default). `signal`: its main process gets `signal`. `run`: `command` is run.
    action: WatchAction,
    /// With `action: signal`, for example `SIGHUP`.
    signal: Signal,
    /// With `action: run`: run with the service's environment, never twice at a time.
    command: Command,
    /// A shell for `command`.
    shell: Shell,
}

/// A cron expression, or a schedule spelled out.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ScheduleOrCron {
    Cron(String),
    Schedule(Schedule),
}

/// When the clock starts a service: `cron` or `every`.
#[derive(JsonSchema)]
pub(super) struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week; or six, with seconds before them. `@daily` and the like.
    cron: String,
    /// Every so often, counted from `up`, for example `15m`; at least 1s.
    every: Duration,
    /// Time zone of `cron`, for example `Europe/Berlin`. Default: that of the machine.
    timezone: String,
    /// What a time does that finds the run before under way. `skip`: nothing (the default). `queue`: another follows it, one at most.
    /// `replace`: it is stopped, and another follows.
    overlap: Overlap,
    /// What becomes of times that passed while kennel or the machine was away. `skip`: they are gone (the default). `run`: one run makes
    /// up for all of them.
    missed: Missed,
    /// `run`: the clock starts it (the default). `restart`: it runs all the time, and the clock starts it anew.
    action: ScheduledAction,
}

/// A command, or one with its shell.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Exec {
    Plain(Command),
    WithShell(CommandWithShell),
}

/// A command with its shell.
#[derive(JsonSchema)]
pub(super) struct CommandWithShell {
    /// Program and arguments, or a script for the shell.
    command: Command,
    /// `true` for `/bin/sh`, or another shell that takes `-c`.
    shell: Shell,
}

/// One environment file or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum EnvFiles {
    One(EnvFileOrPath),
    Several(Vec<EnvFileOrPath>),
    None(()),
}

/// A path, or one with options.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum EnvFileOrPath {
    Path(String),
    Options(EnvFile),
}

/// An environment file.
#[derive(JsonSchema)]
pub(super) struct EnvFile {
    /// Relative to this file.
    path: String,
    /// `false`: it may be missing. Default true.
    required: Boolean,
}

/// Names, or names with conditions.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum DependsOn {
    Names(Vec<String>),
    Conditions(BTreeMap<String, DependencyOrCondition>),
    None(()),
}

/// A condition, or one with options.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum DependencyOrCondition {
    Condition(Condition),
    Options(Dependency),
    None(()),
}

/// One dependency.
#[derive(JsonSchema)]
pub(super) struct Dependency {
    /// `started`: executed (the default). `healthy`: ready. `completed`: ended. `completed_successfully`: ended with success. `log_ready`: ready by its `log_line`.
    condition: Condition,
    /// `false`: a service that is not declared is not waited for. Default true.
    required: Boolean,
    /// `true`: when that one is restarted by command, by a change of files or by the clock, this one is restarted as well. Default false.
    restart: Boolean,
}

/// How everything is sampled always.
#[derive(JsonSchema)]
pub(super) struct Sampling {
    /// Pause between two samples, 200ms to 60s.
    interval: Duration,
}

/// Pace and limit of restarts.
#[derive(JsonSchema)]
pub(super) struct RestartPolicy {
    /// Before the first restart. Default 200ms; `0s` is allowed.
    delay: Duration,
    /// Each further delay is this many times the one before. Default 2.
    factor: Factor,
    /// Upper bound of the delay. Default 30s.
    max_delay: Duration,
    /// Share of the delay, 0 to 1, by which it varies up and down. Default 0.2.
    jitter: Share,
    /// A run this long starts the count and the delay anew. Default 60s.
    reset_after: Duration,
    /// More restarts than this within `window`, and the service is given up. Default 5.
    max_restarts: MaxRestarts,
    /// Length of the sliding window. Default 60s.
    window: Duration,
}

/// The stages of a stop.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum StopStages {
    Stages(Vec<StopStageOrSignal>),
    None(()),
}

/// A signal, or a stage spelled out.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum StopStageOrSignal {
    Signal(Signal),
    Stage(StopStage),
}

/// One stage: a `signal` or a `command`, then a wait until nothing is left.
#[derive(JsonSchema)]
pub(super) struct StopStage {
    /// Sends this signal.
    signal: Signal,
    /// Runs this command with the service's environment.
    command: Command,
    /// A shell for `command`.
    shell: Shell,
    /// How long the next stage is held back. Default 10s.
    wait: Duration,
    /// Who gets the signal: `scope`, every process of the service; or `main`. Default by `kill_mode`.
    target: Target,
}
