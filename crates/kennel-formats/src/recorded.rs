//! Servers as the store has them, with no daemon to ask.

use std::path::Path;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::model::{Project, Service};
use kennel_core::ports::AUTO;
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
    definition: Option<Service>,
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
        let definition = run.and_then(|run| run.definition.clone()).or_else(|| declared.get(&slot.service).cloned());
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
        // What kennel was to choose stands in another record.
        ports: distinct(definition.ports.values().copied().filter(|port| *port != AUTO)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The records of a stack, with a run of this very process.
    fn restored(run: Value) -> Restored {
        let service = |command: &str| {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("kennel.yaml");
            std::fs::write(&file, format!("services: {{ a: {{ command: {command}, ports: [80, 81] }} }}")).unwrap();
            let environment = std::collections::BTreeMap::new();
            let options = kennel_config::LoadOptions { environment: &environment, profiles: &[] };
            serde_json::to_value(&kennel_config::load(&file, &options).unwrap().services["a"]).unwrap()
        };
        let slot = |service: &str, state: Value, run: Option<u64>| json!({ "service": service, "replica": 1, "wanted": true, "state": state, "run": run, "of_tomorrow": 1 });
        let active = json!({ "Active": { "then": "Decide" } });
        let mut run = run;
        run["definition"] = service("now");
        run["started_at"] = json!("2026-01-02T03:04:05Z");
        let project = json!({
            "name": "p", "directory": "/", "require_containment": "any",
            "services": { "b": service("later"), "a": service("later") },
        });
        let slots = [
            ("a", slot("a", active, Some(7))),
            ("b", slot("b", json!({ "Rest": "Stopped" }), None)),
            ("run-1", slot("run-1", json!({ "Rest": "Completed" }), None)),
            ("lost", slot("lost", json!({ "Rest": "Stopped" }), None)),
            ("odd", json!("of another kennel")),
        ];
        Restored {
            project: Some(json!({ "project": project })),
            services: [("run-1".to_owned(), json!({ "definition": service("asked") }))].into_iter().collect(),
            slots: slots.into_iter().map(|(name, body)| (name.to_owned(), body)).collect(),
            runs: [(7, run)].into_iter().collect(),
            ..Restored::default()
        }
    }

    fn own() -> Identity {
        let pid = std::process::id();
        Identity::read(pid, kennel_sys::pidfd::open(pid).unwrap()).unwrap()
    }

    fn run(boot_id: &str, identity: Option<Identity>) -> Value {
        let of = |field: fn(Identity) -> u64| identity.map(field);
        json!({
            "service": "a", "scope": "a.7", "boot_id": boot_id, "pid": identity.map(|it| it.pid),
            "start_ticks": of(|it| it.start_ticks), "inode": of(|it| it.inode),
        })
    }

    /// covers: B3
    #[test]
    fn only_the_very_process_of_a_record_runs() {
        let own = own();
        let other = Identity { start_ticks: own.start_ticks + 1, ..own };
        for (body, status) in [
            (run("now", Some(own)), DashboardStatus::Running),
            (run("now", Some(other)), DashboardStatus::Crashed),
            (run("before", Some(own)), DashboardStatus::Crashed),
            (run("now", None), DashboardStatus::Unknown),
        ] {
            let found = read(restored(body.clone()), "now");
            let server = found.servers.iter().find(|it| it.id == "a").unwrap();
            let lives = status == DashboardStatus::Running;
            assert_eq!((server.status, server.main.is_some()), (status, lives), "{body}");
            assert_eq!((server.command.as_slice(), server.ports.as_slice()), (&["now".to_owned()][..], &[80, 81][..]));
        }
    }

    #[test]
    fn what_is_missing_is_told_and_the_rest_is_there_in_its_order() {
        let found = read(restored(run("now", None)), "now");
        let ids: Vec<&str> = found.servers.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["b", "a", "run-1"], "as declared, then what was started on request");
        assert_eq!(found.servers[2].command, ["asked"]);
        assert_eq!(found.incomplete.len(), 2, "{:?}", found.incomplete);
        assert!(
            found.incomplete[0].contains("`lost`") && found.incomplete[1].contains("`odd`"),
            "{:?}",
            found.incomplete
        );
        let damaged = Restored { damaged: Some("it is damaged".into()), ..Restored::default() };
        assert_eq!(read(damaged, "now").incomplete, ["it is damaged"]);
    }
}
