//! A kennel of one's own: directories, user, back end and mark of one test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::background::{Background, Output, capture};
use crate::given::{Given, TREES};
use crate::processes::Seen;
use crate::survivors::{self, Mark};
use crate::terminal::{self, Terminal};
use crate::wait::{patience, pause, wait_for};

/// Longest time one kennel command may take before the test fails with what it said.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// User id of nobody in particular.
const PLAIN_UID: u32 = 60_200;

/// As whom kennel runs, and with which back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Root on the `cgroup` back end.
    Root,
    /// Somebody without privileges on the `reaper` back end.
    Plain,
    /// The same on the `cgroup` back end, in a group that was given to that user.
    Delegated,
}

/// One test's kennel. Dropping it kills whatever is left, and fails the test if there was anything.
#[derive(Debug)]
pub struct Scratch {
    root: Option<TempDir>,
    /// Of the scratch directory and of the project's directory in it.
    name: String,
    user: User,
    uid: Option<u32>,
    given: Option<Given>,
    mark: Mark,
    environment: BTreeMap<String, String>,
    /// Our own children; everything else that has us as its parent is an orphan.
    own: Mutex<BTreeSet<u32>>,
    calls: AtomicUsize,
}

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

impl Scratch {
    /// Sets up a project directory, state and runtime directories and both programs for a user.
    ///
    /// `None`, with the reason printed, where this machine cannot give that user; an error instead of a skip if
    /// `KENNEL_TEST_NO_SKIP` is set.
    ///
    /// # Panics
    /// If a directory or program cannot be set up.
    #[must_use]
    pub fn new(user: User, kennel: &Path) -> Option<Self> {
        let root_here = rustix::process::geteuid().is_root();
        if user != User::Plain && !root_here {
            skip("the cgroup back end is tested as root");
            return None;
        }
        let uid = (user != User::Root && root_here).then_some(PLAIN_UID);
        // We are init for what kennel leaves: orphans come to us and not to whoever is above.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("child subreaper");

        let root = tempfile::Builder::new().prefix("kt-").tempdir_in(reachable_tmp()).expect("a scratch directory");
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let name = root.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let scratch = Self {
            root: Some(root),
            user,
            uid,
            given: (user == User::Delegated).then(|| Given::new(&name, PLAIN_UID)),
            name,
            mark: Mark::new(),
            environment: BTreeMap::new(),
            own: Mutex::default(),
            calls: AtomicUsize::new(0),
        };
        let bin = scratch.dir("bin");
        std::fs::set_permissions(&bin, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        for program in [kennel.to_owned(), kennel.with_file_name("kennel-badchild")] {
            place(&program, &bin);
        }
        for dir in [&scratch.name, "home", "state", "run", "output"] {
            scratch.dir(dir);
        }
        Some(scratch.with_environment())
    }

    /// A scratch for a test that is not about the back end: the strongest one that this user can have.
    ///
    /// # Panics
    /// If a directory or program cannot be set up.
    #[must_use]
    pub fn any(kennel: &Path) -> Self {
        let user = if rustix::process::geteuid().is_root() { User::Root } else { User::Plain };
        Self::new(user, kennel).expect("one of both is always there")
    }

    fn with_environment(mut self) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let backend = if self.user == User::Plain { "reaper" } else { "cgroup" };
        for (key, value) in [
            ("PATH", format!("{}:{path}", self.path("bin").display())),
            ("HOME", self.path("home").display().to_string()),
            ("XDG_STATE_HOME", self.path("state").display().to_string()),
            ("XDG_RUNTIME_DIR", self.path("run").display().to_string()),
            ("KENNEL_CONTAINMENT", backend.to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ] {
            self.environment.insert(key.to_owned(), value);
        }
        self
    }

    /// Starts later commands as a login session would: in a group that is not the user's. Gives the directory of a
    /// group beside it that is, and into which the user may move processes.
    ///
    /// # Panics
    /// If the user is not [`User::Delegated`].
    pub fn in_session(&mut self) -> PathBuf {
        let uid = self.uid.expect("an ordinary user");
        self.given.as_mut().expect("a delegated group").split(uid)
    }

    /// Sets or replaces a variable of every later command.
    pub fn env(&mut self, key: &str, value: impl Into<String>) {
        self.environment.insert(key.to_owned(), value.into());
    }

    /// As whom kennel runs.
    #[must_use]
    pub fn user(&self) -> User {
        self.user
    }

    /// What every process of this scratch carries.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// A path below the scratch directory.
    ///
    /// # Panics
    /// Never while the scratch lives.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.as_ref().expect("lives until drop").path().join(below)
    }

    /// Where `kennel.yaml` is and kennel runs.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.path(&self.name)
    }

    /// The bad child, as a service's command names it.
    #[must_use]
    pub fn badchild(&self) -> PathBuf {
        self.path("bin/kennel-badchild")
    }

    /// Creates a directory, with its parents, that belongs to the user.
    ///
    /// # Panics
    /// If it cannot be created.
    pub fn dir(&self, below: &str) -> PathBuf {
        let mut at = self.path("");
        for part in Path::new(below).components() {
            at.push(part);
            if !at.is_dir() {
                std::fs::create_dir(&at).expect("a directory");
                self.give(&at, 0o700);
            }
        }
        at
    }

    /// Writes a file that belongs to the user, below the project's directory.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(below);
        std::fs::write(&path, content).expect("a file");
        self.give(&path, 0o600);
        path
    }

    fn give(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
        if self.uid.is_some() {
            std::os::unix::fs::chown(path, self.uid, self.uid).expect("chown");
        }
    }

    /// Writes `kennel.yaml`. `@badchild@` becomes the path of the bad child.
    pub fn config(&self, yaml: &str) -> PathBuf {
        let badchild = self.badchild();
        self.file("kennel.yaml", yaml.replace("@badchild@", &badchild.to_string_lossy()))
    }

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
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (out, stdout) = capture(self.path(&format!("output/{call}.out")));
        let (err, stderr) = capture(self.path(&format!("output/{call}.err")));
        let mut command = self.command(program, arguments, false);
        command.stdin(stdin).stdout(out).stderr(err);
        change(&mut command);
        // Locked while it starts, so that nobody takes it for an orphan.
        let mut own = self.own.lock().expect("not poisoned");
        let child = command.spawn().expect("the program starts");
        own.insert(child.id());
        drop(own);
        Background { child, call: arguments.join(" "), stdout, stderr }
    }

    /// Starts any program beside the test as the test's own user, with the mark: somebody outside of kennel.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_outsider(&self, program: &Path, arguments: &[&str]) -> Background {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (out, stdout) = capture(self.path(&format!("output/{call}.out")));
        let (err, stderr) = capture(self.path(&format!("output/{call}.err")));
        let mut command = Command::new(self.badchild());
        command.arg("marked").arg(self.mark.value().to_string()).arg("--").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut own = self.own.lock().expect("not poisoned");
        let child = command.spawn().expect("the program starts");
        own.insert(child.id());
        drop(own);
        Background { child, call: arguments.join(" "), stdout, stderr }
    }

    /// Starts `kennel ARGUMENTS` on a terminal of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        let (master, program) = terminal::open();
        let copy = |fd: &std::os::fd::OwnedFd| Stdio::from(File::from(fd.try_clone().expect("dup")));
        let mut command = self.command(&self.path("bin/kennel"), arguments, true);
        command.stdin(copy(&program)).stdout(copy(&program)).stderr(copy(&program));
        let mut own = self.own.lock().expect("not poisoned");
        let child = command.spawn().expect("kennel starts");
        own.insert(child.id());
        drop(own);
        Terminal::new(child, master)
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
        self.expect_nothing(Duration::from_secs(20));
    }

    /// The state directory of the one kennel instance that ran here.
    ///
    /// # Panics
    /// If none or several ran.
    #[must_use]
    pub fn instance_dir(&self) -> PathBuf {
        let root = self.environment.get("XDG_STATE_HOME").map(PathBuf::from).unwrap_or_default();
        let entries = std::fs::read_dir(root.join("kennel")).expect("kennel ran");
        let mut dirs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs.remove(0)
    }

    /// Everything with the mark, after orphans that came to us were reaped; our own children are not counted.
    ///
    /// # Panics
    /// Never in a test that is in order.
    #[must_use]
    pub fn survivors(&self) -> Vec<Seen> {
        let own = self.own.lock().expect("not poisoned");
        survivors::reap_orphans(self.mark, &own);
        survivors::survivors(self.mark).into_iter().filter(|seen| !own.contains(&seen.pid)).collect()
    }

    /// The survivors that bad children with a cell left.
    #[must_use]
    pub fn in_cells(&self) -> Vec<Seen> {
        self.survivors().into_iter().filter(|seen| seen.cell.is_some()).collect()
    }

    /// The running daemon, found by its arguments.
    ///
    /// # Panics
    /// If there is none within ten seconds.
    #[must_use]
    pub fn daemon(&self) -> Seen {
        wait_for(Duration::from_secs(10), "a daemon", || self.running_daemon())
    }

    /// The running keeper, found by its arguments.
    ///
    /// # Panics
    /// If there is none within ten seconds.
    #[must_use]
    pub fn keeper(&self) -> Seen {
        wait_for(Duration::from_secs(10), "a keeper", || self.running_keeper())
    }

    /// The daemon, if one runs.
    #[must_use]
    pub fn running_daemon(&self) -> Option<Seen> {
        self.survivors().into_iter().find(|seen| seen.living && seen.verb() == "__daemon")
    }

    /// The keeper, if one runs: not the reapers of scopes, which are its children and carry its arguments.
    #[must_use]
    pub fn running_keeper(&self) -> Option<Seen> {
        let keepers: Vec<Seen> =
            self.survivors().into_iter().filter(|seen| seen.living && seen.verb() == "__keeper").collect();
        keepers.iter().find(|seen| !keepers.iter().any(|other| other.pid == seen.ppid)).cloned()
    }

    /// Waits until nothing with the mark is left, neither living nor zombie.
    ///
    /// # Panics
    /// With who is left when the deadline passes.
    pub fn expect_nothing(&self, deadline: Duration) {
        if let Err(left) = self.nothing_within(deadline) {
            panic!("left after {deadline:?}:\n{}", list(&left));
        }
    }

    /// Waits until nothing with the mark is left; else gives who is.
    ///
    /// # Errors
    /// The survivors when the deadline passes.
    pub fn nothing_within(&self, deadline: Duration) -> Result<(), Vec<Seen>> {
        let deadline = patience(deadline);
        let end = std::time::Instant::now() + deadline;
        loop {
            let left = self.survivors();
            if left.is_empty() {
                return Ok(());
            }
            if std::time::Instant::now() > end {
                return Err(left);
            }
            pause();
        }
    }

    /// Kills everything with the mark and gives what was killed: for tests that leave something on purpose.
    ///
    /// # Panics
    /// If something cannot be killed.
    pub fn kill_everything(&self) -> Vec<Seen> {
        survivors::kill_marked(self.mark, &self.own.lock().expect("not poisoned"))
    }

    /// Directories of this scratch's kennel in any cgroup tree, the innermost first. The project's directory and
    /// with it kennel's instance are named like nothing else on the machine.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for tree in TREES.map(Path::new).iter().filter(|tree| tree.join("cgroup.procs").exists()) {
            collect(tree, &self.name, &mut found);
        }
        found.retain(|dir| self.given.as_ref().is_none_or(|given| !given.made(dir)));
        found.reverse();
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let own = self.own.lock().map(|own| own.clone()).unwrap_or_default();
        let killed = survivors::kill_marked(self.mark, &own);
        let cgroups = self.cgroups();
        for dir in &cgroups {
            let _ = std::fs::remove_dir(dir);
        }
        self.given = None;
        let logs = daemon_logs(&self.path("state"));
        if std::env::var_os("KENNEL_TEST_KEEP").is_some()
            && let Some(root) = self.root.take()
        {
            eprintln!("kept: {}", root.keep().display());
        }
        if std::thread::panicking() {
            // The first failure is the one that counts; what it left and what the daemon said help to read it.
            eprintln!("killed at the end:\n{}kennel's own log:\n{logs}", list(&killed));
            return;
        }
        assert!(killed.is_empty(), "left behind and killed by the test:\n{}{logs}", list(&killed));
        assert!(cgroups.is_empty(), "cgroups left behind and removed by the test: {cgroups:?}\n{logs}");
        if let Some(root) = self.root.take() {
            let path = root.path().to_owned();
            let closed = root.close();
            assert!(closed.is_ok() && !path.exists(), "{} cannot be removed: {closed:?}", path.display());
        }
    }
}

/// What daemon and keeper wrote to their own log, the last 4,000 characters of each.
fn daemon_logs(state: &Path) -> String {
    let instances = std::fs::read_dir(state.join("kennel")).into_iter().flatten().filter_map(Result::ok);
    instances
        .filter_map(|instance| std::fs::read_to_string(instance.path().join("kennel.log")).ok())
        .map(|log| log.chars().skip(log.chars().count().saturating_sub(4000)).collect::<String>())
        .collect()
}

/// All directories below `dir` whose own or whose ancestor's name contains `name`, outer ones first.
fn collect(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.to_string_lossy().contains(name) {
            found.push(path.clone());
        }
        collect(&path, name, found);
    }
}

/// Living and dead, one a line.
pub(crate) fn list(left: &[Seen]) -> String {
    left.iter().map(|seen| format!("  {seen}\n")).collect()
}

fn skip(reason: &str) {
    assert!(std::env::var_os("KENNEL_TEST_NO_SKIP").is_none(), "may not be skipped: {reason}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("SKIPPED ({count} in this program): {reason}");
}

/// A directory for temporary files that every user can enter.
fn reachable_tmp() -> PathBuf {
    let wanted = std::env::temp_dir();
    let open = |dir: &Path| std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o1 != 0);
    if wanted.ancestors().all(open) { wanted } else { PathBuf::from("/tmp") }
}

/// Puts a program where the user can execute it: a second link to it, or a copy from another file system.
fn place(program: &Path, bin: &Path) {
    let name = program.file_name().expect("a program has a name");
    assert!(program.is_file(), "{} is missing: build it with `cargo build --workspace --bins`", program.display());
    let target = bin.join(name);
    if std::fs::hard_link(program, &target).is_err() {
        std::fs::copy(program, &target).expect("a copy of the program");
    }
}
