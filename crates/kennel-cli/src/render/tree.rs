//! Services with their processes, each below the one that started it.

use anstyle::Style;
use jiff::Timestamp;
use kennel_wire::{ProcessUsage, ServiceStatus, ServiceUsage};

use super::paint::{BLUE, DIM, GREEN, Paint, RED, YELLOW, of_service};
use super::table::{Cell, Column, layout};
use super::{ps, units};

const COLUMNS: [Column; 8] = [
    Column { title: "PID", right: true, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "CPU", right: true, spare: 2 },
    Column { title: "MEM", right: true, spare: 1 },
    Column { title: "THREADS", right: true, spare: 4 },
    Column { title: "FILES", right: true, spare: 5 },
    Column { title: "AGE", right: false, spare: 3 },
    Column { title: "SERVICE", right: false, spare: 0 },
];

/// A service, and what it uses if it runs.
pub(crate) type Line<'a> = (&'a ServiceStatus, Option<&'a ServiceUsage>);

/// One line for each service, and one for each of its processes below it.
pub(crate) fn table(lines: &[Line<'_>], now: Timestamp, width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = lines
        .iter()
        .flat_map(|(status, usage)| {
            let processes = usage.map_or(&[][..], |usage| &usage.processes_detail);
            let guides = guides(processes);
            let below = processes.iter().zip(guides).map(|(process, guide)| of_process(process, &guide, now));
            std::iter::once(of_the_service(status, *usage)).chain(below.collect::<Vec<_>>())
        })
        .collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn of_the_service(status: &ServiceStatus, usage: Option<&ServiceUsage>) -> Vec<Cell> {
    let (state, style) = ps::word(status);
    let figures = usage.map(|usage| &usage.usage);
    let optional = |value: Option<String>| Cell::new(value.unwrap_or_default());
    let name = match ps::note(status) {
        Some(note) => format!("{}: {note}", status.name),
        None => status.name.clone(),
    };
    vec![
        Cell::default(),
        Cell::styled(state, style),
        optional(figures.and_then(|figures| figures.cpu_percent).map(units::percent)),
        optional(figures.and_then(|figures| figures.memory_bytes).map(units::bytes)),
        optional(figures.and_then(|figures| figures.threads).map(|count| count.to_string())),
        Cell::default(),
        optional(status.uptime_ms.filter(|_| usage.is_some()).map(units::duration)),
        Cell::styled(name, of_service(&status.service, status.color.as_deref())),
    ]
}

fn of_process(process: &ProcessUsage, guide: &str, now: Timestamp) -> Vec<Cell> {
    let (state, style) = state(process.state);
    let optional = |value: Option<String>| Cell::new(value.unwrap_or_default());
    // The clock may have been set since.
    let age = u64::try_from(now.duration_since(process.started_at).as_millis()).unwrap_or(0);
    vec![
        Cell::new(process.pid.to_string()),
        Cell::styled(state, style),
        optional(process.cpu_percent.map(units::percent)),
        Cell::new(units::bytes(process.memory_bytes)),
        Cell::new(process.threads.to_string()),
        optional(process.open_files.map(|count| count.to_string())),
        Cell::new(units::duration(age)),
        Cell::new(format!("{guide}{}", process.command)),
    ]
}

/// The state letter of `proc_pid_stat(5)` in a word.
fn state(letter: char) -> (&'static str, Style) {
    match letter {
        'R' => ("running", GREEN),
        'S' => ("sleeping", DIM),
        'I' => ("idle", DIM),
        'D' => ("disk", YELLOW),
        'Z' | 'X' => ("zombie", RED),
        'T' => ("stopped", BLUE),
        't' => ("traced", YELLOW),
        _ => ("unknown", DIM),
    }
}

/// What stands before each of these processes, which come with their depths, parents before their children.
fn guides(processes: &[ProcessUsage]) -> Vec<String> {
    // From the last to the first: which depths have another one further down that belongs to the same parent.
    let mut goes_on: Vec<bool> = Vec::new();
    let mut guides: Vec<String> = Vec::with_capacity(processes.len());
    for process in processes.iter().rev() {
        let depth = usize::try_from(process.depth).unwrap_or(0);
        let mut guide: String =
            (0..depth).map(|at| if goes_on.get(at) == Some(&true) { "│  " } else { "   " }).collect();
        guide.push_str(if goes_on.get(depth) == Some(&true) { "├─ " } else { "└─ " });
        guides.push(guide);
        goes_on.resize(depth + 1, false);
        goes_on[depth] = true;
    }
    guides.reverse();
    guides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn services_with_their_processes() {
        let services = [samples::ready("web"), samples::waiting("worker.2"), samples::failed("db")];
        let usage = samples::usage("web");
        let lines = [(&services[0], Some(&usage)), (&services[1], None), (&services[2], None)];
        let table = |width| table(&lines, samples::time(), width, Paint::PLAIN);
        insta::assert_snapshot!(table(None), @r"
         PID  STATE      CPU       MEM  THREADS  FILES  AGE        SERVICE
              ready     3.1%  12.3 MiB       12         3 min 5 s  web
        4242  sleeping  0.0%   133 MiB        1     12  3 min 5 s  ├─ npm run dev
        4250  sleeping  1.5%   133 MiB        2     12  3 min 5 s  │  ├─ sh -c vite
        4251  running   3.0%   133 MiB        3     12  3 min 5 s  │  │  ├─ node vite
        4252  disk      3.0%   133 MiB        3     12  3 min 5 s  │  │  └─ esbuild --service
        4260  stopped   1.5%   133 MiB        2     12  3 min 5 s  │  └─ node watch.js
        4299  zombie    0.0%   134 MiB        1         3 min 5 s  └─ [escaped]
              waiting                                              worker.2: exit 1, retry in 3.0 s
              failed                                               db: cannot execute `./dbd`: no such file
        ");
        insta::assert_snapshot!(table(Some(60)), @r"
         PID  STATE      CPU       MEM  AGE        SERVICE
              ready     3.1%  12.3 MiB  3 min 5 s  web
        4242  sleeping  0.0%   133 MiB  3 min 5 s  ├─ npm run dev
        4250  sleeping  1.5%   133 MiB  3 min 5 s  │  ├─ sh -c vite
        4251  running   3.0%   133 MiB  3 min 5 s  │  │  ├─ node vi…
        4252  disk      3.0%   133 MiB  3 min 5 s  │  │  └─ esbuild…
        4260  stopped   1.5%   133 MiB  3 min 5 s  │  └─ node watch…
        4299  zombie    0.0%   134 MiB  3 min 5 s  └─ [escaped]
              waiting                              worker.2: exit 1…
              failed                               db: cannot execu…
        ");
    }
}
