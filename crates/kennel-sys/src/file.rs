//! Files of an instance's state that are replaced as a whole.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Replaces a file by what `write` writes: mode 0600, on the disk before it has the name, so that a crash leaves the one or the
/// other.
///
/// # Errors
/// What the system or `write` says, with the name of the file, which is as it was then.
pub fn replace(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = Path::new(&next);
    let replaced = || {
        // What a crash has left may have another mode, or be a link to anywhere.
        match fs::remove_file(next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(next)?;
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(next, path)?;
        // A name is on the disk when its directory is.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    replaced().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_the_old_one_or_the_new_one_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        // What is left of a crash is in nobody's way, and lends nobody its mode.
        fs::write(dir.path().join("a.json.next"), "x").unwrap();
        replace(&path, |file| file.write_all(b"one")).unwrap();
        let error = replace(&path, |_| Err(io::Error::other("no"))).unwrap_err();
        assert!(error.to_string().ends_with("a.json: no"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        replace(&path, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
