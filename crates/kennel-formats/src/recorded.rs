//! Servers as the store has them, with no daemon to ask.

use std::path::Path;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::model::{Project, Service};
use kennel_core::slot::{Rest, State};
use kennel_store::{Records, Restored, StoreError};
use kennel_sys::identity::Identity;
use kennel_wire::DashboardStatus;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::server::{Main, Server, distinct, lives};

/// What the store of an instance tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// In the order of the configuration, then runs that were started on request.
    pub servers: Vec<Server>,
    /// Why it may not be all: the store is damaged, or a record in it cannot be understood.
    pub incomplete: Vec<String>,
}

/// Reads the store in a state directory; writes nothing. What it says to live is looked at: `boot_id` is that of now.
///
/// # Errors
/// The store is of a newer version, or may not be read.
pub fn recorded(state_dir: &Path, boot_id: &str) -> Result<Recorded, StoreError> {
    Ok(read(Records::read(state_dir)?, boot_id))
}

/// What is of interest here of the records that the engine writes.
#[derive(Debug, Deserialize)]
struct Loaded {
    project: Project,
}

#[derive(Debug, Deserialize)]
struct Slot {
    service: String,
    state: State,
    run: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Run {
    definition: Service,
    boot_id: String,
    pid: Option<u32>,
    start_ticks: Option<u64>,
    inode: Option<u64>,
    started_at: Timestamp,
}

/// A run that was started on request.
#[derive(Debug, Deserialize)]
struct AdHoc {
    definition: Service,
}

fn read(restored: Restored, boot_id: &str) -> Recorded {
    let mut incomplete: Vec<String> = restored.damaged.clone().into_iter().collect();
    let loaded: Option<Loaded> =
        restored.project.and_then(|body| understood("the configuration", body, &mut incomplete));
    let declared = loaded.map(|loaded| loaded.project.services).unwrap_or_default();
    let runs: IndexMap<u64, Run> = restored
        .runs
        .into_iter()
        .filter_map(|(id, body)| Some((id, understood(&format!("run {id}"), body, &mut incomplete)?)))
        .collect();
    let mut servers = Vec::new();
    for (name, body) in restored.slots {
        let Some(slot) = understood::<Slot>(&format!("`{name}`"), body, &mut incomplete) else { continue };
        let run = slot.run.and_then(|id| runs.get(&id));
        let on_request = || understood_quietly::<AdHoc>(restored.services.get(&name)?).map(|it| it.definition);
        let definition = run.map(|run| run.definition.clone()).or_else(|| declared.get(&slot.service).cloned());
        match definition.or_else(on_request) {
            Some(definition) => servers.push(server(name, &slot.state, definition, run, boot_id)),
            None => incomplete.push(format!("what `{name}` runs is not recorded")),
        }
    }
    // Slots are in the order of their first record, which another configuration may have changed.
    let place = |server: &Server| {
        let service = server.id.split('.').next().unwrap_or_default();
        declared.get_index_of(service).unwrap_or(usize::MAX)
    };
    servers.sort_by_key(place);
    Recorded { servers, incomplete }
}

fn understood<T: DeserializeOwned>(what: &str, body: Value, incomplete: &mut Vec<String>) -> Option<T> {
    serde_json::from_value(body)
        .inspect_err(|error| incomplete.push(format!("the record of {what} cannot be understood: {error}")))
        .ok()
}

fn understood_quietly<T: DeserializeOwned>(body: &Value) -> Option<T> {
    serde_json::from_value(body.clone()).ok()
}

fn server(id: String, state: &State, definition: Service, run: Option<&Run>, boot_id: &str) -> Server {
    let main = run.and_then(|run| main(run, boot_id));
    Server {
        id,
        status: status(state, run, main.is_some()),
        ports: distinct(definition.ports.values().copied()),
        cwd: definition.working_dir,
        command: definition.command,
        main,
    }
}

fn main(run: &Run, boot_id: &str) -> Option<Main> {
    let identity = Identity { pid: run.pid?, start_ticks: run.start_ticks?, inode: run.inode.unwrap_or(0) };
    (run.boot_id == boot_id && lives(&identity)).then_some(Main { identity, started_at: run.started_at })
}

/// The word for a state that a daemon which is gone has recorded.
fn status(state: &State, run: Option<&Run>, main_lives: bool) -> DashboardStatus {
    match (state, run) {
        (_, Some(_)) if main_lives => DashboardStatus::Running,
        // Its process is gone, and nobody has seen how.
        (_, Some(Run { pid: Some(_), .. })) => DashboardStatus::Crashed,
        // It was meant to be started; whether it was, the record cannot tell.
        (_, Some(Run { pid: None, .. })) | (State::Active { .. }, None) => DashboardStatus::Unknown,
        (State::Rest(Rest::Stopped | Rest::Completed) | State::Pending, None) => DashboardStatus::Stopped,
        (State::Rest(Rest::Failed(_) | Rest::GivenUp(_)) | State::Waiting, None) => DashboardStatus::Crashed,
    }
}
