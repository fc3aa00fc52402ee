//! The table of `kennel ports`.

use kennel_wire::{PortHolder, PortState, PortStatus};

use super::paint::{CYAN, DIM, GREEN, Paint, RED};
use super::table::{Cell, Column, cut, layout};

const COLUMNS: [Column; 6] = [
    Column { title: "SERVICE", right: false, spare: 0 },
    Column { title: "PORT", right: true, spare: 0 },
    Column { title: "NAME", right: false, spare: 2 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "ADDRESS", right: false, spare: 1 },
    Column { title: "WHO", right: false, spare: 0 },
];

/// Longest command that is shown, characters.
const COMMAND: usize = 40;

/// One line for each port.
pub(crate) fn table(ports: &[PortStatus], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = ports.iter().map(row).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn row(one: &PortStatus) -> Vec<Cell> {
    let port = match one.protocol.as_str() {
        "tcp" => one.port.to_string(),
        other => format!("{}/{other}", one.port),
    };
    let name = match (&one.name, one.chosen) {
        (Some(name), true) => format!("{name} (auto)"),
        (Some(name), false) => name.clone(),
        (None, _) => String::new(),
    };
    let (state, style) = match one.state {
        PortState::Listening => ("listening", GREEN),
        PortState::Taken => ("taken", RED),
        PortState::Held => ("held", CYAN),
        PortState::Free => ("free", DIM),
    };
    vec![
        Cell::new(&one.service),
        Cell::new(port),
        Cell::new(name),
        Cell::styled(state, style),
        Cell::new(one.addresses.join(", ")),
        Cell::new(who(one)),
    ]
}

/// The first of them, and how many more.
fn who(one: &PortStatus) -> String {
    let Some(first) = one.holders.first() else { return String::new() };
    let more = match one.holders.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    format!("{}{more}", holder(first, &one.service))
}

fn holder(holder: &PortHolder, service: &str) -> String {
    let of = match &holder.service {
        Some(other) if other != service => format!("service `{other}`, "),
        Some(_) => String::new(),
        None => format!("user {}, ", holder.user),
    };
    match holder.pid {
        Some(pid) => format!("{of}{pid} ({})", cut(holder.command.as_deref().unwrap_or("gone"), COMMAND)),
        None => format!("a process of user {}", holder.user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let holder = |pid, service: Option<&str>| PortHolder {
            pid,
            command: pid.map(|_| "node server.js".to_owned()),
            user: "ada".into(),
            service: service.map(str::to_owned),
        };
        let one = |name: Option<&str>, port, state, chosen, addresses: &[&str], holders| PortStatus {
            service: "web".into(),
            name: name.map(str::to_owned),
            port,
            protocol: if port == 53 { "udp" } else { "tcp" }.into(),
            chosen,
            state,
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            holders,
        };
        let mine = || holder(Some(42), Some("web"));
        let ports = [
            one(Some("http"), 8080, PortState::Listening, false, &["127.0.0.1", "[::1]"], vec![mine(), mine()]),
            one(Some("admin"), 24001, PortState::Held, true, &[], vec![]),
            one(Some("api"), 9000, PortState::Taken, false, &["*"], vec![holder(Some(7), None)]),
            one(Some("old"), 9001, PortState::Taken, false, &["*"], vec![holder(None, None)]),
            one(Some("db"), 9002, PortState::Taken, false, &["*"], vec![holder(Some(8), Some("db"))]),
            one(Some("free"), 9003, PortState::Free, false, &[], vec![]),
            one(None, 53, PortState::Listening, false, &["0.0.0.0"], vec![mine()]),
        ];
        insta::assert_snapshot!(table(&ports, None, Paint::PLAIN), @r"
        SERVICE    PORT  NAME          STATE      ADDRESS           WHO
        web        8080  http          listening  127.0.0.1, [::1]  42 (node server.js), and 1 more
        web       24001  admin (auto)  held
        web        9000  api           taken      *                 user ada, 7 (node server.js)
        web        9001  old           taken      *                 a process of user ada
        web        9002  db            taken      *                 service `db`, 8 (node server.js)
        web        9003  free          free
        web      53/udp                listening  0.0.0.0           42 (node server.js)
        ");
    }
}
