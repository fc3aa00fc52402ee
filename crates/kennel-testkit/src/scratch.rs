//! A kennel of one's own: directories, user, back end and mark of one test.

mod calls;
mod left;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kennel_store::History;
use tempfile::TempDir;

pub(crate) use self::left::list;
use crate::given::Given;
use crate::survivors::Mark;

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

    /// Every event that is recorded, oldest first, in its JSON form; read from the store, with or without a daemon.
    /// None before there is a store.
    ///
    /// # Panics
    /// If there is a store and it cannot be read.
    #[must_use]
    pub fn recorded(&self) -> Vec<serde_json::Value> {
        let dir = self.instance_dir();
        if !dir.join("store.db").exists() {
            return Vec::new();
        }
        let events = History::of(&dir).page(0, u64::MAX >> 1, usize::MAX >> 1).expect("the store can be read");
        events.iter().map(|event| serde_json::to_value(event).expect("an event has a JSON form")).collect()
    }
}

/// Makes a test of each of these functions for each back end: `cgroup` as root and `reaper` as an ordinary user. Each gets
/// its [`Scratch`] by value or by reference as it likes; who cannot run here is skipped as [`Scratch::new`] says.
#[macro_export]
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod cgroup {
            $(#[test] fn $name() { $crate::both!(@run $name, Root); })*
        }
        mod reaper {
            $(#[test] fn $name() { $crate::both!(@run $name, Plain); })*
        }
    };
    (@run $name:ident, $user:ident) => {
        let kennel = std::path::Path::new(env!("CARGO_BIN_EXE_kennel"));
        $crate::Scratch::new($crate::User::$user, kennel).inspect(super::$name)
    };
}

/// Says that a test is skipped, and counts it.
///
/// # Panics
/// If `KENNEL_TEST_NO_SKIP` is set.
pub fn skip(reason: &str) {
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
