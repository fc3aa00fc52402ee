//! Above the table: where we are, the machine, and how many of what there is.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{put_all, put_at, put_right, width_of};
use crate::Look;
use crate::chart::share;
use crate::state::State;
use crate::theme::Theme;
use crate::units::{counted, percent, size};

/// Draws it; answers with its height.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let column =
        put_all(buffer, area, 0, 0, &[("kennel", theme.key()), ("  ", theme.dim()), (&state.instance, theme.bold())]);
    let clock = state.now.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
    put_right(buffer, area, (0, area.width), 0, &clock, theme.dim());
    if let Some(why) = &state.gone {
        let room = Rect { width: area.width.saturating_sub(10), ..area };
        put_at(buffer, room, column + 2, 0, why, theme.bad());
    }
    let Some(look) = &state.look else { return 1 };
    if look.usage.machine.cpus > 0 && area.height > 8 {
        let gauge = (area.width / 3).clamp(10, 40);
        cpu(look, theme, area, gauge, buffer);
        memory(look, theme, area, gauge, buffer);
        counts(look, theme, area, 3, buffer);
        return 4 + alerts(state, look, theme, area, 4, buffer);
    }
    counts(look, theme, area, 1, buffer);
    2 + alerts(state, look, theme, area, 2, buffer)
}

/// `▲ test  rule pool: 112 processes, threshold 80, frozen  and 2 more`, while something is too much; answers with its height.
fn alerts(state: &State, look: &Look, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) -> u16 {
    // The youngest is the news.
    let Some(alert) = look.alerts.last() else { return 0 };
    let more = match look.alerts.len() {
        1 => String::new(),
        all => format!("  and {} more", all - 1),
    };
    let room = Rect { width: area.width.saturating_sub(u16::try_from(width_of(&more)).unwrap_or(0)), ..area };
    let who = alert.service.as_deref().unwrap_or("all services");
    let words = (state.words.alert)(alert);
    let parts = [("▲ ", theme.bad()), (who, theme.bold()), ("  ", theme.dim()), (&words, theme.bad())];
    let column = put_all(buffer, room, 0, line, &parts);
    put_at(buffer, area, column, line, &more, theme.dim());
    1
}

/// What we use of all CPUs.
fn cpu(look: &Look, theme: Theme, area: Rect, gauge: u16, buffer: &mut Buffer) {
    let machine = &look.usage.machine;
    let all = f64::from(machine.cpus) * 100.0;
    let used = look.usage.total.cpu_percent.unwrap_or(0.0);
    let style = theme.load(used / f64::from(machine.cpus));
    let column = put_at(buffer, area, 0, 1, "CPU ", theme.bold());
    let ours = share(used, all, gauge.into());
    let column = put_at(buffer, area, column, 1, &"━".repeat(ours), style);
    let column = put_at(buffer, area, column, 1, &"─".repeat(usize::from(gauge) - ours), theme.dim());
    let figure = look.usage.total.cpu_percent.map_or_else(|| "–".to_owned(), percent);
    let cpus = counted(machine.cpus.into(), "CPU", "CPUs");
    let of = format!(" of {cpus}, load {:.2}", machine.load);
    put_all(buffer, area, column + 1, 1, &[(&figure, theme.bold()), ("%", theme.bold()), (&of, theme.dim())]);
}

/// What we use of the memory, and what others do.
#[expect(clippy::cast_precision_loss, reason = "for a gauge")]
fn memory(look: &Look, theme: Theme, area: Rect, gauge: u16, buffer: &mut Buffer) {
    let machine = &look.usage.machine;
    let used = look.usage.total.memory_bytes.unwrap_or(0);
    let column = put_at(buffer, area, 0, 2, "MEM ", theme.bold());
    let all = machine.memory_bytes as f64;
    let ours = share(used as f64, all, gauge.into());
    let taken = machine.memory_bytes.saturating_sub(machine.available_bytes);
    let others = share(taken.saturating_sub(used) as f64, all, gauge.into()).min(usize::from(gauge) - ours);
    let column = put_at(buffer, area, column, 2, &"━".repeat(ours), theme.good());
    let column = put_at(buffer, area, column, 2, &"━".repeat(others), theme.dim());
    let column = put_at(buffer, area, column, 2, &"─".repeat(usize::from(gauge) - ours - others), theme.dim());
    let of = format!(" of {}, {} free", size(machine.memory_bytes), size(machine.available_bytes));
    put_all(buffer, area, column + 1, 2, &[(&size(used), theme.bold()), (&of, theme.dim())]);
}

/// `6 services: 4 ready, 1 failed · 32 processes · 118 threads · kennel 7.9 MiB`
fn counts(look: &Look, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let services = counted(look.services.len() as u64, "service", "services");
    let mut column = put_at(buffer, area, 0, line, &services, theme.bold());
    let mut before = ": ";
    for word in WORDS {
        let mut alike = look.services.iter().map(|one| theme.service(one)).filter(|(_, other, _)| *other == word);
        if let Some((_, _, style)) = alike.next() {
            let text = format!("{} {word}", 1 + alike.count());
            column = put_all(buffer, area, column, line, &[(before, theme.dim()), (&text, style)]);
            before = ", ";
        }
    }
    let total = &look.usage.total;
    let mut parts = vec![counted(total.processes.into(), "process", "processes")];
    parts.extend(total.threads.map(|count| counted(count.into(), "thread", "threads")));
    let own = look.usage.own.daemon_memory_bytes + look.usage.own.keeper_memory_bytes;
    parts.extend((own > 0).then(|| format!("kennel itself {}", size(own))));
    for part in parts {
        // A part of one says nothing.
        if usize::from(column) + width_of(&part) + 3 > usize::from(area.width) {
            break;
        }
        column = put_all(buffer, area, column, line, &[(" · ", theme.dim()), (&part, theme.dim())]);
    }
}

/// Words for services, what is worth a look first.
const WORDS: [&str; 17] = [
    "stuck",
    "given up",
    "failed",
    "zombie",
    "unhealthy",
    "stalled",
    "spinning",
    "frozen",
    "waiting",
    "stopping",
    "starting",
    "pending",
    "ready",
    "up",
    "completed",
    "scheduled",
    "stopped",
];

#[cfg(test)]
mod tests {
    use kennel_wire::State;

    use super::*;

    #[test]
    fn every_word_is_counted() {
        use State::{
            Completed, Failed, GivenUp, Pending, Ready, Scheduled, Starting, Stopped, Stopping, Stuck, Unhealthy, Up,
            Waiting,
        };
        let theme = Theme { color: false };
        let states = [
            Completed, Failed, GivenUp, Pending, Ready, Scheduled, Starting, Stopped, Stopping, Stuck, Unhealthy, Up,
            Waiting,
        ];
        assert!(states.into_iter().all(|state| WORDS.contains(&theme.state(state, false).1)));
        assert!(WORDS.contains(&theme.state(Ready, true).1));
    }
}
