//! Small files that must be whole or not there, whatever happens while they are written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use kennel_wire::ShutdownState;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Name of the file that tells of the last shutdown: a [`ShutdownState`].
pub const STATE_FILE: &str = "shutdown_state.json";

/// The last shutdown of whoever used this directory; `None` if there was none.
///
/// # Errors
/// What the file system says; `InvalidData` if the file is not what it should be. Both name it.
pub fn last(directory: &Path) -> io::Result<Option<ShutdownState>> {
    read(&directory.join(STATE_FILE))
}

pub(super) fn write(directory: &Path, state: &ShutdownState) -> io::Result<()> {
    replace(&directory.join(STATE_FILE), state)
}

/// Reads one document; `None` without a file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let say = |error: io::Error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()));
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| say(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(say(error)),
    }
}

/// Puts a document in the place of the one before, readable by its owner alone. A reader sees one or the other, and so
/// does whoever comes after a power cut.
pub(super) fn replace<T: Serialize>(path: &Path, document: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(document)?;
    bytes.push(b'\n');
    kennel_sys::file::replace(path, |file| file.write_all(&bytes))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {error}")))
}

/// Removes a file, also from the disk.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot remove {}: {error}", path.display()))),
        Ok(()) => sync(path.parent().unwrap_or(Path::new("."))),
    }
}

/// A name is on the disk when its directory is.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_document_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), None);
        replace(&path, &vec![1]).unwrap();
        // A link in the way of the new file is not followed.
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("x.json.next")).unwrap();
        replace(&path, &vec![2, 3]).unwrap();
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), Some(vec![2, 3]));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the victim");
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STATE_FILE), "{\"timestamp\": 7").unwrap();
        let error = last(dir.path()).unwrap_err();
        assert!(error.to_string().contains(STATE_FILE), "{error}");
    }
}
