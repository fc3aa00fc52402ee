//! What the tests of owners share.

use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Background, Scratch, wait_for};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A process of the test's own user that only sleeps.
pub(crate) fn outsider(scratch: &Scratch) -> Background {
    scratch.spawn_outsider(&scratch.badchild(), &["sleep"])
}

/// Starts a bad child in this cell with `run --detach` and these options; gives its name.
pub(crate) fn detach(scratch: &Scratch, options: &[&str], cell: &str, shape: &str) -> String {
    let badchild = scratch.badchild().display().to_string();
    let arguments = [&["run", "-d"], options, &["--", &badchild, "--cell", cell, shape]].concat();
    scratch.ok(&arguments).stdout.trim().to_owned()
}

/// Living processes of this cell, children of others of the cell not counted: one for each run, and what left it.
pub(crate) fn living(scratch: &Scratch, cell: u64) -> usize {
    let seen = scratch.in_cells();
    let of_cell = || seen.iter().filter(|seen| seen.living && seen.cell == Some(cell));
    of_cell().filter(|one| of_cell().all(|other| other.pid != one.ppid)).count()
}

pub(crate) fn owner(scratch: &Scratch, name: &str) -> Option<Value> {
    let owners = scratch.json(&["owners", "--json"]);
    owners.as_array()?.iter().find(|one| one["name"] == name).cloned()
}

/// Waits until an owner is in this state.
pub(crate) fn wait_owner(scratch: &Scratch, name: &str, state: &str) -> Value {
    wait_for(DEADLINE, &format!("`{name}` in state `{state}`"), || {
        owner(scratch, name).filter(|one| one["state"] == state)
    })
}

/// Starts `kennel lease hold` for an owner; it ends with what is given beside it.
pub(crate) fn hold(scratch: &Scratch, arguments: &[&str]) -> (Background, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let held = scratch.spawn_with(&[&["lease", "hold"], arguments].concat(), Stdio::from(reader), |_| {});
    wait_for(DEADLINE, "the lease", || owner(scratch, arguments[0]).filter(|one| one["state"] == "held"));
    (held, writer)
}

/// Time between two events.
pub(crate) fn between(earlier: &Value, later: &Value) -> Duration {
    let time = |event: &Value| event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    Duration::try_from(time(later).duration_since(time(earlier))).unwrap()
}
