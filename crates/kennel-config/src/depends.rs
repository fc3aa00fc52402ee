//! `depends_on`, and what must hold between services.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kennel_core::model::Condition;
use kennel_core::ports::AUTO;

use crate::diagnostic::{Report, Span, closest};
use crate::reader::{Fields, Key, boolean, choice, entries, expected, filled, key, list, no_hint};
use crate::service::Draft;
use crate::tree::{Node, Value};

/// Keys of one dependency in a mapping.
pub(crate) const DEPENDENCY: &[Key] = &[key("condition", &[]), key("required", &[]), key("restart", &[])];

/// A dependency with the place of its name.
pub(crate) struct Edge {
    pub(crate) service: String,
    pub(crate) span: Span,
    pub(crate) wait: Wait,
    /// Without it, a service that is not declared is not waited for.
    pub(crate) required: bool,
    /// It is restarted along.
    pub(crate) restart: bool,
}

/// `condition`: the last one is `healthy` for a service whose readiness is a line of its log.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wait {
    For(Condition),
    LogReady,
}

impl Wait {
    pub(crate) fn condition(self) -> Condition {
        match self {
            Self::For(condition) => condition,
            Self::LogReady => Condition::Healthy,
        }
    }
}

/// The words for conditions; compose and process-compose put `service_` and `process_` before them.
pub(crate) const CONDITIONS: [(&str, Wait); 5] = [
    ("started", Wait::For(Condition::Started)),
    ("healthy", Wait::For(Condition::Healthy)),
    ("completed", Wait::For(Condition::Completed)),
    ("completed_successfully", Wait::For(Condition::CompletedSuccessfully)),
    ("log_ready", Wait::LogReady),
];

/// `depends_on`: names, or a mapping of names to conditions.
pub(crate) fn read(report: &Report<'_>, node: &Node) -> Option<Vec<Edge>> {
    let started = Wait::For(Condition::Started);
    if let Value::List(_) = node.value {
        let edges = list(report, node, "`depends_on`", |item| {
            let service = filled(report, item, "a name under `depends_on`")?;
            Some(Edge { service, span: item.span, wait: started, required: true, restart: false })
        })?;
        for (index, edge) in edges.iter().enumerate() {
            if edges[..index].iter().any(|earlier| earlier.service == edge.service) {
                let message = format!("`{}` is given twice", edge.service);
                report.error(edge.span, "duplicate_key", message);
            }
        }
        return Some(edges);
    }
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        expected(report, node, "`depends_on`", "a list of names, or a mapping of names to conditions");
        return None;
    }
    let mut edges = Vec::new();
    for entry in entries(report, node, "`depends_on`")? {
        let (service, span) = (entry.key.clone(), entry.key_span);
        let (wait, required, restart) = match &entry.value.value {
            // `db: healthy` is short for `db: { condition: healthy }`.
            Value::String(_) | Value::Expanded(_) => (condition(report, &entry.value), Some(true), Some(false)),
            _ => options(report, &entry.value, &service).unwrap_or((None, None, None)),
        };
        // With the usual condition where the given one is wrong, so that the name is checked all the same.
        let (wait, required) = (wait.unwrap_or(started), required.unwrap_or(true));
        edges.push(Edge { service, span, wait, required, restart: restart.unwrap_or(false) });
    }
    Some(edges)
}

/// Condition, whether it has to be declared, and whether it is restarted along.
type Options = (Option<Wait>, Option<bool>, Option<bool>);

fn options(report: &Report<'_>, node: &Node, service: &str) -> Option<Options> {
    let fields = Fields::open(report, node, &format!("the dependency `{service}`"), DEPENDENCY, no_hint)?;
    let wait = match fields.get("condition") {
        Some(entry) => condition(report, &entry.value),
        None => Some(Wait::For(Condition::Started)),
    };
    let required = match fields.get("required") {
        Some(entry) => boolean(report, &entry.value, "`required`"),
        None => Some(true),
    };
    let restart = fields.read("restart", |report, entry| boolean(report, &entry.value, "`restart`"));
    Some((wait, required, restart))
}

fn condition(report: &Report<'_>, node: &Node) -> Option<Wait> {
    let Some(text) = node.as_str() else {
        return choice(report, node, "`condition`", &CONDITIONS);
    };
    let plain = text.strip_prefix("service_").or_else(|| text.strip_prefix("process_"));
    let plain = Node { value: Value::String(plain.unwrap_or(text).to_owned()), span: node.span };
    choice(report, &plain, "`condition`", &CONDITIONS)
}

/// Checks what the services say of each other: unknown names, cycles, conditions nobody can meet, ports two want.
pub(crate) fn check(report: &Report<'_>, services: &mut [Draft]) {
    names(report, services);
    cycles(report, services);
    ports(report, services);
}

fn names(report: &Report<'_>, services: &mut [Draft]) {
    let all: IndexMap<_, _> = services.iter().map(|draft| (draft.name.clone(), draft.has_log_line())).collect();
    for draft in services {
        let own = draft.name.clone();
        draft.edges.retain(|edge| {
            if edge.service == own {
                let message = format!("`{own}` depends on itself");
                report.error(edge.span, "dependency_cycle", message);
                return false;
            }
            let Some(has_log_line) = all.get(&edge.service) else {
                if edge.required && !report.is_full() {
                    let message = format!("`{own}` depends on `{}`, which is not declared", edge.service);
                    match closest(&edge.service, all.keys().map(String::as_str)) {
                        Some(name) => {
                            report.error_help(edge.span, "unknown_service", message, format!("did you mean `{name}`?"))
                        }
                        None => report.error(edge.span, "unknown_service", message),
                    }
                }
                return false;
            };
            if !edge.required {
                report.error_help(
                    edge.span,
                    "not_supported",
                    "`required: false` for a service that is declared is not supported yet",
                    "leave it out, or leave out the dependency",
                );
            }
            if edge.wait == Wait::LogReady && !has_log_line {
                report.error_help(
                    edge.span,
                    "conflict",
                    format!("`{}` has no `log_line` under `readiness`", edge.service),
                    "give it one, or use the condition `healthy`",
                );
            }
            true
        });
    }
}

/// Reports each cycle once, at the edge that closes it.
fn cycles(report: &Report<'_>, services: &[Draft]) {
    let index: BTreeMap<_, _> = services.iter().enumerate().map(|(at, draft)| (draft.name.as_str(), at)).collect();
    let (mut done, mut on_path) = (vec![false; services.len()], vec![false; services.len()]);
    for start in 0..services.len() {
        if done[start] || report.is_full() {
            continue;
        }
        // The path from `start`, each with the number of its next edge; not recursion, because a file may chain
        // tens of thousands of services.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        on_path[start] = true;
        while let Some((at, next)) = path.last_mut() {
            let from = *at;
            let Some(edge) = services[from].edges.get(*next) else {
                done[from] = true;
                on_path[from] = false;
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&to) = index.get(edge.service.as_str()) else {
                continue;
            };
            if on_path[to] {
                let first = path.iter().position(|(at, _)| *at == to).unwrap_or_default();
                let names = path[first..].iter().map(|(at, _)| services[*at].name.as_str());
                let message = format!("services wait for each other: {}", circle(names));
                report.error(edge.span, "dependency_cycle", message);
            } else if !done[to] {
                on_path[to] = true;
                path.push((to, 0));
            }
        }
    }
}

/// `a -> b -> a`; of a very long one the middle is left out.
fn circle<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> String {
    const SHOWN: usize = 20;
    let (length, first) = (names.len(), names.clone().next().unwrap_or_default());
    let mut text: String = names.clone().take(SHOWN).map(|name| format!("{name} -> ")).collect();
    if length > SHOWN + 1 {
        text.push_str(&format!("({} more) -> ", length - SHOWN - 1));
    }
    if length > SHOWN {
        text.extend(names.last().map(|name| format!("{name} -> ")));
    }
    text + first
}

/// Two services cannot listen on one port, unless no choice of a profile starts both.
fn ports(report: &Report<'_>, services: &[Draft]) {
    let mut owners: BTreeMap<u16, Vec<&Draft>> = BTreeMap::new();
    for draft in services {
        for (port, span) in draft.ports.values().filter(|(port, _)| *port != AUTO) {
            let others = owners.entry(*port).or_default();
            if report.is_full() {
                return;
            }
            if let Some(other) = others.iter().find(|other| other.may_run_with(draft)) {
                let message = if other.name == draft.name {
                    format!("`{}` has the port {port} twice", draft.name)
                } else {
                    format!("both `{}` and `{}` have the port {port}", other.name, draft.name)
                };
                report.error(*span, "port_conflict", message);
            }
            others.push(draft);
        }
    }
}
