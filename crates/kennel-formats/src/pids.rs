//! Process ids in three files, for scripts: `services.pids`, `services.groups` and `services.services`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kennel_sys::pidfd;
use rustix::process::Pid;

use crate::Server;

/// Names of the files.
pub const FILES: [&str; 3] = ["services.pids", "services.groups", "services.services"];

/// One living service: the same line of each file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Main process.
    pub pid: u32,
    /// Its process group.
    pub group: u32,
    /// Name in `ps`.
    pub service: String,
}

/// Those whose main process lives: looked at again with a hold on it, so that the number was its own when the group was read.
#[must_use]
pub fn listed(servers: &[Server]) -> Vec<Listed> {
    servers.iter().filter_map(one).collect()
}

fn one(server: &Server) -> Option<Listed> {
    let identity = server.main?.identity;
    let fd = identity.open().ok()?;
    let group = rustix::process::getpgid(Pid::from_raw(identity.pid.cast_signed())).ok()?;
    // Only now is it certain whose group that was.
    let lives = !pidfd::has_exited(&fd).unwrap_or(true);
    let group = group.as_raw_nonzero().get().cast_unsigned();
    lives.then(|| Listed { pid: identity.pid, group, service: server.id.clone() })
}

/// Writes the three files into a directory, which is made if it is not there. Each appears whole or not at all, readable for this
/// user alone.
///
/// # Errors
/// What the system says, with the path. Files that are there already are as they were, or replaced.
pub fn write(directory: &Path, services: &[Listed]) -> io::Result<[PathBuf; 3]> {
    fs::create_dir_all(directory).map_err(|error| told("make the directory", directory, &error))?;
    let column = |of: fn(&Listed) -> String| services.iter().map(|one| of(one) + "\n").collect::<String>();
    let texts =
        [column(|one| one.pid.to_string()), column(|one| one.group.to_string()), column(|one| one.service.clone())];
    let paths = FILES.map(|name| directory.join(name));
    // All are written before any is put in place, so that a full disk changes nothing.
    let mut written = Vec::new();
    for (path, text) in paths.iter().zip(&texts) {
        match beside(path, text) {
            Ok(temporary) => written.push(temporary),
            Err(error) => {
                written.iter().for_each(|temporary| drop(fs::remove_file(temporary)));
                return Err(told("write", path, &error));
            }
        }
    }
    for (temporary, path) in written.iter().zip(&paths) {
        if let Err(error) = fs::rename(temporary, path) {
            written.iter().for_each(|temporary| drop(fs::remove_file(temporary)));
            return Err(told("write", path, &error));
        }
    }
    Ok(paths)
}

/// Writes a file beside the one that it becomes; answers with its name.
fn beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let open = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = open(&temporary).or_else(|error| match error.kind() {
        // Of a process that had our number and did not come to its end. Whatever it is, it is not written through.
        io::ErrorKind::AlreadyExists => fs::remove_file(&temporary).and_then(|()| open(&temporary)),
        _ => Err(error),
    })?;
    let written = fill(file, text);
    if written.is_err() {
        let _full_anyway = fs::remove_file(&temporary);
    }
    written.map(|()| temporary)
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn told(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {doing} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn some(count: u32) -> Vec<Listed> {
        (1..=count).map(|at| Listed { pid: at, group: at + 100, service: format!("s{at}") }).collect()
    }

    fn texts(directory: &Path) -> Vec<String> {
        FILES.iter().map(|name| fs::read_to_string(directory.join(name)).unwrap()).collect()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// covers: C9
    #[test]
    fn the_same_line_of_each_file_is_about_the_same_service() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("new/one");
        let paths = write(&directory, &some(2)).unwrap();
        assert_eq!(texts(&directory), ["1\n2\n", "101\n102\n", "s1\ns2\n"]);
        assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);
        write(&directory, &[]).unwrap();
        assert_eq!(texts(&directory), ["", "", ""], "nothing lives");
        assert_eq!(names(&directory), ["services.groups", "services.pids", "services.services"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_half() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &some(1)).unwrap();
        fs::remove_file(dir.path().join(FILES[1])).unwrap();
        fs::create_dir_all(dir.path().join(FILES[1]).join("in the way")).unwrap();
        let error = write(dir.path(), &some(2)).unwrap_err().to_string();
        assert!(error.contains("services.groups"), "{error}");
        assert_eq!(names(dir.path()).len(), 3, "no temporary files: {:?}", names(dir.path()));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(write(&file.join("below"), &[]).unwrap_err().to_string().contains("file/below"));
    }

    #[test]
    fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        let name = format!("{}.{}", FILES[0], std::process::id());
        std::os::unix::fs::symlink(&precious, dir.path().join(name)).unwrap();
        write(dir.path(), &some(1)).unwrap();
        assert_eq!(fs::read_to_string(precious).unwrap(), "mine");
    }
}
