//! Sizes such as `512MiB` and rates such as `10MiB/s`.

use crate::diagnostic::Report;
use crate::reader::{expected, expected_help};
use crate::tree::{Entry, Node, Value};

/// Units with their bytes, the binary ones first, the largest first.
const UNITS: [(&str, u64); 10] = [
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
];

/// Compose's, where all are binary; it does not mind the case.
const COMPOSE: [(&str, u64); 9] = [
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

const HELP: &str = "sizes are written `512MiB`, `8GiB` or `100MB`";
const RATES: &str = "rates are written `10MiB/s` or `512kB/s`";

/// The value of a key that takes a size of at least so many bytes. A bare number says nothing of its unit.
pub(crate) fn read(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let text = with_unit(report, entry, "a size", HELP)?;
    checked(report, entry, parse(&text, &UNITS), least, "a size", HELP)
}

/// The same of a rate, in bytes a second.
pub(crate) fn rate(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let text = with_unit(report, entry, "a rate", RATES)?;
    let size = text.strip_suffix("/s").and_then(|size| parse(size.trim(), &UNITS));
    checked(report, entry, size, least, "a rate", RATES)
}

/// The same as compose writes it: a number is one of bytes.
pub(crate) fn compose(report: &Report<'_>, entry: &Entry, least: u64) -> Option<u64> {
    let size = match &entry.value.value {
        Value::Int(value, _) => u64::try_from(*value).ok(),
        Value::String(text) | Value::Expanded(text) => {
            let lower = text.trim().to_ascii_lowercase();
            // Ours are taken as well, for they cannot be mistaken.
            lower.parse().ok().or_else(|| parse(&lower, &COMPOSE)).or_else(|| parse(text.trim(), &UNITS))
        }
        _ => None,
    };
    checked(report, entry, size, least, "a size", "for example `512m` or `2g`")
}

fn with_unit(report: &Report<'_>, entry: &Entry, wanted: &str, help: &str) -> Option<String> {
    let (node, what) = (&entry.value, format!("`{}`", entry.key));
    match &node.value {
        Value::String(text) | Value::Expanded(text) => Some(text.trim().to_owned()),
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

/// Number and unit, nothing between but blanks; with a fraction where that makes whole bytes or nearly so.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = units.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?.trim_end(), *bytes)))?;
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
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
        assert_eq!([read("512"), read("512m"), read("-1MiB"), read("MiB"), read("1e3MiB"), read("")], [None; 6]);
        assert_eq!(parse("512m", &COMPOSE), Some(512 << 20));
        assert_eq!(read("99999999999TiB"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes in 0_u64..1 << 50) {
            prop_assert_eq!(parse(&format(bytes), &UNITS), Some(bytes));
        }
    }
}
