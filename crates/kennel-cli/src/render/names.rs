//! Names that nobody has, and the one that was probably meant.

use kennel_wire::{Code, Problem, ServiceStatus};

/// Checks that every name is one of `known`; a replica counts as its service.
///
/// # Errors
/// `unknown_service` for the first that is not.
pub(crate) fn check(names: &[String], known: &[String]) -> Result<(), Problem> {
    let unknown = |name: &&String| !known.contains(*name) && !known.iter().any(|one| one == service_of(name));
    match names.iter().find(unknown) {
        None => Ok(()),
        Some(name) => {
            let problem = Problem::new(Code::UnknownService, format!("no service is called `{name}`"));
            Err(match hint(name, known) {
                Some(hint) => problem.hint(hint),
                None => problem,
            })
        }
    }
}

/// As [`check`], among services that are told of.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_among(names: &[String], services: &[ServiceStatus]) -> Result<(), Problem> {
    let mut declared: Vec<String> = services.iter().map(|one| one.service.clone()).collect();
    declared.dedup();
    check(names, &declared)
}

/// Whether one of these names means it: its own, or that of the service that it is a replica of.
pub(crate) fn mean(names: &[String], one: &ServiceStatus) -> bool {
    names.iter().any(|name| *name == one.name || *name == one.service)
}

/// `worker` of `worker.2`; of other names they themselves.
pub(crate) fn service_of(name: &str) -> &str {
    let replica = name.rsplit_once('.').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    replica.map_or(name, |(service, _)| service)
}

/// ``did you mean `web`?``, or what there is.
fn hint(name: &str, known: &[String]) -> Option<String> {
    let distance = |one: &&String| edits(name, one);
    let closest = known.iter().min_by_key(distance)?;
    if edits(name, closest) <= name.chars().count() / 3 + 1 {
        return Some(format!("did you mean `{closest}`?"));
    }
    Some(format!("there are {}", known.join(", ")))
}

/// Insertions, deletions and replacements that lead from one to the other (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let best = (row[j] + 1).min(row[j + 1] + 1).min(corner + usize::from(a != *b));
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_seen_through() {
        let known: Vec<String> = ["web", "database", "worker"].map(str::to_owned).to_vec();
        let told = |name: &str| check(&[name.to_owned()], &known).err().and_then(|problem| problem.hint);
        assert_eq!(told("web"), None);
        assert_eq!(told("worker.2"), None);
        assert_eq!(told("wbe").as_deref(), Some("did you mean `web`?"));
        assert_eq!(told("databse").as_deref(), Some("did you mean `database`?"));
        assert_eq!(told("zoo-keeper").as_deref(), Some("there are web, database, worker"));
        assert_eq!(check(&["web.x".to_owned()], &known).map_err(|problem| problem.code), Err(Code::UnknownService));
    }
}
