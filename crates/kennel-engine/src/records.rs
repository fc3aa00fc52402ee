//! What the store holds of the engine, as it is written and read back by another daemon, perhaps of another version.
//!
//! Fields that came later have defaults, so that a record of an older version can be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use kennel_core::model::{Exit, Project, Service};
use kennel_core::reload::Selection;
use kennel_core::restart::History;
use kennel_core::{instance, lease, slot};
use kennel_keeper::proto;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::driver::Noted;

/// The loaded configuration.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) config: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) project: Project,
    #[serde(default)]
    pub(crate) selection: Selection,
}

/// One place of a service: what is wanted and what follows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SlotRecord {
    pub(crate) service: String,
    pub(crate) replica: u32,
    pub(crate) wanted: bool,
    pub(crate) state: slot::State,
    #[serde(default)]
    pub(crate) history: History,
    #[serde(default)]
    pub(crate) run: Option<u64>,
    #[serde(default)]
    pub(crate) last_run: Option<u64>,
    /// Time of the next restart, by [`crate::clock`].
    #[serde(default)]
    pub(crate) retry_at: Option<Duration>,
    #[serde(default)]
    pub(crate) last_exit: Option<Exit>,
    /// It goes when it is down: the configuration has it no more.
    #[serde(default)]
    pub(crate) leaving: bool,
    /// Where its schedule stands, if that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<kennel_core::schedule::Plan>,
    #[serde(default)]
    pub(crate) health: Noted,
    /// Ports that kennel chose, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ports: BTreeMap<String, u16>,
}

/// One run of a service, from the moment it is meant to be until it is down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// Name in `ps`.
    pub(crate) service: String,
    /// What it was started with. Absent where that is what its service is declared as now: most of what there is to write
    /// would be that, each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Service>,
    pub(crate) state: instance::State,
    /// Name of its scope's leaf.
    pub(crate) scope: String,
    pub(crate) boot_id: String,
    /// The main process; absent until the keeper has told it.
    #[serde(default)]
    pub(crate) pid: Option<u32>,
    #[serde(default)]
    pub(crate) start_ticks: Option<u64>,
    #[serde(default)]
    pub(crate) inode: Option<u64>,
    pub(crate) started_at: Timestamp,
    /// Begin by [`crate::clock`].
    pub(crate) begun: Duration,
    #[serde(default)]
    pub(crate) ready_after_ms: Option<u64>,
    /// How the main process ended, from the moment that this was told as an event.
    #[serde(default)]
    pub(crate) exit: Option<Exit>,
    /// When a stop with a limit kills, by [`crate::clock`].
    #[serde(default)]
    pub(crate) limit_at: Option<Duration>,
    /// Value of `NOTIFY_SOCKET`.
    #[serde(default)]
    pub(crate) notify: Option<String>,
    /// Inodes of the pipes for stdout and stderr.
    #[serde(default)]
    pub(crate) pipes: Option<[u64; 2]>,
    /// Set while all of it stands still: on whose behalf.
    #[serde(default)]
    pub(crate) frozen: Option<String>,
    /// It is a command that a client waits for, and no instance of a service.
    #[serde(default)]
    pub(crate) call: Option<CallRecord>,
}

/// Who waits for a command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CallRecord {
    /// Of its client.
    pub(crate) token: String,
    /// When it has run for as long as it may, by [`crate::clock`].
    #[serde(default)]
    pub(crate) ends_at: Option<Duration>,
}

impl RunRecord {
    /// The main process, as the keeper names it.
    pub(crate) fn identity(&self) -> Option<proto::Identity> {
        let (pid, start_ticks) = (self.pid?, self.start_ticks?);
        Some(proto::Identity { pid, start_ticks, inode: self.inode.unwrap_or(0) })
    }
}

/// A run that was started on request: what it is beside the state of its slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdHocRecord {
    pub(crate) definition: Service,
    #[serde(flatten)]
    pub(crate) ad_hoc: AdHoc,
}

/// The same without its definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdHoc {
    #[serde(flatten)]
    pub(crate) about: kennel_wire::AdHoc,
    /// The environment of whoever asked; the base of its own.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// The client's name of the request.
    #[serde(default)]
    pub(crate) request: Option<String>,
    /// It was adopted as it ran: its command is what the process shows, which anybody can have written, and is never executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopted: bool,
}

/// An owner; its times hold within one boot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OwnerRecord {
    pub(crate) owner: lease::Owner,
    pub(crate) since: Timestamp,
    pub(crate) boot_id: String,
}

/// A lease, likewise.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRecord {
    pub(crate) lease: lease::Lease,
    pub(crate) boot_id: String,
}

/// A second copy of a run, which the keeper keeps with the scope for the day on which the store cannot be read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Name in `ps`.
    pub(crate) name: String,
    /// The declared service.
    pub(crate) service: String,
    pub(crate) replica: u32,
    pub(crate) definition: Service,
    /// What the configuration does not have, without the environment of its caller.
    #[serde(default)]
    pub(crate) ad_hoc: Option<kennel_wire::AdHoc>,
}

/// A record as it goes into the store. Everything here has a JSON form: structs with names, no maps with other keys
/// than strings.
pub(crate) fn body(record: &impl Serialize) -> Value {
    serde_json::to_value(record).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot make a record");
        Value::Null
    })
}

/// Reads one back; what cannot be read is told and left out, never guessed.
pub(crate) fn read<T: DeserializeOwned>(what: &str, key: &str, body: Value) -> Option<T> {
    serde_json::from_value(body)
        .inspect_err(|error| tracing::error!(%error, key, "cannot read the record of {what}"))
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_record_of_an_older_version_can_be_read() {
        let old = serde_json::json!({
            "service": "web", "replica": 1, "wanted": true, "state": {"Rest": "Stopped"}, "of_tomorrow": 1,
        });
        let record: SlotRecord = read("slot", "web", old).unwrap();
        assert_eq!((record.retry_at, record.leaving), (None, false));
        assert!(read::<SlotRecord>("slot", "web", Value::Null).is_none());
    }
}
