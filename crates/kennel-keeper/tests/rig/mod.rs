//! A keeper of its own for each test, and what is needed to talk to it and to prove that it left nothing.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "every test file uses another part of this")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub mod freeze;
mod left;
mod process;
mod scope;
mod talk;

use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{Backend, Event, Follows, Ids, Isolation, Known, Reason, Request, VERSION};
use kennel_sys::spawn::Child;
use kennel_sys::{pidfd, unix, wait};

pub use self::left::describe;
use self::process::{Delegation, launch};
pub use self::process::{WRITING, World, start_piped};
pub use self::scope::Seen;
use self::talk::meet;
pub use self::talk::{Peer, receive, send, wait_until};

/// Longest wait for anything; not a measurement.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// An ordinary user of the tests' own.
pub const ORDINARY: u32 = 60_200;
pub const HARNESS: &str = env!("CARGO_BIN_EXE_keeper-harness");

/// What is special about a keeper.
#[derive(Default)]
pub struct How<'a> {
    /// Done before it starts, in a user namespace of its own.
    fence: Option<&'a str>,
    /// Instead of the harness.
    program: Option<PathBuf>,
    env: Vec<CString>,
}

/// A running keeper.
pub struct Rig {
    pub world: World,
    pub name: String,
    /// Where its directories are: its own, or its predecessor's.
    pub root: PathBuf,
    pub dir: tempfile::TempDir,
    pub keeper: Child,
    pub link: Link,
    /// What lets the daemon go when it is dropped.
    pub leash: Option<UnixStream>,
    pub daemon: u32,
    /// Daemons before and beside that one.
    pub others: Vec<u32>,
    pub backend: Backend,
    pub known: Vec<Known>,
    pub follows: Follows,
    listener: UnixListener,
    /// A limit that everything below this keeper inherits and nothing else has.
    mark: u64,
    next: u64,
    /// What every plan asks for.
    pub isolation: Isolation,
    pub seen: Seen,
    delegation: Option<Rc<Delegation>>,
}

impl Rig {
    pub fn new(world: World) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(world, format!("test-{}-{number}", std::process::id()), None, How::default())
    }

    /// A keeper of another program, with these entries in its environment.
    pub fn of_program(world: World, program: PathBuf, env: Vec<CString>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test-{}-other-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::named(world, name, None, How { program: Some(program), env, ..How::default() })
    }

    /// A keeper of the ordinary user in a user namespace of its own, in which `fence` was done with every right.
    pub fn fenced(fence: &str) -> Self {
        let name = format!("test-{}-fenced", std::process::id());
        Self::named(World::Reaper, name, None, How { fence: Some(fence), ..How::default() })
    }

    /// A keeper with the same name and another state directory.
    pub fn namesake(&self) -> Self {
        Self::named(self.world, self.name.clone(), None, How::default())
    }

    /// A keeper with the same name and state directory, after this one's end.
    pub fn successor(&self) -> Self {
        self.successor_with(Vec::new())
    }

    /// The same with these entries in its environment.
    pub fn successor_with(&self, env: Vec<CString>) -> Self {
        // A daemon that was killed as well is nobody's to wait for here, and has the lock until it is gone.
        let lock = File::open(self.root.join("s/lock")).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while lock.try_lock().is_err() {
            assert!(Instant::now() < deadline, "the lock is held: {}", self.log());
            kennel_sys::process::pause(Duration::from_millis(2));
        }
        drop(lock);
        Self::named(self.world, self.name.clone(), Some(self), How { env, ..How::default() })
    }

    fn named(world: World, name: String, before: Option<&Self>, how: How<'_>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Even, as those of `kennel_testkit::Mark` never are.
        let mark = 300_000 + u64::from(std::process::id()) % 6_000 * 80 + 2 * NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let root = before.map_or(dir.path(), |before| before.root.as_path()).to_owned();
        let harness = root.join("keeper-harness");
        if before.is_none() {
            for path in ["s", "r"] {
                std::fs::create_dir(root.join(path)).unwrap();
            }
            let _nobody_starts = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
            std::fs::copy(how.program.as_deref().unwrap_or(HARNESS.as_ref()), &harness).unwrap();
        }
        let socket = root.join("r/test.sock");
        let _none = std::fs::remove_file(&socket);
        let listener = unix::bind(&socket).unwrap();
        if world.is_ordinary() {
            for path in ["s", "r", "r/test.sock"] {
                std::os::unix::fs::chown(root.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        let delegation = match before {
            Some(before) => before.delegation.clone(),
            None => (world == World::Delegated).then(|| Rc::new(Delegation::new(&name))),
        };
        let (keeper, line) = launch(world, &root, &name, mark, delegation.as_deref(), &how);
        let log = || std::fs::read_to_string(root.join("s/kennel.log")).unwrap_or_default();
        assert_eq!(line, "ready\n", "{}", log());
        let Peer { link, leash, pid: daemon, manner } = meet(&listener);
        assert_eq!(manner, "first one");
        let mut rig = Self {
            world,
            name,
            root,
            dir,
            keeper,
            link,
            leash,
            daemon,
            others: Vec::new(),
            backend: Backend::Reaper { reason: Reason::Other, because: String::new() },
            known: Vec::new(),
            follows: Follows::Fresh,
            listener,
            mark,
            next: 1,
            isolation: Isolation::default(),
            seen: Seen::default(),
            delegation,
        };
        rig.hello();
        rig
    }

    /// Starts a second keeper on the same directories; what it answers.
    pub fn rival(&self) -> String {
        let (child, line) =
            launch(self.world, &self.root, &self.name, self.mark, self.delegation.as_deref(), &How::default());
        let reaped = wait::reap(child.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, wait::Exit::Code(0));
        line
    }

    fn hello(&mut self) {
        self.send(&Request::Hello { version: VERSION });
        self.await_welcome();
    }

    fn await_welcome(&mut self) {
        self.known.clear();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Event::Welcome { version, pid, backend, follows, known, .. } = self.receive(deadline) {
                assert_eq!((version, pid), (VERSION, self.keeper.pid));
                self.backend = backend;
                self.known = known;
                self.follows = follows;
                return;
            }
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("s/kennel.log")).unwrap_or_default()
    }

    pub fn send(&self, request: &Request) {
        send(&self.link, request);
    }

    fn receive(&self, deadline: Instant) -> Event {
        receive(&self.link, deadline).unwrap_or_else(|why| panic!("{why}: {}", self.log()))
    }

    pub fn signal_process(&self, pid: u32, signal: i32) {
        pidfd::send_signal(pidfd::open(pid).unwrap(), signal).unwrap();
    }

    /// Kills the daemon and meets its successor.
    pub fn lose_daemon(&mut self) {
        self.signal_process(self.daemon, 9);
        self.meet_next();
    }

    /// Lets the daemon exit as if all was well, and meets its successor.
    pub fn release_daemon(&mut self) {
        self.leash = None;
        self.meet_next();
    }

    /// Meets the daemon that the keeper starts after the loss of one.
    pub fn meet_next(&mut self) {
        // The test holds the old end of the channel as well.
        let next = self.meet_recovered();
        let _old = self.replace(next);
        self.hello();
        self.inherit();
    }

    /// The same, and leaves it to the test to greet.
    pub fn meet_recovered(&mut self) -> Peer {
        let next = meet(&self.listener);
        assert_eq!(next.manner, "recovered", "{}", self.log());
        next
    }

    /// Meets the daemon that the keeper starts beside the one there is.
    pub fn meet_successor(&mut self) -> Peer {
        let successor = meet(&self.listener);
        assert_eq!(successor.manner, "successor", "{}", self.log());
        self.others.push(successor.pid);
        successor
    }

    /// From here on the test plays this daemon; answers with the other one.
    pub fn replace(&mut self, next: Peer) -> Peer {
        let link = std::mem::replace(&mut self.link, next.link);
        let leash = std::mem::replace(&mut self.leash, next.leash);
        let pid = std::mem::replace(&mut self.daemon, next.pid);
        self.others.push(pid);
        self.seen = Seen::default();
        Peer { link, leash, pid, manner: "old".to_owned() }
    }

    /// Waits for the welcome, for a daemon whose greeting is said.
    pub fn welcomed(&mut self) {
        self.await_welcome();
        self.inherit();
    }

    /// Takes what the welcome told as if it had been told one by one.
    fn inherit(&mut self) {
        for known in &mut self.known {
            let Some(started) = &mut known.started else { continue };
            let place = started.place.clone().unwrap();
            self.seen.identities.insert(known.scope, started.identity);
            let pipes = started.pipes.as_ref().map(|[out, err]| [out.try_clone().unwrap(), err.try_clone().unwrap()]);
            self.seen.spawned.insert(known.scope, (started.identity.pid, place, pipes));
            if let Some(exit) = started.exit {
                self.seen.exited.insert(known.scope, exit);
            }
            if started.frozen {
                self.seen.frozen.insert(known.scope, true);
            }
            if started.empty {
                self.seen.emptied.insert(known.scope);
            }
        }
    }

    pub fn cgroup_root(&self) -> PathBuf {
        match &self.backend {
            Backend::Cgroup { root } => root.clone(),
            Backend::Reaper { because, .. } => panic!("no cgroup: {because}"),
        }
    }
}

/// Runs a test body in the two worlds that differ most, as far as this machine has them; afterwards nothing may be left.
pub fn in_each(body: impl Fn(&mut Rig)) {
    for world in [World::Cgroup, World::Reaper].into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        body(&mut rig);
        rig.finish();
    }
}

pub fn ids(uid: u32) -> Ids {
    Ids { uid, gid: uid, groups: vec![uid] }
}
