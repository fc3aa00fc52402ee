//! The one vocabulary of kennel's front ends: requests, replies and events of the control protocol, as JSON.
//!
//! Knows no engine type. Field names are stable; new fields may appear, none changes its meaning.

mod access;
mod alert;
mod audit;
mod doctor;
mod error;
mod event;
mod frozen;
mod health;
mod identity;
mod import;
mod limit;
mod names;
mod notify;
mod operation;
mod orphan;
mod owner;
mod ports;
mod receipt;
mod registry;
mod reload;
mod request;
mod role;
mod server;
mod shutdown;
mod status;
mod succession;
mod usage;
mod webhook;

pub use access::{
    SessionRequest, SessionStatus, TokenReport, TokenRequest, TokenStatus, WebReport, WebRequest, WebStatus, WebTls,
};
pub use alert::{Alert, AlertReport, Ancestor, Culprit, Foreseen};
pub use audit::AuditEntry;
pub use doctor::{
    DesktopSupport, Doctor, Feature, FeatureCounts, Finding, Leftover, LeftoverKind, Works, ZombieParent,
};
pub use error::{Code, Diagnostic, Problem};
pub use event::{Event, EventKind, WatchAct};
pub use frozen::{FreezeOutcome, FreezeReport};
pub use health::{HealthReport, ServiceHealth, Summary, is_well};
pub use identity::{Identity, SignalReport};
pub use import::{ImportReport, ImportedServer, RecordedProcess};
pub use limit::{
    EnforcedBy, LimitAction, LimitHit, LimitOf, LimitStatus, LimitSupport, Limits, MemoryPoint, OutOfMemory,
};
pub use names::{DashboardEvent, DashboardKind, DashboardServer, DashboardStatus};
pub use notify::NotifyTestReport;
pub use operation::{Operation, OperationState};
pub use orphan::{
    AdoptReport, Fate, InstanceOrphans, InstanceState, KnownBy, Orphan, OrphanAdoptRequest, OrphanReport,
    OrphanStopRequest, Sure,
};
pub use owner::{
    AdHoc, CleanReport, CleanRequest, DetachReport, DetachRequest, LeaseKind, LeaseNews, LeaseRequest, LeaseStatus,
    Lifetime, OwnerEnd, OwnerRequest, OwnerState, OwnerStatus, RestartMode,
};
pub use ports::{PortHolder, PortState, PortStatus};
pub use receipt::{EndedProcess, Exit, Receipt, Stage, StopReason, Survivor};
pub use registry::{Definition, HIDDEN, Registry};
pub use reload::{Declared, PlacePlan, ReloadReport, ReloadRequest, ServicePlan, Will};
pub use request::{
    ActionReport, ActionRequest, DownReport, DownRequest, LogLine, LogPolicy, LogStream, Outcome, OutcomeKind,
    RunReport, RunRequest, UpReport, UpRequest, Urgency,
};
pub use role::{Role, UnknownRole};
pub use server::{ServerAction, ServerReport, ServerRequest, ServiceAction};
pub use shutdown::{CleanupOutcome, CleanupPhase, CleanupReport, ShutdownReport, ShutdownState};
pub use status::{
    Activity, Advice, Condition, Containment, DaemonInfo, Dependency, Health, Process, ServiceConfig, ServiceStatus,
    State,
};
pub use succession::{SuccessionReport, SuccessionRequest};
pub use usage::{
    HistoryRequest, MachineUsage, OwnUsage, ProcessUsage, ServiceUsage, Usage, UsageHistory, UsagePoint, UsageReport,
    UsageRequest, UsageSeries,
};
pub use webhook::{
    DeliveryState, DeliveryStatus, WebhookReport, WebhookRetryReport, WebhookRetryRequest, WebhookSecretReport,
    WebhookSecretRequest, WebhookState, WebhookStatus, WebhookTestReport, WebhookTry,
};
