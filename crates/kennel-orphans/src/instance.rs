//! An instance as its files tell it, with neither keeper nor daemon to ask.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_keeper::orphans;
use kennel_sys::home::Home;
use kennel_wire::{EndedProcess, InstanceState};
use serde::Deserialize;

use crate::words;

/// Every instance of this user beside this one, and this one, as far as they ever ran; by name.
#[must_use]
pub fn instances(home: &Home) -> Vec<Home> {
    let entries = home.state_dir.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<Home> = names.map(|name| sibling(home, name)).filter(|it| it.lock_file().is_file()).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn sibling(home: &Home, name: String) -> Home {
    let beside = |dir: &Path| dir.parent().map_or_else(|| dir.to_owned(), |parent| parent.join(&name));
    let state_dir = beside(&home.state_dir);
    // Without a directory for such things sockets are below the state.
    let below = home.runtime_dir.strip_prefix(&home.state_dir).ok();
    let runtime_dir = below.map_or_else(|| beside(&home.runtime_dir), |below| state_dir.join(below));
    Home { state_dir, runtime_dir, name }
}

/// How an instance stands, as far as its lock tells: `Silent` while somebody holds it, who may well answer.
///
/// # Errors
/// What looking at the lock says; one that is not there is that of an instance that never ran.
pub fn state(home: &Home) -> io::Result<InstanceState> {
    let file = match File::open(home.lock_file()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(InstanceState::Idle),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(InstanceState::Silent),
        Err(TryLockError::Error(error)) => Err(error),
        // A keeper that ends as it should empties the file.
        Ok(()) if file.metadata()?.len() > 0 => Ok(InstanceState::Lost),
        Ok(()) => Ok(InstanceState::Idle),
    }
}

/// Ends keeper and daemon, whoever of them holds the lock of the instance; waits up to `limit` for their end. What they
/// ran is found by [`crate::find`] afterwards.
///
/// # Errors
/// What looking at the lock says.
pub fn end_holders(home: &Home, limit: Duration) -> io::Result<Vec<EndedProcess>> {
    let ended = orphans::end_holders(&home.lock_file(), limit)?;
    Ok(ended.iter().map(|one| words::ended(one, false)).collect())
}

/// Sockets of the instance that nobody listens on any more, of whoever held the lock last and of whoever asks. Nobody
/// may be able to take the lock meanwhile.
pub(crate) fn remove_sockets(home: &Home) -> Vec<PathBuf> {
    let told = written(&home.lock_file()).runtime_dir.map(|dir| Home { runtime_dir: dir, ..home.clone() });
    let homes = [Some(home.clone()), told.filter(|told| told.runtime_dir != home.runtime_dir)];
    let sockets = homes.into_iter().flatten().flat_map(|home| [home.api_socket(), home.stdio_socket()]);
    let is_socket = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    sockets.filter(is_socket).filter(|path| fs::remove_file(path).is_ok()).collect()
}

/// What a keeper writes into its lock.
#[derive(Debug, Default, Deserialize)]
struct Written {
    #[serde(default)]
    runtime_dir: Option<PathBuf>,
}

/// Garbage in there tells nothing.
fn written(lock: &Path) -> Written {
    let text = fs::read_to_string(lock).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(dir: &Path) -> Home {
        Home { name: "a".into(), state_dir: dir.join("state/a"), runtime_dir: dir.join("run/a") }
    }

    #[test]
    fn a_lock_tells_how_an_instance_stands() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        assert_eq!(state(&home).unwrap(), InstanceState::Idle);
        home.create().unwrap();
        fs::write(home.lock_file(), "").unwrap();
        assert_eq!(state(&home).unwrap(), InstanceState::Idle);
        fs::write(home.lock_file(), "{\"keeper_pid\":1}").unwrap();
        assert_eq!(state(&home).unwrap(), InstanceState::Lost);
        let held = File::open(home.lock_file()).unwrap();
        held.lock().unwrap();
        assert_eq!(state(&home).unwrap(), InstanceState::Silent);
    }

    #[test]
    fn siblings_are_those_that_ran() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        for name in ["b", "a", "never"] {
            fs::create_dir_all(dir.path().join("state").join(name)).unwrap();
        }
        for name in ["b", "a"] {
            fs::write(dir.path().join("state").join(name).join("lock"), "").unwrap();
        }
        let found = instances(&home);
        assert_eq!(found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found[1].runtime_dir, dir.path().join("run/b"));
        let below = Home { runtime_dir: home.state_dir.join("run"), ..home };
        assert_eq!(instances(&below)[1].runtime_dir, dir.path().join("state/b/run"));
    }

    #[test]
    fn only_sockets_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        home.create().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(home.lock_file(), format!("{{\"keeper_pid\":1,\"runtime_dir\":\"{}\"}}", elsewhere.display()))
            .unwrap();
        let stale = elsewhere.join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        drop(std::os::unix::net::UnixListener::bind(home.stdio_socket()).unwrap());
        fs::write(home.api_socket(), "not a socket").unwrap();
        assert_eq!(remove_sockets(&home), [home.stdio_socket(), stale]);
        assert!(home.api_socket().exists());
        assert!(remove_sockets(&home).is_empty());
    }
}
