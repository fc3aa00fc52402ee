//! `kennel version` and `kennel completions`.

use serde::Serialize;

use crate::args::{Cli, Completions};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;

/// Version of this binary, and so of the daemon it starts.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(super) fn version(context: &mut Context) -> Result<u8, Failure> {
    if context.global.json {
        context.screen.json(&Version { version: VERSION })?;
    } else {
        context.screen.out(&format!("kennel {VERSION}\n"))?;
    }
    Ok(exit_codes::OK)
}

pub(super) fn completions(context: &mut Context, args: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::whole(), "kennel", &mut script);
    context.screen.out(&String::from_utf8_lossy(&script))?;
    Ok(exit_codes::OK)
}
