//! `kennel config` and `kennel init`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use kennel_config::{FILE_NAMES, LoadOptions};

use crate::args::{Config, ConfigCommand, Init};
use crate::context::{Context, environment};
use crate::exit_codes;
use crate::failure::Failure;

/// The same as the YAML template, in the other dialect.
const TOML: &str = include_str!("template.toml");

pub(super) fn config(context: &mut Context, args: &Config) -> Result<u8, Failure> {
    match args.what {
        Some(ConfigCommand::Schema) => context.screen.json(&kennel_config::schema())?,
        Some(ConfigCommand::Check) => {
            let loaded = context.load(&args.profile)?;
            let what = loaded.file.map_or_else(|| "what is registered".to_owned(), |file| file.display().to_string());
            context.screen.remark(&format!("{what} has no errors\n"));
        }
        None => {
            let file = context.config_file()?;
            let options = LoadOptions { environment: &environment(), profiles: &args.profile };
            let project = kennel_config::load(&file, &options)?;
            if context.global.json {
                context.screen.json(&kennel_config::render(&project))?;
            } else {
                context.screen.out(&kennel_config::render_yaml(&project))?;
            }
        }
    }
    Ok(exit_codes::OK)
}

pub(super) fn init(context: &mut Context, args: &Init) -> Result<u8, Failure> {
    let (name, text) = if args.toml { ("kennel.toml", TOML) } else { ("kennel.yaml", kennel_config::template()) };
    let path = match &context.global.file {
        Some(file) => context.directory.join(file),
        None => context.directory.join(name),
    };
    let failed = |source| Failure::File { doing: "write", path: path.clone(), source };
    // A second file beside the first would only make both useless.
    let other = FILE_NAMES.iter().find(|other| **other != name && context.directory.join(other).is_file());
    if let (Some(other), None) = (other, &context.global.file) {
        let text = format!("`{other}` is here already, and two configuration files would be an error");
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, text)));
    }
    write(&path, text, args.force).map_err(failed)?;
    context.screen.remark(&format!("wrote {}; `kennel up` starts what it declares\n", path.display()));
    Ok(exit_codes::OK)
}

fn write(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    if replace {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "it is there already; --force replaces it"),
        _ => error,
    })?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn both_templates_say_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let environment = std::collections::BTreeMap::new();
        let options = LoadOptions { environment: &environment, profiles: &[] };
        let load = |name: &str, text: &str| {
            let path = dir.path().join(name);
            write(&path, text, false).unwrap();
            kennel_config::load(&path, &options).unwrap()
        };
        assert_eq!(load("kennel.toml", TOML), load("kennel.yaml", kennel_config::template()));
    }

    #[test]
    fn an_existing_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kennel.yaml");
        write(&path, "mine", false).unwrap();
        assert_eq!(write(&path, "theirs", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        write(&path, "theirs", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
    }
}
