//! Lines of a log as styled columns: colours, what was looked for, tabs, and where a long one goes on.

use std::ops::Range;

use ansi_to_tui::IntoText;
use ratatui::style::Style;

/// Columns between two stops of a tab.
const TAB: usize = 8;

/// What is looked for, whatever the case of its letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    lower: Vec<char>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), lower: text.chars().map(lower).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    pub(crate) fn is_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().map(lower).collect();
        !self.is_empty() && text.windows(self.lower.len()).any(|part| part == self.lower)
    }

    /// Where it stands, in letters from the begin; none overlaps another.
    fn hits(&self, text: &[char]) -> Vec<Range<usize>> {
        let mut hits = Vec::new();
        let mut at = 0;
        while !self.is_empty() && at + self.lower.len() <= text.len() {
            let end = at + self.lower.len();
            if text[at..end].iter().copied().map(lower).eq(self.lower.iter().copied()) {
                hits.push(at..end);
                at = end;
            } else {
                at += 1;
            }
        }
        hits
    }
}

/// One letter as one, so that places in a text stay what they are.
fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// A letter with what combines with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) symbol: String,
    /// Columns, 1 or 2.
    pub(crate) width: usize,
    pub(crate) style: Style,
}

/// From a text that has no control characters but tabs and SGR sequences.
pub(crate) fn cells(tamed: &str, base: Style, pattern: &Pattern, hit: Style) -> Vec<Cell> {
    let text = tamed.into_text().unwrap_or_default();
    let spans = text.lines.into_iter().flat_map(|line| line.spans);
    let letters: Vec<(char, Style)> = spans
        .flat_map(|span| {
            let style = base.patch(span.style);
            span.content.chars().map(|letter| (letter, style)).collect::<Vec<_>>()
        })
        .collect();
    let plain: Vec<char> = letters.iter().map(|(letter, _)| *letter).collect();
    let hits = pattern.hits(&plain);
    let mut cells: Vec<Cell> = Vec::with_capacity(letters.len());
    let mut column = 0;
    for (at, (letter, style)) in letters.into_iter().enumerate() {
        let style = if hits.iter().any(|range| range.contains(&at)) { style.patch(hit) } else { style };
        if letter == '\t' {
            let width = TAB - column % TAB;
            cells.extend(std::iter::repeat_n(Cell { symbol: " ".into(), width: 1, style }, width));
            column += width;
            continue;
        }
        let symbol = letter.to_string();
        match (ratatui::text::Span::raw(&symbol).width(), cells.last_mut()) {
            (0, Some(before)) => before.symbol.push(letter),
            (0, None) => {}
            (width, _) => {
                column += width;
                cells.push(Cell { symbol, width, style });
            }
        }
    }
    cells
}

/// Parts of at most `width` columns each; at least one, which may be empty.
pub(crate) fn wrapped(cells: &[Cell], width: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut from, mut taken) = (0, 0);
    for (at, cell) in cells.iter().enumerate() {
        if taken + cell.width > width && at > from {
            parts.push(from..at);
            (from, taken) = (at, 0);
        }
        taken += cell.width;
    }
    parts.push(from..cells.len());
    parts
}

#[cfg(test)]
mod tests {
    use ratatui::style::{Color, Modifier};

    use super::*;

    fn told(cells: &[Cell]) -> String {
        cells.iter().map(|cell| cell.symbol.as_str()).collect()
    }

    fn vec_of(one: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(one).collect()
    }

    #[test]
    fn colours_and_hits() {
        let hit = Style::new().add_modifier(Modifier::REVERSED);
        let cells = cells("a\u{1b}[31mError\u{1b}[0m b", Style::new(), &Pattern::new("ERR"), hit);
        assert_eq!(told(&cells), "aError b");
        let reversed: String = cells
            .iter()
            .filter(|one| one.style.add_modifier.contains(Modifier::REVERSED))
            .map(|c| &*c.symbol)
            .collect();
        assert_eq!(reversed, "Err");
        assert_eq!((cells[1].style.fg, cells[4].style.fg), (Some(Color::Red), Some(Color::Red)));
        assert_ne!(cells[7].style.fg, Some(Color::Red));
    }

    #[test]
    fn tabs_and_wide_letters_have_their_columns() {
        let cells = cells("ab\tc漢e\u{301}", Style::new(), &Pattern::default(), Style::new());
        assert_eq!(told(&cells), "ab      c漢e\u{301}");
        assert_eq!(cells.iter().map(|cell| cell.width).sum::<usize>(), 12);
        assert_eq!(wrapped(&cells, 10), [0..9, 9..11], "a wide letter is not cut in two");
        assert_eq!(wrapped(&[], 10), vec_of(0..0));
        assert_eq!(wrapped(&cells[9..10], 1), vec_of(0..1), "one that fits nowhere ends as well");
    }

    #[test]
    fn places_are_counted_in_letters() {
        let letters: Vec<char> = "İİaaa".chars().collect();
        assert_eq!(Pattern::new("AA").hits(&letters), vec_of(2..4));
        assert!(Pattern::new("aA").is_in("İİaaa") && !Pattern::new("").is_in("x"));
    }
}
