//! What the looks came to.

use std::fmt;

use super::lines::Lines;
use super::look::{Held, Look};
use super::plot;

/// A process holds more at the end than after it has warmed up: beyond this it grows. Memory in KiB: caches of the
/// allocator and of the store breathe.
const MEMORY: u64 = 1024;
/// The same of descriptors: some belong to what is being started at the moment of a look.
const DESCRIPTORS: u64 = 12;
/// The same of threads: some come and go.
const THREADS: u64 = 2;

/// One of the figures of a process.
type Figure = fn(&Held) -> u64;

/// The result of a soak.
#[derive(Debug)]
pub struct Report {
    looks: Vec<Look>,
    cycles: u64,
    lines: u64,
    /// What is not as it should be, a line each; empty: all is well.
    pub failures: Vec<String>,
}

impl Report {
    pub(super) fn new(
        looks: Vec<Look>,
        cycles: u64,
        mut failures: Vec<String>,
        lines: &Lines,
        left: String,
        same: bool,
    ) -> Self {
        if !same {
            failures.push("daemon or keeper is not the one that was started".to_owned());
        }
        if !left.is_empty() {
            failures.push(format!("left after `down`:\n{left}"));
        }
        if lines.wrong > 0 || lines.count == 0 {
            failures.push(format!("{} of {} lines are missing or came twice", lines.wrong, lines.count));
        }
        let zombies = looks.iter().map(|look| look.zombies).sum::<usize>();
        if zombies > 0 {
            failures.push(format!("{zombies} zombies were there at two looks"));
        }
        failures.extend(growth(&looks));
        Self { looks, cycles, lines: lines.count, failures }
    }

    /// The looks as an SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        plot::svg(&self.looks)
    }
}

/// What daemon and keeper hold more of in the last fifth than in the second: in the first they warm up.
fn growth(looks: &[Look]) -> Vec<String> {
    let fifth = looks.len() / 5;
    let (Some(early), Some(late)) = (looks.get(fifth..2 * fifth), looks.get(looks.len() - fifth..)) else {
        return Vec::new();
    };
    if fifth == 0 {
        return vec!["too short to tell whether anything grows".to_owned()];
    }
    let mut grown = Vec::new();
    for (of, name) in ["daemon", "keeper"].into_iter().enumerate() {
        let figures: [(&str, Figure, u64); 3] = [
            ("KiB of its own memory", |held| held.anonymous, MEMORY),
            ("descriptors", |held| held.descriptors, DESCRIPTORS),
            ("threads", |held| held.threads, THREADS),
        ];
        for (what, figure, allowed) in figures {
            let (before, after) = (median(early, of, figure), median(late, of, figure));
            if after > before + allowed {
                grown.push(format!("the {name} has {after} {what}, and had {before}"));
            }
        }
    }
    grown
}

fn median(looks: &[Look], of: usize, figure: Figure) -> u64 {
    let mut values: Vec<u64> = looks.iter().filter_map(|look| Some(figure(look.held.get(of)?))).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.looks.last() else { return f.write_str("no look was taken") };
        let (minutes, most) = (last.at / 60.0, self.looks.iter().map(|look| look.processes).max().unwrap_or(0));
        writeln!(
            f,
            "{:.0} minutes, {} starts and stops, {} lines followed, {most} processes at most\n",
            minutes, self.cycles, self.lines
        )?;
        writeln!(f, "| | begin | middle | end | most | CPU |\n|---|---|---|---|---|---|")?;
        let fifth = (self.looks.len() / 5).max(1);
        let middle = self.looks.len() / 2;
        let parts = [self.looks.get(..fifth), self.looks.get(middle..middle + fifth), self.looks.rchunks(fifth).next()];
        for (of, name) in ["daemon", "keeper"].into_iter().enumerate() {
            let figures: [(&str, Figure); 4] = [
                ("own memory, KiB", |held| held.anonymous),
                ("resident, KiB", |held| held.resident),
                ("descriptors", |held| held.descriptors),
                ("threads", |held| held.threads),
            ];
            let ticks = last.held.get(of).map_or(0, |held| held.ticks);
            let hertz = rustix::param::clock_ticks_per_second() as f64;
            let cpu = format!("{:.1} %", ticks as f64 / hertz / last.at * 100.0);
            for (what, figure) in figures {
                let parts = parts.map(|part| median(part.unwrap_or_default(), of, figure).to_string()).join(" | ");
                let most = self.looks.iter().filter_map(|look| look.held.get(of)).map(figure).max().unwrap_or(0);
                writeln!(f, "| {name}: {what} | {parts} | {most} | {cpu} |")?;
            }
        }
        for failure in &self.failures {
            writeln!(f, "\nFAILED: {failure}")?;
        }
        Ok(())
    }
}
