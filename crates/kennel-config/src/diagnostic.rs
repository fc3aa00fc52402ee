//! What is wrong with a file, and where.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A byte range of the file that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// One thing wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable name of the kind of mistake, for example `unknown_key`.
    pub code: String,
    /// One line.
    pub message: String,
    /// The file, which is an environment file where that is what is wrong.
    pub file: PathBuf,
    /// First line is 1; 0 when no place is known.
    pub line: u32,
    /// First column is 1, counted in characters.
    pub column: u32,
    /// Byte range in the file, never beyond the line it begins in.
    pub span: (usize, usize),
    /// What to do, for example ``did you mean `working_dir`?``
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A configuration that cannot be used: everything that is wrong with it at once.
///
/// Displayed as plain text with the lines concerned; front ends have their own way to print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The configuration file, absolute.
    pub file: PathBuf,
    /// In the order of the file, never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// Text of the configuration file, empty if it could not be read.
    pub source: String,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "error[{}]: {}", one.code, one.message)?;
            if one.line == 0 {
                write!(f, "\n  --> {}", one.file.display())?;
            } else {
                write!(f, "\n  --> {}:{}:{}", one.file.display(), one.line, one.column)?;
            }
            let text = self.source.get(one.span.0..one.span.1);
            let line = self.source.lines().nth((one.line as usize).saturating_sub(1)).unwrap_or_default();
            // The text of an environment file is not at hand, and nobody reads a line of a thousand characters.
            if let Some(text) = text.filter(|_| one.line > 0 && one.file == self.file && line.len() < 1000) {
                let gutter = one.line.to_string();
                let before = line.chars().take(one.column as usize - 1);
                // Tabs stay tabs, so that the carets stand under the text.
                let indent: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
                let pad = " ".repeat(gutter.len());
                let carets = "^".repeat(text.chars().count().max(1));
                write!(f, "\n {pad} |\n {gutter} | {line}\n {pad} | {indent}{carets}")?;
            }
            if let Some(help) = &one.help {
                write!(f, "\n  = help: {}", help.replace('\n', "\n    "))?;
            }
        }
        Ok(())
    }
}

/// Most diagnostics that are kept: beyond them a file is not what it was meant to be, and nobody reads on.
pub const MAX_DIAGNOSTICS: usize = 500;

/// Most candidates that a suggestion looks at.
const MAX_CANDIDATES: usize = 1000;

/// Collects diagnostics while a file is read; shared, because every reader adds to it.
pub(crate) struct Report<'s> {
    file: &'s Path,
    source: &'s str,
    /// Byte offset at which each line begins.
    lines: Vec<usize>,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'s> Report<'s> {
    pub(crate) fn new(file: &'s Path, source: &'s str) -> Self {
        let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file, source, lines, found: RefCell::default() }
    }

    pub(crate) fn source(&self) -> &'s str {
        self.source
    }

    /// One-based line of a byte offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    pub(crate) fn error(&self, span: Span, code: &str, message: impl Into<String>) {
        self.add(span, code, message.into(), None);
    }

    pub(crate) fn error_help(&self, span: Span, code: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, code, message.into(), Some(help.into()));
    }

    /// An error that no place in the file explains.
    pub(crate) fn error_nowhere(&self, code: &str, message: String, help: Option<String>) {
        self.push(nowhere(self.file, code, message, help));
    }

    /// An error in another file, of which the caller knows the place.
    pub(crate) fn push(&self, mut diagnostic: Diagnostic) {
        diagnostic.message = printable(&diagnostic.message, false);
        diagnostic.help = diagnostic.help.map(|help| printable(&help, true));
        let mut found = self.found.borrow_mut();
        // An aliased node is read once per use, and its mistake is still one mistake.
        if found.len() < MAX_DIAGNOSTICS && !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }

    /// Whether nothing more is kept, so that nothing more needs to be looked for.
    pub(crate) fn is_full(&self) -> bool {
        self.found.borrow().len() >= MAX_DIAGNOSTICS
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Everything found, sorted by place.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|one| (one.file != self.file, one.span));
        found
    }

    fn add(&self, span: Span, code: &str, message: String, help: Option<String>) {
        if self.is_full() {
            return;
        }
        let start = floor(self.source, span.start);
        let line = self.line(start);
        let line_start = self.lines[line - 1];
        // Up to the next line without its break.
        let next = self.lines.get(line).map_or(self.source.len(), |next| next - 1);
        let line_end = self.source[line_start..next].trim_end_matches('\r').len() + line_start;
        let line_end = line_end.max(start);
        let end = floor(self.source, span.end).clamp(start, line_end);
        self.push(Diagnostic {
            code: code.to_owned(),
            message,
            file: self.file.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(self.source[line_start..start].chars().count() + 1).unwrap_or(u32::MAX),
            span: (start, end),
            help,
        });
    }
}

/// A text that may quote anything from a file, cut to a sane length and safe for a terminal.
fn printable(text: &str, lines: bool) -> String {
    const LONGEST: usize = 2000;
    let mut out = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() && !(lines && c == '\n') {
            out.extend(c.escape_debug());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// A diagnostic about a file as a whole.
pub(crate) fn nowhere(file: &Path, code: &str, message: String, help: Option<String>) -> Diagnostic {
    let file = file.to_owned();
    Diagnostic { code: code.to_owned(), message, file, line: 0, column: 0, span: (0, 0), help }
}

/// The nearest character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset.min(text.len()))
}

/// The candidate that was probably meant by `given`, if any comes close.
pub(crate) fn closest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let given = squash(given);
    let allowed = given.chars().count() / 4 + 1;
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .map(|candidate| (strsim::osa_distance(&given, &squash(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `x`?`` for the closest candidate, else the list of all of them.
pub(crate) fn suggest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> String {
    if let Some(candidate) = closest(given, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let all: Vec<_> = candidates.into_iter().map(|one| format!("`{one}`")).collect();
    format!("expected one of {}", all.join(", "))
}

/// `workingDir`, `working-dir` and `working_dir` are the same word to whoever mistypes it.
fn squash(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}
