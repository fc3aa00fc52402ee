//! The page: a table for each side of the matrix, and what a reader has to know.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cells::{Cell, Count, Matrix};

/// Said where nothing has listed the cells that there are.
const PART: &str = "\
From the results of a run that need not be of the whole matrix: what is not counted here was not run. `cargo xtask matrix` runs all.
";

const HEAD: &str = "\
# The matrix

Every way to end × every way to escape × every environment. Who is left is looked for without asking kennel: each process of
a test carries a resource limit that it cannot lose, and `/proc` is searched for it, for the living and for zombies. A cell holds
if nobody is left, no cgroup is left, and the stack goes up and down once more at once.

Written by `cargo xtask matrix`; the tests are in `crates/kennel-cli/tests/matrix/`, the shapes in
`crates/kennel-testkit/src/bin/kennel-badchild/`, and `crates/kennel-testkit/tests/shapes/` proves each of them as bad as it says.
";

const ENVIRONMENTS: &str = "\
| environment | kennel runs as | a scope is |
|---|---|---|
| cgroup root | root | a cgroup (the version 2 side of a hybrid layout, where version 1 is there) |
| cgroup user | an ordinary user, in a cgroup that was given to it | a cgroup |
| reaper user, reaper root | an ordinary user, root | the descendants of a small process of its own |
| pidns root | root | a cgroup and a PID namespace |
| pidns user | an ordinary user | a PID namespace, held by a small process of its own |
";

/// The whole page; `made` says when and where.
pub(super) fn write(matrix: &Matrix, made: &str) -> String {
    let Count { all, run, held } = matrix.count();
    let mut page = format!("{HEAD}\n{ENVIRONMENTS}\n{made}: {held} of {all} cells hold, {} were not run.\n", all - run);
    if !matrix.is_whole {
        let _infallible = write!(page, "\n{PART}");
    }
    let cells = &matrix.cells;
    let mut notes = Vec::new();
    let environments = ordered(cells, environment);
    for (title, row) in [("Ways to escape", escape as fn(&Cell) -> &str), ("Ways to end", exit)] {
        let _infallible = write!(page, "\n## {title}\n\nCells that hold, of those that there are.\n\n| |");
        environments.iter().for_each(|environment| page.push_str(&format!(" {environment} |")));
        page.push_str("\n|---|");
        environments.iter().for_each(|_| page.push_str("---|"));
        page.push('\n');
        for name in ordered(cells, row) {
            page.push_str(&format!("| {name} |"));
            for column in &environments {
                let here = cells.iter().filter(|cell| row(cell) == name && environment(cell) == *column);
                page.push_str(&format!(" {} |", square(&here.collect::<Vec<_>>(), &mut notes)));
            }
            page.push('\n');
        }
    }
    if !notes.is_empty() {
        page.push_str("\n## Notes\n\n");
    }
    for (number, note) in notes.iter().enumerate() {
        let _infallible = writeln!(page, "{}. {note}", number + 1);
    }
    page
}

/// `held/all`, with the numbers of what a reader has to know.
fn square(cells: &[&Cell], notes: &mut Vec<String>) -> String {
    if cells.is_empty() {
        return "–".to_owned();
    }
    let count = Count::of(cells.iter().copied());
    let mut text = if count.held < count.all { format!("**{count}**") } else { count.to_string() };
    let seen = cells.iter().filter_map(|cell| cell.seen.as_ref());
    let known: BTreeSet<&str> = seen.map(|seen| seen.note.as_str()).filter(|note| !note.is_empty()).collect();
    for note in known {
        let number = notes.iter().position(|known| known == note).unwrap_or_else(|| {
            notes.push(note.to_owned());
            notes.len() - 1
        });
        let _infallible = write!(text, " ({})", number + 1);
    }
    text
}

/// Names in the order in which they first come.
fn ordered<'a>(cells: &'a [Cell], name: impl Fn(&'a Cell) -> &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in cells.iter().map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn environment(cell: &Cell) -> &str {
    &cell.name.environment
}

fn escape(cell: &Cell) -> &str {
    &cell.name.escape
}

fn exit(cell: &Cell) -> &str {
    &cell.name.exit
}

#[cfg(test)]
mod tests {
    use super::{Matrix, write};

    fn line(environment: &str, escape: &str, rest: &str) -> String {
        format!("{{\"environment\":\"{environment}\",\"escape\":\"{escape}\",\"exit\":\"down\",{rest}}}\n")
    }

    #[test]
    fn a_page_counts_what_holds_and_numbers_its_notes() {
        let text = [
            line("a", "plain", "\"left\":0"),
            line("a", "bomb", "\"left\":2"),
            line("b", "bomb", "\"left\":0,\"note\":\"by the next command\""),
        ];
        let page = write(&Matrix::read(&text.concat()), "Today");
        for line in [
            "Today: 2 of 3 cells hold, 0 were not run.",
            "| | a | b |",
            "| plain | 1/1 | – |",
            "| bomb | **0/1** | 1/1 (1) |",
            "1. by the next command",
            "need not be of the whole matrix",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_cell_that_was_not_run_is_told_and_in_the_order_of_the_list() {
        let text = [
            line("b", "bomb", "\"left\":0"),
            line("a", "plain", "\"cell\":\"listed\""),
            line("a", "bomb", "\"cell\":\"listed\""),
            line("b", "bomb", "\"cell\":\"listed\""),
        ];
        let page = write(&Matrix::read(&text.concat()), "Today");
        for line in ["1 of 3 cells hold, 2 were not run", "| | a | b |", "| plain | **0/1, 1 not run** | – |"] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("need not be of the whole matrix") && !page.contains("## Notes"), "{page}");
    }
}
