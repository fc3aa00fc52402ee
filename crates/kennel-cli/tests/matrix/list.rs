//! All cells that there are, whether or not this machine can have them: what a whole run has to come to.

use std::collections::BTreeMap;

use crate::environment::Environment;
use crate::escapes::{ESCAPES, Group};
use crate::{TESTS, record};

/// The environments of the tests of each way to end and each group.
fn tests() -> BTreeMap<(&'static str, Group), Vec<Environment>> {
    let mut tests: BTreeMap<_, Vec<Environment>> = BTreeMap::new();
    for (exit, name, group) in TESTS {
        tests.entry((*exit, *group)).or_default().push(Environment::of_test(name));
    }
    tests
}

/// For `cargo xtask matrix`, in the order of the definition.
#[test]
fn every_cell_is_listed() {
    let of = |environment| TESTS.iter().filter(move |(_, name, _)| Environment::of_test(name) == environment);
    for (environment, (exit, _, group)) in
        Environment::ALL.into_iter().flat_map(|it| of(it).map(move |test| (it, test)))
    {
        let escapes = ESCAPES.iter().filter(|escape| escape.group == *group && escape.exists(environment));
        record::listed(environment, exit, escapes.map(|escape| escape.name));
    }
}

/// A way to end is tested in every environment, or, with processes that are held, in none.
#[test]
fn no_environment_is_forgotten() {
    for ((exit, group), mut environments) in tests() {
        environments.sort();
        assert_eq!(environments, Environment::ALL, "{exit} × {group:?}");
    }
    for (exit, ..) in TESTS {
        for group in [Group::Trees, Group::Storms] {
            assert!(tests().contains_key(&(*exit, group)), "{exit} × {group:?}");
        }
    }
}
