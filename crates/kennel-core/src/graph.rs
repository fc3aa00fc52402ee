//! Who waits for whom: names, cycles, what a start takes along, and whether a condition holds.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::model::{Condition, Project};
use crate::slot::Rest;

/// What is wrong with a dependency graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphError {
    /// `service` depends on `missing`, which is not declared.
    Unknown {
        /// Who depends.
        service: String,
        /// On whom.
        missing: String,
    },
    /// Each depends on the next, and the last name is the first again.
    Cycle(Vec<String>),
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { service, missing } => {
                write!(f, "`{service}` depends on `{missing}`, which is not declared")
            }
            Self::Cycle(path) => write!(f, "dependency cycle: {}", path.join(" -> ")),
        }
    }
}

impl std::error::Error for GraphError {}

/// Checks every edge and returns the services with each after all that it depends on.
///
/// # Errors
/// The first unknown name, else the first cycle, as a path.
pub fn order(project: &Project) -> Result<Vec<String>, GraphError> {
    for (name, service) in &project.services {
        if let Some(edge) = service.depends_on.iter().find(|edge| !project.services.contains_key(&edge.service)) {
            return Err(GraphError::Unknown { service: name.clone(), missing: edge.service.clone() });
        }
    }
    let mut marks = HashMap::new();
    let mut sorted = Vec::new();
    for name in project.services.keys() {
        visit(project, name, &mut marks, &mut Vec::new(), &mut sorted)?;
    }
    Ok(sorted)
}

#[derive(PartialEq)]
enum Mark {
    Open,
    Done,
}

fn visit<'a>(
    project: &'a Project,
    name: &'a str,
    marks: &mut HashMap<&'a str, Mark>,
    path: &mut Vec<&'a str>,
    sorted: &mut Vec<String>,
) -> Result<(), GraphError> {
    match marks.get(name) {
        Some(Mark::Done) => return Ok(()),
        Some(Mark::Open) => {
            let from = path.iter().position(|open| *open == name).unwrap_or(0);
            let cycle = path.iter().skip(from).chain([&name]).map(|part| (*part).to_owned()).collect();
            return Err(GraphError::Cycle(cycle));
        }
        None => {}
    }
    marks.insert(name, Mark::Open);
    path.push(name);
    for edge in project.services.get(name).into_iter().flat_map(|service| &service.depends_on) {
        visit(project, &edge.service, marks, path, sorted)?;
    }
    path.pop();
    marks.insert(name, Mark::Done);
    sorted.push(name.to_owned());
    Ok(())
}

/// These services and all that they depend on, directly or not.
#[must_use]
pub fn with_dependencies(project: &Project, names: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name.to_owned()) {
            let edges = project.services.get(name).into_iter().flat_map(|service| &service.depends_on);
            open.extend(edges.map(|edge| edge.service.as_str()));
        }
    }
    found
}

/// The services that depend on `name` directly.
pub fn dependants<'a>(project: &'a Project, name: &'a str) -> impl Iterator<Item = &'a str> {
    let depends = move |edges: &[crate::model::Dependency]| edges.iter().any(|edge| edge.service == name);
    project.services.iter().filter(move |(_, service)| depends(&service.depends_on)).map(|(name, _)| name.as_str())
}

/// What a dependant can see of one slot of its dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Waits, or is being executed, or is being stopped.
    NotYet,
    /// Executed, not ready.
    Up,
    /// Can serve.
    Ready,
    /// Nothing runs, for this reason.
    Resting(Rest),
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Met,
    /// It may yet.
    NotYet,
    /// It will not by itself, for this reason.
    Never(String),
}

/// Judges a condition over all slots of the dependency `name`.
#[must_use]
pub fn judge(name: &str, condition: Condition, slots: &[Seen]) -> Verdict {
    let mut verdict = Verdict::Met;
    for seen in slots {
        match judge_one(name, condition, seen) {
            Verdict::Met => {}
            Verdict::NotYet => verdict = Verdict::NotYet,
            never @ Verdict::Never(_) => return never,
        }
    }
    verdict
}

fn judge_one(name: &str, condition: Condition, seen: &Seen) -> Verdict {
    use Condition::{Completed, CompletedSuccessfully, Healthy, Started};
    match (condition, seen) {
        (_, Seen::NotYet) => Verdict::NotYet,
        (Started, Seen::Up | Seen::Ready) | (Healthy, Seen::Ready) => Verdict::Met,
        (Healthy, Seen::Up) | (Completed | CompletedSuccessfully, Seen::Up | Seen::Ready) => Verdict::NotYet,
        // What ran to its end with success had been started, and had served as long as it was to.
        (_, Seen::Resting(Rest::Completed)) => Verdict::Met,
        (Completed, Seen::Resting(Rest::Failed(_) | Rest::GivenUp(_))) => Verdict::Met,
        (_, Seen::Resting(Rest::Stopped)) => Verdict::Never(format!("its dependency `{name}` is stopped")),
        (_, Seen::Resting(Rest::Failed(why))) => Verdict::Never(format!("its dependency `{name}` failed: {why}")),
        (_, Seen::Resting(Rest::GivenUp(why))) => {
            Verdict::Never(format!("its dependency `{name}` was given up: {why}"))
        }
    }
}
