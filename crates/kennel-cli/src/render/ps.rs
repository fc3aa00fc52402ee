//! The table of `kennel ps`.

use anstyle::Style;
use kennel_wire::{Health, ServiceStatus, State};

use super::paint::{BLUE, CYAN, DIM, GREEN, Paint, RED, YELLOW, of_service};
use super::table::{Cell, Column, layout};
use super::{alerts, units};

const COLUMNS: [Column; 11] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "HEALTH", right: false, spare: 6 },
    Column { title: "PID", right: true, spare: 1 },
    Column { title: "PROCS", right: true, spare: 5 },
    Column { title: "CPU", right: true, spare: 3 },
    Column { title: "MEM", right: true, spare: 2 },
    Column { title: "UPTIME", right: false, spare: 4 },
    Column { title: "RESTARTS", right: true, spare: 7 },
    Column { title: "PORTS", right: false, spare: 0 },
    Column { title: "NOTE", right: false, spare: 0 },
];

/// The word for what a service is, and how it is painted: what stands still is nothing else.
pub(super) fn word(one: &ServiceStatus) -> (&'static str, Style) {
    if one.frozen { ("frozen", BLUE) } else { (state(one.state), state_style(one.state)) }
}

/// One line for each service or replica.
pub(crate) fn table(services: &[ServiceStatus], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = services.iter().map(row).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn row(one: &ServiceStatus) -> Vec<Cell> {
    let optional = |value: Option<String>| Cell::new(value.unwrap_or_default());
    let live = one.pid.is_some();
    let health = match one.health {
        // The state says it already.
        Health::None | Health::Completed | Health::Failed => "",
        Health::Starting | Health::Healthy | Health::Unhealthy | Health::Zombie | Health::Unknown => {
            one.health.as_str()
        }
    };
    let restarts = if one.restarts == 0 { String::new() } else { one.restarts.to_string() };
    let note = note(one).unwrap_or_default();
    let (is, style) = word(one);
    vec![
        Cell::styled(&one.name, of_service(&one.service, one.color.as_deref())),
        Cell::styled(is, style),
        Cell::styled(health, health_style(one.health)),
        optional(one.pid.map(|pid| pid.to_string())),
        optional(one.processes.filter(|_| live).map(|count| count.to_string())),
        optional(one.cpu_percent.filter(|_| live).map(units::percent)),
        optional(one.memory_bytes.filter(|_| live).map(units::bytes)),
        optional(one.uptime_ms.filter(|_| live).map(units::duration)),
        Cell::new(restarts),
        Cell::new(ports(one)),
        Cell::styled(note, DIM),
    ]
}

/// `8080` for a single one, else `http:8080 admin:9090`.
pub(crate) fn ports(one: &ServiceStatus) -> String {
    match one.ports.len() {
        1 => one.ports.values().map(u16::to_string).collect(),
        _ => one.ports.iter().map(|(name, port)| format!("{name}:{port}")).collect::<Vec<_>>().join(" "),
    }
}

/// Why it is where it is, and what comes next.
pub(crate) fn note(one: &ServiceStatus) -> Option<String> {
    let retry =
        one.retry_in_ms.filter(|_| one.state == State::Waiting).map(|ms| format!("retry in {}", units::duration(ms)));
    let exit =
        one.last_exit.filter(|_| one.state == State::Waiting && one.reason.is_none()).map(|exit| exit.to_string());
    let next = one.next_in_ms.map(|ms| match one.state {
        State::Scheduled => format!("next run in {}", units::duration(ms)),
        _ => format!("next start in {}", units::duration(ms)),
    });
    // Why it is down says more than for whom it ran.
    let owner = one.ad_hoc.as_ref().and_then(|ad_hoc| ad_hoc.owner.as_ref()).filter(|_| one.reason.is_none());
    let owner = owner.map(|owner| format!("for {owner}"));
    let soon = one.foreseen.as_ref().map(alerts::foreseen);
    let is_soon = |rule: &&str| one.foreseen.as_ref().is_some_and(|foreseen| foreseen.rule == *rule);
    let now: Vec<&str> = one.alerts.iter().map(String::as_str).filter(|rule| !is_soon(rule)).collect();
    let alert = (!now.is_empty()).then(|| format!("alert {}", now.join(", ")));
    let parts: Vec<String> =
        [alert, soon, one.reason.clone(), exit, retry, next, owner].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// In words.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Scheduled => "scheduled",
        State::Pending => "pending",
        State::Starting => "starting",
        State::Up => "up",
        State::Ready => "ready",
        State::Unhealthy => "unhealthy",
        State::Stopping => "stopping",
        State::Stuck => "stuck",
        State::Waiting => "waiting",
        State::Completed => "completed",
        State::Failed => "failed",
        State::GivenUp => "given up",
    }
}

/// Yellow is bad as long as it runs; what has ended has its state's colour.
pub(crate) fn health_style(health: Health) -> Style {
    match health {
        Health::Unhealthy | Health::Zombie | Health::Unknown => YELLOW,
        Health::None | Health::Starting | Health::Healthy | Health::Completed | Health::Failed => Style::new(),
    }
}

/// Green is good, red is bad, yellow may become either, cyan is under way.
pub(crate) fn state_style(state: State) -> Style {
    match state {
        State::Ready | State::Completed => GREEN,
        State::Pending | State::Starting | State::Up | State::Stopping => CYAN,
        State::Unhealthy | State::Waiting => YELLOW,
        State::Stuck | State::Failed | State::GivenUp => RED,
        State::Stopped | State::Scheduled => DIM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn services() -> Vec<ServiceStatus> {
        vec![samples::ready("web"), samples::waiting("worker.2"), samples::failed("db")]
    }

    #[test]
    fn all_columns() {
        insta::assert_snapshot!(table(&services(), None, Paint::PLAIN), @r"
        NAME      STATE    HEALTH    PID  PROCS   CPU       MEM  UPTIME     RESTARTS  PORTS    NOTE
        web       ready    healthy  4242      3  3.1%  12.3 MiB  3 min 5 s            8080
        worker.2  waiting                                                          3  a:1 b:2  exit 1, retry in 3.0 s
        db        failed                                                                       cannot execute `./dbd`: no such file
        ");
    }

    #[test]
    fn a_narrow_terminal() {
        insta::assert_snapshot!(table(&services(), Some(60), Paint::PLAIN), @r"
        NAME      STATE     PID       MEM  PORTS    NOTE
        web       ready    4242  12.3 MiB  8080
        worker.2  waiting                  a:1 b:2  exit 1, retry i…
        db        failed                            cannot execute …
        ");
    }
}
