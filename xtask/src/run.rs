//! Running other programs, each shown before it starts.

#![expect(clippy::disallowed_methods, reason = "a chore runner is not kennel: its children are waited for here")]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The repository's root directory.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(set.unwrap_or_else(|| "target".into()))
}

/// Whether a program of that name is in `PATH`.
pub(crate) fn have(program: &str) -> bool {
    find(program).is_some()
}

/// The program of that name in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The cargo that runs us.
fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs cargo in the repository's root.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn cargo<I>(arguments: I) -> Result
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    program(&cargo_program(), arguments, &root())
}

/// Runs a program in a directory, its output shown as it comes and its standard input closed.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn program<I>(program: &str, arguments: I, directory: &Path) -> Result
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    let shown = show(&command);
    eprintln!("+ {shown}");
    let status = command.status().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// Runs a program in the repository's root and returns its standard output; the rest is shown.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn output<I>(program: &str, arguments: I) -> Result<String>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let program = if program == "cargo" { cargo_program() } else { program.to_owned() };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let shown = show(&command);
    let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("`{shown}` failed: {}", output.status))
    }
}

/// As [`output`], without showing the call.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn quiet<I>(program: &str, arguments: I) -> Result<String>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run `{}`: {error}", show(&command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("`{}` failed: {}", show(&command), output.status))
    }
}

/// Becomes another program, so that the terminal's signals reach it alone.
///
/// # Errors
/// If it cannot be started; else this never returns.
pub(crate) fn become_program<I>(program: &Path, arguments: I, environment: &[(&str, &Path)]) -> Result
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).envs(environment.iter().copied());
    eprintln!("+ {}", show(&command));
    Err(format!("cannot run `{}`: {}", program.display(), command.exec()))
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // The full path of cargo says nothing to a reader; that of our own binary does.
    let first = match program.file_name() {
        Some(name) if name == "cargo" => name.to_string_lossy(),
        _ => program.to_string_lossy(),
    };
    let rest = command.get_args().map(OsStr::to_string_lossy);
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ")
}
