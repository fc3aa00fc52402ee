//! Which directories are watched, and what an event in one of them means.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kennel_core::glob::{Pattern, is_ignored};
use kennel_core::model::WatchPath;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::PATHS;

/// What was made, written, moved or removed. `IN_MODIFY` would come for each write; a file that was written is closed in the end.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// More directories than this are a mistake, and would take the machine's memory.
const MOST: usize = 50_000;

/// What changed since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) paths: Vec<PathBuf>,
    pub(super) count: u64,
}

impl Changed {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.paths.len() < PATHS && !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
    }
}

/// One of the paths that were asked for.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Its names below the base, which patterns are meant from; none if it lies elsewhere.
    below: Vec<String>,
    /// Only files that match it count; from this root.
    only: Option<Pattern>,
}

/// A directory that is watched.
#[derive(Debug, Clone, Default)]
struct Place {
    path: PathBuf,
    /// It belongs to the tree of these roots.
    trees: Vec<usize>,
    /// These names in it are a root, or lead to one that is not there.
    names: Vec<(usize, OsString)>,
}

#[derive(Debug)]
pub(super) struct Tree {
    inotify: OwnedFd,
    roots: Vec<Root>,
    ignore: Vec<Pattern>,
    places: HashMap<i32, Place>,
    trouble: Option<String>,
    was_told: bool,
}

impl Tree {
    pub(super) fn new(paths: &[WatchPath], ignore: Vec<Pattern>, base: PathBuf) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let root = |path: &WatchPath| Root {
            path: path.root.clone(),
            below: path.root.strip_prefix(&base).map(names).unwrap_or_default(),
            only: path.pattern.as_ref().and_then(|pattern| Pattern::new(pattern).ok()),
        };
        let roots = paths.iter().map(root).collect();
        Ok(Self { inotify, roots, ignore, places: HashMap::new(), trouble: None, was_told: false })
    }

    pub(super) fn inotify(&self) -> &OwnedFd {
        &self.inotify
    }

    /// Why not everything is watched; told once.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take()?;
        (!std::mem::replace(&mut self.was_told, true)).then_some(trouble)
    }

    /// Watches everything that there is.
    pub(super) fn establish(&mut self) {
        for index in 0..self.roots.len() {
            self.establish_root(index, &mut Changed::default());
        }
    }

    /// Watches a root, or whatever of the way to it is there.
    fn establish_root(&mut self, index: usize, changed: &mut Changed) {
        let path = self.roots[index].path.clone();
        if path.is_dir() {
            return self.descend(index, path, changed);
        }
        // A file is seen from its directory, for editors put another one in its place; what is missing from the nearest one that is there.
        let mut at = path.as_path();
        while let (Some(parent), Some(name)) = (at.parent(), at.file_name()) {
            let (parent, name) = (parent.to_owned(), name.to_owned());
            if parent.is_dir() {
                let added = self.add(&parent, |place| {
                    if !place.names.contains(&(index, name.clone())) {
                        place.names.push((index, name));
                    }
                });
                // It may have come while nobody watched.
                if added && path.exists() {
                    if path.is_dir() {
                        self.descend(index, path.clone(), changed);
                    }
                    changed.add(&path);
                }
                return;
            }
            at = at.parent().unwrap_or(Path::new("/"));
        }
    }

    /// Watches a directory of a root and all below it that are not ignored. Every file that is found is one that changed, for whoever has just come.
    fn descend(&mut self, index: usize, from: PathBuf, changed: &mut Changed) {
        let mut open = vec![from];
        while let Some(directory) = open.pop() {
            if self.places.len() >= MOST {
                self.trouble
                    .get_or_insert_with(|| format!("there are more than {MOST} directories; ignore some of them"));
                return;
            }
            let added = self.add(&directory, |place| {
                if !place.trees.contains(&index) {
                    place.trees.push(index);
                }
            });
            if !added {
                continue;
            }
            // Read after the watch is there, so that nothing is missed in between.
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !self.counts(index, &path, is_directory) {
                    continue;
                }
                match is_directory {
                    true => open.push(path),
                    false => changed.add(&path),
                }
            }
        }
    }

    /// Whether anything was added; what the directory is for is noted in any case.
    fn add(&mut self, directory: &Path, note: impl FnOnce(&mut Place)) -> bool {
        match inotify::add_watch(&self.inotify, directory, EVENTS) {
            Ok(watch) => {
                let place = self.places.entry(watch).or_default();
                let before = (place.trees.len(), place.names.len());
                place.path = directory.to_owned();
                note(place);
                before != (place.trees.len(), place.names.len())
            }
            // Gone meanwhile, or not ours to read.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => false,
            Err(Errno::NOSPC) => {
                let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
                let text = format!(
                    "the user's watches are used up ({}); ignore some directories, or raise fs.inotify.max_user_watches",
                    limit.trim()
                );
                self.trouble.get_or_insert(text);
                false
            }
            Err(error) => {
                self.trouble.get_or_insert_with(|| format!("cannot watch {}: {error}", directory.display()));
                false
            }
        }
    }

    /// Whether a path below a root is one that somebody asked for: not ignored, and a file only if it matches.
    fn counts(&self, index: usize, path: &Path, is_directory: bool) -> bool {
        let root = &self.roots[index];
        let Ok(inside) = path.strip_prefix(&root.path) else { return false };
        let inside = names(inside);
        let whole: Vec<&str> = root.below.iter().chain(&inside).map(String::as_str).collect();
        if is_ignored(&self.ignore, &whole, root.below.len(), is_directory) {
            return false;
        }
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        is_directory || root.only.as_ref().is_none_or(|only| only.matches(&inside, false))
    }

    /// Takes all events that there are.
    pub(super) fn read(&mut self) -> Changed {
        let mut changed = Changed::default();
        let mut seen = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        // A flood is taken in parts, so that somebody hears of it before it is over.
        while seen.len() < 1024 {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    seen.push((event.wd(), event.events(), name));
                }
                Err(_nothing_left) => break,
            }
        }
        for (watch, events, name) in seen {
            self.take(watch, events, name, &mut changed);
        }
        changed
    }

    fn take(&mut self, watch: i32, events: ReadFlags, name: Option<OsString>, changed: &mut Changed) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.begin_anew(changed);
        }
        if events.contains(ReadFlags::IGNORED) {
            self.places.remove(&watch);
            return;
        }
        let Some(place) = self.places.get(&watch).cloned() else { return };
        let Some(name) = name else {
            // The directory itself has gone, or is called otherwise by now.
            if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                self.leave(&place.path);
                let gone = self.roots.iter().filter(|root| root.path.starts_with(&place.path));
                gone.for_each(|root| changed.add(&root.path));
                self.establish();
            }
            return;
        };
        let path = place.path.join(&name);
        let is_directory = events.contains(ReadFlags::ISDIR);
        let came = events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        for (index, _) in place.names.iter().filter(|(_, wanted)| *wanted == name) {
            if self.roots[*index].path == path && !is_directory {
                changed.add(&path);
            } else if came {
                // A step of the way to it has come.
                self.establish_root(*index, changed);
            }
        }
        let trees = place.trees.iter().filter(|index| self.counts(**index, &path, is_directory));
        let trees: Vec<usize> = trees.copied().collect();
        match (trees.is_empty(), is_directory) {
            (true, _) => {}
            (false, false) => changed.add(&path),
            (false, true) if came => trees.iter().for_each(|index| self.descend(*index, path.clone(), changed)),
            (false, true) => {
                self.leave(&path);
                changed.add(&path);
            }
        }
    }

    /// Watches a directory and all below it no longer, wherever it is now.
    fn leave(&mut self, directory: &Path) {
        let gone = self.places.iter().filter(|(_, place)| place.path.starts_with(directory));
        let gone: Vec<i32> = gone.map(|(watch, _)| *watch).collect();
        for watch in gone {
            self.places.remove(&watch);
            let _removed_already = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// The kernel has dropped events, so anything may have changed.
    fn begin_anew(&mut self, changed: &mut Changed) {
        for watch in std::mem::take(&mut self.places).into_keys() {
            let _gone = inotify::remove_watch(&self.inotify, watch);
        }
        self.establish();
        let roots: Vec<PathBuf> = self.roots.iter().map(|root| root.path.clone()).collect();
        roots.iter().for_each(|root| changed.add(root));
    }
}

fn names(path: &Path) -> Vec<String> {
    path.iter().map(|name| name.to_string_lossy().into_owned()).collect()
}
