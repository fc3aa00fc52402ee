//! kennel.yaml and kennel.toml to the validated model, with located errors.
//!
//! Knows nothing of the engine, the protocol or a terminal: it turns text into [`kennel_core::model::Project`], or
//! into a list of everything that is wrong with the text. Both dialects become one tree whose keys and values know
//! their places; one typed pass reads that tree.

mod diagnostic;
mod find;
mod limits;
mod load;
mod logs;
mod notify;

mod expand;
mod json;
mod toml;
mod tree;
mod yaml;

mod address;
mod command;
mod cpus;
mod depends;
mod duration;
mod env_file;
mod environment;
mod hints;
mod isolation;
mod liveness;
mod path;
mod ports;
mod privileges;
mod probe;
mod reader;
mod restart;
mod rules;
mod sampling;
mod schedule;
mod service;
mod signal;
mod size;
mod stop;
mod watch;
mod webhooks;
mod who;

mod dashboard;
mod render;
mod schema;

pub use dashboard::{RecordedServer, dashboard_config, dashboard_services, read_dashboard, read_dashboard_text};
pub use diagnostic::{Diagnostic, Invalid, MAX_DIAGNOSTICS};
pub use find::{FILE_NAMES, FindError, find};
pub use limits::from_words as limits_from_words;
pub use load::{LoadOptions, load, load_text, load_webhooks};
pub use render::{render, render_without_environment, render_yaml};
pub use schema::schema;
pub use service::written_working_dir;

/// The commented file that `kennel init` writes; it loads as it is.
#[must_use]
pub fn template() -> &'static str {
    include_str!("template.yaml")
}
