//! What is searched for: a regular expression, and the words without which it cannot match.

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::filter;

/// More alternatives than this are no help.
const ALTERNATIVES: usize = 16;

/// A pattern that cannot be searched for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub struct Matcher {
    regex: Regex,
    invert: bool,
    /// One of these occurs in every line that matches, without regard to case; empty: nothing is known.
    words: Vec<Vec<u8>>,
    /// This occurs in every line that matches.
    word: Option<Finder<'static>>,
}

impl Matcher {
    /// Lines that match this regular expression, or with `invert` those that do not. Bytes that are no UTF-8 are matched
    /// by nothing but `(?-u:…)`.
    ///
    /// # Errors
    /// What is wrong with the pattern, as the parser says it.
    pub fn new(pattern: &str, invert: bool) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(pattern).build().map_err(|error| PatternError(error.to_string()))?;
        let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern);
        let found = parsed.ok().filter(|_| !invert).and_then(|hir| required(&hir)).unwrap_or_default();
        let word = match &found[..] {
            [Word { bytes, is_exact: true }] => Some(Finder::new(bytes).into_owned()),
            _ => None,
        };
        let words = found.into_iter().map(|word| word.bytes).collect();
        Ok(Self { regex, invert, words, word })
    }

    /// Whether a line is wanted.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        self.regex.is_match(line) != self.invert
    }

    /// Whether something that is wanted may be in a frame with this filter.
    pub(crate) fn may_be_in(&self, filter: &[u8]) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| filter::may_hold(filter, word))
    }

    /// Whether something that is wanted may be in these bytes, lines or not.
    pub(crate) fn may_be_among(&self, bytes: &[u8]) -> bool {
        self.word.as_ref().is_none_or(|word| word.find(bytes).is_some())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    bytes: Vec<u8>,
    /// In this case and no other.
    is_exact: bool,
}

/// Words of which one is in whatever this matches.
fn required(hir: &Hir) -> Option<Vec<Word>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(literal) => Some(vec![Word { bytes: literal.0.to_vec(), is_exact: true }]),
        HirKind::Class(class) => either_case(class).map(|byte| vec![Word { bytes: vec![byte], is_exact: false }]),
        HirKind::Repetition(repetition) => (repetition.min > 0).then(|| required(&repetition.sub)).flatten(),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Concat(parts) => of_sequence(parts),
        HirKind::Alternation(parts) => {
            let each: Option<Vec<Vec<Word>>> = parts.iter().map(required).collect();
            each.map(|each| each.concat()).filter(|all| all.len() <= ALTERNATIVES)
        }
    }
}

/// Words that follow each other are one; of several the longest says most.
fn of_sequence(parts: &[Hir]) -> Option<Vec<Word>> {
    let mut found: Vec<Vec<Word>> = Vec::new();
    let mut run: Option<Word> = None;
    for part in parts {
        if matches!(part.kind(), HirKind::Look(_)) {
            continue;
        }
        match (required(part), is_fixed(part)) {
            (Some(words), true) if words.len() == 1 => {
                let Some(word) = words.into_iter().next() else { continue };
                let run = run.get_or_insert(Word { bytes: Vec::new(), is_exact: true });
                run.bytes.extend(word.bytes);
                run.is_exact &= word.is_exact;
            }
            (words, _) => {
                found.extend(run.take().map(|run| vec![run]));
                found.extend(words);
            }
        }
    }
    found.extend(run.map(|run| vec![run]));
    found.into_iter().max_by_key(|words| words.iter().map(|word| word.bytes.len()).min())
}

/// Whether it is that word and nothing else around it.
fn is_fixed(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => true,
        HirKind::Capture(capture) => is_fixed(&capture.sub),
        _ => false,
    }
}

/// One ASCII letter in either case, which is how `(?i)` is spelled out. Of k and s there are other forms as well (the Kelvin
/// sign, the long s), which the filter does not know.
fn either_case(class: &Class) -> Option<u8> {
    let Class::Unicode(class) = class else { return None };
    let letters: Option<Vec<u8>> = class
        .ranges()
        .iter()
        .map(|range| (range.start() == range.end()).then(|| u8::try_from(range.start()).ok()).flatten())
        .collect();
    match letters?.as_slice() {
        [upper, lower] if upper.is_ascii_uppercase() && *lower == upper.to_ascii_lowercase() => Some(*lower),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pattern: &str) -> Vec<String> {
        let matcher = Matcher::new(pattern, false).unwrap();
        matcher.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn what_every_match_holds_is_found() {
        assert_eq!(words("timeout"), ["timeout"]);
        assert_eq!(words("^GET /api/.* 50[0-9]$"), ["GET /api/"]);
        assert_eq!(words("(error|warning): .*refused"), ["refused"]);
        assert_eq!(words("error|panic"), ["error", "panic"]);
        assert_eq!(words("(?i)error"), ["error"]);
        assert_eq!(words(r"id=\d+ done(ok)?"), [" done"]);
        assert!(words(".*").is_empty() && words("a*").is_empty() && words("error|.*").is_empty());
        assert!(Matcher::new("x(", false).is_err());
    }

    #[test]
    fn lines_are_matched_whatever_bytes_they_have() {
        let matcher = Matcher::new("b.d", false).unwrap();
        assert!(matcher.matches(b"\xff bad \xfe") && !matcher.matches(b"good"));
        assert!(Matcher::new("b.d", true).unwrap().matches(b"good"));
    }

    // What a pattern matches is never denied, whatever words were found in it.
    proptest::proptest! {
        #[test]
        fn a_match_is_never_denied(
            pattern in "(?:(?:\\(\\?i\\))?[a-d]{1,4}[.+*?]?(?:\\|[a-d]{2,5})?[a-d]{0,3}){1,2}",
            line in "[a-dA-D]{0,12}",
        ) {
            let Ok(matcher) = Matcher::new(&pattern, false) else { return Ok(()) };
            if matcher.matches(line.as_bytes()) {
                let mut made = crate::filter::Filter::new();
                made.add(line.as_bytes());
                proptest::prop_assert!(matcher.may_be_in(&made.finish()), "{pattern:?} {line:?}");
                proptest::prop_assert!(matcher.may_be_among(line.as_bytes()), "{pattern:?} {line:?}");
            }
        }
    }
}
