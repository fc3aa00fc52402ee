//! Ports, and the hosts and paths that stand beside them in probes.

use indexmap::IndexMap;
use kennel_core::model::ProbeKind;
use kennel_core::ports::AUTO;

use crate::diagnostic::{Report, Span, suggest};
use crate::reader::{Fields, Key, entries, expected, expected_help, filled, integer, key, list, no_hint};
use crate::tree::{Node, Value};

/// Keys of `http_get`.
pub(crate) const HTTP_GET: &[Key] = &[key("host", &[]), key("port", &[]), key("path", &[]), key("scheme", &[])];

/// Keys of `tcp` where it is a mapping.
pub(crate) const TCP: &[Key] = &[key("host", &[]), key("port", &[])];

const LOCALHOST: &str = "127.0.0.1";

const PORT: std::ops::RangeInclusive<i64> = 1..=65_535;

/// `ports` with the place of each: a mapping of names, or a list of numbers that are their own names.
pub(crate) fn ports(report: &Report<'_>, node: &Node) -> Option<IndexMap<String, (u16, Span)>> {
    let mut ports = IndexMap::new();
    if let Value::List(_) = node.value {
        let numbers =
            list(report, node, "`ports`", |item| number(report, item, "a port").map(|port| (port, item.span)))?;
        for (port, span) in numbers {
            ports.entry(port.to_string()).or_insert((port, span));
        }
        return Some(ports);
    }
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        let help = "for example `ports: { http: 8080 }`";
        expected_help(report, node, "`ports`", "a mapping of names to numbers, or a list", Some(help));
        return None;
    }
    for entry in entries(report, node, "`ports`")? {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if entry.key.is_empty() || !entry.key.chars().all(good) {
            let message = format!("`{}` cannot be the name of a port", entry.key);
            let help = "letters, digits, `_` and `-`";
            report.error_help(entry.key_span, "bad_name", message, help);
        }
        let port = match entry.value.as_str() {
            Some("auto") => Some(AUTO),
            _ => number(report, &entry.value, &format!("the port `{}`", entry.key)),
        };
        if let Some(port) = port {
            ports.insert(entry.key.clone(), (port, entry.value.span));
        }
    }
    Some(ports)
}

pub(crate) fn number(report: &Report<'_>, node: &Node, what: &str) -> Option<u16> {
    match node.as_str() {
        Some(mapping) if mapping.contains(':') => {
            let help = "the service listens on the port itself, so there is nothing to map: give one number";
            expected_help(report, node, what, "a number", Some(help));
            None
        }
        _ => integer(report, node, what, PORT),
    }
}

/// A port that a probe asks: its number, and its name where kennel chooses that.
type Asked = (u16, Option<String>);

/// A port by number, or by its name in `ports`.
fn port(report: &Report<'_>, node: &Node, ports: &IndexMap<String, u16>) -> Option<Asked> {
    match &node.value {
        Value::String(text) | Value::Expanded(text) => named(report, node.span, text.trim(), ports),
        _ => integer(report, node, "the port", PORT).map(|port| (port, None)),
    }
}

fn named(report: &Report<'_>, span: Span, text: &str, ports: &IndexMap<String, u16>) -> Option<Asked> {
    let plain = text.strip_prefix("${ports.").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    if let Some(port) = ports.get(plain) {
        return Some((*port, (*port == AUTO).then(|| plain.to_owned())));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        let port = text.parse().ok().filter(|port| *port > 0);
        if port.is_none() {
            let message = format!("the port must be between 1 and 65535, not {text}");
            report.error(span, "out_of_range", message);
        }
        return port.map(|port| (port, None));
    }
    let help = match ports.is_empty() {
        true => "this service has no `ports`; give a number".to_owned(),
        false => suggest(text, ports.keys().map(String::as_str)),
    };
    report.error_help(span, "unknown_port", format!("`{text}` is not in `ports`"), help);
    None
}

/// `tcp`: a number, a name, `host:port`, or a mapping of both.
pub(crate) fn tcp(report: &Report<'_>, node: &Node, ports: &IndexMap<String, u16>) -> Option<ProbeKind> {
    match &node.value {
        Value::Map(_) => {
            let fields = Fields::open(report, node, "`tcp`", TCP, no_hint)?;
            let host = host(&fields);
            let (port, auto) = required_port(&fields, "`tcp`", ports)?;
            Some(ProbeKind::Tcp { host: host?, port, auto })
        }
        Value::String(text) | Value::Expanded(text) => {
            let (host, port) = split_port(text.trim());
            let port =
                named(report, node.span, port.unwrap_or(host), ports).filter(|_| check_host(report, node.span, host));
            let host = if text.contains(':') { unbracket(host) } else { LOCALHOST };
            let (port, auto) = port?;
            Some(ProbeKind::Tcp { host: host.to_owned(), port, auto })
        }
        Value::Int(..) => {
            let (port, auto) = port(report, node, ports)?;
            Some(ProbeKind::Tcp { host: LOCALHOST.to_owned(), port, auto })
        }
        _ => {
            expected(report, node, "`tcp`", "a port, or `host:port`");
            None
        }
    }
}

/// `http_get`: a URL, or a mapping of its parts.
pub(crate) fn http_get(report: &Report<'_>, node: &Node, ports: &IndexMap<String, u16>) -> Option<ProbeKind> {
    match &node.value {
        Value::String(text) | Value::Expanded(text) => url(report, node, text.trim(), ports),
        Value::Map(_) => {
            let fields = Fields::open(report, node, "`http_get`", HTTP_GET, no_hint)?;
            if let Some(entry) = fields.get("scheme") {
                scheme(report, &entry.value)?;
            }
            let host = host(&fields);
            let port = required_port(&fields, "`http_get`", ports);
            let path = match fields.get("path") {
                Some(entry) => {
                    let path = filled(report, &entry.value, "`path`")?;
                    check_path(report, &entry.value, path)
                }
                None => Some("/".to_owned()),
            };
            let (port, auto) = port?;
            Some(ProbeKind::HttpGet { host: host?, port, path: path?, auto })
        }
        _ => {
            expected(report, node, "`http_get`", "a URL or a mapping");
            None
        }
    }
}

fn scheme(report: &Report<'_>, node: &Node) -> Option<()> {
    let text = filled(report, node, "`scheme`")?;
    match text.to_ascii_lowercase().as_str() {
        "http" => Some(()),
        "https" => {
            no_https(report, node);
            None
        }
        _ => {
            expected(report, node, "`scheme`", "`http`");
            None
        }
    }
}

fn no_https(report: &Report<'_>, node: &Node) {
    let help = "probe plain HTTP, `tcp`, or use `exec` with a program that speaks TLS";
    report.error_help(node.span, "not_supported", "a probe over https is not supported yet", help);
}

fn url(report: &Report<'_>, node: &Node, text: &str, ports: &IndexMap<String, u16>) -> Option<ProbeKind> {
    if text.starts_with("https://") {
        no_https(report, node);
        return None;
    }
    let Some(rest) = text.strip_prefix("http://") else {
        let help = "for example `http://127.0.0.1:8080/health`, or `{ port: 8080, path: /health }`";
        expected_help(report, node, "`http_get`", "a URL that begins with `http://`", Some(help));
        return None;
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let (host, port) = split_port(authority);
    if !check_host(report, node.span, host) {
        return None;
    }
    let (port, auto) = match port {
        Some(port) => named(report, node.span, port, ports)?,
        None => (80, None),
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path = check_path(report, node, path)?;
    Some(ProbeKind::HttpGet { host: unbracket(host).to_owned(), port, path, auto })
}

fn host(fields: &Fields<'_>) -> Option<String> {
    let Some(entry) = fields.get("host") else {
        return Some(LOCALHOST.to_owned());
    };
    let host = filled(fields.report, &entry.value, "`host`")?;
    check_host(fields.report, entry.value.span, &host).then(|| unbracket(&host).to_owned())
}

fn required_port(fields: &Fields<'_>, what: &str, ports: &IndexMap<String, u16>) -> Option<Asked> {
    match fields.get("port") {
        Some(entry) => port(fields.report, &entry.value, ports),
        None => {
            fields.report.error(fields.span, "missing_key", format!("{what} needs a `port`"));
            None
        }
    }
}

/// The host, and what follows the last colon that is no part of an address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn unbracket(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn check_host(report: &Report<'_>, span: Span, host: &str) -> bool {
    let bare = unbracket(host);
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let address = bare.len() == host.len() && bare.contains(':');
    let ok = !bare.is_empty() && bare.chars().all(good) && !address;
    let ok = ok || bare.parse::<std::net::Ipv6Addr>().is_ok();
    if !ok {
        report.error(span, "bad_value", format!("`{host}` is not a host"));
    }
    ok
}

/// A path goes into a request line as it is.
fn check_path(report: &Report<'_>, node: &Node, path: String) -> Option<String> {
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = "`path` must begin with `/` and contain no spaces";
        report.error(node.span, "bad_value", message);
        return None;
    }
    Some(path.split('#').next().unwrap_or_default().to_owned())
}
