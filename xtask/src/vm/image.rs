//! The guest's first and only file system: an archive that the kernel unpacks into memory.
//!
//! Source: kernel documentation, "initramfs buffer format", the "new ASCII" format of cpio.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Result, run};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const DEVICE: u32 = 0o020_000;

/// An archive that is being written.
pub(super) struct Image {
    out: BufWriter<File>,
    at: PathBuf,
    written: usize,
    entries: u32,
    there: BTreeSet<PathBuf>,
}

impl Image {
    /// An archive with the directories and links that every guest has.
    pub(super) fn create(at: &Path) -> Result<Self> {
        let out = File::create(at).map_err(|error| format!("cannot write {}: {error}", at.display()))?;
        let mut image =
            Self { out: BufWriter::new(out), at: at.to_owned(), written: 0, entries: 0, there: BTreeSet::new() };
        for name in ["bin", "sbin", "lib", "lib64"] {
            image.link(&Path::new("/").join(name), &Path::new("usr").join(name))?;
        }
        for dir in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "run", "root", "etc"] {
            image.directories(&Path::new("/").join(dir))?;
        }
        image.there.insert("/tmp".into());
        image.entry(Path::new("/tmp"), DIRECTORY | 0o1777, b"", (0, 0))?;
        // The kernel opens it for the first program, before anything is mounted.
        image.entry(Path::new("/dev/console"), DEVICE | 0o600, b"", (5, 1))?;
        Ok(image)
    }

    /// A file with this content.
    pub(super) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result {
        let path = merged(path);
        if !self.there.insert(path.clone()) {
            return Ok(());
        }
        self.directories(path.parent().unwrap_or(Path::new("/")))?;
        self.entry(&path, REGULAR | mode, content, (0, 0))
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result {
        let path = merged(path);
        if !self.there.insert(path.clone()) {
            return Ok(());
        }
        self.directories(path.parent().unwrap_or(Path::new("/")))?;
        self.entry(&path, LINK | 0o777, target.as_os_str().as_encoded_bytes(), (0, 0))
    }

    /// A file of this machine at another path, or at its own.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result {
        let say = |error| format!("cannot read {}: {error}", from.display());
        let content = fs::read(from).map_err(say)?;
        let mode = fs::metadata(from).map_err(say)?.permissions().mode() & 0o7777;
        self.file(to, mode, &content)
    }

    /// A program at its own path, with the libraries it is linked with.
    pub(super) fn program(&mut self, program: &Path) -> Result {
        self.copy(program, program)?;
        self.libraries(program)
    }

    /// The libraries of a program.
    pub(super) fn libraries(&mut self, program: &Path) -> Result {
        // A line is NAME => PATH (ADDRESS), or PATH (ADDRESS) for the loader; the kernel's own has no path.
        for line in run::quiet("ldd", [program])?.lines() {
            let path = line.split_whitespace().find(|word| word.starts_with('/'));
            if let Some(path) = path.map(Path::new) {
                self.copy(path, path)?;
            }
        }
        Ok(())
    }

    /// A program without its symbols, which would fill the guest's memory.
    pub(super) fn stripped(&mut self, program: &Path, to: &Path, beside: &Path) -> Result {
        let stripped = beside.with_extension("stripped");
        run::quiet("strip", [Path::new("-o"), &stripped, program])?;
        self.copy(&stripped, to)?;
        let _none = fs::remove_file(&stripped);
        Ok(())
    }

    /// Everything below a directory, as if that were the root, but documentation. What is there already stays.
    pub(super) fn tree(&mut self, root: &Path) -> Result {
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            let say = |error| format!("cannot read {}: {error}", dir.display());
            for entry in fs::read_dir(&dir).map_err(say)?.flatten() {
                let from = entry.path();
                let to = Path::new("/").join(from.strip_prefix(root).unwrap_or(&from));
                let kind = entry.file_type().map_err(say)?;
                if kind.is_dir() {
                    let unwanted = ["doc", "man", "locale", "perl", "perl5", "i18n", "bash-completion", "info"];
                    if to.parent() != Some(Path::new("/usr/share")) || !unwanted.iter().any(|name| to.ends_with(name)) {
                        self.directories(&merged(&to))?;
                        dirs.push(from);
                    }
                } else if kind.is_symlink() {
                    self.link(&to, &fs::read_link(&from).map_err(say)?)?;
                } else if kind.is_file() {
                    self.copy(&from, &to)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result {
        self.entry(Path::new("/TRAILER!!!"), 0, b"", (0, 0))?;
        self.out.flush().map_err(|error| format!("cannot write {}: {error}", self.at.display()))
    }

    fn directories(&mut self, path: &Path) -> Result {
        let missing: Vec<PathBuf> = path.ancestors().map(Path::to_owned).filter(|dir| dir != Path::new("/")).collect();
        for dir in missing.into_iter().rev() {
            if self.there.insert(dir.clone()) {
                self.entry(&dir, DIRECTORY | 0o755, b"", (0, 0))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8], device: (u32, u32)) -> Result {
        let name = path.strip_prefix("/").unwrap_or(path).as_os_str().as_encoded_bytes();
        self.entries += 1;
        let size = u32::try_from(content.len()).map_err(|_| format!("{} is too big", path.display()))?;
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let mut header = b"070701".to_vec();
        for field in fields {
            header.extend(format!("{field:08x}").bytes());
        }
        header.extend(name);
        header.push(0);
        self.padded(&header)?;
        self.padded(content)
    }

    /// Each part begins at a multiple of four.
    fn padded(&mut self, bytes: &[u8]) -> Result {
        self.written += bytes.len();
        let padding = self.written.next_multiple_of(4) - self.written;
        self.written += padding;
        let written = self.out.write_all(bytes).and_then(|()| self.out.write_all(&[0; 3][..padding]));
        written.map_err(|error| format!("cannot write {}: {error}", self.at.display()))
    }
}

/// Where a path of the old directories is in the guest.
fn merged(path: &Path) -> PathBuf {
    let old = ["/bin", "/sbin", "/lib", "/lib64"].iter().any(|dir| path.starts_with(dir) && path != Path::new(dir));
    if old { Path::new("/usr").join(path.strip_prefix("/").unwrap_or(path)) } else { path.to_owned() }
}
