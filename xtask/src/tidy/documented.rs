//! What users can write or read is documented: configuration keys, fields and events of the wire.

use super::{File, Findings};

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let keys = files.iter().filter(|file| is_source(file, "crates/kennel-config/src/"));
    mentioned(keys.flat_map(config_keys), "docs/configuration.md", files, findings);
    let fields = files.iter().filter(|file| is_source(file, "crates/kennel-wire/src/"));
    mentioned(fields.flat_map(wire_names), "docs/api.md", files, findings);
}

fn is_source(file: &File, directory: &str) -> bool {
    file.path.starts_with(directory) && file.path.ends_with(".rs")
}

/// Each name stands in the document as code, or in a page beside it that the document links to.
fn mentioned<'a>(
    names: impl Iterator<Item = (&'a str, &'a str)>,
    document: &str,
    files: &[File],
    findings: &mut Findings,
) {
    let Some(document) = files.iter().find(|file| file.path == document) else {
        findings.problem(document, "is missing");
        return;
    };
    // A name counts inside code of any length: `name`, `{ name: … }`, a fenced example.
    let pages = files.iter().filter(|file| file.path == document.path || links_to(document, file));
    let words: std::collections::BTreeSet<&str> =
        pages.flat_map(|page| page.text.split(|c: char| !is_word(c))).collect();
    for (place, name) in names.filter(|(_, name)| !words.contains(name)) {
        findings.problem(&document.path, format!("does not mention `{name}` of {place}"));
    }
}

/// Whether one page links to another in the same directory.
fn links_to(document: &File, page: &File) -> bool {
    let directory = document.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let name = page.path.strip_prefix(directory).and_then(|name| name.strip_prefix('/'));
    name.filter(|name| name.ends_with(".md") && !name.contains('/'))
        .is_some_and(|name| [")", "#"].iter().any(|end| document.text.contains(&format!("]({name}{end}"))))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Names and aliases in the tables of keys: `key("name", &["alias"])`.
fn config_keys(file: &File) -> Vec<(&str, &str)> {
    let body = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = body.split("key(\"").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let names = calls.flat_map(|call| call.split('"').step_by(2));
    names.filter(|name| !name.is_empty() && name.chars().all(is_word)).map(|name| (file.path.as_str(), name)).collect()
}

/// Public fields, and names given to variants.
fn wire_names(file: &File) -> Vec<(&str, &str)> {
    let name = |line| {
        let line: &str = str::trim(line);
        let field = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "));
        let field = field.map(|(name, _)| name).filter(|name| name.chars().all(is_word));
        field.or_else(|| line.strip_prefix("#[serde(rename = \"")?.split('"').next())
    };
    file.text.lines().filter_map(name).map(|name| (file.path.as_str(), name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn keys_aliases_fields_and_events_are_found() {
        let keys = file("k.rs", "key(\"stop\", &[]),\nkey(\"cwd\", &[\"dir\", \"d\"]),\n#[cfg(test)]\nkey(\"x\", &[])");
        assert_eq!(config_keys(&keys), [("k.rs", "stop"), ("k.rs", "cwd"), ("k.rs", "dir"), ("k.rs", "d")]);
        let wire = file("w.rs", "    pub after_ms: u64,\n    #[serde(rename = \"stop.stage\")]\n    pub fn new() {}\n");
        assert_eq!(wire_names(&wire), [("w.rs", "after_ms"), ("w.rs", "stop.stage")]);
    }

    #[test]
    fn what_is_not_mentioned_is_a_problem() {
        let files = [
            file("crates/kennel-config/src/a.rs", "key(\"stop\", &[]), key(\"start\", &[])"),
            file("docs/configuration.md", "`{ stop: now }` and restart"),
            file("docs/api.md", ""),
        ];
        let mut findings = Findings::default();
        check(&files, &mut findings);
        assert_eq!(findings.problems.len(), 1, "{:?}", findings.problems);
    }

    #[test]
    fn a_page_that_is_linked_counts_and_another_does_not() {
        let files = [
            file("crates/kennel-config/src/a.rs", "key(\"cron\", &[]), key(\"every\", &[])"),
            file("docs/configuration.md", "see [schedules](schedules.md#cron)"),
            file("docs/schedules.md", "`cron`"),
            file("docs/other.md", "`every`"),
            file("docs/api.md", ""),
        ];
        let mut findings = Findings::default();
        check(&files, &mut findings);
        assert_eq!(findings.problems.len(), 1, "{:?}", findings.problems);
    }
}
