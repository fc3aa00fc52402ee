//! Everything about the chosen service: why, charts, figures without room in the table, and what happened.

use kennel_wire::{Health, ServiceStatus, ServiceUsage};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{put, put_all, put_at, put_right};
use crate::chart::{bars, scale};
use crate::state::State;
use crate::theme::Theme;
use crate::units::{counted, duration, percent, rate, size};

/// Draws as much as there is room for, from the line on that is scrolled to.
pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let most = u16::try_from(state.view.scrolled).unwrap_or(u16::MAX).min(200);
    let mut whole = Buffer::empty(Rect { x: 0, y: 0, width: area.width, height: area.height.saturating_add(most) });
    let lines = write(state, theme, area.height, &mut whole);
    let scrolled = most.min(lines.saturating_sub(area.height));
    for (y, x) in (0..area.height).flat_map(|y| (0..area.width).map(move |x| (y, x))) {
        buffer[(area.x + x, area.y + y)] = whole[(x, y + scrolled)].clone();
    }
    state.view.scrolled = scrolled.into();
}

/// Writes everything for a pane of this height; answers with how many lines that takes.
fn write(state: &State, theme: Theme, height: u16, buffer: &mut Buffer) -> u16 {
    let Some(status) = state.service() else { return 0 };
    let usage = state.look.as_ref().and_then(|look| look.usage_of(status));
    let area = buffer.area;
    let mut pen = Pen { theme, area, height, line: 0, buffer };
    for text in facts(state, status) {
        pen.write(&text, Style::new());
    }
    for (name, text) in watched(state, status) {
        pen.field(name, &text);
    }
    if let Some(usage) = usage {
        charts(&mut pen, state, usage, crate::look::memory_limit(status, usage));
        for (name, text) in figures(usage) {
            pen.field(name, &text);
        }
    }
    let left = usize::from(pen.area.height.saturating_sub(pen.line + 2));
    let events: Vec<_> = state.events(Some(&status.name)).rev().take(left.min(12)).collect();
    if !events.is_empty() && left > 0 {
        pen.line += 1;
        for event in events.into_iter().rev() {
            let time = event.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
            let column = put_at(pen.buffer, pen.area, 0, pen.line, &time, theme.dim());
            put_at(pen.buffer, pen.area, column + 2, pen.line, &(state.words.event)(event), Style::new());
            pen.line += 1;
        }
    }
    pen.line
}

/// Writes line by line.
struct Pen<'a> {
    theme: Theme,
    area: Rect,
    /// Lines that are seen at a time.
    height: u16,
    line: u16,
    buffer: &'a mut Buffer,
}

impl Pen<'_> {
    fn write(&mut self, text: &str, style: Style) {
        put(self.buffer, self.area, self.line, text, style);
        self.line += 1;
    }

    fn field(&mut self, name: &str, text: &str) {
        put(self.buffer, self.area, self.line, name, self.theme.dim());
        put_at(self.buffer, self.area, 10, self.line, text, Style::new());
        self.line += 1;
    }
}

/// What is known of it without figures.
fn facts(state: &State, status: &ServiceStatus) -> Vec<String> {
    let run = status.instance.map(|number| format!("run {number}"));
    let pid = status.pid.map(|pid| format!("pid {pid}"));
    let age = status.uptime_ms.filter(|_| status.pid.is_some()).map(|ms| format!("for {}", duration(ms)));
    let restarts = (status.restarts > 0).then(|| format!("restarts {}", status.restarts));
    let ports: Vec<String> = status.ports.iter().map(|(name, port)| format!("{name}:{port}")).collect();
    let exit = status.last_exit.map(|exit| format!("last exit: {exit}"));
    let line = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let ports = (!ports.is_empty()).then(|| format!("ports {}", ports.join(" ")));
    let lines = [
        (state.words.note)(status).unwrap_or_default(),
        line(vec![run, pid, age, restarts, ports, exit]),
        status.command.join(" ").replace(char::is_control, " "),
    ];
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

/// What probes, the hang detection and limits say of it.
fn watched(state: &State, status: &ServiceStatus) -> Vec<(&'static str, String)> {
    let now = state.now;
    let since = |at: Option<jiff::Timestamp>| {
        let ms = at.and_then(|at| u64::try_from(now.duration_since(at).as_millis()).ok());
        ms.map(|ms| format!(" for {}", duration(ms))).unwrap_or_default()
    };
    let mut fields = Vec::new();
    if status.health != Health::None && status.pid.is_some() {
        let reason = status.health_reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
        let took = status.probe_ms.map(|ms| format!(", probe took {ms:.1} ms")).unwrap_or_default();
        fields.push(("health", format!("{}{}{reason}{took}", status.health.as_str(), since(status.health_since))));
    }
    if let Some(activity) = status.activity {
        fields.push(("doing", format!("{}{}", activity.as_str(), since(status.activity_since))));
    }
    for (at, limit) in status.limits.iter().enumerate() {
        fields.push((if at == 0 { "limits" } else { "" }, (state.words.limit)(limit)));
    }
    fields
}

/// CPU and memory over the looks so far.
fn charts(pen: &mut Pen<'_>, state: &State, usage: &ServiceUsage, limit: Option<u64>) {
    let width = usize::from(pen.area.width);
    let points = state.trend(&usage.name, width);
    let over = state.span.word().map(|word| format!("{word}, ")).unwrap_or_default();
    let high = pen.height >= 23;
    let height = match pen.height {
        0..23 => 2,
        23..37 => 5,
        _ => 8,
    };
    let cpu: Vec<f64> = points.iter().map(|point| point.cpu).collect();
    let memory: Vec<f64> = points.iter().map(|point| point.memory).collect();

    if high {
        pen.line += 1;
    }
    let now = usage.usage.cpu_percent.map_or_else(|| "–".to_owned(), |cpu| format!("{}%", percent(cpu)));
    let top = scale(&cpu, 12.5);
    chart(pen, "CPU", &now, &format!("{over}of {}%", percent(top)), &bars(&cpu, width, height, top), |theme| {
        theme.busy()
    });

    let now = usage.usage.memory_bytes.map_or_else(|| "–".to_owned(), size);
    #[expect(clippy::cast_precision_loss, reason = "for a chart")]
    let (top, of) = match limit {
        Some(limit) => (limit as f64, format!("of its limit {}", size(limit))),
        None => {
            let top = scale(&memory, 1_048_576.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
            let of = format!("of {}", size(top as u64));
            (top, of)
        }
    };
    chart(pen, "Memory", &now, &format!("{over}{of}"), &bars(&memory, width, height, top), |theme| theme.good());
}

fn chart(pen: &mut Pen<'_>, name: &str, now: &str, of: &str, rows: &[String], style: fn(Theme) -> Style) {
    let parts = [(name, pen.theme.bold()), ("  ", Style::new()), (now, style(pen.theme))];
    put_all(pen.buffer, pen.area, 0, pen.line, &parts);
    let whole = (0, pen.area.width);
    put_right(pen.buffer, pen.area, whole, pen.line, of, pen.theme.dim());
    pen.line += 1;
    for row in rows {
        let style = style(pen.theme);
        pen.write(row, style);
    }
}

/// Figures by their names, those that are known.
fn figures(usage: &ServiceUsage) -> Vec<(&'static str, String)> {
    let figures = &usage.usage;
    let both = |a: Option<String>, b: Option<String>| match (a, b) {
        (None, None) => None,
        (a, b) => Some([a, b].into_iter().flatten().collect::<Vec<_>>().join(" · ")),
    };
    let moved = |word: &str, per_second: Option<f64>, all: Option<u64>| {
        let all = all.map(|all| format!(" ({})", size(all))).unwrap_or_default();
        per_second.map(|amount| format!("{word} {}/s{all}", rate(amount)))
    };
    let processes = match figures.processes_limit {
        Some(limit) => format!("{} of {limit}", figures.processes),
        None => figures.processes.to_string(),
    };
    let threads = figures.threads.map(|count| counted(count.into(), "thread", "threads"));
    let peak = figures.memory_peak_bytes.map(|bytes| format!("peak {}", size(bytes)));
    let swap = figures.swap_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("swap {}", size(bytes)));
    let waits = |word: &str, share: Option<f64>| share.map(|share| format!("{word} {}%", percent(share)));
    let pressure = [
        waits("CPU", figures.cpu_pressure),
        waits("memory", figures.memory_pressure),
        waits("I/O", figures.io_pressure),
    ];
    let pressure: Vec<String> = pressure.into_iter().flatten().collect();
    let fields = [
        ("processes", both(Some(processes), threads)),
        ("memory", both(peak, swap)),
        ("CPU time", figures.cpu_ms.map(duration)),
        ("throttled", figures.throttled_ms.filter(|ms| *ms > 0).map(duration)),
        (
            "disk",
            both(
                moved("reads", figures.read_rate, figures.read_bytes),
                moved("writes", figures.write_rate, figures.written_bytes),
            ),
        ),
        ("output", moved("writes", Some(figures.log_rate), Some(figures.log_bytes))),
        ("waits for", (!pressure.is_empty()).then(|| pressure.join(" · "))),
        ("source", (!usage.source.is_empty()).then(|| usage.source.clone())),
    ];
    fields.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}
