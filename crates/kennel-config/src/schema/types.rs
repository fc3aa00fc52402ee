//! The mappings of a configuration. Their fields are never read: they carry names, types and descriptions.

#![allow(dead_code, reason = "these types exist for their schema")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::values::{
    Action, Amount, Anything, Boolean, CapabilitySet, Color, Command, ComposeCount, ComposeSize, Condition, Count, Cpu,
    CpuTime, Cpus, Duration, DurationOrOff, ExitCodes, Factor, HangAction, Identity, IoPriority, Isolation, KillMode,
    LimitAction, LivenessAction, LogEvents, LogSize, MaxRestarts, Missed, Nice, Number, Off, OnDaemonLoss, OnEscape,
    OnFull, OomScore, Overlap, Pairs, PortOrName, Ports, Rate, Replicas, RequireContainment, Restart, ScheduledAction,
    Scope, Share, Shell, Signal, Size, Strings, Switch, Target, Test, Texts, Umask, WatchAction, WatchPaths, Weight,
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
    /// How many restarts all services together may have within a time; more are held back. Default 60 within 60s.
    storm_brake: BrakeOrOff,
    /// What to run, by name.
    services: Services,
}

/// Rules by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Rules {
    Rules(BTreeMap<String, RuleOrOff>),
    None(()),
}

/// A rule, or `off` for a built-in one.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum RuleOrOff {
    Rule(Rule),
    Off(Off),
}

/// Exactly one of `processes`, `memory`, `cpu`, `forks`, `open_files`, `log_rate`, `write_rate`, `written`, `restarts`: more than that is
/// too much. And what is done then.
#[derive(JsonSchema)]
pub(super) struct Rule {
    /// Living processes.
    processes: Count,
    /// Memory in use, for example `4GiB`.
    memory: Size,
    /// CPU time: `150%`, or `1.5`, is one and a half CPUs.
    cpu: Cpu,
    /// New processes a second.
    forks: Number,
    /// Open files of the process that has most.
    open_files: Count,
    /// Output, for example `10MiB/s`.
    log_rate: Rate,
    /// Written to disks, for example `50MiB/s`.
    write_rate: Rate,
    /// Written to disks since it began, for example `100GiB`.
    written: Size,
    /// Restarts within the last minute.
    restarts: Count,
    /// How long it has to be too much. Default 0s; 10s for `forks`, `log_rate` and `write_rate`; 5m for `cpu`.
    #[serde(rename = "for")]
    lasting: Duration,
    /// `service`: each instance by itself; `stack`: all together. Default: `stack` in the rules of the file, `service` in those of a service.
    scope: Scope,
    /// What is done, if it is one thing: `event`, `warn`, `throttle`, `freeze`, `stop`, `kill`. Default `warn`.
    action: Action,
    /// What is done one after the other, while it is still too much.
    ladder: Ladder,
    /// How long it has to be clearly below until the alert is over. Default 60s.
    cooldown: Duration,
    /// How far ahead it is foreseen from the slope, or `off`; for what grows. Default 60s.
    predict: DurationOrOff,
}

/// One action, and how long after the alert it follows if it is still too much.
#[derive(JsonSchema)]
pub(super) struct Rung {
    /// What is done.
    action: Action,
    /// How long after the alert. Default 0s.
    after: Duration,
}

/// An action, or one with its time.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum RungOrAction {
    Action(Action),
    Rung(Rung),
}

/// The rungs of a ladder, in the order of their times.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Ladder(#[schemars(length(min = 1))] Vec<RungOrAction>);

/// A bound for the restarts of all services together, or `off`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum BrakeOrOff {
    Brake(StormBrake),
    Off(Switch),
}

/// A bound for the restarts of all services together.
#[derive(JsonSchema)]
pub(super) struct StormBrake {
    /// So many within `window`. Default 60.
    restarts: Count,
    /// Length of the sliding window. Default 60s.
    window: Duration,
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

/// How much of what a service writes is kept.
#[derive(JsonSchema)]
pub(super) struct Logs {
    /// All of it, on the disk; at least 1MiB. Default 64MiB.
    max_size: LogSize,
    /// How long a part of it is kept after its last byte; as long as there is room unless it is set.
    max_age: Duration,
    /// Another file is begun beyond this. Default an eighth of `max_size`, at most 8MiB.
    segment_size: LogSize,
    /// Whether files that are not written any more are compressed. Default true.
    compress: Boolean,
    /// At `max_size`: `drop_oldest` (default), `block` (the service waits in its write) or `stop` (it is stopped).
    on_full: OnFull,
}

/// How much of what all services write is kept.
#[derive(JsonSchema)]
pub(super) struct ProjectLogs {
    /// All logs together, on the disk; at least 1MiB. Default 1GiB.
    max_size: LogSize,
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

/// What all processes of one instance may use together. Sizes are written `512MiB`, rates `10MiB/s`.
#[derive(JsonSchema)]
pub(super) struct UseLimits {
    /// Memory. Where the kernel holds it, a process is killed when more is wanted.
    memory: Size,
    /// Memory beyond which it is slowed down and memory is taken back from it; with cgroup version 2.
    memory_high: Size,
    /// Swap beside the memory. Default: none where `memory` is given.
    swap: Size,
    /// Processes and threads.
    pids: Count,
    /// CPU time, in CPUs: `1.5`, or `0.25` for a quarter of one.
    cpus: CpuTime,
    /// Share of the CPU while there is not enough for all: 1 to 10000, usually 100.
    cpu_weight: Weight,
    /// The same of disks.
    io_weight: Weight,
    /// Read from each disk in a second.
    io_read: Rate,
    /// Written to each disk in a second.
    io_write: Rate,
    /// Open files, sockets and pipes of each process.
    open_files: Count,
    /// Written to stdout and stderr in a second.
    log_rate: Rate,
    /// What happens when it was found beyond a limit, or one of its processes was killed for want of memory: `warn`, `freeze`, `restart`,
    /// `stop` or `kill` (the default: all of it, and its restart policy decides).
    action: LimitAction,
}

/// Compose's place for limits.
#[derive(JsonSchema)]
pub(super) struct Deploy {
    /// Of which only `limits` mean something here.
    resources: DeployResources,
}

/// Compose's place for limits.
#[derive(JsonSchema)]
pub(super) struct DeployResources {
    /// As `limits` of the service.
    limits: DeployLimits,
}

/// Limits as compose has them.
#[derive(JsonSchema)]
pub(super) struct DeployLimits {
    /// Bytes, or `512m`.
    memory: ComposeSize,
    /// CPU time, in CPUs.
    cpus: CpuTime,
    /// Processes and threads; 0 and -1 are no limit.
    pids: ComposeCount,
}

/// Resource limits by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Limits {
    Limits(LimitsByName),
    None(()),
}

/// Resource limits by name.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct LimitsByName(BTreeMap<String, LimitOrBoth>);

/// One number for both, or both.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum LimitOrBoth {
    Both(Amount),
    Apart(Limit),
}

/// A resource limit.
#[derive(JsonSchema)]
pub(super) struct Limit {
    /// What holds; it may be raised up to `hard` by the service itself.
    soft: Amount,
    /// At least `soft`. Above kennel's own it needs root.
    hard: Amount,
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

/// Exactly one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`, and its pace.
#[derive(JsonSchema)]
pub(super) struct Readiness {
    /// Ready when this command ends with 0.
    exec: Exec,
    /// Ready when a GET answers 200 to 399.
    http_get: HttpGetOrUrl,
    /// Ready when a connection is accepted: a port, the name of one, `host:port`, or both apart.
    tcp: TcpOrPort,
    /// Ready when a line of its output matches this regular expression.
    log_line: String,
    /// Ready when it sends `READY=1` to the socket named in `NOTIFY_SOCKET`.
    notify: Boolean,
    /// Ready when this path exists, relative to its `working_dir`.
    file: String,
    /// Pause between attempts while not ready. Default 250ms.
    interval: Duration,
    /// Pause between attempts once ready. Default 10s.
    ready_interval: Duration,
    /// Longest time one attempt may take. Default 1s.
    timeout: Duration,
    /// Pause before the first attempt. Default 0s.
    initial_delay: Duration,
    /// Successes in a row that make it ready. Default 1.
    success_threshold: Count,
    /// Failures in a row that make a ready one unhealthy. Default 3.
    failure_threshold: Count,
}

/// Exactly one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`, its pace, and what follows.
#[derive(JsonSchema)]
pub(super) struct Liveness {
    /// Alive when this command ends with 0.
    exec: Exec,
    /// Alive when a GET answers 200 to 399.
    http_get: HttpGetOrUrl,
    /// Alive when a connection is accepted: a port, the name of one, `host:port`, or both apart.
    tcp: TcpOrPort,
    /// Alive while this path exists, relative to its `working_dir`.
    file: String,
    /// Alive while this file is modified again and again.
    heartbeat: HeartbeatOrPath,
    /// Alive while it sends `WATCHDOG=1` to the socket named in `NOTIFY_SOCKET` at least this often.
    watchdog: Duration,
    /// Alive while it writes something to its output at least this often.
    log_silence: Duration,
    /// Pause between two looks, varied by a tenth. Default 3s.
    interval: Duration,
    /// Longest time one look may take. Default 1s.
    timeout: Duration,
    /// Pause before the first look, after it is ready. Default 0s.
    initial_delay: Duration,
    /// Successes in a row after which one that failed is well again. Default 1.
    success_threshold: Count,
    /// Failures in a row after which it counts as failed. Default 3.
    failure_threshold: Count,
    /// `restart` (the default): it is stopped, which counts as a failure, and `restart` says what follows. `stop`: the service is
    /// stopped. `warn`: it is unhealthy, and nothing more.
    action: LivenessAction,
}

/// A path, or one with its time.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum HeartbeatOrPath {
    Path(String),
    Parts(Heartbeat),
}

/// A file that is modified again and again.
#[derive(JsonSchema)]
pub(super) struct Heartbeat {
    /// Relative to the `working_dir`.
    file: String,
    /// The oldest it may be. Default 30s.
    max_age: Duration,
}

/// How long, or that with what follows.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum HangOrTime {
    Time(Duration),
    Parts(Hang),
}

/// When silence counts as a hang.
#[derive(JsonSchema)]
pub(super) struct Hang {
    /// How long it may be silent, at least 1s.
    after: Duration,
    /// `warn` (the default): it is unhealthy. `event`: it is told and nothing more. `restart`: it is stopped, which counts as a
    /// failure, and `restart` says what follows. `stop`: the service is stopped.
    action: HangAction,
}

/// A URL that begins with `http://`, or its parts.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum HttpGetOrUrl {
    Url(String),
    Parts(HttpGet),
}

/// The parts of a URL.
#[derive(JsonSchema)]
pub(super) struct HttpGet {
    /// Default 127.0.0.1.
    host: String,
    /// A number, or a name from `ports`.
    port: PortOrName,
    /// Path with its query. Default `/`.
    path: String,
    /// Only `http` for now.
    scheme: String,
}

/// A port, or one with its host.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum TcpOrPort {
    Port(PortOrName),
    Parts(Tcp),
}

/// A host and a port.
#[derive(JsonSchema)]
pub(super) struct Tcp {
    /// Default 127.0.0.1.
    host: String,
    /// A number, or a name from `ports`.
    port: PortOrName,
}

/// Compose's health check: asked every `start_interval` until it is ready, then every `interval`.
#[derive(JsonSchema)]
pub(super) struct Healthcheck {
    /// A string for the shell, or a list that begins with `CMD`, `CMD-SHELL` or `NONE`.
    test: Test,
    /// Pause between attempts once ready. Default 30s.
    interval: Duration,
    /// Longest time one attempt may take. Default 30s.
    timeout: Duration,
    /// Failures in a row that make a ready one unhealthy. Default 3.
    retries: Count,
    /// The start may take at least this long: raises the default of `start_timeout`.
    start_period: Duration,
    /// Pause between attempts while not ready. Default 250ms.
    start_interval: Duration,
    /// `true`: as if it were not there.
    disable: Boolean,
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
