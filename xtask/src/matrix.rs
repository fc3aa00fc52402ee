//! The whole acceptance matrix, and the page that says what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::{Result, run, setup, vm};

const PAGE: &str = "docs/matrix.md";
/// Below the target directory; a line for each cell.
const RESULTS: &str = "matrix.ndjson";
/// Said where it is not known that everything was run. Who failed outside of a cell has no line at all.
const PART: &str = "\
From the results of a run that need not be of the whole matrix: what is not counted here was not run, or its test failed before
it came to a cell. `cargo xtask matrix` runs all.
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

/// One line of the results.
struct Cell {
    environment: String,
    exit: String,
    escape: String,
    ok: bool,
    note: String,
}

/// Runs everything, writes the page, and fails if a cell does not hold.
pub(crate) fn matrix(arguments: &[String]) -> Result {
    let guests = match arguments {
        [] => false,
        [one] if one == "--vm" => true,
        [one] if one == "--page" => return page(&read(&run::target_dir().join(RESULTS))?, PART),
        _ => return Err(format!("knows `--vm` and `--page`, got `{}`", arguments.join(" "))),
    };
    setup::for_tests()?;
    let results = run::target_dir().join(RESULTS);
    let _none = fs::remove_file(&results);
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    let out = format!("KENNEL_MATRIX_OUT={}", results.display());
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let call = [&out, &cargo, "nextest", "run", "-p", "kennel-cli", "--test", "matrix", "--run-ignored", "all"];
    let here = run::program("env", call, &run::root());
    let there = if guests { vm::vm(&[]) } else { Ok(()) };
    let mut text = read(&results)?;
    if guests {
        text.push_str(&read(&run::target_dir().join("vm/cells.ndjson"))?);
    }
    // The page says what was seen, also when not all went well.
    let seen = page(&text, "");
    here.and(there).and(seen)
}

/// Writes the page; fails if a cell does not hold.
fn page(results: &str, remark: &str) -> Result {
    let mut cells: Vec<Cell> = Vec::new();
    for cell in results.lines().filter_map(Cell::read) {
        // Run again, so what was seen before does not count.
        match cells.iter_mut().find(|known| known.name() == cell.name()) {
            Some(known) => *known = cell,
            None => cells.push(cell),
        }
    }
    let at = run::root().join(PAGE);
    fs::write(&at, write_page(&cells, remark)?).map_err(|error| format!("cannot write {}: {error}", at.display()))?;
    eprintln!("matrix: {} cells, {PAGE} is written", cells.len());
    let bad: Vec<String> = cells.iter().filter(|cell| !cell.ok).map(Cell::name).collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("these cells do not hold:\n  {}", bad.join("\n  "))) }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write_page(cells: &[Cell], remark: &str) -> Result<String> {
    let date = run::output("date", ["-u", "+%F"])?;
    let kernel = run::output("uname", ["-r"])?;
    let mut page = format!(
        "{HEAD}\n{ENVIRONMENTS}\nWritten on {}, Linux {}: {} cells.\n",
        date.trim(),
        // Without what a distributor adds.
        kernel.trim().split('-').next().unwrap_or_default(),
        cells.len()
    );
    if !remark.is_empty() {
        let _infallible = write!(page, "\n{remark}");
    }
    let mut notes = Vec::new();
    for (title, row) in [("Ways to escape", Cell::escape as fn(&Cell) -> &str), ("Ways to end", Cell::exit)] {
        let rows = ordered(cells, row);
        let environments = ordered(cells, |cell| &cell.environment);
        let _infallible = write!(page, "\n## {title}\n\nCells that hold, of those that were run.\n\n| |");
        environments.iter().for_each(|environment| page.push_str(&format!(" {environment} |")));
        page.push_str("\n|---|");
        environments.iter().for_each(|_| page.push_str("---|"));
        page.push('\n');
        for name in rows {
            page.push_str(&format!("| {name} |"));
            for environment in &environments {
                let here = cells.iter().filter(|cell| row(cell) == name && cell.environment == *environment);
                page.push_str(&format!(" {} |", square(here.collect(), &mut notes)));
            }
            page.push('\n');
        }
    }
    page.push_str("\n## Notes\n\n");
    for (number, note) in notes.iter().enumerate() {
        let _infallible = writeln!(page, "{}. {note}", number + 1);
    }
    Ok(page)
}

/// `held/all`, with the numbers of what a reader has to know.
fn square(cells: Vec<&Cell>, notes: &mut Vec<String>) -> String {
    if cells.is_empty() {
        return "–".to_owned();
    }
    let held = cells.iter().filter(|cell| cell.ok).count();
    let known: BTreeSet<&str> = cells.iter().map(|cell| cell.note.as_str()).filter(|note| !note.is_empty()).collect();
    let mut text = format!("{held}/{}", cells.len());
    if held < cells.len() {
        text = format!("**{text}**");
    }
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
    let mut first = BTreeMap::new();
    for (place, cell) in cells.iter().enumerate() {
        first.entry(name(cell)).or_insert(place);
    }
    let mut names: Vec<(&str, usize)> = first.into_iter().collect();
    names.sort_by_key(|(_, place)| *place);
    names.into_iter().map(|(name, _)| name).collect()
}

impl Cell {
    /// A flat object in one line, as the tests write it.
    fn read(line: &str) -> Option<Self> {
        let text = |key: &str| {
            let (_, rest) = line.split_once(&format!("\"{key}\":\""))?;
            // A note may quote what kennel said; one that does is of a cell that does not hold.
            Some(rest.split_once('"')?.0.trim_end_matches('\\').to_owned())
        };
        Some(Self {
            environment: text("environment")?,
            exit: text("exit")?,
            escape: text("escape")?,
            ok: line.contains("\"left\":0") && !line.contains("\"ok\":false"),
            note: text("note").unwrap_or_default(),
        })
    }

    fn escape(&self) -> &str {
        &self.escape
    }

    fn exit(&self) -> &str {
        &self.exit
    }

    fn name(&self) -> String {
        format!("{} × {} × {}", self.environment, self.exit, self.escape)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, write_page};

    fn cell(environment: &str, escape: &str, left: u32, note: &str) -> Cell {
        let line = format!(
            "{{\"environment\":\"{environment}\",\"escape\":\"{escape}\",\"exit\":\"down\",\"left\":{left},\"note\":\"{note}\"}}"
        );
        Cell::read(&line).unwrap_or_else(|| Cell {
            environment: line,
            exit: String::new(),
            escape: String::new(),
            ok: false,
            note: String::new(),
        })
    }

    #[test]
    fn a_page_counts_what_holds_and_numbers_its_notes() {
        let cells = [cell("a", "plain", 0, ""), cell("a", "bomb", 2, ""), cell("b", "bomb", 0, "by the next command")];
        let page = write_page(&cells, "").unwrap_or_default();
        for line in ["| | a | b |", "| plain | 1/1 | – |", "| bomb | **0/1** | 1/1 (1) |", "1. by the next command"] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
