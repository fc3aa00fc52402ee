//! The tables of `kennel stats`.

use anstyle::Style;
use kennel_wire::{Health, ServiceUsage, Usage, UsageHistory, UsagePoint, UsageReport, UsageSeries};

use super::paint::{BOLD, CYAN, Paint};
use super::ps::{state, state_style};
use super::table::{Cell, Column, layout};
use super::units;

const NOW: [Column; 12] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 6 },
    Column { title: "CPU", right: true, spare: 0 },
    Column { title: "MEM", right: true, spare: 0 },
    Column { title: "LIMIT", right: true, spare: 5 },
    Column { title: "PEAK", right: true, spare: 7 },
    Column { title: "PROCS", right: true, spare: 0 },
    Column { title: "THREADS", right: true, spare: 8 },
    Column { title: "READ/s", right: true, spare: 4 },
    Column { title: "WRITE/s", right: true, spare: 3 },
    Column { title: "OUTPUT/s", right: true, spare: 2 },
    Column { title: "CPU TIME", right: true, spare: 9 },
];

const OVER: [Column; 10] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "CPU", right: true, spare: 0 },
    Column { title: "MOST", right: true, spare: 3 },
    Column { title: "MEM", right: true, spare: 0 },
    Column { title: "MOST", right: true, spare: 2 },
    Column { title: "PROCS", right: true, spare: 5 },
    Column { title: "READ", right: true, spare: 7 },
    Column { title: "WRITTEN", right: true, spare: 6 },
    Column { title: "OUTPUT", right: true, spare: 4 },
    Column { title: "CPU OVER TIME", right: false, spare: 0 },
];

/// Marks of a sparkline, from nothing to the most.
const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Percent that the highest mark stands for at least: what does next to nothing is to look so.
const LEAST_SCALE: f64 = 10.0;
/// Its length.
const SPARK: usize = 30;

/// What each service uses now, and all of them together.
pub(crate) fn now(report: &UsageReport, width: Option<usize>, paint: Paint) -> String {
    let mut rows: Vec<Vec<Cell>> = report.services.iter().map(service).collect();
    if rows.len() > 1 {
        rows.push(figures(Cell::styled("all", BOLD), Cell::default(), &report.total));
    }
    layout(&NOW, &rows, width, paint)
}

fn service(one: &ServiceUsage) -> Vec<Cell> {
    let shown = match (one.frozen, one.health) {
        (true, _) => Cell::styled("frozen", CYAN),
        (false, Health::Unhealthy) => Cell::styled("unhealthy", state_style(kennel_wire::State::Unhealthy)),
        (false, _) => Cell::styled(state(one.state), state_style(one.state)),
    };
    figures(Cell::new(&one.name), shown, &one.usage)
}

fn figures(name: Cell, state: Cell, usage: &Usage) -> Vec<Cell> {
    let optional = |value: Option<String>| Cell::new(value.unwrap_or_default());
    vec![
        name,
        state,
        optional(usage.cpu_percent.map(units::percent)),
        optional(usage.memory_bytes.map(units::bytes)),
        optional(usage.memory_limit_bytes.map(units::bytes)),
        optional(usage.memory_peak_bytes.map(units::bytes)),
        Cell::new(usage.processes.to_string()),
        optional(usage.threads.map(|count| count.to_string())),
        optional(usage.read_rate.map(rate)),
        optional(usage.write_rate.map(rate)),
        Cell::new(rate(usage.log_rate)),
        optional(usage.cpu_ms.map(units::duration)),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "three digits are shown")]
fn rate(bytes: f64) -> String {
    units::bytes(bytes.max(0.0).round() as u64)
}

/// What each service used over a time.
pub(crate) fn over_time(history: &UsageHistory, width: Option<usize>, paint: Paint) -> String {
    let series = history.series.iter().filter(|series| !series.points.is_empty());
    let rows: Vec<Vec<Cell>> = series.map(|series| summary(series, history.step_ms)).collect();
    layout(&OVER, &rows, width, paint)
}

fn summary(series: &UsageSeries, step_ms: u64) -> Vec<Cell> {
    let points = &series.points;
    let optional = |value: Option<String>| Cell::new(value.unwrap_or_default());
    let most = |figure: fn(&UsagePoint) -> Option<f64>| points.iter().filter_map(figure).reduce(f64::max);
    let sum =
        |figure: fn(&UsagePoint) -> Option<u64>| points.iter().filter_map(figure).reduce(|a, b| a.saturating_add(b));
    let memory = points.iter().filter_map(|point| point.memory_bytes);
    let count = memory.clone().count() as u64;
    let memory = memory.reduce(|a, b| a.saturating_add(b)).map(|sum| sum / count.max(1));
    vec![
        Cell::new(&series.name),
        optional(mean(points.iter().filter_map(|point| point.cpu_percent)).map(units::percent)),
        optional(most(|point| point.cpu_percent_max).map(units::percent)),
        optional(memory.map(units::bytes)),
        optional(points.iter().filter_map(|point| point.memory_bytes_max).max().map(units::bytes)),
        optional(points.iter().map(|point| point.processes).max().map(|count| count.to_string())),
        optional(sum(|point| point.read_bytes).map(units::bytes)),
        optional(sum(|point| point.written_bytes).map(units::bytes)),
        optional(sum(|point| Some(point.log_bytes)).map(units::bytes)),
        Cell::styled(spark(points, step_ms), Style::new()),
    ]
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// CPU over the time of all points; a blank where nothing was recorded.
fn spark(points: &[UsagePoint], step_ms: u64) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let ms = |point: &UsagePoint| u64::try_from(point.time.as_millisecond()).unwrap_or(0);
    let (begin, steps) = (ms(first), (ms(last) - ms(first)) / step_ms.max(1) + 1);
    let length = usize::try_from(steps).unwrap_or(SPARK).min(SPARK);
    let mut cells: Vec<Option<f64>> = vec![None; length];
    for point in points {
        let step = (ms(point) - begin) / step_ms.max(1);
        let at = usize::try_from(step * length as u64 / steps.max(1)).unwrap_or(0).min(length - 1);
        cells[at] = match (cells[at], point.cpu_percent) {
            (Some(known), Some(percent)) => Some(known.max(percent)),
            (known, percent) => known.or(percent),
        };
    }
    let most = cells.iter().flatten().fold(LEAST_SCALE, |a, b| a.max(*b));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let mark = |percent: f64| MARKS[((percent / most * 7.0).round() as usize).min(7)];
    cells.into_iter().map(|cell| cell.map_or(' ', mark)).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;
    use crate::render::samples;

    #[test]
    fn what_is_used_now() {
        insta::assert_snapshot!(now(&samples::usage_report(), None, Paint::PLAIN), @r"
        NAME      STATE     CPU      MEM    LIMIT     PEAK  PROCS  THREADS  READ/s   WRITE/s  OUTPUT/s    CPU TIME
        web       ready   12.5%  120 MiB  512 MiB  200 MiB      3       14     0 B  40.0 KiB     812 B  1 min 23 s
        worker.1  frozen   104%                                 1                                  0 B
        all                117%  120 MiB  512 MiB  200 MiB      4       14     0 B  40.0 KiB     812 B  1 min 23 s
        ");
        insta::assert_snapshot!(now(&samples::usage_report(), Some(60), Paint::PLAIN), @r"
        NAME        CPU      MEM  PROCS  READ/s   WRITE/s  OUTPUT/s
        web       12.5%  120 MiB      3     0 B  40.0 KiB     812 B
        worker.1   104%               1                         0 B
        all        117%  120 MiB      4     0 B  40.0 KiB     812 B
        ");
    }

    #[test]
    fn what_was_used() {
        let point = |step: i64, percent: f64| UsagePoint {
            time: jiff::Timestamp::from_second(1_000_000_000 + step * 10).unwrap(),
            cpu_percent: Some(percent),
            cpu_percent_max: Some(percent * 2.0),
            memory_bytes: Some(10 << 20),
            memory_bytes_max: Some(12 << 20),
            processes: 3,
            read_bytes: None,
            written_bytes: Some(4096),
            log_bytes: 10,
        };
        let points = vec![point(0, 0.0), point(1, 50.0), point(2, 100.0), point(6, 25.0)];
        let history = UsageHistory {
            step_ms: 10_000,
            series: vec![
                UsageSeries { name: "web".into(), points },
                UsageSeries { name: "db".into(), points: vec![point(0, 3.0)] },
                UsageSeries { name: "gone".into(), points: Vec::new() },
            ],
        };
        insta::assert_snapshot!(over_time(&history, None, Paint::PLAIN), @r"
        NAME    CPU  MOST       MEM      MOST  PROCS   WRITTEN  OUTPUT  CPU OVER TIME
        web   43.8%  200%  10.0 MiB  12.0 MiB      3  16.0 KiB    40 B  ▁▅█   ▃
        db     3.0%  6.0%  10.0 MiB  12.0 MiB      3   4.0 KiB    10 B  ▃
        ");
        let long: Vec<UsagePoint> = (0..300).map(|step| point(step, f64::from(u32::try_from(step).unwrap()))).collect();
        assert_eq!(spark(&long, 10_000).chars().count(), SPARK);
    }
}
