//! The right to change an instance that nobody runs: its lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_sys::lock::{Holder, holders};
use kennel_sys::tag::Instance;
use kennel_sys::{pidfd, proc, process};
use rustix::process::Signal;

use super::end::Ended;
use crate::whose::is_kennel;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest command that is kept, characters.
const COMMAND: usize = 200;

/// The lock of an instance, held: no keeper of it begins meanwhile.
#[derive(Debug)]
pub struct Claim {
    lock: File,
    instance: Instance,
}

impl Claim {
    /// Takes the lock, waiting up to `patience` for whoever has it. `None`: somebody still has it.
    ///
    /// # Errors
    /// `NotFound` if the instance never ran; what else the system says.
    pub fn take(lock: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(lock)?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { instance: Instance::of(&file)?, lock: file })),
                Err(TryLockError::WouldBlock) if begin.elapsed() < patience => process::pause(PAUSE),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// The instance, as tags name it.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Says for whoever looks next that nothing was left, as a keeper does that ends as it should; then lets go.
    ///
    /// # Errors
    /// What `ftruncate(2)` says.
    pub fn clear(self) -> io::Result<()> {
        self.lock.set_len(0)
    }
}

/// Ends keeper and daemon of an instance that do not answer, whoever of them holds its lock, and waits up to `limit`
/// for their end. Each is stopped before any is killed, so that none starts another while they die. Whoever else has the
/// lock, such as a command that is just clearing up, is left alone.
///
/// Their services are not touched; without a keeper they are orphans, if nothing else ends them at once.
///
/// # Errors
/// What looking at the lock says.
pub fn end_holders(lock: &Path, limit: Duration) -> io::Result<Vec<Ended>> {
    let begin = Instant::now();
    let mut ended: Vec<Ended> = Vec::new();
    // A keeper that was missed may have started a daemon meanwhile.
    loop {
        let mut found = holders(lock)?;
        // That they hold the lock is what decides; this only spares the others.
        found.retain(|holder| is_kennel(holder.identity.pid));
        if found.is_empty() || begin.elapsed() >= limit {
            return Ok(ended);
        }
        ended.extend(kill(&found, limit.saturating_sub(begin.elapsed())));
    }
}

fn kill(found: &[Holder], limit: Duration) -> Vec<Ended> {
    let commands: Vec<Option<String>> = found.iter().map(|one| proc::command(one.identity.pid, COMMAND)).collect();
    for signal in [Signal::STOP, Signal::KILL] {
        for holder in found {
            // One that ended by itself, or that there is no right to, shows in what is still held.
            let _refused = pidfd::send_signal(&holder.pidfd, signal.as_raw());
        }
    }
    let end = Instant::now() + limit;
    let is_gone = |holder: &Holder| pidfd::has_exited(&holder.pidfd).unwrap_or(true);
    while !found.iter().all(is_gone) && Instant::now() < end {
        process::pause(PAUSE);
    }
    let gone = found.iter().zip(commands).filter(|(holder, _)| is_gone(holder));
    let ended = gone.map(|(holder, command)| Ended {
        process: holder.identity,
        command: command.unwrap_or_default(),
        exit: pidfd::exit(&holder.pidfd),
        scope: None,
        killed: true,
    });
    ended.collect()
}
