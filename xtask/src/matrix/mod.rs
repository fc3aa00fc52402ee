//! The whole acceptance matrix, and the page that says what came of it.

mod cells;
mod page;

use std::fs;
use std::path::Path;

use self::cells::Matrix;
use crate::{Result, run, setup, vm};

const PAGE: &str = "docs/matrix.md";
/// Below the target directory; a line for each cell that there is, and one for each that was run.
const RESULTS: &str = "matrix.ndjson";
/// The same from the emulated machines.
const GUESTS: &str = "vm/cells.ndjson";
/// Most cells that an error names; the page has the rest.
const NAMED: usize = 40;

/// Runs everything, writes the page, and fails if a cell does not hold or was not run.
pub(crate) fn matrix(arguments: &[String]) -> Result {
    let guests = match arguments {
        [] => false,
        [one] if one == "--vm" => true,
        [one] if one == "--page" => return page(&read(RESULTS)?),
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
    let there = if guests { in_guests(&results) } else { Ok(()) };
    // The page says what was seen, also when not all went well.
    let seen = page(&read(RESULTS)?);
    all_of([here, there, seen])
}

/// Runs the chosen tests on emulated machines as well; what they saw is added to the results, also of some that failed.
fn in_guests(results: &Path) -> Result {
    let _of_an_earlier_run = fs::remove_file(run::target_dir().join(GUESTS));
    let ended = vm::vm(&[]);
    let added = read(GUESTS).and_then(|cells| {
        let all = read(RESULTS)? + &cells;
        fs::write(results, all).map_err(|error| format!("cannot write {}: {error}", results.display()))
    });
    all_of([ended, added])
}

/// Writes the page; fails if a cell does not hold or was not run, or if it is not known which there are.
fn page(results: &str) -> Result {
    let matrix = Matrix::read(results);
    let at = run::root().join(PAGE);
    let date = run::output("date", ["-u", "+%F"])?;
    let kernel = run::output("uname", ["-r"])?;
    // Without what a distributor adds.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let text = page::write(&matrix, &format!("Written on {}, Linux {kernel}", date.trim()));
    fs::write(&at, text).map_err(|error| format!("cannot write {}: {error}", at.display()))?;
    let count = matrix.count();
    eprintln!("matrix: {} of {} cells were run, {} hold; {PAGE} is written", count.run, count.all, count.held);
    let mut bad = matrix.bad();
    if let Some(more) = bad.len().checked_sub(NAMED + 1) {
        bad.truncate(NAMED);
        bad.push(format!("and {} more", more + 1));
    }
    match (bad.is_empty(), matrix.is_whole) {
        (true, true) => Ok(()),
        (true, false) => Err("all of these cells hold, but nothing has said which there are".to_owned()),
        (false, _) => Err(format!("these cells do not hold:\n  {}", bad.join("\n  "))),
    }
}

/// Every error, not the first alone.
fn all_of<const N: usize>(results: [Result; N]) -> Result {
    let errors: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

fn read(name: &str) -> Result<String> {
    let path = run::target_dir().join(name);
    fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
