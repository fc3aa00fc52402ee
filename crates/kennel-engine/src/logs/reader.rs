//! A position in logs that hears when there is more.

use std::path::Path;

use kennel_logs::told::{self, Batch, Query};
use kennel_wire::LogLine;
use tokio::sync::watch;

/// A position in the logs of some services. Its reads block on the disk.
#[derive(Debug)]
pub struct Reader {
    inner: told::Reader,
    appended: watch::Receiver<u64>,
}

impl Reader {
    pub(crate) fn open(dir: &Path, query: &Query, appended: watch::Receiver<u64>) -> Self {
        Self { inner: told::Reader::new(dir, query), appended }
    }

    /// As [`told::Reader::batch`].
    pub fn batch(&mut self, max: usize) -> Batch {
        self.inner.batch(max)
    }

    /// As [`told::Reader::rest`].
    pub fn rest(&mut self, max: usize) -> Vec<LogLine> {
        self.inner.rest(max)
    }

    /// Waits until something was appended since the last call; `false` when nothing ever will be again.
    pub async fn more(&mut self) -> bool {
        self.appended.changed().await.is_ok()
    }
}
