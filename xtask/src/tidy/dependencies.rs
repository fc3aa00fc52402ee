//! Licences and bans of `deny.toml`, held from what cargo knows: cargo-deny is not on every machine.

use std::collections::BTreeSet;

use super::{File, Findings};
use crate::{Result, run};

pub(super) fn check(files: &[File], findings: &mut Findings) -> Result {
    let Some(deny) = files.iter().find(|file| file.path == "deny.toml") else {
        findings.problem("deny.toml", "is missing");
        return Ok(());
    };
    let allowed: BTreeSet<&str> = strings_of(&deny.text, "allow = [").collect();
    let banned: BTreeSet<&str> = crates_of(&deny.text).collect();
    // Every crate of the lock file that any target or feature of ours can pull in, with its licence expression.
    let format = ["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"];
    let tree = run::output("cargo", format.into_iter().chain(["--no-dedupe", "--format", "{p}\t{l}"]))?;
    let crates: BTreeSet<(&str, &str)> = tree.lines().filter_map(|line| line.split_once('\t')).collect();
    for (package, licence) in &crates {
        // A path after the version means that the crate is ours; ` (*)` marks nothing with --no-dedupe.
        let name = package.split(' ').next().unwrap_or(package);
        if banned.contains(name) {
            findings.problem("Cargo.lock", format!("`{name}` is banned by deny.toml"));
        }
        if !acceptable(licence, &allowed) {
            findings
                .problem("Cargo.lock", format!("`{package}` has licence `{licence}`, which deny.toml does not allow"));
        }
    }
    findings.note(format!("{} crates, licences and bans checked", crates.len()));
    Ok(())
}

/// Whether an SPDX expression can be satisfied by what is allowed: every term of one alternative.
fn acceptable(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let mut rest = tokens(expression);
    rest.reverse();
    !expression.is_empty() && any_of(&mut rest, allowed) && rest.is_empty()
}

/// `a OR b`; older crates write `a/b`.
fn any_of(rest: &mut Vec<String>, allowed: &BTreeSet<&str>) -> bool {
    let mut good = all_of(rest, allowed);
    while rest.pop_if(|token| token == "OR" || token == "/").is_some() {
        // Not short-circuited: the right side must be consumed.
        good |= all_of(rest, allowed);
    }
    good
}

fn all_of(rest: &mut Vec<String>, allowed: &BTreeSet<&str>) -> bool {
    let mut good = term(rest, allowed);
    while rest.pop_if(|token| token == "AND").is_some() {
        good &= term(rest, allowed);
    }
    good
}

fn term(rest: &mut Vec<String>, allowed: &BTreeSet<&str>) -> bool {
    let Some(token) = rest.pop() else {
        return false;
    };
    if token == "(" {
        let good = any_of(rest, allowed);
        return rest.pop_if(|token| token == ")").is_some() && good;
    }
    let name = match rest.pop_if(|token| token == "WITH") {
        Some(_) => format!("{token} WITH {}", rest.pop().unwrap_or_default()),
        None => token,
    };
    allowed.contains(name.as_str())
}

fn tokens(expression: &str) -> Vec<String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " / ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// The strings of the list that begins with this line.
fn strings_of<'a>(toml: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    let list = toml.lines().skip_while(move |line| *line != begin).skip(1).take_while(|line| *line != "]");
    list.filter_map(|line| line.split('"').nth(1))
}

/// The crates of the `deny` list.
fn crates_of(toml: &str) -> impl Iterator<Item = &str> {
    strings_of(toml, "deny = [")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(acceptable(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND LGPL-3.0",
            "MIT WITH Classpath-exception",
            "(MIT",
        ] {
            assert!(!acceptable(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn lists_are_read_from_toml() {
        let toml =
            "allow = [\n    \"MIT\",\n    \"ISC\",\n]\ndeny = [\n    { crate = \"openssl\", reason = \"x\" },\n]\n";
        assert_eq!(strings_of(toml, "allow = [").collect::<Vec<_>>(), ["MIT", "ISC"]);
        assert_eq!(crates_of(toml).collect::<Vec<_>>(), ["openssl"]);
    }
}
