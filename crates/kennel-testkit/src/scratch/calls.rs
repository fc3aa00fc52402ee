//! Calls of kennel and other programs, and what kennel answers.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Scratch;
use crate::background::{Background, Output, capture};
use crate::terminal::{self, Terminal};
use crate::wait::{patience, wait_for};

/// Longest time one kennel command may take before the test fails with what it said.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

impl Scratch {
    /// A command of this user with mark and environment, started in the project directory.
    fn command(&self, program: &Path, arguments: &[&str], session: bool) -> Command {
        let mut command = match (&self.given, self.uid) {
            (Some(given), Some(uid)) => given.command(uid, &self.badchild()),
            _ => Command::new(self.badchild()),
        };
        command.arg("marked").arg(self.mark.value().to_string());
        if session {
            command.arg("--session");
        }
        command.arg("--").arg(program).args(arguments);
        command.current_dir(self.project()).env_clear().envs(&self.environment);
        if let Some(uid) = self.uid.filter(|_| self.given.is_none()) {
            // Also drops the supplementary groups.
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Starts `kennel ARGUMENTS` beside the test, its standard input empty.
    pub fn spawn(&self, arguments: &[&str]) -> Background {
        self.spawn_with(arguments, Stdio::null(), |_| {})
    }

    /// Starts `kennel ARGUMENTS` beside the test with this standard input and whatever `change` sets.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_with(&self, arguments: &[&str], stdin: Stdio, change: impl FnOnce(&mut Command)) -> Background {
        self.spawn_program(&self.path("bin/kennel"), arguments, stdin, change)
    }

    /// Starts any program beside the test, with this user, mark and environment.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_program(
        &self,
        program: &Path,
        arguments: &[&str],
        stdin: Stdio,
        change: impl FnOnce(&mut Command),
    ) -> Background {
        self.captured(self.command(program, arguments, false), arguments, |command| {
            command.stdin(stdin);
            change(command);
        })
    }

    /// Starts any program beside the test as the test's own user, with the mark: somebody outside of kennel.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_outsider(&self, program: &Path, arguments: &[&str]) -> Background {
        let mut command = Command::new(self.badchild());
        command.arg("marked").arg(self.mark.value().to_string()).arg("--").arg(program).args(arguments);
        self.captured(command, arguments, |command| {
            command.stdin(Stdio::null());
        })
    }

    /// Starts `kennel ARGUMENTS` on a terminal of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        self.terminal_of(&self.path("bin/kennel"), arguments)
    }

    /// Starts any program on a terminal of its own, with this user, mark and environment.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn terminal_of(&self, program: &Path, arguments: &[&str]) -> Terminal {
        let (master, end) = terminal::open();
        let copy = |fd: &std::os::fd::OwnedFd| Stdio::from(File::from(fd.try_clone().expect("dup")));
        let mut command = self.command(program, arguments, true);
        command.stdin(copy(&end)).stdout(copy(&end)).stderr(copy(&end));
        Terminal::new(self.start(&mut command), master)
    }

    /// Starts a command with its output in files of the scratch directory, after `change`.
    fn captured(&self, mut command: Command, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Background {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (out, stdout) = capture(self.path(&format!("output/{call}.out")));
        let (err, stderr) = capture(self.path(&format!("output/{call}.err")));
        command.stdout(out).stderr(err);
        change(&mut command);
        Background { child: self.start(&mut command), call: arguments.join(" "), stdout, stderr }
    }

    /// Starts a child of the test's own.
    fn start(&self, command: &mut Command) -> Child {
        // Locked while it starts, so that nobody takes it for an orphan.
        let mut own = self.own.lock().expect("not poisoned");
        let child = command.spawn().expect("the program starts");
        own.insert(child.id());
        child
    }

    /// Runs `kennel ARGUMENTS` to its end.
    pub fn kennel(&self, arguments: &[&str]) -> Output {
        self.spawn(arguments).wait(COMMAND_DEADLINE)
    }

    /// Runs `kennel ARGUMENTS`, which must succeed.
    ///
    /// # Panics
    /// With what it said if it does not.
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.kennel(arguments);
        assert!(output.code() == 0, "`kennel {}` ended with {}\n{}", arguments.join(" "), output.code(), output.all());
        output
    }

    /// Runs `kennel ARGUMENTS`, which must succeed and print one JSON document.
    ///
    /// # Panics
    /// If it does not.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.ok(arguments);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("`kennel {}` is no JSON: {error}\n{}", arguments.join(" "), output.stdout))
    }

    /// The entry of one service or replica in `kennel ps --all --json`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn ps(&self, name: &str) -> serde_json::Value {
        let listed = self.json(&["ps", "--all", "--json"]);
        let mut services = listed.as_array().into_iter().flatten();
        let found = services.find(|service| service["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("`{name}` is not listed: {listed}"))
    }

    /// Waits until a service is in this state; gives its entry.
    ///
    /// # Panics
    /// When the deadline passes first, with its entry.
    pub fn wait_state(&self, name: &str, state: &str, deadline: Duration) -> serde_json::Value {
        let deadline = patience(deadline);
        let end = std::time::Instant::now() + deadline;
        loop {
            let service = self.ps(name);
            if service["state"] == state {
                return service;
            }
            assert!(std::time::Instant::now() < end, "`{name}` is not `{state}` within {deadline:?}: {service}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a stack that is started elsewhere is there and a service of it ready.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub fn wait_up(&self, name: &str, deadline: Duration) {
        wait_for(deadline, &format!("`{name}` ready"), || {
            let listed = self.kennel(&["ps", "--json"]);
            let listed: serde_json::Value = serde_json::from_str(&listed.stdout).ok()?;
            let found = listed.as_array()?.iter().any(|service| service["name"] == name && service["state"] == "ready");
            found.then_some(())
        });
    }

    /// Ends kennel and waits until nothing at all is left.
    ///
    /// # Panics
    /// With who is left.
    pub fn down(&self) {
        self.ok(&["down"]);
        self.expect_nothing(COMMAND_DEADLINE);
    }
}
