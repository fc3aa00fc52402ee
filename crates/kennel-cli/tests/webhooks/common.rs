//! Stacks with a webhook, and what is asked of them.

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_for, wait_until};
use serde_json::Value;

use crate::receiver::Receiver;

/// Tries come ever more seldom: after a minute in which nobody took it, the next one may be more than a minute away.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// A kennel whose webhook `ops` has these keys, with a service `web` that runs and one, `bad`, that fails when it is started.
pub(crate) fn stack(keys: &str) -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    config(&scratch, keys);
    scratch.ok(&["up", "-d"]);
    scratch
}

pub(crate) fn config(scratch: &Scratch, keys: &str) {
    scratch.config(&format!(
        "webhooks:
  ops: {{ {keys} }}
services:
  web: {{ command: [sleep, '1000'], on_daemon_loss: keep }}
  bad: {{ command: ['false'], restart: 'no', profiles: [broken] }}
"
    ));
}

/// Has the service fail once more: its event.
pub(crate) fn fail(scratch: &Scratch) -> Value {
    let before = scratch.events_of("bad", "service.failed").len();
    scratch.kennel(&["start", "bad"]);
    scratch.wait_events("bad", "service.failed", before + 1).pop().unwrap()
}

/// The keys of a webhook that sends failures to this receiver.
pub(crate) fn to(receiver: &Receiver) -> String {
    format!("url: 'http://127.0.0.1:{}/hook/p4th-s3cret?t=qu3ry-s3cret', events: service.failed", receiver.port)
}

pub(crate) fn status(scratch: &Scratch) -> Value {
    scratch.json(&["webhook", "list", "--json"])[0].clone()
}

/// Waits until so many messages are on their way: the stream is read beside whoever has something happen.
pub(crate) fn wait_waiting(scratch: &Scratch, count: u64) {
    wait_until(DEADLINE, &format!("{count} messages that wait"), || status(scratch)["waiting"] == count);
}

pub(crate) fn log(scratch: &Scratch) -> Vec<Value> {
    scratch.json(&["webhook", "log", "ops", "--json"]).as_array().unwrap().clone()
}

/// Waits until the newest message is like that; gives it.
pub(crate) fn wait_log(scratch: &Scratch, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_for(DEADLINE, what, || log(scratch).pop().filter(|last| is(last)))
}

pub(crate) fn wait_requests(receiver: &Receiver, count: usize) {
    wait_until(DEADLINE, &format!("{count} requests, and there are {}", receiver.requests().len()), || {
        receiver.requests().len() >= count
    });
}
