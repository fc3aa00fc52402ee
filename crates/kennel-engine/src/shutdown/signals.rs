//! `SIGTERM` and `SIGINT`: the first asks, the second hurries, the third forces.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::Coordinator;

/// Hands every `SIGTERM` and `SIGINT` of this process to the coordinator, from this call on, for as long as the
/// returned future is being polled.
///
/// # Errors
/// The signals cannot be waited for.
pub fn on_signals(coordinator: Coordinator) -> io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            let name = tokio::select! {
                received = term.recv() => received.map(|()| "SIGTERM"),
                received = int.recv() => received.map(|()| "SIGINT"),
            };
            let Some(name) = name else { return };
            let urgency = coordinator.interrupt(name);
            tracing::info!(signal = name, ?urgency, "asked by a signal to go down");
        }
    })
}
