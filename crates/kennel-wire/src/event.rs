mod name;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Activity, Culprit, EndedProcess, Exit, Health, Identity, LimitOf, LogPolicy, MemoryPoint, Orphan, OutOfMemory,
    OwnerEnd, Receipt, ShutdownReport, StopReason,
};

/// Something that happened. Numbered without gaps in the order it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Position in the stream, from 1.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// Name in `ps`, if it concerns one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Number of the run, if it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event")]
pub enum EventKind {
    /// The service waits for its dependencies.
    #[serde(rename = "service.pending")]
    Pending {
        /// Each with what is waited for, for example `db healthy`.
        waiting_for: Vec<String>,
    },
    /// The main process was executed.
    #[serde(rename = "instance.started")]
    Started {
        /// Main process.
        pid: u32,
        /// Which it is when the number has been used again; absent in records of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
    },
    /// It can serve.
    #[serde(rename = "instance.ready")]
    Ready {
        /// Since the spawn.
        after_ms: u64,
    },
    /// It was ready and is not any more.
    #[serde(rename = "instance.unhealthy")]
    Unhealthy {
        /// The probe's last word.
        reason: String,
    },
    /// Its health has changed for a reason that no other event tells: its liveness, a hang, a main process that nobody reaps. Once
    /// it was told, it is also told that it is healthy again.
    #[serde(rename = "instance.health")]
    Health {
        /// What it is now.
        health: Health,
        /// Why, where that needs words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It began to hang or to wait for input, or ceased to; only where `hang` has it watched.
    #[serde(rename = "instance.activity")]
    Activity {
        /// What it is doing now.
        activity: Activity,
        /// For how long nothing was seen of it, milliseconds.
        silent_ms: u64,
        /// Who in it does what, where that can be told: `812 (cc1), state D in io_schedule`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The main process was reaped.
    #[serde(rename = "instance.exited")]
    Exited {
        /// Main process.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// All of it stands still, until it is thawed, signalled or stopped.
    #[serde(rename = "instance.frozen")]
    Frozen {
        /// On whose behalf: `request`, `somebody else` (not by kennel), or a rule.
        by: String,
    },
    /// It goes on.
    #[serde(rename = "instance.thawed")]
    Thawed {
        /// On whose behalf: `request`, `signal`, `stop`, or a rule.
        by: String,
    },
    /// The kernel has killed processes of it for want of memory.
    #[serde(rename = "instance.oom")]
    OutOfMemory {
        /// How many, which limit, and how much was used.
        #[serde(flatten)]
        what: OutOfMemory,
        /// What it used before, the oldest first; empty where nobody had looked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        curve: Vec<MemoryPoint>,
    },
    /// It was found beyond one of its limits, or writes faster than it may.
    #[serde(rename = "instance.limit")]
    LimitExceeded {
        /// Which, as in the configuration.
        limit: String,
        /// What was found.
        value: u64,
        /// The limit, in the same unit.
        bound: u64,
        /// What is done about it: `warn`, `freeze`, `restart`, `stop` or `kill`; or `block`: it waits in its write.
        action: String,
        /// Whose limit it is, where several instances share it and this is the one that grew; absent: its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<LimitOf>,
    },
    /// Its output cannot be written; told once until it can be again.
    #[serde(rename = "logs.lost")]
    LogsLost {
        /// Of the first that could not; see `logs.recovered` for all.
        bytes: u64,
        /// What the system says.
        reason: String,
    },
    /// Its output can be written again.
    #[serde(rename = "logs.recovered")]
    LogsRecovered {
        /// How much of it is missing.
        lost_bytes: u64,
    },
    /// As much of its output is kept as may be.
    #[serde(rename = "logs.bound")]
    LogsBound {
        /// What follows.
        policy: LogPolicy,
        /// The bound, bytes.
        bytes: u64,
    },
    /// Somebody whom its output is passed on to does not take it; told once until they do.
    #[serde(rename = "logs.sink_failed")]
    LogsSinkFailed {
        /// A path, or `journald`.
        to: String,
        /// Why.
        reason: String,
    },
    /// Its output is taken again where it is passed on to.
    #[serde(rename = "logs.sink_recovered")]
    LogsSinkRecovered {
        /// A path, or `journald`.
        to: String,
        /// How much of it was removed from the log before it could be passed on; 0: nothing, or nobody knows.
        lost_bytes: u64,
    },
    /// A stop began.
    #[serde(rename = "instance.stopping")]
    Stopping {
        /// Why.
        reason: StopReason,
    },
    /// A stage of a stop began.
    #[serde(rename = "stop.stage")]
    Stage {
        /// As in the receipt.
        stage: String,
    },
    /// A process of the scope moved itself out of its cgroup. It is still the instance's: killed at once or with its
    /// scope, by `on_escape`. Told once for each.
    #[serde(rename = "instance.escaped")]
    Escaped {
        /// Which.
        pid: u32,
        /// Its command line, cut at 200 characters.
        command: String,
        /// The cgroup it is in, as `/proc/PID/cgroup` shows it.
        cgroup: String,
    },
    /// The kill has not emptied the scope yet; it goes on.
    #[serde(rename = "instance.stuck")]
    Stuck {
        /// The receipt so far, with the survivors.
        receipt: Box<Receipt>,
    },
    /// Main process reaped and scope empty.
    #[serde(rename = "instance.down")]
    Down {
        /// The proof.
        receipt: Box<Receipt>,
    },
    /// It will be started again.
    #[serde(rename = "restart.scheduled")]
    RestartScheduled {
        /// The pause.
        in_ms: u64,
        /// Restarts so far within the window, with this one.
        attempt: u32,
    },
    /// The clock starts it from now on.
    #[serde(rename = "schedule.armed")]
    ScheduleArmed {
        /// Its first time; absent if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_at: Option<Timestamp>,
    },
    /// Its time has come, and it is started or started anew.
    #[serde(rename = "schedule.fired")]
    ScheduleFired {
        /// The time after this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_at: Option<Timestamp>,
    },
    /// Its time has come, or had passed, and nothing is started.
    #[serde(rename = "schedule.skipped")]
    ScheduleSkipped {
        /// Why.
        why: String,
        /// The time after this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_at: Option<Timestamp>,
    },
    /// The files of a service are watched from now on.
    #[serde(rename = "watch.begun")]
    WatchBegun {},
    /// Files changed, and it has been quiet since.
    #[serde(rename = "watch.changed")]
    WatchChanged {
        /// At most ten of them, those in the working directory relative to it.
        paths: Vec<String>,
        /// How many changes there were; a file that changed twice counts twice.
        count: u64,
        /// What is done about it.
        action: WatchAct,
    },
    /// Changes do too much in too short a time, perhaps because the service itself makes them; the next thing is done after this
    /// time.
    #[serde(rename = "watch.held")]
    WatchHeld {
        /// How long.
        for_ms: u64,
    },
    /// Not all files can be watched.
    #[serde(rename = "watch.blind")]
    WatchBlind {
        /// Why, and what would help.
        reason: String,
    },
    /// The command that a change has started failed.
    #[serde(rename = "watch.failed")]
    WatchFailed {
        /// How.
        reason: String,
    },
    /// A process of the service has children that have ended, and does not wait for them; told once for each in a run, when somebody looked.
    #[serde(rename = "zombies.found")]
    ZombiesFound {
        /// The one that does not wait.
        parent: u32,
        /// Its command line.
        command: String,
        /// How many there are.
        count: u32,
    },
    /// It ended with success and stays down.
    #[serde(rename = "service.completed")]
    Completed {},
    /// It ended, or could not start, and stays down.
    #[serde(rename = "service.failed")]
    Failed {
        /// Why.
        reason: String,
    },
    /// It failed too often in too short a time and stays down.
    #[serde(rename = "service.given_up")]
    GivenUp {
        /// Why.
        reason: String,
    },
    /// It was stopped on request and is down.
    #[serde(rename = "service.stopped")]
    Stopped {},
    /// The daemon began.
    #[serde(rename = "daemon.started")]
    DaemonStarted {
        /// Its process id.
        pid: u32,
    },
    /// The daemon follows one that was lost.
    #[serde(rename = "daemon.recovered")]
    DaemonRecovered {
        /// Scopes of the lost one: those that are kept run on, the others are ended.
        scopes: u32,
    },
    /// An earlier daemon was ended by force: it could not say goodbye. What it left is cleaned up or taken over.
    #[serde(rename = "daemon.terminated")]
    DaemonTerminated {
        /// Its process id.
        pid: u32,
        /// When it began.
        started_at: Timestamp,
        /// Why it was shutting down, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// A defect of the daemon: it ends itself at once, and the keeper starts another.
    #[serde(rename = "daemon.panicked")]
    DaemonPanicked {
        /// What it said.
        message: String,
        /// Where, for example `driver/runs.rs:12`.
        place: String,
    },
    /// The configuration was loaded again.
    #[serde(rename = "config.reloaded")]
    ConfigReloaded {
        /// Services that are new.
        added: Vec<String>,
        /// Services that are gone.
        removed: Vec<String>,
        /// Services that are declared differently.
        changed: Vec<String>,
    },
    /// Another daemon has taken over from one that handed over to it; every service runs on.
    #[serde(rename = "daemon.replaced")]
    DaemonReplaced {
        /// Version of the one that goes on.
        version: String,
        /// Scopes that were handed over.
        scopes: u32,
    },
    /// Another daemon was to take over and could not; the one before goes on.
    #[serde(rename = "daemon.handover_failed")]
    HandoverFailed {
        /// Why.
        reason: String,
    },
    /// A service that outlived its keeper is held by the next one.
    #[serde(rename = "instance.adopted")]
    Adopted {
        /// Main process.
        pid: u32,
    },
    /// Recorded events may be missing: the store was damaged, the power failed, or the disk was full for too long.
    #[serde(rename = "store.recovered")]
    StoreRecovered {
        /// Where the damaged store is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Events that were taken over or are there still.
        kept: u64,
        /// First number whose event is missing; absent if none is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost_from: Option<u64>,
        /// Last number that may be missing, or was never given to an event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost_to: Option<u64>,
    },
    /// Something was recorded here that cannot be read: it is damaged, or of a newer kennel.
    #[serde(rename = "event.unreadable")]
    Unreadable {},
    /// A process of this kennel runs that nobody tracks.
    #[serde(rename = "orphan.found")]
    OrphanFound {
        /// Who, and how that is known.
        orphan: Box<Orphan>,
    },
    /// Such a process was ended.
    #[serde(rename = "orphan.killed")]
    OrphanKilled {
        /// Who, and how it ended.
        process: EndedProcess,
    },
    /// Something may be run for this owner from now on.
    #[serde(rename = "owner.opened")]
    OwnerOpened {
        /// Its name.
        owner: String,
        /// With whom it ends at the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
    },
    /// An owner has another lease.
    #[serde(rename = "lease.taken")]
    LeaseTaken {
        /// Its name.
        owner: String,
        /// Id of the lease.
        lease: String,
    },
    /// An owner has lost a lease.
    #[serde(rename = "lease.lost")]
    LeaseLost {
        /// Its name.
        owner: String,
        /// Id of the lease.
        lease: String,
        /// `released`, `closed` (its connection), `ended` (its process) or `expired` (its heartbeat).
        why: String,
    },
    /// An owner has lost its last lease.
    #[serde(rename = "owner.grace")]
    OwnerGrace {
        /// Its name.
        owner: String,
        /// It ends after this time unless it has a lease again.
        ends_in_ms: u64,
    },
    /// An owner has a lease again, within its grace.
    #[serde(rename = "owner.held")]
    OwnerHeld {
        /// Its name.
        owner: String,
    },
    /// An owner has ended: all that runs for it is being stopped, and nothing is started for it any more.
    #[serde(rename = "owner.ended")]
    OwnerEnded {
        /// Its name.
        owner: String,
        /// Why.
        #[serde(flatten)]
        why: OwnerEnd,
    },
    /// A rule says that something is too much, or will be.
    #[serde(rename = "alert.raised")]
    AlertRaised {
        /// Name of the rule.
        rule: String,
        /// As in [`crate::Alert`].
        measure: String,
        /// In the measure's unit.
        value: f64,
        /// What is too much, in the same unit.
        threshold: f64,
        /// It is not yet, and will be after this time if it goes on so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predicted_ms: Option<u64>,
        /// What the rule does first.
        action: String,
        /// Who it is, the one to blame first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        culprits: Vec<Culprit>,
    },
    /// It is still too much, and the rule has done the next thing.
    #[serde(rename = "alert.escalated")]
    AlertEscalated {
        /// Name of the rule.
        rule: String,
        /// As in [`crate::Alert`].
        measure: String,
        /// In the measure's unit.
        value: f64,
        /// What is too much, in the same unit.
        threshold: f64,
        /// What was done: `warn`, `throttle`, `freeze`, `stop` or `kill`.
        action: String,
        /// Why it could not be done, if it could not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// An alert is over.
    #[serde(rename = "alert.cleared")]
    AlertCleared {
        /// Name of the rule.
        rule: String,
        /// As in [`crate::Alert`].
        measure: String,
        /// In the measure's unit; absent if what it was about is down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        /// How long it was.
        lasted_ms: u64,
    },
    /// All services together restart too often: restarts are held back until the window has room. Told once for each storm.
    #[serde(rename = "storm.brake")]
    StormBrake {
        /// Restarts within the window.
        restarts: u32,
        /// Length of the window.
        window_ms: u64,
        /// For so long the restart of this service is held back.
        held_ms: u64,
    },
    /// A message to a webhook did not arrive and is not tried any more, unless somebody asks for it.
    #[serde(rename = "webhook.dead")]
    WebhookDead {
        /// Name of the webhook.
        webhook: String,
        /// What its receiver would have got as `webhook-id`.
        id: String,
        /// Kind of the event that it was about.
        kind: String,
        /// How often it was tried.
        tries: u32,
        /// Why.
        reason: String,
    },
    /// The receiver of a webhook has said that it wants nothing any more (410): nothing is sent until somebody asks for it.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled {
        /// Name of the webhook.
        webhook: String,
    },
    /// The keeper was lost; what it held is being emptied.
    #[serde(rename = "keeper.lost")]
    KeeperLost {},
    /// The shutdown is complete.
    #[serde(rename = "shutdown.completed")]
    ShutdownCompleted {
        /// Living processes left; 0 is the promise.
        left: u32,
        /// What it did; absent in records of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<ShutdownReport>>,
    },
}

/// What is done about files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchAct {
    /// The service is started anew.
    Restart,
    /// Its main process gets a signal.
    Signal,
    /// A command is run.
    Run,
}
