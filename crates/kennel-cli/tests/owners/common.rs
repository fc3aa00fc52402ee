//! What the tests of owners share.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Background, Scratch, User, wait_for};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Makes a test of a function for each back end.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod cgroup {
            $(#[test] fn $name() { crate::common::scratch(kennel_testkit::User::Root).inspect(super::$name); })*
        }
        mod reaper {
            $(#[test] fn $name() { crate::common::scratch(kennel_testkit::User::Plain).inspect(super::$name); })*
        }
    };
}
pub(crate) use both;

pub(crate) fn scratch(user: User) -> Option<Scratch> {
    Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))
}

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

/// Events of this kind, oldest first.
pub(crate) fn events(scratch: &Scratch, kind: &str) -> Vec<Value> {
    scratch.recorded().into_iter().filter(|event| event["event"] == kind).collect()
}

/// Starts `kennel lease hold` for an owner; it ends with what is given beside it.
pub(crate) fn hold(scratch: &Scratch, arguments: &[&str]) -> (Background, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let held = scratch.spawn_with(&[&["lease", "hold"], arguments].concat(), Stdio::from(reader), |_| {});
    wait_for(DEADLINE, "the lease", || owner(scratch, arguments[0]).filter(|one| one["state"] == "held"));
    (held, writer)
}

/// Asks the daemon as any program may; gives the status and the answer.
pub(crate) fn post(scratch: &Scratch, target: &str, body: &Value) -> (u16, Value) {
    let instance = scratch.instance_dir().file_name().unwrap().to_owned();
    let mut socket = UnixStream::connect(scratch.path("run/kennel").join(instance).join("api.sock")).unwrap();
    let body = body.to_string();
    let head = format!("POST {target} HTTP/1.1\r\nhost: kennel\r\nconnection: close\r\ncontent-type: application/json");
    write!(socket, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// Time between two events.
pub(crate) fn between(earlier: &Value, later: &Value) -> Duration {
    let time = |event: &Value| event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    Duration::try_from(time(later).duration_since(time(earlier))).unwrap()
}
