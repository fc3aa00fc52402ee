//! Which cells there are and what was seen of each, from the lines that the tests write.

use std::fmt;

/// Everything that is known of a run, or of several put together.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    /// In the order of their definition, where it is known.
    pub(super) cells: Vec<Cell>,
    /// Somebody has listed every cell that there is; else those of tests that died before their first may be missing.
    pub(super) is_whole: bool,
}

/// A way to end × a way to escape × an environment.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: Name,
    /// What was seen last; none: it was not run, or its test failed before it came to it.
    pub(super) seen: Option<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) environment: String,
    pub(super) exit: String,
    pub(super) escape: String,
}

#[derive(Debug)]
pub(super) struct Seen {
    pub(super) holds: bool,
    /// What a reader has to know of one that holds; what is wrong with one that does not.
    pub(super) note: String,
}

/// Numbers of cells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: usize,
    pub(super) run: usize,
    pub(super) held: usize,
}

impl Matrix {
    /// Puts the lines of any number of programs together; of a cell that was run again the last time counts.
    pub(super) fn read(lines: &str) -> Self {
        let mut lines: Vec<Line> = lines.lines().filter_map(Line::read).collect();
        // Stable, and those that list all first: their order is the one of the definition.
        lines.sort_by_key(|line| line.says.rank());
        let mut matrix = Self::default();
        for Line { name, says } in lines {
            matrix.is_whole |= matches!(says, Says::Listed);
            let known = matrix.cells.iter().position(|cell| cell.name == name);
            let at = known.unwrap_or_else(|| {
                matrix.cells.push(Cell { name, seen: None });
                matrix.cells.len() - 1
            });
            if let (Says::Seen(seen), Some(cell)) = (says, matrix.cells.get_mut(at)) {
                cell.seen = Some(seen);
            }
        }
        matrix
    }

    /// Of all of them.
    pub(super) fn count(&self) -> Count {
        Count::of(&self.cells)
    }

    /// What does not hold and what was not run, in a line each.
    pub(super) fn bad(&self) -> Vec<String> {
        let bad = self.cells.iter().filter_map(|cell| match &cell.seen {
            None => Some(format!("{}: not run", cell.name)),
            Some(Seen { holds: false, note }) if note.is_empty() => Some(cell.name.to_string()),
            Some(Seen { holds: false, note }) => Some(format!("{}: {note}", cell.name)),
            Some(_) => None,
        });
        bad.collect()
    }
}

impl Count {
    pub(super) fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut count = Self::default();
        for cell in cells {
            count.all += 1;
            count.run += usize::from(cell.seen.is_some());
            count.held += usize::from(cell.seen.as_ref().is_some_and(|seen| seen.holds));
        }
        count
    }
}

/// `7/10, 1 not run`: those that hold, those that there are.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.held, self.all)?;
        match self.all - self.run {
            0 => Ok(()),
            missing => write!(f, ", {missing} not run"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} × {}", self.environment, self.exit, self.escape)
    }
}

struct Line {
    name: Name,
    says: Says,
}

enum Says {
    /// There is such a cell.
    Listed,
    /// A test is about to come to it.
    Begun,
    Seen(Seen),
}

impl Says {
    fn rank(&self) -> u8 {
        match self {
            Self::Listed => 0,
            Self::Begun => 1,
            Self::Seen(_) => 2,
        }
    }
}

impl Line {
    /// A flat object in one line, as the tests write it.
    fn read(line: &str) -> Option<Self> {
        let text = |key: &str| {
            let (_, rest) = line.split_once(&format!("\"{key}\":\""))?;
            // A note may quote what kennel said; one that does is of a cell that does not hold.
            Some(rest.split_once('"')?.0.trim_end_matches('\\').to_owned())
        };
        let name = Name { environment: text("environment")?, exit: text("exit")?, escape: text("escape")? };
        let says = match text("cell").as_deref() {
            Some("listed") => Says::Listed,
            Some(_) => Says::Begun,
            None => Says::Seen(Seen {
                holds: line.contains("\"left\":0") && !line.contains("\"ok\":false"),
                note: text("note").unwrap_or_default(),
            }),
        };
        Some(Self { name, says })
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    fn expected(by: &str, escape: &str) -> String {
        format!("{{\"cell\":\"{by}\",\"environment\":\"a\",\"escape\":\"{escape}\",\"exit\":\"down\"}}\n")
    }

    fn seen(escape: &str, left: u32) -> String {
        let note = if left == 0 { "" } else { "some are left" };
        format!(
            "{{\"environment\":\"a\",\"escape\":\"{escape}\",\"exit\":\"down\",\"left\":{left},\"note\":\"{note}\",\"ok\":{}}}\n",
            left == 0
        )
    }

    #[test]
    fn a_cell_without_a_result_is_one_that_was_not_run() {
        let text = [seen("plain", 0), expected("listed", "plain"), expected("listed", "bomb")].concat();
        let matrix = Matrix::read(&text);
        assert_eq!(matrix.count().to_string(), "1/2, 1 not run");
        assert_eq!(matrix.bad(), ["a × down × bomb: not run"]);
        assert!(matrix.is_whole);
    }

    #[test]
    fn a_test_that_has_begun_owes_its_cells_also_where_nobody_lists_them() {
        let matrix = Matrix::read(&[expected("begun", "plain"), expected("begun", "bomb"), seen("bomb", 0)].concat());
        assert_eq!(matrix.count().to_string(), "1/2, 1 not run");
        assert!(!matrix.is_whole);
    }

    #[test]
    fn what_was_seen_last_counts_and_is_counted_once() {
        let (begun, listed) = (expected("begun", "plain"), expected("listed", "plain"));
        let matrix = Matrix::read(&[&*begun, &seen("plain", 2), &listed, &begun, &seen("plain", 0)].concat());
        assert_eq!((matrix.count().to_string(), matrix.bad()), ("1/1".into(), vec![]));
        let matrix = Matrix::read(&[seen("plain", 0), seen("plain", 2)].concat());
        assert_eq!(matrix.count().to_string(), "0/1");
        assert_eq!(matrix.bad(), ["a × down × plain: some are left"]);
    }

    #[test]
    fn a_failed_cell_is_no_cell_that_was_not_run() {
        let names = ["x", "y", "z"];
        let text: String =
            names.iter().map(|name| expected("listed", name)).chain([seen("x", 0), seen("y", 1)]).collect();
        assert_eq!(Matrix::read(&text).count().to_string(), "1/3, 1 not run");
    }
}
