//! `${ports.NAME}`: whether there are such ports, and whether their numbers can stand there.

use std::collections::{BTreeMap, BTreeSet};

use kennel_core::ports::{Reference, reference};

use crate::diagnostic::{Report, suggest};
use crate::tree::{Entry, Node, Value};

const BEGIN: &str = "${ports.";

/// Keys of a service whose texts are filled in when it is started.
const FILLED: [&str; 10] = [
    "command",
    "environment",
    "env",
    "readiness",
    "readiness_probe",
    "liveness",
    "liveness_probe",
    "healthcheck",
    "stop",
    "watch",
];

/// Ports of each service by their names.
type Known<'t> = BTreeMap<&'t str, BTreeSet<String>>;

/// Checks every reference to a port.
pub(crate) fn check(report: &Report<'_>, services: &[Entry]) {
    let known: Known<'_> = services.iter().map(|entry| (entry.key.as_str(), ports_of(&entry.value))).collect();
    for service in services {
        let Value::Map(keys) = &service.value.value else { continue };
        for entry in keys.iter().filter(|entry| !entry.key.starts_with("x-")) {
            walk(report, &entry.value, &mut |report, node, text| {
                let mut rest = text;
                while let Some((_, after)) = rest.split_once(BEGIN) {
                    rest = after;
                    let inside = after.split_once('}').map(|(inside, _)| inside);
                    let Some(found) = inside.and_then(reference) else { continue };
                    if !FILLED.contains(&entry.key.as_str()) {
                        let message = format!("the number of a port cannot stand in `{}`", entry.key);
                        let help = "it can in `command`, `environment`, probes, `stop` and `watch`";
                        report.error_help(node.span, "not_supported", message, help);
                        return;
                    }
                    refer(report, node, &service.key, found, &known);
                }
            });
        }
    }
}

fn refer(report: &Report<'_>, node: &Node, here: &str, found: Reference<'_>, known: &Known<'_>) {
    let of = found.service.unwrap_or(here);
    match known.get(of) {
        None => {
            let names: Vec<&str> = known.keys().copied().collect();
            let message = format!("`{of}` is not a service, so it has no port `{}`", found.port);
            report.error_help(node.span, "unknown_port", message, suggest(of, names));
        }
        Some(ports) if ports.contains(found.port) => {}
        Some(ports) => {
            let help = match ports.is_empty() {
                true => format!("it has no `ports`; `ports: {{ {}: auto }}` lets kennel choose one", found.port),
                false => suggest(found.port, ports.iter().map(String::as_str)),
            };
            let message = format!("`{}` is not in the `ports` of `{of}`", found.port);
            report.error_help(node.span, "unknown_port", message, help);
        }
    }
}

fn walk<'n>(report: &Report<'_>, node: &'n Node, see: &mut impl FnMut(&Report<'_>, &'n Node, &'n str)) {
    match &node.value {
        Value::String(text) | Value::Expanded(text) if text.contains(BEGIN) => see(report, node, text),
        Value::List(items) => items.iter().for_each(|item| walk(report, item, see)),
        Value::Map(entries) => entries.iter().for_each(|entry| walk(report, &entry.value, see)),
        _ => {}
    }
}

fn ports_of(service: &Node) -> BTreeSet<String> {
    let Value::Map(keys) = &service.value else { return BTreeSet::new() };
    let ports = keys.iter().filter(|entry| entry.key == "ports");
    ports
        .flat_map(|entry| match &entry.value.value {
            Value::Map(entries) => entries.iter().map(|entry| entry.key.clone()).collect(),
            Value::List(items) => items.iter().filter_map(text).collect(),
            _ => Vec::new(),
        })
        .collect()
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) | Value::Expanded(text) | Value::Int(_, text) => Some(text.trim().to_owned()),
        _ => None,
    }
}
