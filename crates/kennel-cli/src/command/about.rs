//! `kennel version`, `kennel completions` and `kennel man`.

use std::io;

use clap_mangen::Man as Page;
use serde::Serialize;

use crate::args::{Cli, Completions, Man};
use crate::completion;
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
    let script = completion::script(args.shell).map_err(Failure::Output)?;
    context.screen.out(&String::from_utf8_lossy(&script))?;
    Ok(exit_codes::OK)
}

pub(super) fn man(context: &mut Context, args: &Man) -> Result<u8, Failure> {
    let mut whole = Cli::whole();
    whole.build();
    if let Some(dir) = &args.dir {
        let named = |source: io::Error| Failure::File { doing: "write the manual pages to", path: dir.clone(), source };
        std::fs::create_dir_all(dir).map_err(named)?;
        clap_mangen::generate_to(whole, dir).map_err(named)?;
        context.screen.remark(&format!("the pages are in {}\n", dir.display()));
        return Ok(exit_codes::OK);
    }
    let command = match &args.verb {
        None => whole,
        Some(verb) => {
            let Some(found) = whole.find_subcommand(verb).cloned() else {
                let why = format!("there is no verb `{verb}`; `kennel help` has all");
                Cli::whole().error(clap::error::ErrorKind::InvalidSubcommand, why).exit()
            };
            let name = format!("kennel-{verb}");
            found.name(name.clone()).display_name(name)
        }
    };
    let mut page = Vec::new();
    Page::new(command).render(&mut page).map_err(Failure::Output)?;
    context.screen.out(&String::from_utf8_lossy(&page))?;
    Ok(exit_codes::OK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn every_verb_has_a_page_and_what_is_internal_has_none() {
        let dir = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::whole(), dir.path()).unwrap();
        for verb in Cli::whole().get_subcommands().filter(|verb| verb.get_name() != "help") {
            let page = std::fs::read_to_string(dir.path().join(format!("kennel-{}.1", verb.get_name())));
            assert_eq!(page.is_ok(), !verb.is_hide_set(), "{}", verb.get_name());
            assert!(page.is_err() || page.unwrap().contains(".SH DESCRIPTION"));
        }
    }
}
