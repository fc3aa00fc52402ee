//! Which lines there are: services in an order, each with its tree of processes while it is open.

use kennel_wire::{ProcessUsage, ServiceStatus, ServiceUsage};

use crate::Look;
use crate::order::Order;

/// Which line, over many looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A service, by its name in `ps`.
    Service(String),
    /// A process; its begin tells it from another one that gets its number later.
    Process { pid: u32, start_ticks: u64 },
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row<'a> {
    Service { status: &'a ServiceStatus, usage: Option<&'a ServiceUsage>, open: bool },
    Process { service: &'a ServiceStatus, usage: &'a ServiceUsage, process: &'a ProcessUsage, guide: String },
}

impl<'a> Row<'a> {
    pub(crate) fn key(&self) -> Key {
        match self {
            Row::Service { status, .. } => Key::Service(status.name.clone()),
            Row::Process { process, .. } => Key::Process { pid: process.pid, start_ticks: process.start_ticks },
        }
    }

    /// The service that it is, or belongs to.
    pub(crate) fn service(&self) -> &'a ServiceStatus {
        match self {
            Row::Service { status, .. } => status,
            Row::Process { service, .. } => service,
        }
    }
}

/// What of everything is shown.
pub(crate) struct Choice<'a> {
    pub(crate) order: Order,
    pub(crate) reverse: bool,
    /// Lower case; empty: everything.
    pub(crate) filter: &'a str,
    pub(crate) is_open: &'a dyn Fn(&str) -> bool,
}

/// All lines, from the top.
pub(crate) fn rows<'a>(look: &'a Look, choice: &Choice<'_>) -> Vec<Row<'a>> {
    let mut services: Vec<_> = look.services.iter().map(|status| (status, look.usage_of(status))).collect();
    // A stable sort: equals stay in the order of `ps`.
    services.sort_by(|a, b| choice.order.services(choice.reverse, *a, *b));
    let mut rows = Vec::new();
    for (status, usage) in services {
        let processes = usage.map_or(&[][..], |usage| &usage.processes_detail);
        let named = matches(&status.name, choice.filter);
        let mut branch = Vec::new();
        if !choice.filter.is_empty() && !named {
            // What is looked for is shown with those above it, whether its service is open or not.
            let tree = prune(forest(processes), &|process| {
                matches(&process.command, choice.filter) || process.pid.to_string() == choice.filter
            });
            if tree.is_empty() {
                continue;
            }
            branch = tree;
        } else if (choice.is_open)(&status.name) {
            branch = forest(processes);
        }
        rows.push(Row::Service { status, usage, open: !branch.is_empty() });
        if let Some(usage) = usage {
            flatten(branch, choice, (status, usage), "", &mut rows);
        }
    }
    rows
}

/// Whether a text has what is looked for, which is in lower case.
pub(crate) fn matches(text: &str, filter: &str) -> bool {
    text.to_lowercase().contains(filter)
}

struct Node<'a> {
    process: &'a ProcessUsage,
    children: Vec<Node<'a>>,
}

/// From processes with their depths, parents before their children.
fn forest(processes: &[ProcessUsage]) -> Vec<Node<'_>> {
    fn take<'a>(rest: &mut &'a [ProcessUsage], depth: u32) -> Vec<Node<'a>> {
        let mut nodes = Vec::new();
        while let Some((process, after)) = rest.split_first()
            && process.depth >= depth
        {
            *rest = after;
            nodes.push(Node { process, children: take(rest, process.depth.saturating_add(1)) });
        }
        nodes
    }
    let mut rest = processes;
    take(&mut rest, 0)
}

/// What is wanted, with all that is above it.
fn prune<'a>(nodes: Vec<Node<'a>>, wanted: &dyn Fn(&ProcessUsage) -> bool) -> Vec<Node<'a>> {
    let keep = |node: Node<'a>| {
        let children = prune(node.children, wanted);
        (!children.is_empty() || wanted(node.process)).then_some(Node { process: node.process, children })
    };
    nodes.into_iter().filter_map(keep).collect()
}

fn flatten<'a>(
    mut nodes: Vec<Node<'a>>,
    choice: &Choice<'_>,
    of: (&'a ServiceStatus, &'a ServiceUsage),
    before: &str,
    rows: &mut Vec<Row<'a>>,
) {
    nodes.sort_by(|a, b| choice.order.processes(choice.reverse, a.process, b.process));
    let last = nodes.len().saturating_sub(1);
    for (at, node) in nodes.into_iter().enumerate() {
        let (corner, below) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        rows.push(Row::Process {
            service: of.0,
            usage: of.1,
            process: node.process,
            guide: format!("{before}{corner}"),
        });
        flatten(node.children, choice, of, &format!("{before}{below}"), rows);
    }
}
