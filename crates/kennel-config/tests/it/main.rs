//! Configurations as people write them, through the public interface.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::path::Path;

use kennel_config::{Invalid, LoadOptions, load};
use kennel_core::model::{Project, Service};

mod dialects;
mod errors;
mod errors_environment;
mod errors_probes;
mod errors_values;
mod isolation;
mod limits;
mod logs;
mod meaning;
mod notify;
mod ports;
mod privileges;
mod properties;
mod rules;
mod schedule;
mod schema;
mod watch;
mod webhooks;

/// The environment that every test loads with.
fn environment() -> BTreeMap<String, String> {
    let variables = [("HOME", "/home/ada"), ("EMPTY", ""), ("PORT", "8080"), ("TRICKY", "a: b # c\n- d")];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Loads a file by its name and text.
fn load_text(name: &str, text: &[u8]) -> Result<Project, Invalid> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, text).unwrap();
    load_file(&file)
}

fn load_file(file: &Path) -> Result<Project, Invalid> {
    load(file, &LoadOptions { environment: &environment(), profiles: &[] })
}

/// The project of a file that must be right.
#[track_caller]
fn yaml(text: &str) -> Project {
    load_text("kennel.yaml", text.as_bytes()).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// The one service of a file, from the text below its name.
#[track_caller]
fn service(keys: &str) -> Service {
    let indented: String = keys.trim().lines().map(|line| format!("    {line}\n")).collect();
    let project = yaml(&format!("services:\n  one:\n    command: run\n{indented}"));
    project.services["one"].clone()
}

/// What is said of a file that must be wrong, without the directory it lies in.
#[track_caller]
fn wrong(text: &str) -> String {
    wrong_file("kennel.yaml", text)
}

#[track_caller]
fn wrong_file(name: &str, text: &str) -> String {
    let invalid = load_text(name, text.as_bytes()).unwrap_err();
    let directory = invalid.file.parent().unwrap().display().to_string();
    invalid.to_string().replace(&directory, "[dir]")
}

/// The same for the text below the name of a service.
#[track_caller]
fn wrong_service(keys: &str) -> String {
    let indented: String = keys.trim().lines().map(|line| format!("    {line}\n")).collect();
    wrong(&format!("services:\n  one:\n    command: run\n{indented}"))
}
