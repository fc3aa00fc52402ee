//! Patterns for paths, as `.gitignore` has them.
//!
//! `*` and `?` match within one name, `[a-z]` one character of it, `**` any number of names, `{a,b}` either. A pattern with a slash before its end is meant
//! from the top, any other one for names anywhere; one that ends in a slash means directories; `!` takes back what a pattern before it said; the last one
//! that matches counts.

use std::fmt;

/// Most patterns that the braces of one may stand for.
const MOST: usize = 64;

/// One pattern, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    negated: bool,
    directories: bool,
    /// Each alternative as names from the top, `**` among them.
    alternatives: Vec<Vec<String>>,
}

/// Why a pattern is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It says nothing.
    Empty,
    /// A `[` or `{` without its end.
    Open(char),
    /// Its braces stand for too many.
    TooMany,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Open(open) => write!(f, "its `{open}` has no end"),
            Self::TooMany => write!(f, "its braces stand for more than {MOST} patterns"),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let (negated, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (directories, rest) = rest.strip_suffix('/').map_or((false, rest), |rest| (true, rest));
        let rest = rest.strip_prefix("./").unwrap_or(rest);
        if rest.is_empty() {
            return Err(PatternError::Empty);
        }
        let mut alternatives = Vec::new();
        for one in braces(rest)? {
            let anchored = one.contains('/');
            let names = one.split('/').filter(|name| !name.is_empty()).map(str::to_owned);
            let any = (!anchored).then(|| "**".to_owned());
            let names: Vec<String> = any.into_iter().chain(names).collect();
            for name in &names {
                check(name)?;
            }
            alternatives.push(names);
        }
        Ok(Self { negated, directories, alternatives })
    }

    /// Whether it matches a path, given as names from the top.
    #[must_use]
    pub fn matches(&self, path: &[&str], is_directory: bool) -> bool {
        (is_directory || !self.directories) && self.alternatives.iter().any(|names| matches_path(names, path))
    }
}

/// Whether a path below `skip` names of it is left out: it, or a directory above it.
#[must_use]
pub fn is_ignored(patterns: &[Pattern], path: &[&str], skip: usize, is_directory: bool) -> bool {
    (skip + 1..=path.len()).any(|length| {
        let directory = is_directory || length < path.len();
        let last = patterns.iter().rev().find(|pattern| pattern.matches(&path[..length], directory));
        last.is_some_and(|pattern| !pattern.negated)
    })
}

/// Every pattern that one with braces stands for.
fn braces(text: &str) -> Result<Vec<String>, PatternError> {
    let Some(open) = text.find('{') else { return Ok(vec![text.to_owned()]) };
    let (mut depth, mut parts, mut from, mut close) = (0_usize, Vec::new(), open + 1, None);
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => {
                close = Some(at);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    let close = close.ok_or(PatternError::Open('{'))?;
    parts.push(&text[from..close]);
    let mut all = Vec::new();
    for part in parts {
        all.extend(braces(&format!("{}{part}{}", &text[..open], &text[close + 1..]))?);
        if all.len() > MOST {
            return Err(PatternError::TooMany);
        }
    }
    Ok(all)
}

fn check(name: &str) -> Result<(), PatternError> {
    let letters: Vec<char> = name.chars().collect();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        at = if *letter == '[' { class(&letters, at).ok_or(PatternError::Open('['))?.end } else { at + 1 };
    }
    Ok(())
}

/// Where names and pattern may meet, step by step: as many steps as both have names.
fn matches_path(pattern: &[String], path: &[&str]) -> bool {
    // Which lengths of the pattern match the names so far.
    let mut open = vec![false; pattern.len() + 1];
    let skip = |open: &mut Vec<bool>| {
        for (index, name) in pattern.iter().enumerate() {
            if name == "**" && open[index] {
                open[index + 1] = true;
            }
        }
    };
    open[0] = true;
    skip(&mut open);
    for name in path {
        let mut next = vec![false; pattern.len() + 1];
        for (index, part) in pattern.iter().enumerate().filter(|(index, _)| open[*index]) {
            match part.as_str() {
                "**" => next[index] = true,
                part if matches_name(part, name) => next[index + 1] = true,
                _ => {}
            }
        }
        skip(&mut next);
        open = next;
    }
    open[pattern.len()]
}

/// One name against one part: on a mismatch the last star takes one more letter, so it never takes longer than the product of both.
fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => class(&pattern, at).filter(|class| class.has(name[in_name])).map(|class| class.end),
            Some('\\') if pattern.get(at + 1) == Some(&name[in_name]) => Some(at + 2),
            Some(letter) if *letter == name[in_name] => Some(at + 1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (at, in_name) = (step, in_name + 1),
            (None, Some((begin, taken))) => {
                (at, in_name) = (begin + 1, taken + 1);
                star = Some((begin, taken + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

struct Class<'p> {
    negated: bool,
    letters: &'p [char],
    /// Index after its `]`.
    end: usize,
}

impl Class<'_> {
    fn has(&self, letter: char) -> bool {
        let (mut at, mut found) = (0, false);
        while let Some(first) = self.letters.get(at) {
            match (self.letters.get(at + 1), self.letters.get(at + 2)) {
                (Some('-'), Some(last)) => {
                    found |= (*first..=*last).contains(&letter);
                    at += 3;
                }
                _ => {
                    found |= *first == letter;
                    at += 1;
                }
            }
        }
        found != self.negated
    }
}

/// The class that begins at `at`; none if it has no end.
fn class(pattern: &[char], at: usize) -> Option<Class<'_>> {
    let negated = matches!(pattern.get(at + 1), Some('!' | '^'));
    let begin = at + 1 + usize::from(negated);
    // A `]` right at the begin is one of the letters.
    let length = pattern.get(begin + 1..)?.iter().position(|letter| *letter == ']')? + 1;
    Some(Class { negated, letters: &pattern[begin..begin + length], end: begin + length + 1 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let (path, directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let names: Vec<&str> = path.split('/').collect();
        Pattern::new(pattern).unwrap().matches(&names, directory)
    }

    fn ignored(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let names: Vec<&str> = path.split('/').collect();
        is_ignored(&patterns, &names, 0, false)
    }

    #[test]
    fn as_gitignore_has_it() {
        for (pattern, path) in [
            ("*.rs", "src/deep/a.rs"),
            ("src/*.rs", "src/a.rs"),
            ("/a", "a"),
            ("src/**/a", "src/a"),
            ("src/**/a", "src/x/y/a"),
            ("**/b/c", "a/b/c"),
            ("a/**", "a/b/c"),
            ("node_modules/", "x/node_modules/"),
            ("*.{ts,tsx}", "a/b.tsx"),
            ("{a,b{c,d}}/x", "bd/x"),
            ("[a-c]?[!x]", "bzy"),
            ("[]]", "]"),
            ("*~", "a~"),
            ("\\*", "*"),
            ("a*b*c", "axxbyybc"),
        ] {
            assert!(matches(pattern, path), "{pattern} matches {path}");
        }
        for (pattern, path) in [
            ("src/*.rs", "src/deep/a.rs"),
            ("/a", "b/a"),
            ("a/**/", "a"),
            ("node_modules/", "node_modules"),
            ("[a-c]", "d"),
            ("*.rs", "a.rst"),
            ("\\*", "x"),
            ("a*b*c", "axxbyyb"),
        ] {
            assert!(!matches(pattern, path), "{pattern} does not match {path}");
        }
        for (text, error) in [
            ("", PatternError::Empty),
            ("!/", PatternError::Empty),
            ("a[b", PatternError::Open('[')),
            ("{a", PatternError::Open('{')),
        ] {
            assert_eq!(Pattern::new(text), Err(error), "{text}");
        }
        assert_eq!(Pattern::new(&"{a,b}".repeat(7)), Err(PatternError::TooMany));
    }

    #[test]
    fn the_last_pattern_counts_and_a_directory_takes_all_below_it() {
        assert!(ignored(&["*.log"], "a/x.log"));
        assert!(!ignored(&["*.log", "!keep.log"], "a/keep.log"));
        assert!(ignored(&["build/", "!keep.log"], "build/keep.log"), "nothing below is looked at");
        assert!(ignored(&["build/"], "a/build/x/y"));
        assert!(!ignored(&["build/"], "a/build"), "a file");
        assert!(!ignored(&["target/", "!target/"], "target/x"));
    }

    proptest! {
        #[test]
        fn never_panics_and_what_is_plain_matches_itself(
            pattern in "[a-c*?\\[\\]{},!/\\\\-]{0,16}", path in prop::collection::vec("[a-c]{1,4}", 1..5),
        ) {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Ok(pattern) = Pattern::new(&pattern) {
                let _ = pattern.matches(&names, false);
            }
            let from_top = Pattern::new(&format!("/{}", path.join("/"))).unwrap();
            prop_assert!(from_top.matches(&names, true));
            prop_assert!(Pattern::new("**").unwrap().matches(&names, false));
            prop_assert!(Pattern::new(names[names.len() - 1]).unwrap().matches(&names, false));
        }
    }
}
