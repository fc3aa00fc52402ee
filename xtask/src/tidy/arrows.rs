//! Which crate may know which: dependencies point towards the pure core and never turn round.

use super::{File, Findings};

/// Each crate with those of ours it may depend on. A crate that is not listed fails the check.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("kennel-core", &[]),
    ("kennel-sys", &[]),
    ("kennel-wire", &[]),
    ("kennel-logs", &["kennel-wire"]),
    ("kennel-store", &["kennel-core", "kennel-sys", "kennel-wire"]),
    ("kennel-keeper", &["kennel-sys"]),
    ("kennel-orphans", &["kennel-sys", "kennel-keeper", "kennel-store", "kennel-wire"]),
    ("kennel-calendar", &["kennel-core"]),
    ("kennel-config", &["kennel-calendar", "kennel-core"]),
    ("kennel-formats", &["kennel-core", "kennel-sys", "kennel-config", "kennel-store", "kennel-wire"]),
    (
        "kennel-engine",
        &[
            "kennel-calendar",
            "kennel-core",
            "kennel-sys",
            "kennel-keeper",
            "kennel-orphans",
            "kennel-logs",
            "kennel-store",
            "kennel-desktop",
            "kennel-webhook",
            "kennel-wire",
        ],
    ),
    ("kennel-client", &["kennel-wire", "kennel-sys"]),
    ("kennel-access", &["kennel-sys", "kennel-wire"]),
    ("kennel-dashboard", &[]),
    ("kennel-webhook", &[]),
    ("kennel-desktop", &[]),
    (
        "kennel-server",
        &[
            "kennel-access",
            "kennel-core",
            "kennel-dashboard",
            "kennel-sys",
            "kennel-config",
            "kennel-engine",
            "kennel-formats",
            "kennel-keeper",
            "kennel-wire",
        ],
    ),
    ("kennel-tui", &["kennel-client", "kennel-wire"]),
    (
        "kennel-cli",
        &[
            "kennel-client",
            "kennel-desktop",
            "kennel-tui",
            "kennel-config",
            "kennel-wire",
            "kennel-server",
            "kennel-keeper",
            "kennel-orphans",
            "kennel-formats",
            "kennel-logs",
            "kennel-sys",
            "kennel-core",
        ],
    ),
    ("kennel-testkit", &["kennel-store", "kennel-wire"]),
    ("kennel-benches", &["kennel-keeper", "kennel-logs", "kennel-sys", "kennel-testkit"]),
    ("kennel-zoo", &[]),
    ("xtask", &[]),
];

/// Words that a crate's own code (not its tests) must not contain, with the reason.
const MUST_NOT_SAY: &[(&str, &[&str], &str)] = &[
    (
        "crates/kennel-core/src/",
        &["std::fs", "std::net", "std::process", "std::thread", "std::env", "Instant::now", "SystemTime", "async fn"],
        "core decides; files, clocks, threads and the system belong to its drivers",
    ),
    ("crates/kennel-keeper/src/", &["tokio", "async fn", "serde"], "the keeper is small and single-threaded"),
    ("crates/kennel-wire/src/", &["std::fs", "std::net", "tokio"], "wire is vocabulary, it does nothing"),
];

pub(super) fn check(files: &[File], findings: &mut Findings) {
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        if let Some(package) = package_name(&file.text) {
            dependencies(file, package, findings);
        }
    }
    for (place, words, why) in MUST_NOT_SAY {
        for file in files.iter().filter(|file| file.path.starts_with(place) && file.path.ends_with(".rs")) {
            for (number, line) in code(&file.text) {
                if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                    findings.problem(&format!("{}:{number}", file.path), format!("says `{word}`: {why}"));
                }
            }
        }
    }
}

fn dependencies(file: &File, package: &str, findings: &mut Findings) {
    let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == package) else {
        findings.problem(&file.path, format!("`{package}` has no entry in xtask/src/tidy/arrows.rs"));
        return;
    };
    for known in ours(&file.text) {
        if !allowed.contains(&known) {
            findings.problem(&file.path, format!("`{package}` must not know `{known}`"));
        }
    }
}

/// Value of `name` in the `[package]` table.
fn package_name(manifest: &str) -> Option<&str> {
    let table = manifest.split("\n[").find(|table| table.trim_start_matches('[').starts_with("package]"))?;
    let line = table.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// Our crates among the `[dependencies]`; those for tests and builds are free.
fn ours(manifest: &str) -> Vec<&str> {
    let mut in_table = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_table = line == "[dependencies]" || (line.starts_with("[target.") && line.ends_with(".dependencies]"));
        } else if in_table {
            let name = line.split(['=', ' ', '.']).next().unwrap_or_default();
            if name.starts_with("kennel") || name == "xtask" {
                found.push(name);
            }
        }
    }
    found
}

/// Numbered lines before the test module, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines.map(|(number, line)| (number + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        let mut findings = Findings::default();
        check(&[File { path: path.into(), text: text.into() }], &mut findings);
        findings.problems.len()
    }

    #[test]
    fn an_arrow_that_turns_round_is_found() {
        let manifest = |dependency: &str| {
            format!(
                "[package]\nname = \"kennel-core\"\n\n[dependencies]\nserde = \"1\"\n{dependency}\n[dev-dependencies]\nkennel-testkit = \"1\"\n"
            )
        };
        assert_eq!(problems("crates/kennel-core/Cargo.toml", &manifest("")), 0);
        assert_eq!(problems("crates/kennel-core/Cargo.toml", &manifest("kennel-sys = { workspace = true }")), 1);
        assert_eq!(problems("crates/kennel-core/Cargo.toml", &manifest("kennel-engine.workspace = true")), 1);
        assert_eq!(problems("crates/new/Cargo.toml", "[package]\nname = \"kennel-new\"\n"), 1);
    }

    #[test]
    fn core_has_no_clock_outside_its_tests() {
        let path = "crates/kennel-core/src/machine.rs";
        assert_eq!(problems(path, "fn f() { let t = Instant::now(); }\n"), 1);
        assert_eq!(
            problems(path, "// Instant::now is for drivers.\n#[cfg(test)]\nmod tests { /* Instant::now */ }\n"),
            0
        );
    }
}
