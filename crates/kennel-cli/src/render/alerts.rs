//! Alerts: what was too much, and whose it was.

use std::fmt::Write;

use kennel_wire::{Alert, AlertReport, Culprit, EventKind, Foreseen};

use super::paint::{BOLD, DIM, Paint, RED};
use super::table::cut;
use super::units;

/// Longest command that is shown, characters.
const COMMAND: usize = 60;

/// `112 processes`, `4.2 GiB of memory`, `180% CPU`: a value of a measure.
pub(crate) fn amount(measure: &str, value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts and bytes, never negative")]
    let whole = value.max(0.0) as u64;
    match measure {
        "processes" if whole == 1 => "1 process".to_owned(),
        "processes" => format!("{whole} processes"),
        "memory" => format!("{} of memory", units::bytes(whole)),
        "cpu" => format!("{} CPU", units::percent(value)),
        "forks" => format!("{value:.1} forks/s"),
        "open_files" => format!("{whole} open files"),
        "log_rate" => format!("{}/s of output", units::bytes(whole)),
        "write_rate" => format!("{}/s written", units::bytes(whole)),
        "written" => format!("{} written", units::bytes(whole)),
        "restarts" => format!("{whole} restarts within a minute"),
        other => format!("{other} {value}"),
    }
}

/// The threshold alone: `100`, `8.0 GiB`.
pub(crate) fn threshold(measure: &str, value: f64) -> String {
    let text = amount(measure, value);
    let end = ["processes", "process", "of memory", "CPU", "forks/s", "open files", "of output", "written", "restarts"]
        .into_iter()
        .find_map(|word| text.find(&format!(" {word}")));
    end.map_or_else(|| text.clone(), |end| text[..end].to_owned())
}

/// What has been done, as of an action's word.
pub(crate) fn done(action: &str) -> &str {
    match action {
        "event" => "noted",
        "warn" => "warned",
        "throttle" => "throttled",
        "freeze" => "frozen",
        "stop" => "stopped",
        "kill" => "killed",
        other => other,
    }
}

/// `node vitest (pid 812, 84 below it)`
pub(crate) fn culprit(culprit: &Culprit) -> String {
    let below = match culprit.descendants {
        0 => String::new(),
        below => format!(", {below} below it"),
    };
    format!("{} (pid {}{below})", cut(&culprit.command, COMMAND), culprit.pid)
}

/// Name of the rule that every limit of memory comes with.
const LIMIT_MEMORY: &str = "limit-memory";

/// `memory limit in 40 s at this rate`, `alert hog, 4.0 GiB of memory in 40 s at this rate`
pub(crate) fn foreseen(what: &Foreseen) -> String {
    let time = units::duration(what.in_ms);
    match what.rule.as_str() {
        LIMIT_MEMORY => format!("memory limit in {time} at this rate"),
        rule => format!("alert {rule}, {} in {time} at this rate", amount(&what.measure, what.threshold)),
    }
}

/// `rule pool: 112 processes, threshold 80, frozen`
pub(crate) fn line(alert: &Alert) -> String {
    let (is, above) = (amount(&alert.measure, alert.value), threshold(&alert.measure, alert.threshold));
    let soon = alert.due_in_ms.map(|in_ms| {
        let (rule, measure) = (alert.rule.clone(), alert.measure.clone());
        format!("{}, {is} now", foreseen(&Foreseen { rule, measure, threshold: alert.threshold, in_ms }))
    });
    soon.unwrap_or_else(|| format!("rule {}: {is}, threshold {above}, {}", alert.rule, done(&alert.action)))
}

/// A block for each alert, those that are open first.
pub(crate) fn report(report: &AlertReport, paint: Paint) -> String {
    report.alerts.iter().map(|alert| block(alert, paint)).collect()
}

fn block(alert: &Alert, paint: Paint) -> String {
    let (is, above) = (amount(&alert.measure, alert.value), threshold(&alert.measure, alert.threshold));
    let who = alert.service.as_deref().unwrap_or("all services");
    let (word, style) = if alert.cleared_at.is_some() { ("over", DIM) } else { ("open", RED) };
    let mut text = format!(
        "{}  {}  {is}, threshold {above}, {}\n",
        paint.paint(BOLD, &alert.rule),
        paint.paint(style, word),
        done(&alert.action)
    );
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let until = alert.cleared_at.map(|at| format!(" until {}", time(at))).unwrap_or_default();
    let of = if alert.scope == "stack" { " of all services" } else { "" };
    let _infallible = writeln!(text, "  {who}{of}, since {}{until}", time(alert.raised_at));
    let limit = if alert.rule == LIMIT_MEMORY { "memory limit" } else { "threshold" };
    if let Some(ms) = alert.due_in_ms {
        let _infallible = writeln!(text, "  {limit} in {} at this rate", units::duration(ms));
    } else if let Some(ms) = alert.predicted_ms {
        let _infallible = writeln!(text, "  foreseen {} before", units::duration(ms));
    }
    if let Some(why) = &alert.refused {
        let _infallible = writeln!(text, "  cannot {}: {why}", alert.action);
    }
    for one in &alert.culprits {
        let cpu = one.cpu_percent.map_or_else(String::new, units::percent);
        let memory = units::bytes(one.memory_bytes);
        let _infallible = writeln!(text, "  {cpu:>7} {memory:>10}  {}", culprit(one));
        let line: Vec<String> =
            one.ancestry.iter().map(|it| format!("{} ({})", cut(&it.command, COMMAND), it.pid)).collect();
        if !line.is_empty() {
            let _infallible =
                writeln!(text, "                      {}", paint.paint(DIM, &format!("of {}", line.join(" of "))));
        }
    }
    text
}

/// What an event of an alert or a storm says.
pub(crate) fn event(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::AlertRaised { rule, measure, value, threshold: above, predicted_ms, culprits, .. } => {
            let (is, above) = (amount(measure, *value), threshold(measure, *above));
            let who = culprits.first().map(|one| format!(": {}", culprit(one))).unwrap_or_default();
            match predicted_ms {
                Some(ms) if rule == LIMIT_MEMORY => {
                    format!("memory limit {above} in {} at this rate, {is} now{who}", units::duration(*ms))
                }
                None => format!("rule {rule}: {is}, more than {above}{who}"),
                Some(ms) => {
                    format!("rule {rule}: {is}, more than {above} in {} at this rate{who}", units::duration(*ms))
                }
            }
        }
        EventKind::AlertEscalated { rule, measure, value, action, refused: None, .. } => {
            format!("rule {rule}: {}, {}", amount(measure, *value), done(action))
        }
        EventKind::AlertEscalated { rule, measure, value, action, refused: Some(why), .. } => {
            format!("rule {rule}: {}, cannot {action}: {why}", amount(measure, *value))
        }
        EventKind::AlertCleared { rule, measure, value, lasted_ms } => {
            let is = value.map_or_else(|| "it is down".to_owned(), |value| amount(measure, value));
            format!("rule {rule}: over after {}, {is}", units::duration(*lasted_ms))
        }
        EventKind::StormBrake { restarts, window_ms, held_ms } => {
            let (window, held) = (units::duration(*window_ms), units::duration(*held_ms));
            format!("storm brake: {restarts} restarts of all services within {window}, the next one in {held}")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn an_alert_names_who_it_is() {
        let alert = Alert {
            rule: "pool".into(),
            scope: "service".into(),
            service: Some("web".into()),
            measure: "processes".into(),
            value: 112.0,
            threshold: 80.0,
            action: "freeze".into(),
            refused: None,
            predicted_ms: None,
            due_in_ms: None,
            raised_at: samples::time(),
            cleared_at: None,
            culprits: vec![samples::culprit(812)],
        };
        insta::assert_snapshot!(report(&AlertReport { alerts: vec![alert] }, Paint::PLAIN), @r"
        pool  open  112 processes, threshold 80, frozen
          web, since 2026-01-02T03:04:05Z
             310%    6.0 GiB  node vitest run (pid 812, 84 below it)
                              of npm test (100)
        ");
    }

    #[test]
    fn what_is_foreseen_says_when() {
        let alert = Alert {
            rule: "limit-memory".into(),
            scope: "service".into(),
            service: Some("web".into()),
            measure: "memory".into(),
            value: 400_000_000.0,
            threshold: 536_870_912.0,
            action: "warn".into(),
            refused: None,
            predicted_ms: Some(58_000),
            due_in_ms: Some(40_000),
            raised_at: samples::time(),
            cleared_at: None,
            culprits: Vec::new(),
        };
        let of = |due_in_ms| {
            let alert = Alert { due_in_ms, ..alert.clone() };
            report(&AlertReport { alerts: vec![alert] }, Paint::PLAIN)
        };
        insta::assert_snapshot!(of(Some(40_000)), @r"
        limit-memory  open  381 MiB of memory, threshold 512 MiB, warned
          web, since 2026-01-02T03:04:05Z
          memory limit in 40 s at this rate
        ");
        assert!(of(None).contains("foreseen 58 s before"));
        let mut what = Foreseen { rule: alert.rule, measure: alert.measure, threshold: alert.threshold, in_ms: 40_000 };
        assert_eq!(foreseen(&what), "memory limit in 40 s at this rate");
        "hog".clone_into(&mut what.rule);
        assert_eq!(foreseen(&what), "alert hog, 512 MiB of memory in 40 s at this rate");
    }
}
