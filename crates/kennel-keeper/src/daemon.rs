//! The daemon as the keeper's child: start, loss, start again.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use kennel_sys::spawn::{Exec, Spawner};
use kennel_sys::{packet, pidfd};

use crate::channel::Channel;
use crate::start::{Options, Setup};

/// First pause before a lost daemon is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many losses …
const LOSSES: usize = 5;
/// … within this time, and it is given up.
const WINDOW: Duration = Duration::from_secs(60);

/// A daemon that runs.
pub(crate) struct Daemon {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
    /// It has said hello: from then on it is told what happens.
    pub(crate) greeted: bool,
    /// It does not take its events as fast as they come.
    pub(crate) is_behind: bool,
}

impl Daemon {
    /// Starts the program that we are ourselves. `ready` is what it reports to, with the first one.
    pub(crate) fn start(
        options: &Options,
        setup: &Setup,
        spawner: &mut Spawner,
        ready: Option<&OwnedFd>,
    ) -> io::Result<Self> {
        let (ours, theirs) = packet::pair()?;
        let null = setup.null.as_fd();
        // 2 stays the log; 3, 4 and 5 by contract.
        let errors = rustix::stdio::stderr();
        let ready_fd = ready.map_or(null, AsFd::as_fd);
        let fds = [null, null, errors, theirs.as_fd(), ready_fd, setup.lock.as_fd()];
        let argv = arguments(options, ready.is_none())?;
        let env = environment()?;
        let exec = Exec { nofile: setup.nofile, ..Exec::new(&argv, &env, &fds) };
        let child = spawner.spawn(&exec).map_err(|failure| io::Error::from_raw_os_error(failure.errno))?;
        Ok(Self { pid: child.pid, pidfd: child.pidfd, channel: Channel::new(ours), greeted: false, is_behind: false })
    }

    /// Ends it; its exit is reported like any other.
    pub(crate) fn kill(&self) {
        self.signal(rustix::process::Signal::KILL.as_raw());
    }

    pub(crate) fn signal(&self, signal: i32) {
        // It may have ended already, which is what this is for.
        let _gone = pidfd::send_signal(&self.pidfd, signal);
    }
}

fn arguments(options: &Options, recovered: bool) -> io::Result<Vec<CString>> {
    // The program file itself, whatever its name is by now: an upgrade replaces the name.
    let words: [&OsStr; 8] = [
        OsStr::new("/proc/self/exe"),
        OsStr::new("__daemon"),
        OsStr::new("--name"),
        &options.name,
        OsStr::new("--state-dir"),
        options.state_dir.as_os_str(),
        OsStr::new("--runtime-dir"),
        options.runtime_dir.as_os_str(),
    ];
    let recovered = recovered.then_some(OsStr::new("--recovered"));
    words.into_iter().chain(recovered).map(|word| Ok(CString::new(word.as_bytes())?)).collect()
}

/// Ours, as `KEY=value` entries.
pub(crate) fn environment() -> io::Result<Vec<CString>> {
    std::env::vars_os()
        .map(|(mut entry, value): (OsString, OsString)| {
            entry.push("=");
            entry.push(value);
            Ok(CString::new(entry.into_vec())?)
        })
        .collect()
}

/// When to start a lost daemon again.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<Instant>);

impl Losses {
    /// Whether there was none.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a loss; answers with the time of the next start, or with `None` to give up.
    pub(crate) fn note(&mut self, now: Instant) -> Option<Instant> {
        self.0.retain(|loss| now.duration_since(*loss) < WINDOW);
        self.0.push(now);
        if self.0.len() > LOSSES {
            return None;
        }
        let doublings = u32::try_from(self.0.len().saturating_sub(1)).unwrap_or(0);
        Some(now + (FIRST_PAUSE * 2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_is_given_up() {
        let mut losses = Losses::default();
        let now = Instant::now();
        let pauses: Vec<Option<Duration>> =
            (0..6).map(|_| losses.note(now).map(|next| next.duration_since(now))).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(100), ms(200), ms(400), ms(800), ms(1600), None]);
    }

    #[test]
    fn rare_losses_are_always_made_good() {
        let mut losses = Losses::default();
        let begin = Instant::now();
        for minute in 0..100 {
            let now = begin + Duration::from_secs(61 * minute);
            assert_eq!(losses.note(now), Some(now + FIRST_PAUSE));
        }
    }
}
