//! A program on a screen that is kept by tmux: what a person sees, and not which sequences drew it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::Scratch;
use crate::background::Background;
use crate::wait::{wait_for, wait_until};

/// Longest time tmux may take for an answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A tmux server of one test's own, with one window. Its socket is in the scratch directory.
#[derive(Debug)]
pub struct Tmux<'a> {
    scratch: &'a Scratch,
    server: Background,
    socket: PathBuf,
}

impl<'a> Tmux<'a> {
    /// Starts a shell in a window of this size, in the project's directory.
    ///
    /// # Panics
    /// If tmux cannot be started.
    #[must_use]
    pub fn new(scratch: &'a Scratch, columns: u16, lines: u16) -> Self {
        Self::of(scratch, columns, lines, "env PS1='$ ' bash --norc --noprofile", "$")
    }

    /// As [`Tmux::new`], with another shell, by its command line and its prompt.
    ///
    /// # Panics
    /// If tmux cannot be started.
    #[must_use]
    pub fn of(scratch: &'a Scratch, columns: u16, lines: u16, shell: &str, prompt: &str) -> Self {
        let socket = scratch.path("run/tmux.sock");
        let text = socket.display().to_string();
        // In the foreground: our child, which is waited for.
        let server = ["-S", &text, "-f", "/dev/null", "-D"];
        let server = scratch.spawn_program(Path::new("tmux"), &server, Stdio::null(), |_| {});
        let tmux = Self { scratch, server, socket };
        wait_until(DEADLINE, "the socket of tmux", || tmux.socket.exists());
        let (columns, lines) = (columns.to_string(), lines.to_string());
        tmux.call(&["new-session", "-d", "-s", "t", "-x", &columns, "-y", &lines, shell]);
        tmux.until("the prompt", |screen| screen.contains(prompt));
        tmux
    }

    fn call(&self, arguments: &[&str]) -> String {
        let socket = self.socket.display().to_string();
        let all = [&["-S", &socket], arguments].concat();
        let mut call = self.scratch.spawn_program(Path::new("tmux"), &all, Stdio::null(), |_| {});
        let output = call.wait(DEADLINE);
        assert!(output.code() == 0, "tmux {}: {}", arguments.join(" "), output.all());
        output.stdout
    }

    /// Types a text as it is.
    pub fn send(&self, text: &str) {
        self.call(&["send-keys", "-t", "t", "-l", "--", text]);
    }

    /// Presses keys by tmux's names for them, one after the other: `Enter`, `Escape`, `C-c`, `q`.
    pub fn keys(&self, keys: &[&str]) {
        for key in keys {
            self.call(&["send-keys", "-t", "t", key]);
        }
    }

    /// Clicks on the first place of a text that is shown.
    ///
    /// # Panics
    /// If it is not.
    pub fn click(&self, text: &str) {
        let screen = self.screen();
        let found = screen.lines().enumerate().find_map(|(row, line)| Some((row, line.find(text)?, line)));
        let Some((row, at, line)) = found else { panic!("{text} in\n{screen}") };
        let column = line[..at].chars().count() + 1;
        // As xterm tells it, counted from 1.
        self.send(&format!("\u{1b}[<0;{column};{}M", row + 1));
    }

    /// What is on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        self.call(&["capture-pane", "-t", "t", "-p"])
    }

    /// Waits until this is on the screen, and gives it.
    ///
    /// # Panics
    /// When it does not come, with what is there.
    pub fn expect(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits for a screen of which this is true, and gives it.
    ///
    /// # Panics
    /// When it does not come, with what is there.
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let begin = std::time::Instant::now();
        wait_for(DEADLINE + Duration::from_secs(5), what, || {
            last = self.screen();
            let good = is(&last);
            assert!(good || begin.elapsed() < crate::patience(DEADLINE), "never: {what}\n{last}");
            good.then(|| last.clone())
        })
    }

    /// Another size.
    pub fn resize(&self, columns: u16, lines: u16) {
        self.call(&["resize-window", "-t", "t", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// Closes the window, as somebody does who has had enough.
    pub fn close(mut self) {
        self.call(&["kill-server"]);
        let _status = self.server.wait(DEADLINE);
    }
}
