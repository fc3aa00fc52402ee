//! What a reload changes.

use std::fmt::Write;

use kennel_wire::{Declared, ReloadReport, ServicePlan, Will};

use super::paint::{BOLD, CYAN, DIM, GREEN, Paint, RED};

/// One line for each service that differs; with `all` also for those that do not.
pub(crate) fn plan(report: &ReloadReport, all: bool, paint: Paint) -> String {
    let is_shown = |one: &&ServicePlan| all || one.change != Declared::Unchanged || one.will != Will::Nothing;
    let shown: Vec<&ServicePlan> = report.services.iter().filter(is_shown).collect();
    let width = shown.iter().map(|one| one.service.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for one in &shown {
        let (mark, style) = match one.change {
            Declared::Added => ("+", GREEN),
            Declared::Removed => ("-", RED),
            Declared::Changed => ("~", CYAN),
            Declared::Unchanged => (" ", DIM),
        };
        let name = format!("{:<width$}", one.service);
        let (mark, name) = (paint.paint(style, mark), paint.paint(BOLD, &name));
        let _infallible = writeln!(text, "{mark} {name}  {}, {}", change(one), will(one, report.dry_run));
    }
    if shown.iter().all(|one| one.change == Declared::Unchanged) {
        let _infallible = writeln!(text, "nothing has changed in {}", report.config.display());
    }
    text
}

fn change(one: &ServicePlan) -> String {
    match one.change {
        Declared::Added => "new".to_owned(),
        Declared::Removed => "gone".to_owned(),
        Declared::Changed => format!("changed ({})", one.keys.join(", ")),
        Declared::Unchanged => "unchanged".to_owned(),
    }
}

fn will(one: &ServicePlan, dry_run: bool) -> &'static str {
    match (one.will, dry_run) {
        (Will::Start, true) => "would be started",
        (Will::Start, false) => "is started",
        (Will::Stop, true) => "would be stopped",
        (Will::Stop, false) => "is stopped",
        (Will::Restart, true) => "would be restarted",
        (Will::Restart, false) => "is restarted",
        (Will::Adjust, true) => "would have other limits at once",
        (Will::Adjust, false) => "has other limits at once",
        (Will::Nothing, _) if one.change == Declared::Added => "not started",
        (Will::Nothing, _) => "nothing to do",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn a_line_for_each_change() {
        let mut report = samples::reload_report();
        insta::assert_snapshot!(plan(&report, false, Paint::PLAIN), @r"
        ~ web     changed (command, environment.PORT), is restarted
        + cache   new, is started
        ~ worker  changed (color), nothing to do
        - old     gone, is stopped
        ");
        report.dry_run = true;
        insta::assert_snapshot!(plan(&report, true, Paint::PLAIN), @r"
        ~ web       changed (command, environment.PORT), would be restarted
          database  unchanged, nothing to do
        + cache     new, would be started
        ~ worker    changed (color), nothing to do
        - old       gone, would be stopped
        ");
    }

    #[test]
    fn that_nothing_differs_is_said() {
        let mut report = samples::reload_report();
        report.services.retain(|one| one.change == Declared::Unchanged);
        insta::assert_snapshot!(plan(&report, false, Paint::PLAIN), @"nothing has changed in /srv/shop/kennel.yaml");
    }
}
