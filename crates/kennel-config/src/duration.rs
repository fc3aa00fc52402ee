//! Durations such as `500ms`, `10s`, `4h` or `1m30s`.

use std::time::Duration;

use crate::diagnostic::Report;
use crate::reader::{expected, expected_help};
use crate::tree::{Entry, Node, Value};

/// Longest duration a key takes: ten years. Far enough from where adding it to a point in time overflows.
const MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Units with their nanoseconds, longest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The value of a key that takes a duration. A bare number means seconds under a key that ends in `_seconds`, and
/// nothing anywhere else.
pub(crate) fn read(report: &Report<'_>, entry: &Entry) -> Option<Duration> {
    let (node, what) = (&entry.value, format!("`{}`", entry.key));
    if entry.key.ends_with("_seconds") {
        match &node.value {
            Value::Int(_, text) | Value::Float(_, text) | Value::Expanded(text)
                if text.trim().parse::<f64>().is_ok() =>
            {
                return checked(report, node, &what, parse(&format!("{}s", text.trim())));
            }
            _ => {}
        }
    }
    match &node.value {
        Value::String(text) | Value::Expanded(text) => checked(report, node, &what, parse(text.trim())),
        Value::Int(0, _) => {
            expected_help(report, node, &what, "a duration", Some("zero is written `0s`"));
            None
        }
        Value::Int(_, text) | Value::Float(_, text) => {
            let help = format!("say what it counts: `{text}s` or `{text}ms`");
            expected_help(report, node, &what, "a duration with its unit", Some(&help));
            None
        }
        _ => {
            expected(report, node, &what, "a duration such as `10s`");
            None
        }
    }
}

fn checked(report: &Report<'_>, node: &Node, what: &str, duration: Option<Duration>) -> Option<Duration> {
    match duration {
        None => {
            let help = "durations are written `500ms`, `10s`, `1m30s` or `4h`";
            expected_help(report, node, what, "a duration", Some(help));
            None
        }
        Some(duration) if duration > MAX => {
            report.error(node.span, "out_of_range", format!("{what} is longer than ten years"));
            None
        }
        some => some,
    }
}

/// Parses numbers with units, longest unit first: `1h30m`, `1.5s`. What is below a nanosecond is cut off.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total, mut from) = (text, 0_u128, 0);
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit = if unit == "µs" { "us" } else { unit };
        let index = from + UNITS[from..].iter().position(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, UNITS[index].1)?)?;
        (rest, from) = (tail, index + 1);
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    let nanos = u32::try_from(total % 1_000_000_000).ok()?;
    (!text.is_empty()).then(|| Duration::new(seconds, nanos))
}

/// A decimal number times `unit`, exactly.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 15 {
        return None;
    }
    let mut total = whole.parse::<u64>().ok().map(u128::from)?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(fraction.parse::<u128>().ok()? * unit / scale)?;
    }
    Some(total)
}

/// The shortest text that `parse` takes back to the same duration.
pub(crate) fn format(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    let mut text = String::new();
    // Days stay hours: `36h` is what people write.
    for (name, unit) in &UNITS[1..] {
        if nanos >= *unit {
            text.push_str(&format!("{}{name}", nanos / unit));
            nanos %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_what_people_write() {
        let ms = |text| parse(text).map(|duration| duration.as_millis());
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("4h"), Some(14_400_000));
        assert_eq!(ms("1.5s"), Some(1_500));
        assert_eq!(ms("0s"), Some(0));
        assert_eq!(ms("2d"), Some(172_800_000));
        for wrong in ["", "10", "s", "1 s", "1s2m", "1s1s", "-1s", ".5s", "1.s", "1..5s", "1sec"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
        assert_eq!(ms("99999999999999999999999h"), None);
    }

    proptest! {
        #[test]
        fn format_is_read_back(nanos in any::<u64>()) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn never_panics(text in "[0-9a-z.µ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
