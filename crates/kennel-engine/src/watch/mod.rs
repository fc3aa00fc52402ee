//! Tells when files change: one thread for each service that has a `watch`, for as long as it has.
//!
//! Our own on inotify rather than a library: what is ignored must not even be watched, or a `node_modules` takes tens of thousands of watches and wakes us at
//! each installation. Only what was written, made, moved or removed counts; a file that is read does not.

mod tree;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;

use kennel_core::glob::Pattern;
use kennel_core::model::Watch;
use kennel_core::watch::USUAL;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use tree::Tree;

/// A change is told to whoever has to act on it at most this often, so that ten thousand of them are not ten thousand wake-ups.
const PACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// More paths are counted and not told.
const PATHS: usize = 10;

/// The walk through directories needs hardly any, and pages that were touched once stay.
const STACK: usize = 96 * 1024;

/// What is told of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// These changed, and perhaps more.
    Changed {
        /// The first of them.
        paths: Vec<PathBuf>,
        /// All of them; one that changes twice is counted twice.
        count: u64,
    },
    /// Not everything can be watched, for this reason.
    Blind(String),
}

/// Ends when dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: OwnedFd,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _thread_has_ended = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }
}

impl Watcher {
    /// Begins to watch. Whatever changes after `tell` was called for the first time is told; that first call, with nothing in it, says that all
    /// directories are watched.
    ///
    /// # Errors
    /// The system gives no inotify instance, event or thread.
    pub(crate) fn start(watch: &Watch, base: PathBuf, tell: impl Fn(News) + Send + 'static) -> io::Result<Self> {
        // Patterns were checked when they were loaded.
        let patterns = USUAL.iter().copied().chain(watch.ignore.iter().map(String::as_str));
        let ignore: Vec<Pattern> = patterns.filter_map(|pattern| Pattern::new(pattern).ok()).collect();
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let told_to_stop = stop.try_clone()?;
        let tree = Tree::new(&watch.paths, ignore, base)?;
        let run = move || follow(tree, &told_to_stop, &tell);
        thread::Builder::new().name("kennel-watch".into()).stack_size(STACK).spawn(run)?;
        Ok(Self { stop })
    }
}

fn follow(mut tree: Tree, stop: &OwnedFd, tell: &impl Fn(News)) {
    tree.establish();
    tell(News::Changed { paths: Vec::new(), count: 0 });
    loop {
        if let Some(reason) = tree.take_trouble() {
            tell(News::Blind(reason));
        }
        let mut fds = [PollFd::new(tree.inotify(), PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tell(News::Blind(error.to_string())),
        }
        if fds[1].revents().contains(PollFlags::IN) {
            return;
        }
        let changed = tree.read();
        if changed.count > 0 {
            tell(News::Changed { paths: changed.paths, count: changed.count });
        }
        // What comes meanwhile waits in the kernel's queue.
        let mut fds = [PollFd::new(stop, PollFlags::IN)];
        if poll(&mut fds, Some(&PACE)).is_ok_and(|ready| ready > 0) {
            return;
        }
    }
}
