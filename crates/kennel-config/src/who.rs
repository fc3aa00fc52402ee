//! The small keys of a service: as whom it runs, how often, and how it is shown.

use crate::diagnostic::suggest;
use crate::reader::{Fields, boolean, expected, expected_help, filled, integer, list, text};
use crate::tree::{Node, Value};

/// Names of colours beside `#rrggbb`.
pub(crate) const COLORS: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

/// `user` and `group`; `user: name:group` says both.
pub(crate) fn user_and_group(fields: &Fields<'_>) -> (Option<String>, Option<String>) {
    let report = fields.report;
    let read = |name: &str| {
        let entry = fields.get(name)?;
        let text = text(report, &entry.value, &format!("`{name}`"))?;
        let good = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
        if text.is_empty() || !text.chars().all(good) {
            let message = format!("`{name}` must be a name or a number, not {text:?}");
            report.error(entry.value.span, "bad_value", message);
            return None;
        }
        Some(text)
    };
    let (user, group) = (read("user"), read("group"));
    let Some((name, after)) = user.as_deref().and_then(|user| user.split_once(':')) else {
        return (user, group);
    };
    if let Some(entry) = fields.get("group") {
        let message = "`user` names a group already";
        report.error_help(entry.key_span, "conflict", message, "keep one of them");
    }
    if (name.is_empty() || after.is_empty() || after.contains(':'))
        && let Some(entry) = fields.get("user")
    {
        let message = "`user` must be a name, or `name:group`";
        report.error(entry.value.span, "bad_value", message);
    }
    (Some(name.to_owned()), Some(after.to_owned()))
}

/// `dedicated_user`: nothing else runs as the service's user, which it must name.
pub(crate) fn dedicated_user(fields: &Fields<'_>) -> bool {
    let Some(entry) = fields.get("dedicated_user") else { return false };
    if boolean(fields.report, &entry.value, "`dedicated_user`") != Some(true) {
        return false;
    }
    let named = match fields.get("user").map(|user| &user.value.value) {
        None => false,
        Some(Value::Int(number, _)) => *number != 0,
        Some(Value::String(text) | Value::Expanded(text)) => {
            !matches!(text.split(':').next(), None | Some("" | "root" | "0"))
        }
        // Reported where it is read.
        Some(_) => true,
    };
    if !named {
        let message = "`dedicated_user` needs a `user` other than root";
        let help = "all processes of that user are killed with the service: name one that nothing else runs as";
        fields.report.error_help(entry.key_span, "conflict", message, help);
    }
    true
}

/// `umask`: octal digits as text, or an octal number that says so.
pub(crate) fn umask(fields: &Fields<'_>) -> Option<u32> {
    let entry = fields.get("umask")?;
    let node: &Node = &entry.value;
    let digits = match &node.value {
        Value::String(text) | Value::Expanded(text) => {
            let text = text.trim();
            text.strip_prefix("0o").unwrap_or(text)
        }
        Value::Int(_, text) => match text.strip_prefix("0o") {
            Some(digits) => digits,
            None => {
                let help = format!("quote it: `\"{text}\"`; a bare number is not octal everywhere");
                expected_help(fields.report, node, "`umask`", "octal digits in quotes", Some(&help));
                return None;
            }
        },
        _ => {
            expected(fields.report, node, "`umask`", "octal digits in quotes, such as \"022\"");
            return None;
        }
    };
    let mask = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits);
    let mask = mask.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let mask = mask.filter(|mask| *mask <= 0o777);
    if mask.is_none() {
        let message = format!("`umask` must be between \"000\" and \"777\", not \"{digits}\"");
        fields.report.error(node.span, "out_of_range", message);
    }
    mask
}

/// `replicas`.
pub(crate) fn replicas(fields: &Fields<'_>) -> Option<u32> {
    let entry = fields.get("replicas")?;
    if entry.value.value == Value::Int(0, "0".to_owned()) {
        let message = format!("`{}` must be at least 1", entry.key);
        let help = "a service that usually does not run is what `profiles` are for";
        fields.report.error_help(entry.value.span, "out_of_range", message, help);
        return None;
    }
    integer(fields.report, &entry.value, &format!("`{}`", entry.key), 1..=1000)
}

/// `success_exit_codes`: one or several.
pub(crate) fn success_exit_codes(fields: &Fields<'_>) -> Option<Vec<i32>> {
    let entry = fields.get("success_exit_codes")?;
    let code = |node: &Node| integer(fields.report, node, "an exit code", 0..=255);
    match entry.value.value {
        Value::Int(..) | Value::Expanded(_) => code(&entry.value).map(|code| vec![code]),
        _ => list(fields.report, &entry.value, "`success_exit_codes`", code),
    }
}

/// `profiles`: one or several names.
pub(crate) fn profiles(fields: &Fields<'_>) -> Option<Vec<String>> {
    let entry = fields.get("profiles")?;
    let name = |node: &Node| {
        let name = filled(fields.report, node, "a profile")?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.chars().all(good) {
            let message = format!("`{}` cannot be the name of a profile", name.escape_debug());
            let help = "letters, digits, `_`, `-` and `.`";
            fields.report.error_help(node.span, "bad_name", message, help);
            return None;
        }
        Some(name)
    };
    match entry.value.as_str() {
        Some(_) => name(&entry.value).map(|name| vec![name]),
        None => list(fields.report, &entry.value, "`profiles`", name),
    }
}

/// `color`: a name or `#rrggbb`.
pub(crate) fn color(fields: &Fields<'_>) -> Option<String> {
    let entry = fields.get("color")?;
    let given = filled(fields.report, &entry.value, &format!("`{}`", entry.key))?;
    let plain = given.to_ascii_lowercase().replace('_', "-");
    if COLORS.contains(&plain.as_str()) {
        return Some(plain);
    }
    let hex = plain.strip_prefix('#').filter(|hex| hex.len() == 6);
    if hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Some(plain);
    }
    let help = match crate::diagnostic::closest(&plain, COLORS) {
        Some(_) => suggest(&plain, COLORS),
        None => "a name such as `cyan` or `bright-red`, or `#rrggbb` in quotes".to_owned(),
    };
    let message = format!("there is no colour `{given}`");
    fields.report.error_help(entry.value.span, "unknown_value", message, help);
    None
}
