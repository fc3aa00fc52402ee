//! Where one kennel instance keeps its files: found the same way by client, keeper and daemon.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The directories of one kennel instance.
///
/// `state_dir` (logs, events, lock) survives a reboot, `runtime_dir` (sockets) need not. Neither ever depends on
/// `$TMPDIR`, which differs between shells of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Name of the instance, `[A-Za-z0-9_.-]+`.
    pub name: String,
    /// `$XDG_STATE_HOME/kennel/<name>`, else `~/.local/state/kennel/<name>`.
    pub state_dir: PathBuf,
    /// `$XDG_RUNTIME_DIR/kennel/<name>`, else `/run/user/<uid>/kennel/<name>`, else (root)
    /// `/run/kennel/<name>`, else `<state_dir>/run`.
    pub runtime_dir: PathBuf,
}

impl Home {
    /// Works out the directories; creates nothing.
    ///
    /// Without `instance` the name is the directory's own plus eight digits of a hash of its absolute path, so
    /// that two projects called `web` do not meet.
    ///
    /// # Errors
    /// `InvalidInput` for a name with other characters or more than 64 of them; `NotFound` when neither
    /// `$XDG_STATE_HOME` nor a home directory is known, or `project_dir` does not exist.
    pub fn locate(instance: Option<&str>, project_dir: &Path) -> io::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let name = match instance {
            Some(name) => checked_name(name)?,
            None => name_of(&project_dir.canonicalize()?),
        };
        let state_dir = state_home(uid)?.join("kennel").join(&name);
        let runtime_dir = match runtime_home(uid) {
            Some(dir) => dir.join("kennel").join(&name),
            None => state_dir.join("run"),
        };
        Ok(Self { name, state_dir, runtime_dir })
    }

    /// The HTTP socket.
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.runtime_dir.join("api.sock")
    }

    /// The socket that takes descriptors for `run` and `exec`.
    #[must_use]
    pub fn stdio_socket(&self) -> PathBuf {
        self.runtime_dir.join("stdio.sock")
    }

    /// Locked by keeper and daemon while either lives.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state_dir.join("lock")
    }

    /// One file per name in `ps`.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state_dir.join("logs")
    }

    /// Services that were registered, as a configuration file.
    #[must_use]
    pub fn registered_file(&self) -> PathBuf {
        self.state_dir.join("registered.json")
    }

    /// Creates both directories, mode 0700, and checks that they are ours alone.
    ///
    /// # Errors
    /// `PermissionDenied` if one belongs to another user, else what the system says; each names its directory.
    pub fn create(&self) -> io::Result<()> {
        for dir in [&self.state_dir, &self.runtime_dir] {
            private_dir(dir).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        }
        Ok(())
    }
}

fn private_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = std::fs::symlink_metadata(dir)?;
    if !meta.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "is not a directory"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "belongs to another user"));
    }
    if meta.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn checked_name(name: &str) -> io::Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if starts && name.len() <= 64 && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{name}` is no instance name: up to 64 of A-Z a-z 0-9 _ . - and the first a letter or digit"),
    ))
}

fn name_of(dir: &Path) -> String {
    let last = dir.components().next_back().and_then(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let mut base: String = last
        .unwrap_or(OsStr::new("root"))
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' })
        .take(40)
        .collect();
    if !base.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        base.insert(0, 'd');
    }
    let hash = fnv1a(dir.as_os_str().as_encoded_bytes());
    format!("{base}-{:08x}", (hash ^ (hash >> 32)) & 0xffff_ffff)
}

/// FNV-1a, 64 bits: stable over versions of kennel and of Rust, which the standard hasher is not.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    // The XDG base directory specification says that a relative path there is to be ignored.
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn state_home(uid: u32) -> io::Result<PathBuf> {
    if let Some(dir) = absolute("XDG_STATE_HOME") {
        return Ok(dir);
    }
    let home = absolute("HOME")
        .or_else(|| nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten().map(|user| user.dir));
    home.map(|home| home.join(".local/state")).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set, and the user has no home")
    })
}

fn runtime_home(uid: u32) -> Option<PathBuf> {
    let ours = |dir: &PathBuf| std::fs::metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid);
    absolute("XDG_RUNTIME_DIR")
        .filter(ours)
        .or_else(|| Some(PathBuf::from(format!("/run/user/{uid}"))).filter(ours))
        .or_else(|| (uid == 0).then(|| PathBuf::from("/run")).filter(|dir| dir.is_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stable_and_safe() {
        assert_eq!(name_of(Path::new("/srv/my shop")), name_of(Path::new("/srv/my shop")));
        assert_ne!(name_of(Path::new("/a/web")), name_of(Path::new("/b/web")));
        for dir in ["/", "/srv/my shop", "/ü/ö", "/x/.hidden"] {
            let name = name_of(Path::new(dir));
            assert!(checked_name(&name).is_ok(), "{name}");
        }
    }

    #[test]
    fn odd_names_are_refused() {
        for name in ["", "..", ".", "a/b", "-x", &"a".repeat(65)] {
            assert!(checked_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn directories_are_private() {
        let root = tempfile::tempdir().unwrap();
        let home = Home { name: "x".into(), state_dir: root.path().join("s"), runtime_dir: root.path().join("r") };
        std::fs::create_dir(&home.state_dir).unwrap();
        std::fs::set_permissions(&home.state_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        home.create().unwrap();
        for dir in [&home.state_dir, &home.runtime_dir] {
            assert_eq!(std::fs::metadata(dir).unwrap().mode() & 0o777, 0o700);
        }
    }
}
