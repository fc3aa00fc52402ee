use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{LimitHit, OutOfMemory};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exit {
    /// It called exit.
    Code {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// Linux signal number.
        signal: i32,
    },
    /// Nobody could learn it; never to be read as 0.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code } => write!(f, "exit {code}"),
            Self::Signal { signal } => match signal_name(*signal) {
                Some(name) => write!(f, "SIG{name}"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    usize::try_from(signal).ok()?.checked_sub(1).and_then(|index| NAMES.get(index).copied())
}

/// Proof of one stop: who was there, how each ended, how long each stage took, and that nobody is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Name in `ps`, for example `worker.2`.
    pub service: String,
    /// Number of the run.
    pub instance: u64,
    /// Name of its scope, for example `web.17`.
    #[serde(default)]
    pub scope: String,
    /// `/proc/sys/kernel/random/boot_id`: process ids and start times hold within one boot.
    #[serde(default)]
    pub boot_id: String,
    /// Why it was stopped.
    pub reason: StopReason,
    /// Begin of the stop.
    pub started_at: Timestamp,
    /// Until main reaped and scope empty, or until now if something is left.
    pub duration_ms: u64,
    /// How the main process ended.
    pub exit: Exit,
    /// Why it was killed, if it was for want of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<OutOfMemory>,
    /// Which limit it was found beyond, if that is why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitHit>,
    /// In the order they were run; empty when the scope emptied by itself.
    pub stages: Vec<Stage>,
    /// Every process that was seen in the scope from the begin of the stop, by process id.
    pub processes: Vec<EndedProcess>,
    /// Living processes left in the scope; 0 is the promise.
    pub left: u32,
    /// Who they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<Survivor>,
}

/// One stage of a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `TERM`, a command line, `KILL`, `KILL sweep` where the one kill was not enough, `stuck` where that was not
    /// either, or `exit` before the first stage.
    pub name: String,
    /// How long it lasted.
    pub duration_ms: u64,
    /// How many processes ended in it.
    pub ended: u32,
}

/// One process that was in a scope when its stop began or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedProcess {
    /// Process id.
    pub pid: u32,
    /// Begin, clock ticks since boot; absent where it could not be read in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ticks: Option<u64>,
    /// Inode of its pidfd: never used twice. Absent where that could not be read, or the kernel has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Command line, cut at 200 characters; absent where it could not be read in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How it ended; absent while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Name of the stage it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Whether it is the main process.
    #[serde(default)]
    pub main: bool,
    /// The cgroup that it moved itself into, if it left its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escaped_to: Option<String>,
}

/// Why a stop began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody asked for it.
    Requested,
    /// A restart was asked for.
    Restart,
    /// The whole stack goes down.
    Down,
    /// The main process ended by itself.
    MainExited,
    /// It did not get ready in time.
    StartTimeout,
    /// The daemon was lost.
    DaemonLost,
    /// The keeper was lost.
    KeeperLost,
    /// The client that held it went away.
    ClientGone,
    /// Its owner ended.
    OwnerEnded,
    /// It ran for as long as `max_runtime` lets it.
    MaxRuntime,
    /// It went beyond one of its limits.
    Limit,
    /// It wrote nothing for its `idle_timeout`.
    Idle,
    /// Its `liveness` failed.
    NotAlive,
    /// It hung, as its `hang` has it.
    Hung,
    /// It wrote more than its `logs` let it, and `on_full` is `stop`.
    LogBound,
    /// A rule said that it was too much; the alert before it says which.
    Rule,
}

/// A process that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// Command line.
    pub command: String,
    /// State letter as in `/proc/PID/stat`: `D` is uninterruptible sleep, `t` held by a tracer.
    pub state: char,
    /// Kernel function it waits in; empty if unreadable.
    pub wchan: String,
    /// Top of its kernel stack, innermost first; empty if unreadable, which it is for everybody but root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
    /// The tracer's process id; 0 if none.
    pub tracer: u32,
    /// The tracer's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracer_command: Option<String>,
}
