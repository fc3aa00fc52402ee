//! A command on a real pseudo-terminal, for Ctrl-C and for closing the window.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::pty::OpenptFlags;

use crate::background::wait_child;
use crate::wait::{patience, wait_until};

/// The window: dropping or closing it hangs up, as closing a terminal does.
#[derive(Debug)]
pub struct Terminal {
    pub(crate) child: Child,
    master: Option<Arc<File>>,
    stop: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Vec<u8>>>,
}

/// Both ends of a new pseudo-terminal: ours and the program's.
pub(crate) fn open() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).expect("a pseudo-terminal");
    rustix::pty::grantpt(&master).expect("grantpt");
    rustix::pty::unlockpt(&master).expect("unlockpt");
    let program = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("the program's end");
    let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&program, size).expect("window size");
    (master, program)
}

impl Terminal {
    /// Watches a child whose terminal is `master`.
    pub(crate) fn new(child: Child, master: OwnedFd) -> Self {
        let master = Arc::new(File::from(master));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (stopped, stop) = pipe.expect("a pipe");
        let reader = std::thread::spawn({
            let (master, seen) = (Arc::clone(&master), Arc::clone(&seen));
            move || read_until_stopped(&master, &stopped, &seen)
        });
        Self { child, master: Some(master), stop: Some(stop), reader: Some(reader), seen }
    }

    /// Process id of the program.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types; `"\x03"` is Ctrl-C.
    ///
    /// # Panics
    /// If the terminal is closed.
    pub fn send(&mut self, keys: &str) {
        let mut master: &File = self.master.as_deref().expect("the terminal is open");
        master.write_all(keys.as_bytes()).expect("typed");
    }

    /// Everything shown so far.
    ///
    /// # Panics
    /// If the reader panicked.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("reader")).into_owned()
    }

    /// Waits until this text is shown.
    ///
    /// # Panics
    /// When the deadline passes first, with what is shown.
    pub fn expect(&self, deadline: Duration, text: &str) {
        let end = std::time::Instant::now() + patience(deadline);
        wait_until(deadline + Duration::from_secs(1), text, || {
            let shown = self.text();
            assert!(std::time::Instant::now() < end, "not within {deadline:?}: `{text}` in\n{shown}");
            shown.contains(text)
        });
    }

    /// Closes the window: the kernel hangs up the program's session.
    pub fn close(&mut self) {
        // The reader looks at this pipe; with its end gone it lets go of the terminal, and so do we.
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.master = None;
    }

    /// Waits until the program has ended.
    ///
    /// # Panics
    /// When the deadline passes first, with what is shown; it is killed then.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        wait_child(&mut self.child, deadline)
            .unwrap_or_else(|| panic!("not within {deadline:?}: end of the program on the terminal\n{}", self.text()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_until_stopped(master: &File, stopped: &OwnedFd, seen: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 * 1024];
    // Once every holder of the program's end is gone, reading fails with EIO and polling returns at once for
    // ever: from then on only the pipe is looked at.
    let mut open = true;
    loop {
        let events = if open { PollFlags::IN } else { PollFlags::empty() };
        let mut polled = [PollFd::new(stopped, PollFlags::IN), PollFd::from_borrowed_fd(master.as_fd(), events)];
        let count = if open { 2 } else { 1 };
        if rustix::event::poll(&mut polled[..count], None).is_err() {
            continue;
        }
        if !polled[0].revents().is_empty() {
            return;
        }
        let mut reader = master;
        match reader.read(&mut buffer) {
            Ok(length) if length > 0 => seen.lock().expect("not poisoned").extend_from_slice(&buffer[..length]),
            _ => open = false,
        }
    }
}
