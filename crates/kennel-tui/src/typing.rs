//! Single keys while something else writes to the terminal: neither echoed nor kept back until Enter. Signals from the keyboard and
//! the form of what is written are as ever.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Begin of what a key sends that is no letter.
const ESCAPE: u8 = 0x1b;

/// Keys of the terminal that controls this process. Dropping it gives the terminal back as it was.
///
/// A shell with job control gives itself the terminal back when this is stopped, and says so when it goes on.
#[derive(Debug)]
pub struct Typing {
    /// Opened anew, for what has it open besides is not to find it non-blocking.
    terminal: AsyncFd<OwnedFd>,
    /// As it was, while it is ours.
    before: Option<Termios>,
    typed: VecDeque<char>,
    continued: Signal,
}

impl Typing {
    /// Takes keys, as soon as this is in the foreground. Within a runtime of tokio.
    ///
    /// # Errors
    /// What the system says: there is no terminal.
    pub fn begin() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open("/dev/tty", flags, Mode::empty())?;
        #[expect(deprecated, reason = "an `OwnedFd` keeps its descriptor, which the successor wants promised unsafely")]
        let terminal = AsyncFd::with_interest(terminal, Interest::READABLE)?;
        let mut this = Self {
            terminal,
            before: None,
            typed: VecDeque::new(),
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        };
        this.take();
        Ok(this)
    }

    /// The next letter that is typed; for Enter a line break. None ever once the terminal is gone, which a signal tells.
    pub async fn next(&mut self) -> char {
        loop {
            if let Some(letter) = self.typed.pop_front() {
                return letter;
            }
            tokio::select! {
                biased;
                Some(()) = self.continued.recv() => {
                    self.before = None;
                    self.take();
                }
                // In the background keys are not for us, and whoever reads them there is stopped.
                ready = self.terminal.readable(), if self.before.is_some() => {
                    let Ok(mut ready) = ready else { return std::future::pending().await };
                    let mut bytes = [0; 64];
                    match ready.try_io(|terminal| Ok(rustix::io::read(terminal, &mut bytes)?)) {
                        Ok(Ok(0) | Err(_)) => return std::future::pending().await,
                        Ok(Ok(length)) => self.typed.extend(letters(bytes.get(..length).unwrap_or_default())),
                        Err(_not_ready) => {}
                    }
                }
            }
        }
    }

    /// Whoever is not in the foreground would be stopped for it.
    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp())
    }

    fn take(&mut self) {
        let Some(before) = tcgetattr(&self.terminal).ok().filter(|_| self.is_ours()) else { return };
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        if tcsetattr(&self.terminal, OptionalActions::Now, &modes).is_ok() {
            self.before = Some(before);
        }
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        if let Some(before) = self.before.take().filter(|_| self.is_ours()) {
            // A terminal that is gone takes nothing back.
            let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &before);
        }
    }
}

/// The letters among what came at once: of a key that is none, such as an arrow, nothing.
fn letters(bytes: &[u8]) -> Vec<char> {
    if bytes.contains(&ESCAPE) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|letter| if letter == '\r' { '\n' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_told_from_other_keys() {
        assert_eq!(letters(b"t"), ['t']);
        assert_eq!(letters(b"a\r"), ['a', '\n']);
        assert_eq!(letters(b"\x1bOt"), []);
        assert_eq!(letters(b"\x1b[A"), []);
    }
}
