//! Groups below a group, however deep they are.
//!
//! A service with the right to make groups may nest them until their path is longer than the system takes
//! (`PATH_MAX`). So nothing here is opened by its path: the way down is one name at a time, the way up is `..`.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::is_gone;

/// Calls `visit` with a group and every group below it, each before those below it. One that is removed meanwhile
/// may end this early.
pub(super) fn each(top: OwnedFd, mut visit: impl FnMut(&OwnedFd)) {
    visit(&top);
    let mut open = vec![below(&top)];
    let mut here = top;
    while let Some(names) = open.last_mut() {
        let (next, deeper) = match names.pop() {
            Some(name) => (directory(&here, &name), true),
            None if open.len() > 1 => (directory(&here, c".."), false),
            None => return,
        };
        match next {
            Ok(next) => here = next,
            // It is gone, and with it all below it.
            Err(_) if deeper => continue,
            Err(_) => return,
        }
        if deeper {
            visit(&here);
            open.push(below(&here));
        } else {
            open.pop();
        }
    }
}

/// Removes every group below `top`, the deepest first.
///
/// # Errors
/// `ResourceBusy` while a living process is in one of them.
pub(super) fn remove_below(top: &OwnedFd) -> io::Result<()> {
    let mut here = directory(top, c".")?;
    let mut way: Vec<CString> = Vec::new();
    loop {
        if let Some(name) = below(&here).pop() {
            match directory(&here, &name) {
                Ok(next) => {
                    here = next;
                    way.push(name);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        let Some(name) = way.pop() else { return Ok(()) };
        here = directory(&here, c"..")?;
        match rustix::fs::unlinkat(&here, &name, AtFlags::REMOVEDIR).map_err(io::Error::from) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
}

fn directory(at: &OwnedFd, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

/// Names of the groups in a group.
fn below(group: &OwnedFd) -> Vec<CString> {
    let entries = Dir::read_from(group).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type() == FileType::Directory);
    let named = groups.filter(|entry| ![c".", c".."].contains(&entry.file_name()));
    named.map(|entry| entry.file_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// Directories of any file system will do.
    #[test]
    fn what_is_deeper_than_a_path_can_be_is_visited_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        let name = CString::new("n".repeat(200)).unwrap();
        let mut here = directory(&top, c".").unwrap();
        for _ in 0..30 {
            for other in [c"a", c"b", &name] {
                rustix::fs::mkdirat(&here, other, Mode::RWXU).unwrap();
            }
            here = directory(&here, &name).unwrap();
        }
        let mut count = 0;
        each(top.as_fd().try_clone_to_owned().unwrap(), |_| count += 1);
        assert_eq!(count, 91);
        remove_below(&top).unwrap();
        assert_eq!(below(&top), Vec::<CString>::new());
    }
}
