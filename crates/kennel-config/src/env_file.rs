//! Environment files: `NAME=value` lines as dotenv and compose know them.
//!
//! - empty lines and lines that begin with `#` say nothing, and `export` before a name changes nothing;
//! - without quotes a value ends at the line's end or at ` #`, and is trimmed;
//! - in single quotes everything means itself; in double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` mean what they
//!   mean elsewhere; quoted values may go over several lines;
//! - `${VAR}` is filled in except in single quotes, from the environment and from the lines above;
//! - a name alone takes its value from the environment.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Report, Span};
use crate::expand;

/// Reads every variable of the text, or says everything that is wrong with it.
pub(crate) fn parse(
    path: &Path,
    text: &str,
    outer: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<Diagnostic>> {
    let report = Report::new(path, text);
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { text, at: start, scope: outer.clone(), report: &report };
    let mut found = BTreeMap::new();
    while reader.at < text.len() {
        if let Some((name, value)) = reader.line(outer) {
            reader.scope.insert(name.clone(), value.clone());
            found.insert(name, value);
        }
    }
    if report.is_clean() { Ok(found) } else { Err(report.into_diagnostics()) }
}

struct Reader<'r> {
    text: &'r str,
    at: usize,
    /// What `${VAR}` can see: the environment and the lines above.
    scope: BTreeMap<String, String>,
    report: &'r Report<'r>,
}

impl Reader<'_> {
    /// Consumes a line, or more of them if a quoted value goes on.
    fn line(&mut self, outer: &BTreeMap<String, String>) -> Option<(String, String)> {
        let start = self.at;
        let rest = &self.text[start..];
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        self.at += line.len();
        let line = line.trim_end();
        let indent = line.len() - line.trim_start().len();
        let mut body = &line[indent..];
        if body.is_empty() || body.starts_with('#') {
            return None;
        }
        if let Some(after) = body.strip_prefix("export").filter(|after| after.starts_with([' ', '\t'])) {
            body = after.trim_start();
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (body, None),
        };
        let name_at = start + line.len() - body.len();
        if !is_name(name) {
            let span = Span::new(name_at, name_at + name.len());
            let message = format!("`{}` is not the name of a variable", name.escape_debug());
            self.report.error_help(span, "env_file", message, "lines are `NAME=value`");
            return None;
        }
        let Some(value) = value else {
            return outer.get(name).map(|value| (name.to_owned(), value.clone()));
        };
        let value_at = start + line.len() - value.len();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(value_at, quote)?,
            _ => {
                let comment = if value.starts_with('#') { Some(0) } else { comment(value) };
                let value = value[..comment.unwrap_or(value.len())].trim_end();
                self.expand(value, value_at, value.len())?
            }
        };
        if value.contains('\0') {
            let span = Span::new(value_at, value_at);
            self.report.error(span, "env_file", format!("`{name}` contains a zero byte"));
            return None;
        }
        Some((name.to_owned(), value))
    }

    /// A value that begins with `quote` at `start`; leaves the reader behind the line it ends in.
    fn quoted(&mut self, start: usize, quote: char) -> Option<String> {
        let body = &self.text[start + 1..];
        let mut value = String::new();
        let mut chars = body.char_indices();
        let end = loop {
            let Some((at, c)) = chars.next() else {
                let span = Span::new(start, start + 1);
                self.report.error(span, "env_file", format!("the quote `{quote}` is never closed"));
                // Nothing after it can be trusted.
                self.at = self.text.len();
                return None;
            };
            match c {
                c if c == quote => break at,
                '\\' if quote == '"' => match chars.next().map(|(_, escaped)| escaped) {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some('$') => value.push_str("$$"),
                    Some(c @ ('"' | '\\')) => value.push(c),
                    Some(c) => value.extend(['\\', c]),
                    None => {}
                },
                c => value.push(c),
            }
        };
        let after = start + 1 + end + 1;
        let rest = &self.text[after..];
        let tail = rest.split_inclusive('\n').next().unwrap_or(rest);
        self.at = after + tail.len();
        let extra = tail.trim();
        if !extra.is_empty() && !extra.starts_with('#') {
            let span = Span::new(after, after + tail.trim_end().len());
            self.report.error(span, "env_file", "text after the closing quote");
            return None;
        }
        if quote == '\'' { Some(value) } else { self.expand(&value, start, after - start) }
    }

    fn expand(&self, value: &str, start: usize, length: usize) -> Option<String> {
        expand::text_value(value, &self.scope, |error| {
            let help = format!("{}; in single quotes `$` means itself", error.help());
            let span = Span::new(start, start + length);
            self.report.error_help(span, error.code(), error.message(), help);
        })
    }
}

/// Where a comment behind an unquoted value begins.
fn comment(value: &str) -> Option<usize> {
    value.match_indices('#').map(|(at, _)| at).find(|at| value[..*at].ends_with([' ', '\t']))
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c == '_' || c == '.' || c == '-' || c.is_ascii_alphanumeric();
    !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
        let outer = [("HOME".to_owned(), "/h".to_owned())].into();
        parse(Path::new(".env"), text, &outer)
            .map_err(|wrong| wrong.iter().map(|one| format!("{}: {}", one.line, one.message)).collect())
    }

    #[test]
    fn reads_what_dotenv_files_contain() {
        let text = concat!(
            "# comment\n\nPLAIN = a b  # comment\nexport HASH=a#b\nEMPTY=\nNONE= # nothing\n",
            "SINGLE='a $HOME \\n \"' # comment\nDOUBLE=\"a\\n${HOME}/\\$x \\q\\\\\"\r\n",
            "MULTI=\"one\ntwo\"\nABOVE=${PLAIN}:$SINGLE\nDEFAULT=${NO:-d}\nHOME\nABSENT\nLAST=x",
        );
        let found = read(text).unwrap();
        let expected = [
            ("ABOVE", "a b:a $HOME \\n \""),
            ("DEFAULT", "d"),
            ("DOUBLE", "a\n/h/$x \\q\\"),
            ("EMPTY", ""),
            ("HASH", "a#b"),
            ("HOME", "/h"),
            ("LAST", "x"),
            ("MULTI", "one\ntwo"),
            ("NONE", ""),
            ("PLAIN", "a b"),
            ("SINGLE", "a $HOME \\n \""),
        ];
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn says_everything_that_is_wrong_with_its_line() {
        let wrong = read("A=1\n1B=2\nC=$NO\nkey: value\nD=\"x\" y\nE='x\nF=1\n").unwrap_err();
        let expected = [
            "2: `1B` is not the name of a variable",
            "3: the variable `NO` is not set",
            "4: `key: value` is not the name of a variable",
            "5: text after the closing quote",
            "6: the quote `'` is never closed",
        ];
        assert_eq!(wrong, expected);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-Z='\"\\\\$#{}\\n \\r\u{feff}é-]{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn quoted_values_are_exact(value in "[^'\0]{0,40}") {
            prop_assert_eq!(read(&format!("A='{value}'")).unwrap().remove("A"), Some(value));
        }
    }
}
