//! Rules for single source files.

use super::{File, Findings};

/// Lines after which a file is named in the report.
const LONG: usize = 500;
/// Lines after which it needs an entry in [`EXCUSED`].
const TOO_LONG: usize = 800;
/// Longer files with a reason: a table, one exhaustive match.
const EXCUSED: &[&str] = &[];

/// Requirement groups with the highest number in each.
const REQUIREMENTS: [(char, u32); 5] = [('A', 10), ('B', 10), ('C', 10), ('D', 7), ('E', 11)];

/// Words that mark unfinished work, in two parts so that this file does not contain them.
const MARKERS: [(&str, &str); 4] = [("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("HA", "CK:")];

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let mut lines = 0;
    let mut cited = std::collections::BTreeSet::new();
    for file in sources {
        lines += file.text.lines().count();
        length(file, findings);
        markers(file, findings);
        exemptions(file, findings);
        outside_of_sys(file, findings);
        citations(file, &mut cited, findings);
    }
    findings.note(format!("{lines} lines of Rust"));
    let cited: Vec<&str> = cited.iter().map(String::as_str).collect();
    findings.note(format!("requirements cited by tests: {}", cited.join(" ")));
}

fn length(file: &File, findings: &mut Findings) {
    let lines = file.text.lines().count();
    if lines > TOO_LONG && !EXCUSED.contains(&file.path.as_str()) {
        findings
            .problem(&file.path, format!("{lines} lines; past {TOO_LONG} a file is split or excused with a reason"));
    } else if lines > LONG {
        findings.note(format!("{}: {lines} lines; is there a second subject in it?", file.path));
    }
}

fn markers(file: &File, findings: &mut Findings) {
    for (number, line) in file.text.lines().enumerate() {
        for (head, tail) in MARKERS {
            if line.contains(&format!("{head}{tail}")) {
                findings.problem(
                    &format!("{}:{}", file.path, number + 1),
                    format!(
                        "`{head}{tail}` marks unfinished work: finish it, or say in the documentation what is missing"
                    ),
                );
            }
        }
    }
}

/// Where unsafe code may be: the OS mechanisms, and the bad children of the tests, which nobody installs.
const MAY_BE_UNSAFE: [&str; 2] = ["crates/kennel-sys/", "crates/kennel-testkit/src/bin/"];

/// The workspace lint against unsafe code can be switched off only where it belongs.
fn exemptions(file: &File, findings: &mut Findings) {
    let levels = ["allow", "expect", "warn"];
    let permits = levels.iter().any(|level| file.text.contains(&format!("{level}({}", "unsafe_code")));
    if permits && !MAY_BE_UNSAFE.iter().any(|place| file.path.starts_with(place)) {
        findings.problem(&file.path, format!("permits unsafe code; only {} may", MAY_BE_UNSAFE.join(" and ")));
    }
}

/// Unsafe code itself, also where a crate has forgotten to take on the workspace's lints.
fn outside_of_sys(file: &File, findings: &mut Findings) {
    if MAY_BE_UNSAFE.iter().any(|place| file.path.starts_with(place)) {
        return;
    }
    // In two parts, so that this file does not contain it.
    let word = concat!("un", "safe");
    for (number, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let follows = |tail: &str| code.contains(&format!("{word}{tail}"));
        let attribute = code.contains(&format!("[{word}("));
        if attribute || [" {", " fn", " impl", " extern", " trait"].into_iter().any(follows) {
            findings.problem(&format!("{}:{}", file.path, number + 1), format!("{word} code outside of kennel-sys"));
        }
    }
}

/// `covers: B4` in a comment cites a requirement.
fn citations(file: &File, cited: &mut std::collections::BTreeSet<String>, findings: &mut Findings) {
    for (number, line) in file.text.lines().enumerate() {
        let Some((comment, ids)) = line.split_once("covers: ") else {
            continue;
        };
        if !comment.trim_start().starts_with("//") {
            continue;
        }
        for id in ids.split([' ', ',', '.', ';', '(']).filter(|word| looks_like_id(word)) {
            if is_requirement(id) {
                cited.insert(id.to_owned());
            } else {
                findings.problem(&format!("{}:{}", file.path, number + 1), format!("there is no requirement `{id}`"));
            }
        }
    }
}

fn looks_like_id(word: &str) -> bool {
    let (head, tail) = word.split_at_checked(1).unwrap_or(("", ""));
    head.chars().all(|c| c.is_ascii_uppercase()) && !tail.is_empty() && tail.chars().all(|c| c.is_ascii_digit())
}

fn is_requirement(id: &str) -> bool {
    REQUIREMENTS.iter().any(|(group, last)| {
        let number = id.strip_prefix(*group).and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| (1..=*last).contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(&[File { path: "crates/x/src/lib.rs".into(), text: text.into() }], &mut findings);
        findings.problems
    }

    #[test]
    fn requirement_ids_must_exist() {
        assert!(findings_of("// covers: A1, C10 (the incident), E11\n").is_empty());
        assert_eq!(findings_of("// covers: C11\n").len(), 1);
        assert_eq!(findings_of("// covers: F1, D0\n").len(), 2);
    }

    #[test]
    fn unfinished_work_and_foreign_unsafe_are_named() {
        assert_eq!(findings_of(concat!("// TO", "DO later\n")).len(), 1);
        assert_eq!(findings_of(concat!("#![allow(unsafe", "_code, reason = \"x\")]\n")).len(), 1);
    }

    #[test]
    fn unsafe_code_is_seen_without_its_lint() {
        let block = concat!("let x = un", "safe { y() };\n");
        assert_eq!(findings_of(block).len(), 1);
        assert_eq!(findings_of(concat!("#[un", "safe(no_mangle)]\n")).len(), 1);
        assert!(findings_of(&format!("// {block}")).is_empty());
        let mut findings = Findings::default();
        check(&[File { path: "crates/kennel-sys/src/x.rs".into(), text: block.into() }], &mut findings);
        assert!(findings.problems.is_empty());
    }

    #[test]
    fn long_files_fail() {
        assert!(findings_of(&"\n".repeat(TOO_LONG)).is_empty());
        assert_eq!(findings_of(&"\n".repeat(TOO_LONG + 1)).len(), 1);
    }
}
