//! A thread beside the driver's, for those who come in numbers: whatever they do, the driver is never behind them.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Handle};

/// The thread. It is there from the first work on, and as long as the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aside(Arc<OnceLock<Option<Handle>>>);

impl Aside {
    /// Has it do this beside what it does already.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let begun = self.0.get_or_init(|| {
            begin()
                .inspect_err(|error| tracing::warn!(%error, "no thread for connections: they share the driver's"))
                .ok()
        });
        match begun {
            Some(runtime) => drop(runtime.spawn(work)),
            None => drop(tokio::spawn(work)),
        }
    }
}

fn begin() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("kennel-doors".into()).spawn(move || {
        if let Err(error) = kennel_sys::process::never_interrupts() {
            tracing::debug!(%error, "connections may interrupt the driver");
        }
        runtime.block_on(std::future::pending::<()>());
    })?;
    Ok(handle)
}
