//! What is registered for a shutdown; nothing that cannot be ordered gets in.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::{Cleanup, Phase};

/// The cleanups of a shutdown and the time of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    overall: Duration,
    cleanups: Vec<Cleanup>,
}

/// Why cleanups were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is taken.
    Taken(String),
    /// A name in `after` is neither registered nor in the same batch.
    Unknown {
        /// Whose.
        cleanup: String,
        /// Which.
        missing: String,
    },
    /// A name in `after` has its turn in a later phase.
    Later {
        /// Whose.
        cleanup: String,
        /// Which.
        after: String,
    },
    /// They wait for each other; the first name stands at the end again.
    Cycle(Vec<String>),
    /// A shutdown is under way or over.
    TooLate(String),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(name) => write!(f, "cannot register cleanup `{name}`: there is one of that name"),
            Self::Unknown { cleanup, missing } => {
                write!(
                    f,
                    "cannot register cleanup `{cleanup}`: it is to run after `{missing}`, which is not registered"
                )
            }
            Self::Later { cleanup, after } => {
                write!(
                    f,
                    "cannot register cleanup `{cleanup}`: it is to run after `{after}`, which is of a later phase"
                )
            }
            Self::Cycle(path) => write!(f, "cannot register cleanups that wait for each other: {}", path.join(" -> ")),
            Self::TooLate(name) => write!(f, "cannot register cleanup `{name}`: the shutdown has begun"),
        }
    }
}

impl std::error::Error for RegisterError {}

impl Plan {
    /// No cleanup yet. `overall` bounds the whole, from its begin.
    #[must_use]
    pub fn new(overall: Duration) -> Self {
        Self { overall, cleanups: Vec::new() }
    }

    /// Adds cleanups that may name each other and those that are registered: all of them or none.
    ///
    /// # Errors
    /// The first of them that cannot be ordered.
    pub fn register(&mut self, batch: Vec<Cleanup>) -> Result<(), RegisterError> {
        let before = self.cleanups.len();
        self.cleanups.extend(batch);
        let checked = check(&self.cleanups);
        if checked.is_err() {
            self.cleanups.truncate(before);
        }
        checked
    }

    /// In the order they were registered.
    #[must_use]
    pub fn cleanups(&self) -> &[Cleanup] {
        &self.cleanups
    }

    /// The time of the whole.
    #[must_use]
    pub fn overall(&self) -> Duration {
        self.overall
    }
}

fn check(cleanups: &[Cleanup]) -> Result<(), RegisterError> {
    let mut known: HashMap<&str, &Cleanup> = HashMap::new();
    for cleanup in cleanups {
        if known.insert(&cleanup.name, cleanup).is_some() {
            return Err(RegisterError::Taken(cleanup.name.clone()));
        }
    }
    for cleanup in cleanups {
        for after in &cleanup.after {
            let phase = known.get(after.as_str()).map(|other| other.phase);
            check_edge(cleanup, after, phase)?;
        }
    }
    let mut marks = HashMap::new();
    cleanups.iter().try_for_each(|cleanup| visit(&known, cleanup, &mut marks, &mut Vec::new()))
}

fn check_edge(cleanup: &Cleanup, after: &str, phase: Option<Phase>) -> Result<(), RegisterError> {
    match phase {
        None => Err(RegisterError::Unknown { cleanup: cleanup.name.clone(), missing: after.to_owned() }),
        Some(phase) if phase > cleanup.phase => {
            Err(RegisterError::Later { cleanup: cleanup.name.clone(), after: after.to_owned() })
        }
        Some(_) => Ok(()),
    }
}

/// Whether all that a cleanup waits for has been visited, or is being visited.
#[derive(Clone, Copy)]
enum Mark {
    Open,
    Done,
}

fn visit<'a>(
    known: &HashMap<&'a str, &'a Cleanup>,
    cleanup: &'a Cleanup,
    marks: &mut HashMap<&'a str, Mark>,
    path: &mut Vec<&'a str>,
) -> Result<(), RegisterError> {
    let name = cleanup.name.as_str();
    match marks.get(name) {
        Some(Mark::Done) => return Ok(()),
        Some(Mark::Open) => {
            let from = path.iter().position(|open| *open == name).unwrap_or(0);
            let cycle = path.iter().skip(from).chain([&name]).map(|part| (*part).to_owned()).collect();
            return Err(RegisterError::Cycle(cycle));
        }
        None => {}
    }
    marks.insert(name, Mark::Open);
    path.push(name);
    for other in cleanup.after.iter().filter_map(|after| known.get(after.as_str())) {
        visit(known, other, marks, path)?;
    }
    path.pop();
    marks.insert(name, Mark::Done);
    Ok(())
}
