//! A thread for as long as something is shown.

use tokio::sync::oneshot;

use crate::bus::Bus;
use crate::show::{Failure, Notice, show};

/// Bytes.
const STACK: usize = 256 << 10;

/// Shows a notification on a thread of its own, which calls `begin` first and ends with the answer; nobody else waits.
pub async fn in_background(bus: Bus, notice: Notice, begin: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let none = |error: std::io::Error| Failure::Thread(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(none)?;
    let (reply, answer) = oneshot::channel();
    let work = move || {
        begin();
        // Whoever asked may have gone.
        let _unheard = reply.send(runtime.block_on(show(&bus, &notice)));
    };
    std::thread::Builder::new().name("kennel-desktop".into()).stack_size(STACK).spawn(work).map_err(none)?;
    answer.await.unwrap_or_else(|_| Err(Failure::Thread("it has ended".to_owned())))
}
