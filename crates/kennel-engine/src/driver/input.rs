//! What the driver is told and asked, what it waits for, and what follows from that.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use kennel_core::instance::Reason;
use kennel_core::lease::Loss;
use kennel_core::sample::Sample;
use kennel_core::{instance, model, slot};
use kennel_orphans::Tracking;
use kennel_store::Change;
use kennel_wire::{
    ActionReport, ActionRequest, AdoptReport, AlertReport, CleanReport, CleanRequest, DaemonInfo, DetachReport,
    DetachRequest, DownReport, DownRequest, EndedProcess, EventKind, FreezeReport, HealthReport, HistoryRequest,
    Orphan, Outcome, OwnerRequest, OwnerStatus, Problem, ProcessUsage, ReloadReport, RunReport, RunRequest,
    ServiceStatus, SignalReport, UsageRequest,
};

use super::{Adoption, AdoptionPlan, Grant, Looked, Recollected, Reply, WantsAdoption};
use crate::handle::{LoadedFrom, Reload, Up};
use crate::logs::Notice;
use crate::ports::Ported;
use crate::probe::Told;
use crate::watch::News;

/// Outcomes without log lines, which are read apart from the driver.
#[derive(Debug)]
pub(crate) struct Started(pub(crate) Vec<Outcome>);

/// Everything that can reach the driver beside the keeper and the timers.
#[derive(Debug)]
pub(crate) enum Input {
    Up(Box<Up>, Reply<Result<Started, Problem>>),
    Start(ActionRequest, Reply<Result<Started, Problem>>),
    Stop(ActionRequest, Reply<Result<ActionReport, Problem>>),
    Restart(ActionRequest, Reply<Result<(ActionReport, Started), Problem>>),
    Kill(ActionRequest, Reply<Result<ActionReport, Problem>>),
    /// Have services stand still, or go on.
    Freeze(ActionRequest, bool, Reply<Result<FreezeReport, Problem>>),
    LoadedFrom(Reply<Result<LoadedFrom, Problem>>),
    Reload(Box<Reload>, Reply<Result<(ReloadReport, Started), Problem>>),
    Down(DownRequest, Reason, Reply<DownReport>),
    /// Ends with whatever is left.
    GiveUp,
    /// Answered once nothing is left of an earlier daemon or keeper.
    Cleared(Reply<()>),
    /// What becomes of the output of a service: its name, the run, and what there is to say.
    Log(String, u64, Notice),
    /// Something that happened outside of the driver.
    Tell(EventKind),
    /// Answered once everything that has happened is recorded.
    Persist(Reply<()>),
    Stdio(String, [OwnedFd; 3]),
    StdioClosed(String),
    /// The client of a run has come from another daemon.
    Reheld(String, Reply<()>),
    AwaitRun(String, Reply<Result<RunReport, Problem>>),
    Run(Box<RunRequest>, Reply<Result<RunReport, Problem>>),
    RunDetached(Box<DetachRequest>, Reply<Result<DetachReport, Problem>>),
    Owners(Reply<Vec<OwnerStatus>>),
    OpenOwner(OwnerRequest, Reply<Result<OwnerStatus, Problem>>),
    HoldOwner(OwnerRequest, Reply<Result<Grant, Problem>>),
    RenewOwner(String, Reply<Result<OwnerStatus, Problem>>),
    LeaseLost(String, Loss),
    Clean(CleanRequest, Reply<Result<CleanReport, Problem>>),
    SignalRun(String, i32, Reply<Result<(), Problem>>),
    SignalProcess {
        pid: u32,
        /// When it began, if that was said; clock ticks since boot.
        began: Option<u64>,
        signal: i32,
        reply: Reply<Result<SignalReport, Problem>>,
    },
    Services(Reply<Vec<ServiceStatus>>),
    /// Runs whose main process a look has not found among the living.
    MainsMissing(Vec<u64>),
    Ports(Reply<Vec<Ported>>),
    Health(Vec<String>, Reply<Result<HealthReport, Problem>>),
    /// The same without reading what they use.
    Facts(Reply<Vec<ServiceStatus>>),
    Service(String, Reply<Result<Vec<ServiceStatus>, Problem>>),
    Declared(String, Reply<Result<Arc<model::Service>, Problem>>),
    Info(Reply<DaemonInfo>),
    IsIdle(Reply<bool>),
    /// The kernel says that something happens in a group that nobody looks at.
    Activity,
    /// What was found of whom an alert with this number is about.
    Culprits(u64, Vec<ProcessUsage>),
    Alerts(Reply<AlertReport>),
    /// What is not untracked.
    Tracking(Reply<Tracking>),
    /// Somebody looked for what is, and perhaps ended it.
    Orphans {
        found: Vec<Orphan>,
        ended: Vec<EndedProcess>,
    },
    /// How an orphan would be held.
    PlanAdoption(WantsAdoption, Reply<Result<AdoptionPlan, Problem>>),
    /// Have the keeper hold it.
    Adopt(Box<Adoption>, Reply<Result<AdoptReport, Problem>>),
    /// What services use.
    Usage(UsageRequest, Reply<Result<Looked, Problem>>),
    /// What services used.
    UsageHistory(HistoryRequest, Reply<Recollected>),
    /// Of runs that are being read, by number.
    Samples(Vec<(u64, Sample)>),
    Probe(u64, Told),
    /// A log line or a notification said that the run is ready.
    SaidReady(u64),
    /// What is seen of the files of a service.
    Files(String, News),
    /// One answer about the liveness of a run, or a command that is to find it out.
    Liveness(u64, Told),
    /// A run says of itself that something is wrong with it.
    SaidTrouble(u64),
    /// A scope of a lost keeper is empty.
    Emptied(u64),
    /// Nothing that a lost keeper held is left.
    Swept,
    /// Record this for the next daemon.
    Remember(&'static str, Option<serde_json::Value>),
    /// What is to be recorded of webhooks and told of them; answered when it is.
    Webhooks(Vec<Change>, Vec<EventKind>, Reply<()>),
    /// Somebody asked for something, and how that went; an entry of the audit.
    Audit(Change),
    /// Requests are answered from now on.
    Serving,
    /// Have the keeper keep this descriptor under this name.
    Hold(String, OwnedFd),
    /// It need not be kept any more.
    Release(String),
    /// Start another daemon, of this program or of ours, and hand over to it.
    Succeed(Option<OwnedFd>, Reply<Result<(), Problem>>),
    /// Have the keeper run this program from now on, with all that it holds.
    ReplaceKeeper(OwnedFd, Reply<Result<(), Problem>>),
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TimerKey {
    Run(u64, instance::Timer),
    Backoff(String),
    /// A helper command or a one-off has run for as long as it may.
    RunTime(u64),
    /// The client of a one-off has not come to this daemon.
    Unheld(u64),
    /// The same of an instance.
    MaxRuntime(u64),
    /// It may have written nothing for as long as it may.
    Idle(u64),
    /// It takes too long to stand still, or to go on.
    Freeze(u64),
    /// It may have given no sign of life for as long as it may.
    Liveness(u64),
    /// Its main process was seen ended and not reaped.
    Zombie(u64),
    Owner(kennel_core::lease::Timer),
    /// Nobody has asked for a while what services use.
    LookedAway,
    /// The interval of a schedule is over.
    Schedule(String),
    /// The files of a service have been quiet for long enough.
    Watch(String),
    /// What services used is to be recorded.
    RecordUsage,
}

/// What is to be carried out.
#[derive(Debug)]
pub(super) enum Work {
    Slot(String, slot::Event),
    Run(u64, instance::Event),
}
