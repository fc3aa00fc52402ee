//! Rules that no compiler checks: one pass over the tracked files, every violation named with its place.

mod arrows;
mod dependencies;
mod docs;
mod documented;
mod source;

use std::fs;

use crate::{Result, run};

/// A file of the repository, as text.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// What was found. Notes are printed; problems fail the check.
#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    fn problem(&mut self, place: &str, what: impl AsRef<str>) {
        self.problems.push(format!("{place}: {}", what.as_ref()));
    }

    fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }
}

/// Checks everything and prints what is wrong.
///
/// # Errors
/// If anything is, or git or cargo cannot be asked.
pub(crate) fn check() -> Result {
    let files = files()?;
    let mut findings = Findings::default();
    source::check(&files, &mut findings);
    arrows::check(&files, &mut findings);
    docs::check(&files, &mut findings);
    documented::check(&files, &mut findings);
    dependencies::check(&files, &mut findings)?;
    for note in &findings.notes {
        eprintln!("tidy: {note}");
    }
    if findings.problems.is_empty() {
        eprintln!("tidy: {} files, nothing wrong", files.len());
        return Ok(());
    }
    for problem in &findings.problems {
        eprintln!("tidy: {problem}");
    }
    Err(format!("{} problems", findings.problems.len()))
}

/// Every text file that git tracks or would track.
fn files() -> Result<Vec<File>> {
    let list = run::output("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let root = run::root();
    // Deleted but not yet committed, or not UTF-8: nothing to read.
    let read = |path: &str| Some(File { path: path.to_owned(), text: fs::read_to_string(root.join(path)).ok()? });
    Ok(paths.into_iter().filter_map(read).collect())
}
