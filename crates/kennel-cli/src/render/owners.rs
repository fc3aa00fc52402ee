//! Owners as a tree, and what was cleaned of them.

use anstyle::Style;
use kennel_wire::{CleanReport, LeaseKind, LeaseStatus, OwnerEnd, OwnerState, OwnerStatus};

use super::paint::{CYAN, DIM, GREEN, Paint, YELLOW};
use super::table::{Cell, Column, cut, layout};
use super::units;

const COLUMNS: [Column; 5] = [
    Column { title: "OWNER", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "RUNS", right: true, spare: 0 },
    Column { title: "SINCE", right: false, spare: 2 },
    Column { title: "LEASES", right: false, spare: 1 },
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

/// What is forgotten, in one line.
pub(crate) fn cleaned(report: &CleanReport) -> String {
    let part = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
    let parts = [part("owners", &report.owners), part("runs", &report.runs)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing to forget\n".to_owned() } else { format!("forgotten: {}\n", parts.join("; ")) }
}
