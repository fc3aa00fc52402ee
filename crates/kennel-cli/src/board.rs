//! The progress of many services at once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anstyle::Style;
use indexmap::IndexMap;
use kennel_wire::Event;

use crate::render::paint::DIM;
use crate::render::phase::Phase;

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Up,
    Down,
}

/// The progress of many services, fed by events.
#[derive(Debug)]
pub(crate) struct Board {
    goal: Goal,
    rows: IndexMap<String, Row>,
    width: usize,
    /// Whose progress it is; of all if none.
    only: Option<HashSet<String>>,
}

#[derive(Debug)]
struct Row {
    phase: Phase,
    since: Instant,
}

impl Board {
    pub(crate) fn new(goal: Goal) -> Self {
        Self { goal, rows: IndexMap::new(), width: 0, only: None }
    }

    /// Leaves out what happens to others.
    pub(crate) fn only(&mut self, names: HashSet<String>) {
        self.width = 0;
        self.expect(names.iter().map(String::as_str));
        self.only = Some(names);
    }

    /// Makes room for names that are known beforehand, so that columns do not jump.
    pub(crate) fn expect<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let longest = names.into_iter().map(|name| name.chars().count()).max().unwrap_or(0);
        self.width = self.width.max(longest);
    }

    /// Takes note; answers with the one line to print where nothing can be redrawn, if it is worth one.
    pub(crate) fn apply(&mut self, event: &Event, now: Instant) -> Option<String> {
        let name = event.service.as_ref()?;
        if self.only.as_ref().is_some_and(|only| !only.contains(name)) {
            return None;
        }
        let before = self.rows.get(name).map(|row| &row.phase);
        let phase = Phase::of(event, before)?;
        if before == Some(&phase) {
            return None;
        }
        self.width = self.width.max(name.chars().count());
        let told = self.worth_telling(&phase);
        let since = match self.rows.get(name) {
            // The stages of one stop are one wait.
            Some(row) if matches!((&row.phase, &phase), (Phase::Stopping { .. }, Phase::Stopping { .. })) => row.since,
            _ => now,
        };
        self.rows.insert(name.clone(), Row { phase, since });
        told.then(|| self.line(name).map(|(line, _)| format!("{line}\n"))).flatten()
    }

    fn worth_telling(&self, phase: &Phase) -> bool {
        match (self.goal, phase) {
            // What follows an exit says it again, with what comes next.
            (_, Phase::Exited(_) | Phase::Stopped) => false,
            (Goal::Up, Phase::Stopping { .. } | Phase::Down(_)) => false,
            // Its first stage follows at once.
            (Goal::Down, Phase::Stopping { stage: None }) => false,
            (Goal::Up | Goal::Down, _) => true,
        }
    }

    /// Names of those that are not there yet.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.rows.iter().filter(|(_, row)| !self.done(&row.phase)).map(|(name, _)| name.clone()).collect()
    }

    fn done(&self, phase: &Phase) -> bool {
        match self.goal {
            Goal::Up => phase.started(),
            Goal::Down => phase.stopped(),
        }
    }

    fn line(&self, name: &str) -> Option<(String, Style)> {
        let row = self.rows.get(name)?;
        let (mark, style) = row.phase.mark();
        Some((format!("{mark} {name:<width$}  {}", row.phase.text(), width = self.width), style))
    }

    /// Lines to draw, at most `room`. Where there are more, those that are not there yet are shown, and how many are.
    pub(crate) fn lines(&self, room: usize, now: Instant) -> Vec<(String, Style)> {
        let all = self.rows.len();
        let (done, open): (Vec<_>, Vec<_>) = self.rows.iter().partition(|(_, row)| self.done(&row.phase));
        let rows: Vec<_> =
            if all <= room { self.rows.iter().collect() } else { open.into_iter().take(room - 1).collect() };
        let mut lines: Vec<(String, Style)> = rows
            .into_iter()
            .filter_map(|(name, row)| {
                let (mut line, style) = self.line(name)?;
                let waited = now.saturating_duration_since(row.since);
                if !self.done(&row.phase) && waited >= Duration::from_secs(1) {
                    line.push_str(&format!(" · {} s", waited.as_secs()));
                }
                Some((line, style))
            })
            .collect();
        if all > room {
            let word = if self.goal == Goal::Up { "started" } else { "stopped" };
            lines.push((format!("  {} of {all} {word}", done.len()), DIM));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use kennel_wire::{EventKind, Exit};

    fn feed(board: &mut Board, now: Instant, kinds: &[(&str, EventKind)]) -> String {
        let event = |(name, kind): &(&str, EventKind)| Event {
            service: Some((*name).into()),
            ..samples::event(1, kind.clone())
        };
        kinds.iter().filter_map(|one| board.apply(&event(one), now)).collect()
    }

    fn start() -> Vec<(&'static str, EventKind)> {
        vec![
            ("db", EventKind::Pending { waiting_for: vec![] }),
            ("worker.1", EventKind::Pending { waiting_for: vec!["db healthy".into()] }),
            ("db", EventKind::Started { pid: 7, identity: None }),
            ("db", EventKind::Ready { after_ms: 1234 }),
            ("worker.1", EventKind::Started { pid: 8, identity: None }),
            ("worker.1", EventKind::Exited { pid: 8, exit: Exit::Code { code: 3 } }),
            ("worker.1", EventKind::RestartScheduled { in_ms: 400, attempt: 1 }),
        ]
    }

    #[test]
    fn one_line_for_each_change() {
        let mut board = Board::new(Goal::Up);
        let told = feed(&mut board, Instant::now(), &start());
        insta::assert_snapshot!(told, @r"
        ○ db  pending
        ○ worker.1  waiting for db healthy
        ● db        starting, pid 7
        ✓ db        ready in 1.2 s
        ● worker.1  starting, pid 8
        ! worker.1  exit 3, restart 1 in 0.4 s
        ");
        assert_eq!(board.unfinished(), ["worker.1"]);
    }

    #[test]
    fn the_picture_fits_its_room() {
        let (mut board, now) = (Board::new(Goal::Up), Instant::now());
        feed(&mut board, now, &start());
        let picture = |room| {
            let lines = board.lines(room, now + Duration::from_millis(2500));
            lines.into_iter().map(|(line, _)| line + "\n").collect::<String>()
        };
        insta::assert_snapshot!(picture(5), @r"
        ✓ db        ready in 1.2 s
        ! worker.1  exit 3, restart 1 in 0.4 s · 2 s
        ");
        insta::assert_snapshot!(picture(1), @"  1 of 2 started");
    }

    #[test]
    fn a_stop_is_one_wait() {
        let (mut board, begin) = (Board::new(Goal::Down), Instant::now());
        let later = begin + Duration::from_secs(12);
        feed(&mut board, begin, &[("db", EventKind::Stage { stage: "TERM".into() })]);
        feed(&mut board, later, &[("db", EventKind::Stage { stage: "KILL".into() })]);
        insta::assert_snapshot!(board.lines(5, later)[0].0, @"● db  stopping, KILL · 12 s");
        let down = EventKind::Down { receipt: Box::new(samples::receipt("db")) };
        insta::assert_snapshot!(feed(&mut board, later, &[("db", down)]), @"✓ db  down in 0.3 s");
        assert!(board.unfinished().is_empty());
    }
}
