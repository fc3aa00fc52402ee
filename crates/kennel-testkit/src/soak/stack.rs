//! What runs meanwhile.

use std::fmt::Write;

use crate::Scratch;

/// The service whose lines are counted.
pub(super) const FLOODING: &str = "flooding";
/// Lines of one of its runs; then it kills itself and begins anew.
pub(super) const LINES: u64 = 200;
/// Services that are started and stopped all the time.
pub(super) const CYCLED: usize = 8;

/// Their names.
pub(super) fn cycled() -> Vec<String> {
    (0..CYCLED).map(|number| format!("cycled-{number}")).collect()
}

/// Writes the configuration: some that fail, one whose processes fork all the time and one whose processes become daemons
/// all the time, one that floods, some that rest, and those that are started and stopped.
pub(super) fn configure(scratch: &Scratch) {
    let again = "restart: always\n    restart_policy: { delay: 200ms, max_delay: 200ms, max_restarts: 1000000 }";
    let mut text = format!(
        "services:
  failing:
    command: [\"@badchild@\", exit, \"100\", \"1\"]
    {again}
  crashing:
    command: [\"@badchild@\", crash, \"100\", oops]
    {again}
  {FLOODING}:
    command: [\"@badchild@\", lines, \"{LINES}\"]
    {again}
  forking:
    command: [\"@badchild@\", forks]
    stop: [{{ signal: TERM, wait: 100ms }}]
  leaving:
    command: [\"@badchild@\", double-forks]
    stop: [{{ signal: TERM, wait: 100ms }}]
  resting:
    command: sleep 100000
    replicas: 5
"
    );
    for name in cycled() {
        // A string cannot refuse what is written to it.
        let _ = write!(text, "  {name}:\n    command: [\"@badchild@\", plain]\n");
    }
    scratch.config(&text);
}
