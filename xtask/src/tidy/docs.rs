//! Links between documents, and changelog fragments.

use std::collections::BTreeSet;

use super::{File, Findings};
use crate::run;

/// Kinds of change, the last part of a fragment's name before `.md`.
const KINDS: [&str; 4] = ["added", "changed", "fixed", "removed"];

pub(super) fn check(files: &[File], findings: &mut Findings) {
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        links(file, files, findings);
        if file.path.starts_with("changelog.d/") && file.path != "changelog.d/README.md" {
            fragment(file, findings);
        }
    }
}

/// Every relative link names a file of the repository, and its anchor a heading of that file.
fn links(file: &File, files: &[File], findings: &mut Findings) {
    let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    for (number, target) in targets(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let place = format!("{}:{number}", file.path);
        let full = if path.is_empty() { file.path.clone() } else { join(directory, path) };
        if !run::root().join(&full).exists() {
            findings.problem(&place, format!("links to `{target}`, which is not there"));
            continue;
        }
        let Some(anchor) = anchor else { continue };
        if let Some(other) = files.iter().find(|other| other.path == full && other.path.ends_with(".md"))
            && !anchors(&other.text).contains(anchor)
        {
            findings.problem(&place, format!("links to `{target}`, which has no such heading"));
        }
    }
}

/// `[text](target)` outside code, with line numbers.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for piece in line.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                found.push((number, target));
            }
        }
    }
    found
}

/// Anchors of the headings as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// Numbered lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((number + 1, line))
    })
}

/// A relative path from a directory, with `.` and `..` resolved.
fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `<slug>.<kind>.md`, a few whole sentences without a heading.
fn fragment(file: &File, findings: &mut Findings) {
    let name = file.path.trim_start_matches("changelog.d/");
    let parts: Vec<&str> = name.split('.').collect();
    let [slug, kind, "md"] = parts[..] else {
        findings.problem(&file.path, "is not named <slug>.<kind>.md");
        return;
    };
    if slug.is_empty() || !slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        findings.problem(&file.path, "has a slug with other characters than a-z 0-9 -");
    }
    if !KINDS.contains(&kind) {
        findings.problem(&file.path, format!("is of kind `{kind}`; there are {}", KINDS.join(", ")));
    }
    let text = file.text.trim();
    if text.is_empty() || text.starts_with('#') || !text.ends_with('.') {
        findings.problem(&file.path, "must be whole sentences, without a heading");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors() {
        let text = "# One `two`, three!\n[a](b.md#c) and [d](e)\n```\n[f](g)\n```\n";
        assert_eq!(targets(text), [(2, "b.md#c"), (2, "e")]);
        assert!(anchors(text).contains("one-two-three"));
        assert_eq!(join("docs/a", "../../README.md"), "README.md");
    }

    #[test]
    fn fragments_are_named_and_worded() {
        let problems = |path: &str, text: &str| {
            let mut findings = Findings::default();
            fragment(&File { path: path.into(), text: text.into() }, &mut findings);
            findings.problems.len()
        };
        assert_eq!(problems("changelog.d/first-stack.added.md", "`kennel up` is there.\n"), 0);
        assert_eq!(problems("changelog.d/first-stack.md", "It is there.\n"), 1);
        assert_eq!(problems("changelog.d/x.new.md", "# Title"), 2);
    }
}
