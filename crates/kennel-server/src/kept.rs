//! The file of what is registered.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use kennel_wire::{Code, Definition, Diagnostic, Problem, Registry};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What is registered: each as the configuration file would declare it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) services: BTreeMap<String, Definition>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) webhooks: BTreeMap<String, Definition>,
}

impl Kept {
    /// Nothing where there is no file.
    ///
    /// # Errors
    /// `internal` if it cannot be read, or is none.
    pub(crate) fn read(file: &Path) -> Result<Self, Problem> {
        let broken = |error: io::Error| {
            let text = format!("cannot read what is registered in {}: {error}", file.display());
            Problem::new(Code::Internal, text)
        };
        match std::fs::read(file) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| broken(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(broken(error)),
        }
    }

    /// # Errors
    /// `internal`; the file is as it was then.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Problem> {
        let written = kennel_sys::file::replace(file, |file| file.write_all(text(self).as_bytes()));
        written.map_err(|error| Problem::new(Code::Internal, format!("cannot keep what is registered: {error}")))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.webhooks.is_empty()
    }

    /// Its services alone.
    pub(crate) fn registry(&self) -> Registry {
        Registry { services: self.services.clone() }
    }
}

/// A strong entity tag (RFC 9110, 8.8.3): it differs where anything differs.
pub(crate) fn version(of: &impl Serialize) -> String {
    let text = serde_json::to_vec(of).unwrap_or_default();
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// For people as well: they find it named in diagnostics.
pub(crate) fn text(of: &impl Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(of).unwrap_or_default())
}

/// Says what it is about in place of a line, for nobody has seen the text.
pub(crate) fn name_subject(text: &str, diagnostic: &mut Diagnostic) {
    let lines = text.lines().take(usize::try_from(diagnostic.line).unwrap_or(usize::MAX));
    // Two levels deep, as `text` writes it.
    let names = lines.filter_map(|line| line.strip_prefix("    \"")?.split_once("\": ").map(|(name, _)| name));
    if let Some(name) = names.last().filter(|name| !diagnostic.message.contains(&format!("`{name}`"))) {
        diagnostic.message = format!("`{name}`: {}", diagnostic.message);
    }
    (diagnostic.line, diagnostic.column, diagnostic.span) = (0, 0, (0, 0));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn a_mistake_is_told_with_the_service_that_has_it() {
        let kept: Kept = serde_json::from_str(
            r#"{"services": {"a": {"command": "x", "environment": {"b": "c"}}, "web": {"command": "x", "restart": "?"}}}"#,
        )
        .unwrap();
        let text = text(&kept);
        let line = text.lines().position(|line| line.contains("restart")).unwrap() + 1;
        let told = |line: usize, message: &str| {
            let mut diagnostic = Diagnostic {
                code: "x".into(),
                message: message.into(),
                file: "/s".into(),
                line: u32::try_from(line).unwrap(),
                column: 7,
                span: (4, 5),
                help: None,
            };
            name_subject(&text, &mut diagnostic);
            (diagnostic.message, diagnostic.line, diagnostic.span)
        };
        assert_eq!(told(line, "`restart` is odd"), ("`web`: `restart` is odd".to_owned(), 0, (0, 0)));
        assert_eq!(told(line, "`web` is odd").0, "`web` is odd");
        assert_eq!(told(6, "it is odd").0, "`a`: it is odd");
        assert_eq!(told(1, "all is odd").0, "all is odd");
    }

    #[test]
    fn a_file_of_before_webhooks_is_read_and_written_as_it_was() {
        let kept: Kept = serde_json::from_str(r#"{"services": {}}"#).unwrap();
        assert!(kept.is_empty() && !text(&kept).contains("webhooks"));
        let json = r#"{"services": {}, "webhooks": {"ops": {"url": "http://a"}}}"#;
        let kept: Kept = serde_json::from_str(json).unwrap();
        assert!(!kept.is_empty() && kept.registry().services.is_empty());
        assert_eq!(serde_json::from_str::<Kept>(&text(&kept)).unwrap(), kept);
    }
}
