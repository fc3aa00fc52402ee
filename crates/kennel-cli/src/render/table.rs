//! Columns of text that fit a width.
//!
//! Not a table crate: columns nobody needs are left out before one is cut, which none of them does.

use anstyle::Style;

use super::paint::{BOLD, Paint};

/// One value with its style.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) right: bool,
    /// Left out, the highest first, where the width does not suffice; 0: never.
    pub(crate) spare: u8,
}

const GAP: &str = "  ";
/// The last column is not cut below this.
const LEAST: usize = 12;

/// Lays out `rows`; a column without any text is left out. Every line ends with a newline.
pub(crate) fn layout(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>, paint: Paint) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let longest = rows.iter().map(|row| row[at].text.chars().count()).max().unwrap_or(0);
            if longest == 0 { 0 } else { longest.max(column.title.chars().count()) }
        })
        .collect();
    let shown = choose(columns, &widths, width);
    let used: usize = shown.iter().map(|at| widths[*at] + GAP.len()).sum::<usize>().saturating_sub(GAP.len());
    let over = width.map_or(0, |width| used.saturating_sub(width));
    let mut text = String::new();
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::styled(column.title, BOLD)).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        let mut pending = 0;
        for (position, at) in shown.iter().copied().enumerate() {
            let last = position + 1 == shown.len();
            let room = if last { widths[at].saturating_sub(over).max(LEAST.min(widths[at])) } else { widths[at] };
            let value = cut(&row[at].text, room);
            let pad = room - value.chars().count();
            let before = if columns[at].right { pad } else { 0 };
            if !value.is_empty() {
                line.push_str(&" ".repeat(pending + before));
                line.push_str(&paint.paint(row[at].style, &value));
                pending = 0;
            } else {
                pending += before;
            }
            // Blanks are written before the next value only, so that no line ends with them.
            pending += pad - before + GAP.len();
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Indices of the columns that have something and find room.
fn choose(columns: &[Column], widths: &[usize], width: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).filter(|at| widths[*at] > 0).collect();
    let Some(width) = width else { return shown };
    loop {
        let fixed: usize = shown.iter().map(|at| widths[*at] + GAP.len()).sum::<usize>().saturating_sub(GAP.len());
        let slack = shown.last().map_or(0, |at| widths[*at].saturating_sub(LEAST));
        if fixed.saturating_sub(slack) <= width {
            return shown;
        }
        let spare = shown.iter().copied().filter(|at| columns[*at].spare > 0).max_by_key(|at| columns[*at].spare);
        match spare {
            Some(least) => shown.retain(|at| *at != least),
            None => return shown,
        }
    }
}

/// At most `room` characters, the last of them `…` if there were more.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: Option<usize>) -> String {
        let column = |title, right, spare| Column { title, right, spare };
        let columns = [
            column("NAME", false, 0),
            column("PID", true, 0),
            column("EMPTY", false, 0),
            column("CPU", true, 1),
            column("NOTE", false, 0),
        ];
        let row = |cells: [&str; 5]| cells.map(Cell::new).to_vec();
        let rows = [row(["web", "17", "", "3.1%", "all is well and will be"]), row(["database", "", "", "100%", ""])];
        layout(&columns, &rows, width, Paint::PLAIN)
    }

    #[test]
    fn a_table_fits_its_width() {
        insta::assert_snapshot!(sample(None), @r"
        NAME      PID   CPU  NOTE
        web        17  3.1%  all is well and will be
        database       100%
        ");
        insta::assert_snapshot!(sample(Some(38)), @r"
        NAME      PID   CPU  NOTE
        web        17  3.1%  all is well and …
        database       100%
        ");
        insta::assert_snapshot!(sample(Some(28)), @r"
        NAME      PID  NOTE
        web        17  all is well …
        database
        ");
    }
}
