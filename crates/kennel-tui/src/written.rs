//! What services wrote, as far as it was read: a window of bounded size into their logs that follows their end or stays
//! where it was scrolled to.

use std::collections::VecDeque;

use jiff::Timestamp;
use kennel_wire::LogLine;

use crate::text::Pattern;

/// Lines that are kept at most.
const KEPT: usize = 20_000;
/// Lines from before that are asked for at a time.
pub(crate) const PAGE: u64 = 500;
/// Longest line that is kept, bytes.
const LONGEST: usize = 16 * 1024;

/// Whose log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// One service, by its name in `ps`.
    One(String),
    /// These, or all if there are none.
    Many(Vec<String>),
}

impl Source {
    /// As a query has it.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name.clone()],
            Self::Many(names) => names.clone(),
        }
    }
}

/// A wish for lines from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Older {
    /// That of the first line that is here.
    pub(crate) until: Timestamp,
    /// So many lines of that time are here already.
    pub(crate) held: usize,
}

/// Where a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Idle,
    /// Lines from before are looked through as they come.
    Older,
    /// There is no further hit in this direction.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) source: Option<Source>,
    /// Changes whenever what is here is not to be continued.
    pub(crate) generation: u64,
    lines: VecDeque<LogLine>,
    /// Number of the first line; lines from before have lower ones.
    first: i64,
    /// Lines below those that are shown; 0 follows the end.
    back: usize,
    /// There are no lines from before.
    begun: bool,
    /// Lines from before were asked for.
    asking: bool,
    /// Something was written while there was no room for it.
    behind: bool,
    pattern: Pattern,
    /// The number of the line that was found last.
    found: Option<i64>,
    search: Search,
    /// Why there is no more.
    pub(crate) broken: Option<String>,
    /// From what was written to what is safe to show, with colours or without.
    tame: fn(&str, bool) -> String,
}

impl Written {
    pub(crate) fn new(tame: fn(&str, bool) -> String) -> Self {
        Self {
            source: None,
            generation: 0,
            lines: VecDeque::new(),
            first: 0,
            back: 0,
            begun: false,
            asking: false,
            behind: false,
            pattern: Pattern::default(),
            found: None,
            search: Search::Idle,
            broken: None,
            tame,
        }
    }

    /// Shows this log; nothing changes if it is the same.
    pub(crate) fn of(&mut self, source: Source) {
        if self.source.as_ref() != Some(&source) {
            let (generation, pattern) = (self.generation + 1, std::mem::take(&mut self.pattern));
            *self = Self { source: Some(source), generation, pattern, ..Self::new(self.tame) };
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines stand below those that are shown.
    pub(crate) fn back(&self) -> usize {
        self.back
    }

    /// Whether new lines are shown as they come.
    pub(crate) fn follows(&self) -> bool {
        self.back == 0
    }

    /// Whether there is more below than [`Written::back`] says.
    pub(crate) fn behind(&self) -> bool {
        self.behind
    }

    /// A line by how many stand below it, with its number.
    pub(crate) fn nth_below(&self, below: usize) -> Option<(i64, &LogLine)> {
        let at = self.lines.len().checked_sub(below + 1)?;
        Some((self.number(at), self.lines.get(at)?))
    }

    /// Takes lines that were written after those that are here.
    pub(crate) fn take(&mut self, lines: Vec<LogLine>) {
        self.broken = None;
        for mut line in lines {
            if self.back > 0 {
                if self.behind || self.lines.len() >= KEPT {
                    // Whoever reads what was written before is not disturbed: the end is read again when it is wanted.
                    self.behind = true;
                    return;
                }
                self.back += 1;
            }
            shorten(&mut line);
            self.lines.push_back(line);
            if self.lines.len() > KEPT {
                self.lines.pop_front();
                self.first += 1;
                self.begun = false;
            }
        }
    }

    /// Takes the end anew, between which and what is here more was written than could be shown.
    pub(crate) fn restart(&mut self, lines: Vec<LogLine>) {
        if self.back > 0 {
            self.behind = true;
            return;
        }
        self.first += i64::try_from(self.lines.len()).unwrap_or(i64::MAX);
        self.lines.clear();
        self.begun = false;
        self.take(lines);
    }

    /// Which lines from before are wanted now, where the picture shows so many lines.
    pub(crate) fn wanted(&mut self, shown: usize) -> Option<Older> {
        let near = self.back + shown + 1 >= self.lines.len();
        let full = self.lines.len() >= KEPT;
        if full && self.search == Search::Older {
            self.search = Search::Nothing;
        }
        let wants = (near && self.back > 0) || self.search == Search::Older;
        if self.asking || self.begun || full || !wants {
            return None;
        }
        let until = self.lines.front()?.time;
        self.asking = true;
        Some(Older { until, held: self.lines.iter().take_while(|line| line.time == until).count() })
    }

    /// Takes lines from before, the last first line's time included; `held` of that time are here already.
    pub(crate) fn take_older(&mut self, mut lines: Vec<LogLine>, wish: Older) {
        self.asking = false;
        let held = lines.iter().rev().take_while(|line| line.time == wish.until).count().min(wish.held);
        lines.truncate(lines.len() - held);
        self.begun = lines.is_empty();
        for mut line in lines.into_iter().rev() {
            shorten(&mut line);
            self.lines.push_front(line);
            self.first -= 1;
        }
        if self.search == Search::Older {
            self.search = Search::Idle;
            self.find_older();
        }
    }

    /// After a wish for lines from before was not answered.
    pub(crate) fn refused(&mut self) {
        (self.asking, self.begun) = (false, true);
        if self.search == Search::Older {
            self.search = Search::Nothing;
        }
    }

    /// From where on to ask whoever follows the daemon that told this: a time, and how many lines of it are here. None: the whole end again.
    pub(crate) fn resume(&self) -> Option<(Timestamp, usize)> {
        let last = self.lines.back().filter(|_| !self.behind)?.time;
        Some((last, self.lines.iter().rev().take_while(|line| line.time == last).count()))
    }

    /// Up by so many lines, or down if it is negative.
    pub(crate) fn scroll(&mut self, up: isize, room: usize) {
        let most = self.lines.len().saturating_sub(room.max(1));
        let back = self.back.saturating_add_signed(up).min(most);
        if back == 0 {
            self.follow();
        } else {
            self.back = back;
        }
    }

    /// To the first line that is here.
    pub(crate) fn rewind(&mut self, room: usize) {
        self.back = self.lines.len().saturating_sub(room.max(1));
    }

    /// To the end, which is read again if a part of it is not here.
    pub(crate) fn follow(&mut self) {
        self.back = 0;
        if self.behind
            && let Some(source) = self.source.take()
        {
            self.of(source);
        }
    }

    /// No more than what leaves no room empty.
    pub(crate) fn limit_back(&mut self, most: usize) {
        self.back = self.back.min(most);
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Looks for something else, from the last line that is shown upwards.
    pub(crate) fn seek(&mut self, pattern: &str) {
        self.pattern = Pattern::new(pattern);
        (self.found, self.search) = (None, Search::Idle);
        if !self.pattern.is_empty() {
            self.find_older();
        }
    }

    /// The number of the line that was found last.
    pub(crate) fn found(&self) -> Option<i64> {
        self.found
    }

    /// What to say of a search that has not found what it looks for.
    pub(crate) fn search_state(&self) -> Option<&'static str> {
        match self.search {
            Search::Idle => None,
            Search::Older => Some("searching older lines …"),
            Search::Nothing => Some("no further line has that"),
        }
    }

    /// The next hit above; where there is none here, lines from before are looked through.
    pub(crate) fn find_older(&mut self) {
        let from = self.at(self.found).unwrap_or_else(|| self.lines.len().saturating_sub(self.back));
        match (0..from).rev().find(|at| self.hit(*at)) {
            Some(at) => self.show(at),
            None if self.begun || self.lines.is_empty() => self.search = Search::Nothing,
            None => self.search = Search::Older,
        }
    }

    /// The next hit below.
    pub(crate) fn find_newer(&mut self) {
        let from = self.at(self.found).map_or_else(|| self.lines.len().saturating_sub(self.back), |at| at + 1);
        match (from..self.lines.len()).find(|at| self.hit(*at)) {
            Some(at) => self.show(at),
            None => self.search = Search::Nothing,
        }
    }

    fn hit(&self, at: usize) -> bool {
        self.lines.get(at).is_some_and(|line| self.pattern.is_in(&(self.tame)(&line.line, false)))
    }

    fn show(&mut self, at: usize) {
        (self.found, self.search) = (Some(self.number(at)), Search::Idle);
        // With some lines below it, where there are any; more above is for the eye as well.
        self.back = self.lines.len().saturating_sub(at + 1).saturating_sub(3);
        if self.back == 0 {
            self.follow();
        }
    }

    fn number(&self, at: usize) -> i64 {
        self.first + i64::try_from(at).unwrap_or(i64::MAX)
    }

    fn at(&self, number: Option<i64>) -> Option<usize> {
        usize::try_from(number? - self.first).ok().filter(|at| *at < self.lines.len())
    }
}

/// Cuts what nobody could read on a terminal.
fn shorten(line: &mut LogLine) {
    if line.line.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| line.line.is_char_boundary(*at)).unwrap_or(0);
        line.line.truncate(end);
        line.line.push('…');
    }
    // Only needed where bytes matter.
    line.bytes = None;
}
