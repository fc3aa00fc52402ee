//! Compresses closed segments, in a thread that is there while it has something to do.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kennel_logs::Log;

/// How far it goes out of everybody's way.
const NICE: i32 = 19;

/// A hand on that thread.
pub(super) struct Packer {
    work: Arc<Mutex<Work>>,
    /// Called with the directory of a log that has become smaller.
    packed: Arc<dyn Fn(&Path) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Work {
    queue: VecDeque<(PathBuf, u64)>,
    /// Somebody is at it, and will see what is added.
    is_running: bool,
}

impl Packer {
    pub(super) fn new(packed: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        Self { work: Arc::default(), packed: Arc::new(packed) }
    }

    /// Has the closed segments of a log compressed, some time.
    pub(super) fn pack(&self, log: &Log) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        for number in log.unpacked() {
            let segment = (log.dir().to_owned(), number);
            if !work.queue.contains(&segment) {
                work.queue.push_back(segment);
            }
        }
        if work.queue.is_empty() || work.is_running {
            return;
        }
        let (shared, packed) = (Arc::clone(&self.work), Arc::clone(&self.packed));
        let thread = std::thread::Builder::new().name("log-packer".into()).stack_size(256 << 10);
        work.is_running = thread.spawn(move || run(&shared, &*packed)).is_ok();
    }
}

fn run(work: &Mutex<Work>, packed: &dyn Fn(&Path)) {
    // Of this thread alone: that is what a process id of none means here.
    let _as_others = rustix::process::setpriority_process(None, NICE);
    loop {
        let next = {
            let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
            let next = work.queue.pop_front();
            work.is_running = next.is_some();
            next
        };
        let Some((dir, number)) = next else { return };
        match kennel_logs::pack(&dir, number) {
            Ok(done) => {
                tracing::debug!(dir = %dir.display(), number, raw = done.raw, packed = done.packed, "compressed");
                packed(&dir);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // It stays as it is, which is as good but for the room it takes.
            Err(error) => tracing::warn!(%error, dir = %dir.display(), number, "cannot compress a log segment"),
        }
    }
}
