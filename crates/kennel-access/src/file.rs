use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Tokens;

/// The file in which tokens are kept: JSON, readable by its owner alone.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// What was read last, for as long as the file is the same.
    known: Mutex<Option<(Stamp, Arc<Tokens>)>>,
}

/// What changes with a file: which it is, how long, its mode, and when it and what is known of it were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([u64; 4], [i64; 4]);

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        Self([meta.dev(), meta.ino(), meta.len(), u64::from(meta.mode())], times)
    }
}

impl TokenFile {
    /// In the state directory of a kennel instance.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self::at(state_dir.join("tokens.json"))
    }

    /// That of browsers' sessions there, which are tokens that end soon.
    #[must_use]
    pub fn of_sessions(state_dir: &Path) -> Self {
        Self::at(state_dir.join("sessions.json"))
    }

    fn at(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// Reads it, unless it is the one that was read last; none are there before it is.
    ///
    /// # Errors
    /// `PermissionDenied` if others may read or write it, `InvalidData` for what is no such file, and what the system says; each
    /// names the file.
    pub fn read(&self) -> io::Result<Arc<Tokens>> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = fs::metadata(&self.path);
        if let (Ok(meta), Some((stamp, tokens))) = (&is_there, &*known)
            && *stamp == Stamp::of(meta)
        {
            return Ok(Arc::clone(tokens));
        }
        *known = None;
        if is_there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(Arc::default());
        }
        let (stamp, tokens) = self.read_anew().map_err(named)?;
        *known = Some((stamp, Arc::clone(&tokens)));
        Ok(tokens)
    }

    fn read_anew(&self) -> io::Result<(Stamp, Arc<Tokens>)> {
        let file = fs::File::open(&self.path)?;
        let meta = file.metadata()?;
        let mode = meta.mode();
        if mode & 0o077 != 0 {
            let text = format!("others may use it (mode {:o}); `chmod 600` it, and revoke what it has", mode & 0o777);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let tokens: Tokens = serde_json::from_reader(io::BufReader::new(file))?;
        Ok((Stamp::of(&meta), Arc::new(tokens)))
    }

    /// Replaces it as a whole.
    ///
    /// # Errors
    /// What the system says; the file is as it was then.
    pub fn write(&self, tokens: &Tokens) -> io::Result<()> {
        kennel_sys::file::replace(&self.path, |file| {
            serde_json::to_writer_pretty(&mut *file, tokens)?;
            file.write_all(b"\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::Timestamp;

    use super::*;
    use crate::{Name, Secret, Token};
    use kennel_wire::Role;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::of(dir.path());
        assert_eq!(*file.read().unwrap(), Tokens::default());
        let mut tokens = Tokens::default();
        let secret = Secret::random().unwrap();
        let token = Token {
            name: Name::try_from("ci".to_owned()).unwrap(),
            role: Role::Operate,
            services: vec!["web".into()],
            owners: vec!["agent-a".into()],
            created_at: Timestamp::now(),
            expires_at: None,
            digest: secret.digest(),
        };
        tokens.add(token, Timestamp::now()).unwrap();
        // What is left of a crash is in nobody's way.
        fs::write(dir.path().join("tokens.json.next"), "x").unwrap();
        file.write(&tokens).unwrap();
        let first = file.read().unwrap();
        assert_eq!(*first, tokens);
        assert!(Arc::ptr_eq(&first, &file.read().unwrap()), "it is not read again");
        let path = dir.path().join("tokens.json");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains(secret.reveal()));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "[{\"role\": \"root\"}]").unwrap();
        assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::write(&path, "[]").unwrap();
        assert_eq!(*file.read().unwrap(), Tokens::default(), "somebody has edited it");
    }
}
