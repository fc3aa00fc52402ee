//! Signals that ask this process to end, or that are meant for the command it runs.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGKILL: i32 = 9;
const SIGQUIT: i32 = 3;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;

/// Signals that are waited for instead of being suffered.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// Those by which a person or a terminal asks for the end.
    pub(crate) fn of_the_end() -> io::Result<Self> {
        Self::new(&[SIGINT, SIGTERM, SIGHUP])
    }

    /// Those that are passed on to a command.
    pub(crate) fn to_forward() -> io::Result<Self> {
        Self::new(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH])
    }

    fn new(numbers: &[i32]) -> io::Result<Self> {
        let ignored = ignored();
        // Whoever says `nohup` wants the end of the terminal to mean nothing.
        let wanted = numbers.iter().filter(|number| **number != SIGHUP || !ignored);
        wanted.map(|number| Ok((*number, signal(SignalKind::from_raw(*number))?))).collect::<io::Result<_>>().map(Self)
    }

    /// The next one, by its Linux number.
    pub(crate) async fn next(&mut self) -> i32 {
        let waits = self.0.iter_mut().map(|(number, signal)| {
            Box::pin(async move {
                // It ends with the runtime only.
                if signal.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                *number
            })
        });
        futures_util::future::select_all(waits).await.0
    }
}

/// Whether the end of the terminal was being ignored when this process began.
///
/// Source: `SigIgn` in `proc_pid_status(5)`, a mask whose lowest bit is signal 1.
fn ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}
