//! The configurations that the documents show are valid, and so is the zoo's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kennel_config::{LoadOptions, load};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Fenced blocks in this language that declare services.
fn examples(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = document.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter(|block| block.contains("services")).map(|block| format!("{block}\n")).collect()
}

#[test]
fn every_example_in_the_documents_is_valid() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = BTreeMap::new();
    let options = LoadOptions { environment: &environment, profiles: &[] };
    let mut seen = 0;
    for document in ["README.md", "docs/configuration.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("a document");
        for language in ["yaml", "toml"] {
            for example in examples(&text, language) {
                let file = directory.path().join(format!("kennel.{language}"));
                // Dependencies that an excerpt leaves out.
                let complete = match (language, example.contains("db = {")) {
                    ("toml", true) => {
                        format!("{example}\n[services.db]\ncommand = \"db\"\nreadiness = {{ tcp = 1 }}\n")
                    }
                    _ => example.clone(),
                };
                std::fs::write(&file, complete).expect("a file");
                if let Err(invalid) = load(&file, &options) {
                    panic!("{document}: {:#?}\n{example}", invalid.diagnostics);
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "only {seen} examples were found");
}

#[test]
fn the_zoo_is_valid_with_and_without_its_profile() {
    let environment = BTreeMap::from([("ZOO".to_owned(), "/bin/true".to_owned())]);
    for profiles in [vec![], vec!["drama".to_owned()]] {
        let options = LoadOptions { environment: &environment, profiles: &profiles };
        let project = load(&root().join("examples/zoo/kennel.yaml"), &options);
        let project = project.unwrap_or_else(|invalid| panic!("{:#?}", invalid.diagnostics));
        assert_eq!(project.services.len(), 7);
    }
}
