//! Where secrets come from. They are read when something is sent, and kept nowhere else.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use kennel_core::model::Webhook;
use kennel_core::model::webhook::{Secret as Place, Text};
use kennel_webhook::{Receiver, Secret};

/// The longest file with a secret, bytes.
const LONGEST: u64 = 16 << 10;

/// The secrets that kennel has made, in a directory that only its user can read.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    dir: PathBuf,
}

impl Keys {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("webhooks") }
    }

    /// The secret of a webhook, made if kennel has to make it and did not yet.
    ///
    /// # Errors
    /// It cannot be read, or is none: one line without it.
    pub(super) fn secret(
        &self,
        name: &str,
        declared: &Webhook,
        variables: &BTreeMap<String, String>,
    ) -> Result<Secret, String> {
        let text = match &declared.secret {
            Place::Generated => return self.own(name),
            Place::Env(variable) => of_environment(variable, variables)?,
            Place::File(path) => of_file(path)?,
        };
        Secret::parse(&text).map_err(|error| error.to_string())
    }

    /// Whom a webhook sends to, with what its headers have.
    ///
    /// # Errors
    /// A header cannot be had: one line without what should be in it.
    pub(super) fn receiver(declared: &Webhook, variables: &BTreeMap<String, String>) -> Result<Receiver, String> {
        let headers = declared.headers.iter().map(|(name, text)| {
            let value = match text {
                Text::Plain(text) => text.clone(),
                Text::Env(variable) => of_environment(variable, variables)?,
                Text::File(path) => of_file(path)?.trim_end_matches(['\r', '\n']).to_owned(),
            };
            Ok((name.clone(), value))
        });
        let headers: Vec<(String, String)> = headers.collect::<Result<_, String>>()?;
        let (timeout, ca_file) = (declared.timeout, declared.ca_file.clone());
        Receiver::new(&declared.url, &headers, timeout, ca_file).map_err(|error| error.to_string())
    }

    /// The one that kennel keeps, made if there is none. One that cannot be read is never replaced: its receiver would not know.
    ///
    /// # Errors
    /// One line without it.
    pub(super) fn own(&self, name: &str) -> Result<Secret, String> {
        match self.path(name).try_exists() {
            Ok(false) => self.renew(name),
            _ => Secret::parse(&of_file(&self.path(name))?).map_err(|error| error.to_string()),
        }
    }

    /// Makes another one.
    ///
    /// # Errors
    /// One line without it.
    pub(super) fn renew(&self, name: &str) -> Result<Secret, String> {
        self.make(name).map_err(|error| format!("cannot keep a secret: {error}"))
    }

    fn make(&self, name: &str) -> io::Result<Secret> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let secret = Secret::generate()?;
        kennel_sys::file::replace(&self.path(name), |file| file.write_all(secret.reveal().as_bytes()))?;
        Ok(secret)
    }

    /// Forgets it.
    pub(super) fn remove(&self, name: &str) {
        let _none = fs::remove_file(self.path(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.secret"))
    }
}

fn of_environment(variable: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let missing = || format!("the variable {variable} was not set when the configuration was loaded");
    variables.get(variable).cloned().ok_or_else(missing)
}

fn of_file(path: &Path) -> Result<String, String> {
    let wrong = |error: io::Error| format!("cannot read {}: {error}", path.display());
    // A pipe that nobody writes to would be waited for.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file: File = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(wrong)?;
    if !file.metadata().map_err(wrong)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(wrong)?;
    Ok(text)
}
