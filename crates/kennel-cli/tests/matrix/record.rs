//! What was seen in each cell, for the generated table and for the reader of a failure.

use std::io::Write;

use kennel_testkit::Seen;

use crate::environment::Environment;

/// One cell.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) escape: &'static str,
    /// Who was left when nobody should have been.
    pub(crate) left: Vec<Seen>,
    /// What else does not hold; empty: all does.
    pub(crate) wrong: String,
    /// What a reader of the table has to know although the cell holds.
    pub(crate) note: String,
}

impl Verdict {
    pub(crate) fn new(escape: &'static str, left: Vec<Seen>) -> Self {
        Self { escape, left, wrong: String::new(), note: String::new() }
    }

    fn holds(&self) -> bool {
        self.left.is_empty() && self.wrong.is_empty()
    }
}

/// Says which cells there are, for those that no line follows of.
pub(crate) fn listed<'a>(environment: Environment, exit: &str, escapes: impl Iterator<Item = &'a str>) {
    append(escapes.map(|escape| expected(environment, exit, escape, "listed")));
}

/// Says which cells a test is about to come to.
pub(crate) fn begun<'a>(environment: Environment, exit: &str, escapes: impl Iterator<Item = &'a str>) {
    append(escapes.map(|escape| expected(environment, exit, escape, "begun")));
}

/// Appends a line for each cell to the file named by `KENNEL_MATRIX_OUT`, then fails the test if one does not hold.
pub(crate) fn conclude(environment: Environment, exit: &str, verdicts: &[Verdict]) {
    append(verdicts.iter().map(|verdict| line(environment, exit, verdict)));
    let bad: Vec<String> = verdicts.iter().filter(|verdict| !verdict.holds()).map(describe).collect();
    assert!(bad.is_empty(), "{exit} × {}: these cells do not hold:\n  {}", environment.name(), bad.join("\n  "));
}

fn append(lines: impl Iterator<Item = serde_json::Value>) {
    let Some(path) = std::env::var_os("KENNEL_MATRIX_OUT") else { return };
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    let file = std::fs::File::options().create(true).append(true).open(path);
    // In one write, so that lines of several programs do not mix.
    file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("KENNEL_MATRIX_OUT can be written");
}

fn expected(environment: Environment, exit: &str, escape: &str, by: &str) -> serde_json::Value {
    serde_json::json!({ "environment": place_of(environment), "exit": exit, "escape": escape, "cell": by })
}

fn line(environment: Environment, exit: &str, verdict: &Verdict) -> serde_json::Value {
    let note = if verdict.wrong.is_empty() { &verdict.note } else { &verdict.wrong };
    serde_json::json!({
        "environment": place_of(environment), "exit": exit, "escape": verdict.escape,
        "left": verdict.left.len(), "ok": verdict.holds(), "note": note,
    })
}

/// The environment, with the name of the machine where that is another one.
fn place_of(environment: Environment) -> String {
    let place = std::env::var("KENNEL_MATRIX_PLACE").unwrap_or_default();
    format!("{place} {}", environment.name()).trim().to_owned()
}

fn describe(verdict: &Verdict) -> String {
    let left: Vec<String> = verdict.left.iter().map(ToString::to_string).collect();
    let left = if left.is_empty() { String::new() } else { format!("left: {}", left.join("; ")) };
    format!("{}: {}{left}", verdict.escape, verdict.wrong)
}
