//! The table of `kennel audit`.

use anstyle::Style;
use kennel_wire::AuditEntry;

use super::paint::{DIM, Paint, RED, YELLOW};
use super::table::{Cell, Column, layout};

const COLUMNS: [Column; 5] = [
    Column { title: "TIME", right: false, spare: 1 },
    Column { title: "WHO", right: false, spare: 0 },
    Column { title: "ACTION", right: false, spare: 0 },
    Column { title: "OUTCOME", right: false, spare: 0 },
    Column { title: "SUBJECT", right: false, spare: 0 },
];

/// One line for each entry.
pub(crate) fn table(entries: &[AuditEntry], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = entries.iter().map(row).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn row(entry: &AuditEntry) -> Vec<Cell> {
    let outcome = match entry.outcome.as_str() {
        "asked" => DIM,
        "abandoned" => YELLOW,
        outcome if outcome.starts_with('2') => Style::new(),
        _ => RED,
    };
    vec![
        Cell::styled(entry.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), DIM),
        Cell::new(&entry.actor),
        Cell::new(&entry.action),
        Cell::styled(&entry.outcome, outcome),
        Cell::new(&entry.subject),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn one_line_for_each_entry() {
        let entry = |outcome: &str| AuditEntry {
            time: samples::time(),
            actor: "uid 1000 pid 4711".into(),
            action: "POST /v1/stop".into(),
            subject: "web worker.2".into(),
            outcome: outcome.into(),
        };
        let entries = ["asked", "200", "404 unknown_service", "abandoned"].map(entry);
        insta::assert_snapshot!(table(&entries, None, Paint::PLAIN), @r"
        TIME                      WHO                ACTION         OUTCOME              SUBJECT
        2026-01-02T03:04:05.678Z  uid 1000 pid 4711  POST /v1/stop  asked                web worker.2
        2026-01-02T03:04:05.678Z  uid 1000 pid 4711  POST /v1/stop  200                  web worker.2
        2026-01-02T03:04:05.678Z  uid 1000 pid 4711  POST /v1/stop  404 unknown_service  web worker.2
        2026-01-02T03:04:05.678Z  uid 1000 pid 4711  POST /v1/stop  abandoned            web worker.2
        ");
    }
}
