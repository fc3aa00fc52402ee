//! Whether all is well, for people.

use std::fmt::Write;

use kennel_wire::{Health, HealthReport, ServiceHealth, State, Summary};

use super::paint::{BOLD, Paint};
use super::{ps, units};

/// One line if all is well, else one for each that is not.
pub(crate) fn report(report: &HealthReport, paint: Paint) -> String {
    if report.ok {
        return match report.services.len() {
            0 => "nothing is to run\n".to_owned(),
            1 => "the service is well\n".to_owned(),
            all => format!("all {all} services are well\n"),
        };
    }
    let sick = || report.services.iter().filter(|one| !one.ok);
    let width = sick().map(|one| one.name.chars().count()).max().unwrap_or(0);
    sick().map(|one| line(one, width, paint)).collect()
}

/// `web  unhealthy  no answer within 1s`, the name as wide as the longest.
fn line(one: &ServiceHealth, width: usize, paint: Paint) -> String {
    let word = match one.health {
        _ if one.frozen => "frozen",
        // The state says more.
        Health::None | Health::Failed | Health::Completed | Health::Healthy => ps::state(one.state),
        health => health.as_str(),
    };
    let reason = one.reason.as_ref().map_or_else(String::new, |reason| format!("  {reason}"));
    let word = paint.paint(ps::state_style(one.state), word);
    format!("{}  {word}{reason}\n", paint.paint(BOLD, &format!("{:<width$}", one.name)))
}

/// A few lines of totals.
pub(crate) fn summary(summary: &Summary) -> String {
    let states = summary.by_state.iter().map(|(state, count): (&State, &u32)| format!("{count} {}", ps::state(*state)));
    let health = summary.by_health.iter().filter(|(health, _)| **health != Health::None);
    let health: Vec<String> = health.map(|(health, count)| format!("{count} {}", health.as_str())).collect();
    let mut text = String::new();
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            let _infallible = writeln!(text, "{name:<10} {value}");
        }
    };
    let states: Vec<String> = states.collect();
    field("services", format!("{}: {}", summary.services, states.join(", ")));
    field("health", health.join(", "));
    field("processes", summary.processes.to_string());
    field("memory", units::bytes(summary.memory_bytes));
    field("cpu", units::percent(summary.cpu_percent));
    field("restarts", if summary.restarts == 0 { String::new() } else { summary.restarts.to_string() });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn totals() {
        let services =
            [samples::ready("web"), samples::ready("api"), samples::waiting("worker"), samples::failed("db")];
        let totals = Summary::of(&services);
        assert!(!totals.ok && Summary::of(&services[..2]).ok);
        insta::assert_snapshot!(summary(&totals), @r"
        services   4: 2 ready, 1 waiting, 1 failed
        health     2 healthy
        processes  6
        memory     24.6 MiB
        cpu        6.2%
        restarts   3
        ");
    }

    #[test]
    fn who_is_not_well() {
        let one = |name: &str, ok, state, health, reason: Option<&str>| ServiceHealth {
            name: name.into(),
            ok,
            state,
            health,
            reason: reason.map(str::to_owned),
            since: None,
            activity: None,
            frozen: false,
        };
        let services = vec![
            one("web", true, State::Ready, Health::Healthy, None),
            one("api", false, State::Unhealthy, Health::Unhealthy, Some("no answer within 1s")),
            one("db", false, State::Failed, Health::Failed, Some("exited with code 1")),
        ];
        let well = HealthReport { ok: true, services: services[..1].to_vec() };
        assert_eq!(report(&well, Paint::PLAIN), "the service is well\n");
        insta::assert_snapshot!(report(&HealthReport { ok: false, services }, Paint::PLAIN), @r"
        api  unhealthy  no answer within 1s
        db   failed  exited with code 1
        ");
    }
}
