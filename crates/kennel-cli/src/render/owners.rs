//! Owners as a tree, and what was cleaned of them.

use anstyle::Style;
use kennel_wire::{CleanReport, LeaseKind, LeaseStatus, Lifetime, OwnerEnd, OwnerState, OwnerStatus};

use super::paint::{CYAN, DIM, GREEN, Paint, YELLOW};
use super::table::{Cell, Column, cut, layout};
use super::{limits, units};

const COLUMNS: [Column; 6] = [
    Column { title: "OWNER", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "RUNS", right: true, spare: 0 },
    Column { title: "SINCE", right: false, spare: 2 },
    Column { title: "LEASES", right: false, spare: 1 },
    Column { title: "LIMITS", right: false, spare: 3 },
];

/// Longest command that is shown, characters.
const COMMAND: usize = 40;

/// One line for each owner, children indented below their parents.
pub(crate) fn table(owners: &[OwnerStatus], width: Option<usize>, paint: Paint) -> String {
    let mut rows = Vec::new();
    for root in owners.iter().filter(|one| one.parent.is_none()) {
        branch(owners, root, 0, &mut rows);
    }
    layout(&COLUMNS, &rows, width, paint)
}

fn branch(owners: &[OwnerStatus], one: &OwnerStatus, depth: usize, rows: &mut Vec<Vec<Cell>>) {
    rows.push(row(one, depth));
    for child in owners.iter().filter(|child| child.parent.as_ref() == Some(&one.name)) {
        branch(owners, child, depth + 1, rows);
    }
}

fn row(one: &OwnerStatus, depth: usize) -> Vec<Cell> {
    let runs = match one.runs_with_descendants - one.runs.min(one.runs_with_descendants) {
        0 => one.runs.to_string(),
        below => format!("{}+{below}", one.runs),
    };
    let leases: Vec<String> = one.leases.iter().map(lease).collect();
    vec![
        Cell::new(format!("{}{}", "  ".repeat(depth), one.name)),
        Cell::styled(state(one), style(one.state)),
        Cell::new(runs),
        Cell::styled(one.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), DIM),
        Cell::new(leases.join(", ")),
        Cell::new(one.limits.iter().map(limits::of_owner).collect::<Vec<_>>().join(", ")),
    ]
}

fn state(one: &OwnerStatus) -> String {
    match (one.state, &one.ended, one.ends_in_ms) {
        (OwnerState::Unbound, ..) => "until stopped".to_owned(),
        (OwnerState::Held, ..) => "held".to_owned(),
        (OwnerState::Grace, _, Some(ms)) => format!("ends in {}", units::duration(ms)),
        (OwnerState::Grace, _, None) => "ends soon".to_owned(),
        (OwnerState::Ended, Some(why), _) => format!("ended: {}", end(why)),
        (OwnerState::Ended, None, _) => "ended".to_owned(),
    }
}

fn style(state: OwnerState) -> Style {
    match state {
        OwnerState::Unbound => CYAN,
        OwnerState::Held => GREEN,
        OwnerState::Grace => YELLOW,
        OwnerState::Ended => DIM,
    }
}

fn lease(one: &LeaseStatus) -> String {
    match &one.kind {
        LeaseKind::Held => "connection".to_owned(),
        LeaseKind::Process { pid, command, .. } => {
            let command = command.as_ref().map_or_else(String::new, |text| format!(" ({})", cut(text, COMMAND)));
            format!("pid {pid}{command}")
        }
        LeaseKind::Heartbeat { expires_in_ms: Some(ms), .. } => format!("heartbeat, {} left", units::duration(*ms)),
        LeaseKind::Heartbeat { expires_in_ms: None, .. } => "heartbeat, worn off".to_owned(),
    }
}

/// Why an owner ended.
pub(crate) fn end(why: &OwnerEnd) -> String {
    match why {
        OwnerEnd::Stopped => "it was stopped".to_owned(),
        OwnerEnd::LeaseLost => "its last lease was lost".to_owned(),
        OwnerEnd::ParentEnded { ancestor } => format!("`{ancestor}` ended"),
    }
}

/// When a run ends at the latest.
pub(crate) fn lifetime(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::Call => "ends with its request",
        Lifetime::Owner => "ends with its owner",
        Lifetime::Daemon => "ends with the daemon",
        Lifetime::Keep => "until it is stopped",
    }
}

/// What is forgotten, in one line.
pub(crate) fn cleaned(report: &CleanReport) -> String {
    let part = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
    let parts = [part("owners", &report.owners), part("runs", &report.runs)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing to forget\n".to_owned() } else { format!("forgotten: {}\n", parts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn owner(name: &str, parent: Option<&str>, state: OwnerState, leases: Vec<LeaseKind>) -> OwnerStatus {
        OwnerStatus {
            name: name.into(),
            parent: parent.map(str::to_owned),
            state,
            ended: None,
            since: samples::time(),
            grace_ms: 10_000,
            ends_in_ms: (state == OwnerState::Grace).then_some(4_000),
            leases: leases.into_iter().map(|kind| LeaseStatus { id: format!("{name}/1"), kind }).collect(),
            runs: 1,
            limits: Vec::new(),
            runs_with_descendants: if parent.is_none() { 3 } else { 1 },
        }
    }

    fn tree() -> Vec<OwnerStatus> {
        let process = LeaseKind::Process { pid: 4242, start_ticks: 1, command: Some("bash".into()) };
        let beat = |expires_in_ms| LeaseKind::Heartbeat { ttl_ms: 60_000, expires_in_ms };
        let ended = OwnerEnd::ParentEnded { ancestor: "session".into() };
        vec![
            owner("session", None, OwnerState::Held, vec![process, LeaseKind::Held]),
            owner("agent", Some("session"), OwnerState::Held, vec![beat(Some(30_000))]),
            OwnerStatus { ended: Some(ended), runs: 0, ..owner("tools", Some("agent"), OwnerState::Ended, vec![]) },
            owner("idle", None, OwnerState::Unbound, vec![]),
            owner("late", Some("idle"), OwnerState::Grace, vec![beat(None)]),
        ]
    }

    #[test]
    fn children_stand_below_their_parents() {
        insta::assert_snapshot!(table(&tree(), None, Paint::PLAIN), @r"
        OWNER      STATE                   RUNS  SINCE                 LEASES
        session    held                     1+2  2026-01-02T03:04:05Z  pid 4242 (bash), connection
          agent    held                       1  2026-01-02T03:04:05Z  heartbeat, 30 s left
            tools  ended: `session` ended   0+1  2026-01-02T03:04:05Z
        idle       until stopped            1+2  2026-01-02T03:04:05Z
          late     ends in 4.0 s              1  2026-01-02T03:04:05Z  heartbeat, worn off
        ");
    }

    #[test]
    fn what_programs_read() {
        let text: String = tree().iter().map(|one| serde_json::to_string(one).unwrap_or_default() + "\n").collect();
        insta::assert_snapshot!(text, @r#"
        {"name":"session","parent":null,"state":"held","since":"2026-01-02T03:04:05.678Z","grace_ms":10000,"leases":[{"id":"session/1","kind":"process","pid":4242,"start_ticks":1,"command":"bash"},{"id":"session/1","kind":"held"}],"runs":1,"runs_with_descendants":3}
        {"name":"agent","parent":"session","state":"held","since":"2026-01-02T03:04:05.678Z","grace_ms":10000,"leases":[{"id":"agent/1","kind":"heartbeat","ttl_ms":60000,"expires_in_ms":30000}],"runs":1,"runs_with_descendants":1}
        {"name":"tools","parent":"agent","state":"ended","ended":{"reason":"parent_ended","ancestor":"session"},"since":"2026-01-02T03:04:05.678Z","grace_ms":10000,"leases":[],"runs":0,"runs_with_descendants":1}
        {"name":"idle","parent":null,"state":"unbound","since":"2026-01-02T03:04:05.678Z","grace_ms":10000,"leases":[],"runs":1,"runs_with_descendants":3}
        {"name":"late","parent":"idle","state":"grace","since":"2026-01-02T03:04:05.678Z","grace_ms":10000,"ends_in_ms":4000,"leases":[{"id":"late/1","kind":"heartbeat","ttl_ms":60000}],"runs":1,"runs_with_descendants":1}
        "#);
    }
}
