//! Sizes such as `512MiB` and rates such as `10MiB/s`.

use crate::diagnostic::Report;
use crate::reader::{expected, expected_help};
use crate::tree::{Entry, Node, Value};

/// Units with their bytes, the binary ones first, the largest first. The letters alone are those of docker, where all are binary; its
/// `mb` is not taken, for it is neither `MB` nor `MiB`.
const UNITS: [(&str, u64); 19] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("t", 1 << 40),
    ("T", 1 << 40),
    ("g", 1 << 30),
    ("G", 1 << 30),
    ("m", 1 << 20),
    ("M", 1 << 20),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("b", 1),
];

/// The number and the unit that the schema takes: what [`parse`] reads with [`UNITS`].
pub(crate) const PATTERN: &str = r"[0-9]+(\.[0-9]+)? *([TGMK]i?B|kB|[tgmkbTGMKB])";

/// Compose's, where all are binary; it does not mind the case.
const COMPOSE: [(&str, u64); 13] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1 << 40),
    ("gb", 1 << 30),
    ("mb", 1 << 20),
    ("kb", 1 << 10),
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
];

/// The same of what [`compose`] takes.
pub(crate) const COMPOSE_PATTERN: &str = r"([0-9]+|[0-9]+(\.[0-9]+)? *([tgmkTGMK]([iI]?[bB])?|[bB]))";

const HELP: &str = "sizes are written `512MiB`, `8GiB` or `100MB`, or in short `512m`, `8g`";
const RATES: &str = "rates are written `10MiB/s` or `512kB/s`";

/// The value of a key that takes a size of at least so many bytes. A bare number says nothing of its unit.
pub(crate) fn read(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let text = with_unit(report, entry, "a size", HELP)?;
    checked(report, entry, parse(&text, &UNITS), least, "a size", HELP)
}

/// The same of a rate, in bytes a second.
pub(crate) fn rate(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let text = with_unit(report, entry, "a rate", RATES)?;
    let size = text.strip_suffix("/s").and_then(|size| parse(size, &UNITS));
    checked(report, entry, size, least, "a rate", RATES)
}

/// The same as compose writes it: a number is one of bytes.
pub(crate) fn compose(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let size = match &entry.value.value {
        Value::Int(value, _) => u64::try_from(*value).ok(),
        Value::String(text) | Value::Expanded(text) => parse_compose(text),
        _ => None,
    };
    checked(report, entry, size, least, "a size", "for example `512m` or `2g`")
}

fn with_unit(report: &Report<'_>, entry: &Entry, wanted: &str, help: &str) -> Option<String> {
    let (node, what) = (&entry.value, format!("`{}`", entry.key));
    match &node.value {
        Value::String(text) | Value::Expanded(text) => Some(trimmed(text).to_owned()),
        Value::Int(0, _) => Some(if wanted == "a rate" { "0B/s".to_owned() } else { "0B".to_owned() }),
        Value::Int(_, text) | Value::Float(_, text) => {
            let per = if wanted == "a rate" { "/s" } else { "" };
            let help = format!("say what it counts: `{text}MiB{per}` or `{text}B{per}`");
            expected_help(report, node, &what, &format!("{wanted} with its unit"), Some(&help));
            None
        }
        _ => {
            expected_help(report, node, &what, wanted, Some(help));
            None
        }
    }
}

fn checked(report: &Report<'_>, entry: &Entry, size: Option<u64>, least: u64, wanted: &str, help: &str) -> Option<u64> {
    let (node, what): (&Node, _) = (&entry.value, format!("`{}`", entry.key));
    match size {
        None => {
            expected_help(report, node, &what, wanted, Some(help));
            None
        }
        Some(size) if size < least => {
            report.error(node.span, "out_of_range", format!("{what} must be at least {}", format(least)));
            None
        }
        // What the kernel counts is signed.
        Some(size) if i64::try_from(size).is_err() => {
            expected(report, node, &what, wanted);
            None
        }
        size => size,
    }
}

/// Blanks around it mean nothing.
fn trimmed(text: &str) -> &str {
    text.trim_matches(' ')
}

/// Number and unit, nothing between but blanks; with a fraction where that makes whole bytes or nearly so.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = trimmed(text);
    let (number, unit) = units.iter().find_map(|(name, bytes)| Some((trimmed(text.strip_suffix(name)?), *bytes)))?;
    if !number.split_once('.').map_or(is_whole(number), |(whole, part)| is_whole(whole) && is_whole(part)) {
        return None;
    }
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    #[expect(clippy::cast_precision_loss, reason = "a unit is far below 2^52")]
    let bytes = number.parse::<f64>().ok()? * unit as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no sign was taken, and too large saturates"
    )]
    Some(bytes.round() as u64)
}

/// As compose reads it: a number alone is one of bytes.
fn parse_compose(text: &str) -> Option<u64> {
    let lower = trimmed(text).to_ascii_lowercase();
    if is_whole(&lower) { lower.parse().ok() } else { parse(&lower, &COMPOSE) }
}

fn is_whole(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// In the largest unit of which it is a whole number.
pub(crate) fn format(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(name, unit)| *name != "KB" && bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read() {
        let read = |text: &str| parse(text, &UNITS);
        assert_eq!(read("512MiB"), Some(512 << 20));
        assert_eq!(read("1.5 GiB"), Some(3 << 29));
        assert_eq!(read("100MB"), Some(100_000_000));
        assert_eq!([read("512"), read("512mb"), read("-1MiB"), read("MiB"), read("1e3MiB"), read("")], [None; 6]);
        assert_eq!(["512m", "512M", "1.5g", "8 T"].map(read), [512 << 20, 512 << 20, 3 << 29, 8 << 40].map(Some));
        assert_eq!([".5g", "5.g", "1.2.3g", "+5g", "5\tg"].map(read), [None; 5]);
        assert_eq!(read("99999999999TiB"), None);
    }

    #[test]
    fn compose_has_its_own_way() {
        let sizes = ["512m", "512mb", "512 MiB", "512M", "536870912"].map(parse_compose);
        assert_eq!(sizes, [Some(512 << 20); 5]);
        assert_eq!(["1.5", "+5", "5i", "", "b"].map(parse_compose), [None; 5]);
    }

    /// Like a size, or nearly.
    const NEARLY: &str = "[ ]{0,2}[0-9+-]{0,3}[.]{0,2}[0-9]{0,2}[ \t]{0,2}[kKmMgGtTpP]{0,2}[iI]{0,1}[bB]{0,2}[ ]{0,1}";

    proptest! {
        #[test]
        fn schema_and_reader_take_the_same(text in NEARLY) {
            let is_like = |pattern: &str| regex::Regex::new(&format!("^ *{pattern} *$")).is_ok_and(|regex| regex.is_match(&text));
            prop_assert_eq!(parse(&text, &UNITS).is_some(), is_like(PATTERN));
            prop_assert_eq!(parse_compose(&text).is_some(), is_like(COMPOSE_PATTERN));
        }

        #[test]
        fn what_is_written_is_read_again(bytes in 0_u64..1 << 50) {
            prop_assert_eq!(parse(&format(bytes), &UNITS), Some(bytes));
        }
    }
}
