//! A keeper of its own for each test, and what is needed to talk to it and to prove that it left nothing.

#![allow(dead_code, unreachable_pub, reason = "every test file uses another part of this")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub mod freeze;

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{
    Backend, Event, Exit, Identity, Ids, Isolation, KillStage, Known, Place, Privileges, Reason, Request, ScopeId,
    SignalRefused, Spawn, SpawnError, Stdio, Survivor, VERSION,
};
use kennel_sys::spawn::{Child, Exec, Settings, Spawner, User};
use kennel_sys::{pidfd, unix, wait};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Longest wait for anything; not a measurement.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// An ordinary user of the tests' own.
pub const ORDINARY: u32 = 60_200;
pub const HARNESS: &str = env!("CARGO_BIN_EXE_keeper-harness");

/// Held while a program file is written, and while a process is started: between its birth and its execution the
/// new process has the file open for writing as well, and then nobody can execute it.
pub static WRITING: Mutex<()> = Mutex::new(());

/// Which world a test runs in; most need the first two only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// As root, in cgroups.
    Cgroup,
    /// As an ordinary user, with a reaper for each scope.
    Reaper,
    /// As an ordinary user, in cgroups that were given to it.
    Delegated,
    /// As root, with a reaper for each scope.
    RootReaper,
}

impl World {
    /// Whether this machine has it; says so if not.
    pub fn is_here(self) -> bool {
        let root = rustix::process::geteuid().is_root();
        let here = root && (!self.has_cgroups() || Path::new("/proc/self/mountinfo").exists());
        if !here {
            let mut stderr = io::stderr();
            io::Write::write_all(&mut stderr, b"skipped: needs root\n").unwrap();
        }
        here
    }

    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Reaper | Self::Delegated)
    }

    pub fn has_cgroups(self) -> bool {
        matches!(self, Self::Cgroup | Self::Delegated)
    }

    fn user(self) -> Option<User<'static>> {
        self.is_ordinary().then_some(User { uid: ORDINARY, gid: ORDINARY, groups: &[] })
    }
}

/// A cgroup that belongs to the ordinary user; removed at the end.
struct Delegation(PathBuf);

impl Delegation {
    fn new(name: &str) -> Self {
        let hierarchies = kennel_sys::cgroup::Hierarchy::mounted().unwrap();
        let own = kennel_sys::cgroup::of_self().unwrap();
        let directory = hierarchies.iter().find_map(|it| it.directory(&own)).unwrap().join(name);
        std::fs::create_dir(&directory).unwrap();
        for path in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(directory.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        Self(directory)
    }
}

impl Drop for Delegation {
    fn drop(&mut self) {
        let _gone = kennel_sys::cgroup::remove_tree(&self.0);
    }
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
    pub backend: Backend,
    pub known: Vec<Known>,
    listener: UnixListener,
    /// A limit that everything below this keeper inherits and nothing else has.
    mark: u64,
    next: u64,
    /// What every plan asks for.
    pub isolation: Isolation,
    pub seen: Seen,
    delegation: Option<Delegation>,
}

/// What the keeper has told of each scope.
#[derive(Default)]
pub struct Seen {
    pub spawned: HashMap<ScopeId, (u32, Place, Option<[OwnedFd; 2]>)>,
    pub identities: HashMap<ScopeId, Identity>,
    pub failed: HashMap<ScopeId, SpawnError>,
    pub exited: HashMap<ScopeId, Exit>,
    pub reaped: HashMap<ScopeId, Vec<(u32, Exit)>>,
    pub emptied: HashSet<ScopeId>,
    pub stuck: HashMap<ScopeId, Vec<Survivor>>,
    pub stages: Vec<(ScopeId, KillStage)>,
    pub signalled: Vec<(Identity, Option<SignalRefused>)>,
    /// Process ids and cgroups.
    pub escaped: HashMap<ScopeId, Vec<(u32, String)>>,
}

impl Rig {
    pub fn new(world: World) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(world, format!("test-{}-{number}", std::process::id()), None, None)
    }

    /// A keeper of the ordinary user in a user namespace of its own, in which `fence` was done with every right.
    pub fn fenced(fence: &str) -> Self {
        let name = format!("test-{}-fenced", std::process::id());
        Self::named(World::Reaper, name, None, Some(fence))
    }

    /// A keeper with the same name and another state directory.
    pub fn namesake(&self) -> Self {
        Self::named(self.world, self.name.clone(), None, None)
    }

    /// A keeper with the same name and state directory, after this one's end.
    pub fn successor(&self) -> Self {
        // A daemon that was killed as well is nobody's to wait for here, and has the lock until it is gone.
        let lock = File::open(self.root.join("s/lock")).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while lock.try_lock().is_err() {
            assert!(Instant::now() < deadline, "the lock is held: {}", self.log());
            kennel_sys::process::pause(Duration::from_millis(2));
        }
        drop(lock);
        Self::named(self.world, self.name.clone(), Some(self), None)
    }

    fn named(world: World, name: String, before: Option<&Self>, fence: Option<&str>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = 300_000 + u64::from(std::process::id()) % 10_000 * 40 + NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let root = before.map_or(dir.path(), |before| before.dir.path()).to_owned();
        let harness = root.join("keeper-harness");
        if before.is_none() {
            for path in ["s", "r"] {
                std::fs::create_dir(root.join(path)).unwrap();
            }
            let _nobody_starts = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
            std::fs::copy(HARNESS, &harness).unwrap();
        }
        let socket = root.join("r/test.sock");
        let _none = std::fs::remove_file(&socket);
        let listener = unix::bind(&socket).unwrap();
        if world.is_ordinary() {
            for path in ["s", "r", "r/test.sock"] {
                std::os::unix::fs::chown(root.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        let delegation = (world == World::Delegated && before.is_none()).then(|| Delegation::new(&name));
        let (keeper, line) = launch(world, &root, &name, mark, delegation.as_ref(), fence);
        let log = || std::fs::read_to_string(root.join("s/kennel.log")).unwrap_or_default();
        assert_eq!(line, "ready\n", "{}", log());
        let (link, leash, daemon, recovered) = meet(&listener);
        assert!(!recovered);
        let mut rig = Self {
            world,
            name,
            root,
            dir,
            keeper,
            link,
            leash: Some(leash),
            daemon,
            backend: Backend::Reaper { reason: Reason::Other, because: String::new() },
            known: Vec::new(),
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
        let (child, line) = launch(self.world, &self.root, &self.name, self.mark, self.delegation.as_ref(), None);
        let reaped = wait::reap(child.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, wait::Exit::Code(0));
        line
    }

    fn hello(&mut self) {
        self.send(&Request::Hello { version: VERSION });
        self.known.clear();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Event::Welcome { version, pid, backend, known } = self.receive(deadline) {
                assert_eq!((version, pid), (VERSION, self.keeper.pid));
                self.backend = backend;
                self.known = known;
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

    /// Reads events until `done` says that enough is known.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = done(&self.seen) {
                return value;
            }
            assert!(Instant::now() < deadline, "no {what}: {}", self.log());
            match self.receive(deadline) {
                Event::Welcome { .. } => panic!("a second welcome"),
                Event::Spawned { scope, pid, identity, place, pipes } => {
                    self.seen.identities.insert(scope, identity);
                    self.seen.spawned.insert(scope, (pid, place, pipes));
                }
                Event::SpawnFailed { scope, error } => {
                    self.seen.failed.insert(scope, error);
                }
                Event::MainExited { scope, exit, .. } => {
                    assert!(self.seen.exited.insert(scope, exit).is_none(), "exited twice");
                }
                Event::Reaped { scope, pid, exit } => self.seen.reaped.entry(scope).or_default().push((pid, exit)),
                Event::Emptied { scope } => assert!(self.seen.emptied.insert(scope), "emptied twice"),
                Event::Stuck { scope, survivors } => {
                    self.seen.stuck.insert(scope, survivors);
                }
                Event::Stage { scope, stage } => self.seen.stages.push((scope, stage)),
                Event::Signalled { process, refused, .. } => self.seen.signalled.push((process, refused)),
                Event::Escaped { scope, process, path } => {
                    assert!(!self.seen.emptied.contains(&scope), "{process:?} escaped from an empty scope");
                    self.seen.escaped.entry(scope).or_default().push((process.pid, path));
                }
            }
        }
    }

    pub fn plan(&mut self, argv: &[&str]) -> Spawn {
        let scope = ScopeId(self.next);
        self.next += 1;
        Spawn {
            scope,
            name: format!("case.{}", scope.0),
            argv: argv.iter().map(|arg| CString::new(*arg).unwrap()).collect(),
            env: vec![c"PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
            cwd: c"/".to_owned(),
            user: None,
            umask: None,
            isolation: self.isolation,
            privileges: Privileges::default(),
            kill_escaped: true,
            stdio: Stdio::Capture,
        }
    }

    /// Starts a program and waits until it is executed.
    pub fn run(&mut self, argv: &[&str]) -> (ScopeId, u32) {
        let plan = self.plan(argv);
        self.run_plan(plan)
    }

    pub fn run_plan(&mut self, plan: Spawn) -> (ScopeId, u32) {
        let scope = plan.scope;
        self.send(&Request::Spawn(Box::new(plan)));
        let pid = self.until("start", |seen| {
            assert!(!seen.failed.contains_key(&scope), "{:?}", seen.failed);
            seen.spawned.get(&scope).map(|(pid, ..)| *pid)
        });
        (scope, pid)
    }

    pub fn fail(&mut self, plan: Spawn) -> SpawnError {
        let scope = plan.scope;
        self.send(&Request::Spawn(Box::new(plan)));
        self.until("failure", |seen| {
            assert!(!seen.spawned.contains_key(&scope), "it was started");
            seen.failed.get(&scope).cloned()
        })
    }

    /// A shell script in a scope, started when it has printed `up`.
    pub fn script(&mut self, text: &str) -> ScopeId {
        let (scope, _) = self.run(&["sh", "-c", text]);
        self.wait_for_output(scope, "up\n");
        scope
    }

    /// Reads the scope's stdout until it ends in `wanted`.
    pub fn wait_for_output(&mut self, scope: ScopeId, wanted: &str) -> String {
        let (_, _, pipes) = self.seen.spawned.get(&scope).unwrap();
        let [stdout, _] = pipes.as_ref().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut text = String::new();
        while !text.ends_with(wanted) {
            assert!(poll(stdout, PollFlags::IN, deadline), "only: {text}");
            let mut buffer = [0; 4096];
            match rustix::io::read(stdout, &mut buffer) {
                Ok(0) => panic!("only: {text}"),
                Ok(length) => text.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
                Err(rustix::io::Errno::AGAIN) => {}
                Err(errno) => panic!("{errno}"),
            }
        }
        text
    }

    /// Everything that the scope has written, to the end.
    pub fn output(&mut self, scope: ScopeId) -> String {
        let (_, _, pipes) = self.seen.spawned.get_mut(&scope).unwrap();
        let [stdout, _] = pipes.take().unwrap();
        rustix::io::ioctl_fionbio(&stdout, false).unwrap();
        let mut text = String::new();
        File::from(stdout).read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until the main process is reaped and the scope empty; answers how it ended.
    pub fn ended(&mut self, scope: ScopeId) -> Exit {
        self.until("end", |seen| seen.exited.get(&scope).copied().filter(|_| seen.emptied.contains(&scope)))
    }

    /// Kills a scope and waits for its end.
    pub fn kill(&mut self, scope: ScopeId) -> Exit {
        self.send(&Request::Kill { scope });
        self.ended(scope)
    }

    pub fn signal(&self, scope: ScopeId, signal: i32, everyone: bool) {
        self.send(&Request::Signal { scope, signal, everyone });
    }

    pub fn signal_process(&self, pid: u32, signal: i32) {
        pidfd::send_signal(pidfd::open(pid).unwrap(), signal).unwrap();
    }

    /// Living processes and zombies that carry the mark, wherever they have gone.
    pub fn marked(&self) -> Vec<u32> {
        marked(self.mark)
    }

    /// Those that are neither keeper, daemon nor scope reaper.
    pub fn services(&self) -> Vec<u32> {
        let reapers: Vec<u32> = self
            .seen
            .spawned
            .values()
            .filter_map(|(_, place, _)| match place {
                Place::Reaper(pid) => Some(*pid),
                Place::Cgroup(_) => None,
            })
            .collect();
        let is_init = |pid: u32| {
            kennel_sys::proc::stat(pid).is_some_and(|it| it.comm == "kennel-init" && it.ppid == self.keeper.pid)
        };
        let own = |pid: &u32| [self.keeper.pid, self.daemon].contains(pid) || reapers.contains(pid) || is_init(*pid);
        self.marked().into_iter().filter(|pid| !own(pid)).collect()
    }

    /// Waits until no service process is left, not even a zombie.
    pub fn no_service_is_left(&self) {
        wait_until("services left", || self.services().is_empty(), || format!("{:?}", describe(&self.services())));
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
        let (link, leash, daemon, recovered) = meet(&self.listener);
        assert!(recovered);
        (self.link, self.leash, self.daemon) = (link, Some(leash), daemon);
        self.seen = Seen::default();
        self.hello();
    }

    /// Starts a keeper inside a scope of this one, and meets its daemon.
    pub fn nested(&mut self) -> (ScopeId, Link, UnixStream) {
        let root = self.root.join("nested");
        for path in [root.clone(), root.join("s"), root.join("r")] {
            std::fs::create_dir(&path).unwrap();
        }
        let listener = unix::bind(&root.join("r/test.sock")).unwrap();
        if self.world.is_ordinary() {
            for path in ["", "s", "r", "r/test.sock"] {
                std::os::unix::fs::chown(root.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        let harness = self.root.join("keeper-harness");
        let script = format!(
            "exec {} __keeper --name {} --state-dir {root}/s --runtime-dir {root}/r --ready-fd 3 3>&1",
            harness.display(),
            self.nested_name(),
            root = root.display()
        );
        let (scope, _) = self.run(&["sh", "-c", &script]);
        self.wait_for_output(scope, "ready\n");
        let (link, leash, ..) = meet(&listener);
        (scope, link, leash)
    }

    /// Known by this keeper's own, so that tests that run side by side do not share a cgroup.
    fn nested_name(&self) -> String {
        format!("{}-nested", self.name)
    }

    /// Says goodbye and proves that nothing is left.
    pub fn finish(mut self) {
        self.send(&Request::Bye);
        self.leash = None;
        let reaped = wait::reap(self.keeper.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, wait::Exit::Code(0), "{}", self.log());
        if self.world == World::RootReaper && self.root.join("nested").exists() {
            // The one inside had cgroups that are no part of its scope. With all of it killed they stay, empty, and
            // the next keeper on the machine removes them.
            Self::new(World::Cgroup).finish();
        }
        self.nothing_is_left();
    }

    /// After the keeper's end, however it came.
    pub fn nothing_is_left(&self) {
        wait_until("processes left", || self.marked().is_empty(), || format!("{:?}", describe(&self.marked())));
        wait_until("cgroups left", || self.cgroups().is_empty(), || format!("{:?}: {}", self.cgroups(), self.log()));
    }

    /// Groups of this keeper and of the one inside, wherever they are, but for what was given to it, and for those of
    /// a namesake that lives.
    fn cgroups(&self) -> Vec<PathBuf> {
        let given = self.delegation.as_ref().map(|it| it.0.as_path());
        let is_ours =
            |name: &str| name.strip_prefix(&self.name).is_some_and(|rest| !rest.starts_with(char::is_numeric));
        let mut found = Vec::new();
        let mut left: Vec<PathBuf> =
            kennel_sys::cgroup::Hierarchy::mounted().unwrap().into_iter().map(|it| it.mount).collect();
        while let Some(group) = left.pop() {
            let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
            left.extend(entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()));
            let name = group.file_name().and_then(|name| name.to_str());
            let lived_in = || kennel_sys::cgroup::Group::at(&group).is_ok_and(|it| it.populated().unwrap_or(false));
            if name.is_some_and(is_ours) && given != Some(group.as_path()) && !lived_in() {
                found.push(group);
            }
        }
        found
    }

    pub fn cgroup_root(&self) -> PathBuf {
        match &self.backend {
            Backend::Cgroup { root } => root.clone(),
            Backend::Reaper { because, .. } => panic!("no cgroup: {because}"),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Only after a failed test is anything left here.
        let root = match &self.backend {
            Backend::Cgroup { root } => Some(root.clone()),
            Backend::Reaper { .. } => None,
        };
        for _ in 0..50 {
            let left = self.marked();
            if left.is_empty() {
                break;
            }
            for pid in left {
                if let Ok(fd) = pidfd::open(pid) {
                    let _gone = pidfd::send_signal(fd, 9);
                }
            }
            let _reaped = wait::reap(self.keeper.pid, false);
            kennel_sys::process::pause(Duration::from_millis(20));
        }
        if let Some(root) = root {
            let _gone = kennel_sys::cgroup::remove_tree(&root);
        }
    }
}

pub fn send(link: &Link, request: &Request) {
    loop {
        match link.try_send(request) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(link, PollFlags::OUT, Instant::now() + PATIENCE);
            }
            result => return result.unwrap(),
        }
    }
}

pub fn receive(link: &Link, deadline: Instant) -> Result<Event, String> {
    loop {
        match link.try_recv() {
            Ok(event) => return event.ok_or_else(|| "the keeper is gone".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !poll(link, PollFlags::IN, deadline) {
                    return Err("nothing came".to_owned());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Starts a keeper; it and what it wrote to the ready descriptor until that was closed.
fn launch(
    world: World,
    root: &Path,
    name: &str,
    mark: u64,
    delegation: Option<&Delegation>,
    fence: Option<&str>,
) -> (Child, String) {
    let containment = match world {
        World::Cgroup | World::Delegated => c"KENNEL_CONTAINMENT=cgroup",
        World::Reaper => c"KENNEL_CONTAINMENT=auto",
        World::RootReaper => c"KENNEL_CONTAINMENT=reaper",
    };
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (harness, state, runtime, mark) = (path("keeper-harness"), path("s"), path("r"), mark.to_string());
    let script = fence.map(|it| format!("{it} && exec setpriv --ambient-caps -all --inh-caps -all \"$@\""));
    let fence = script
        .iter()
        .flat_map(|script| ["unshare", "-Um", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]);
    let own = [
        harness.as_str(),
        "marked",
        &mark,
        "__keeper",
        "--name",
        name,
        "--state-dir",
        &state,
        "--runtime-dir",
        &runtime,
        "--ready-fd",
        "3",
    ];
    let words: Vec<&str> = fence.chain(own).collect();
    let (mut ready, ready_writer) = io::pipe().unwrap();
    let keeper = start(&words, &[containment.to_owned()], world.user(), &ready_writer, delegation);
    drop(ready_writer);
    let mut line = String::new();
    ready.read_to_string(&mut line).unwrap();
    (keeper, line)
}

fn start(
    words: &[&str],
    env: &[CString],
    user: Option<User<'_>>,
    ready: &io::PipeWriter,
    delegation: Option<&Delegation>,
) -> Child {
    let cgroup = delegation.map(|it| File::open(&it.0).unwrap());
    let argv: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let stderr = io::stderr();
    let fds = [null.as_fd(), null.as_fd(), stderr.as_fd(), ready.as_fd()];
    let exec = Exec {
        argv: &argv,
        env,
        cwd: c"/",
        user,
        umask: None,
        fds: &fds,
        nofile: None,
        tag: None,
        settings: Settings::default(),
        no_new_privs: false,
        cgroup: cgroup.as_ref().map(AsFd::as_fd),
    };
    let _nobody_writes = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    Spawner::new().unwrap().spawn(&exec).unwrap()
}

/// Takes the connection of a daemon that was started, and its end of the channel.
fn meet(listener: &UnixListener) -> (Link, UnixStream, u32, bool) {
    assert!(poll(listener, PollFlags::IN, Instant::now() + PATIENCE), "no daemon came");
    let (stream, _) = listener.accept().unwrap();
    let daemon = unix::peer(&stream).unwrap().pid;
    let mut greeting = [0; 9];
    let (length, mut fds) = unix::recv_fds(&stream, &mut greeting).unwrap();
    assert_eq!(length, greeting.len());
    (Link::new(fds.remove(0)).unwrap(), stream, daemon, &greeting == b"recovered")
}

pub fn poll(fd: &impl AsFd, flags: PollFlags, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    assert!(fd.as_fd().as_raw_fd() >= 0);
    rustix::event::poll(&mut [PollFd::new(fd, flags)], Some(&left)).unwrap_or(1) > 0
}

/// Looks again and again, with a deadline.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: {}", state());
        kennel_sys::process::pause(Duration::from_millis(2));
    }
}

fn marked(mark: u64) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let limits = std::fs::read_to_string(entry.path().join("limits")).unwrap_or_default();
        let line = limits.lines().find(|line| line.starts_with("Max msgqueue size"));
        if line.and_then(|line| line.split_whitespace().nth(3)) == Some(mark.to_string().as_str()) {
            found.push(pid);
        }
    }
    found
}

/// Starts a program as the user of `world` that reads what is written to the first pipe and writes to the second.
pub fn start_piped(rig: &Rig, words: &[&str]) -> (Child, io::PipeWriter, io::PipeReader) {
    let user = rig.world.user();
    let (input, to_input) = io::pipe().unwrap();
    let (from_output, output) = io::pipe().unwrap();
    let argv: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let stderr = io::stderr();
    let fds = [input.as_fd(), output.as_fd(), stderr.as_fd()];
    let exec = Exec {
        argv: &argv,
        env: &[],
        cwd: c"/",
        user,
        umask: None,
        fds: &fds,
        nofile: None,
        tag: None,
        settings: Settings::default(),
        no_new_privs: false,
        cgroup: None,
    };
    let _nobody_writes = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    (Spawner::new().unwrap().spawn(&exec).unwrap(), to_input, from_output)
}

pub fn describe(pids: &[u32]) -> Vec<String> {
    pids.iter()
        .filter_map(|pid| {
            let stat = kennel_sys::proc::stat(*pid)?;
            Some(format!("{pid} {} ppid {} {:?}", stat.state, stat.ppid, kennel_sys::proc::command(*pid, 60)))
        })
        .collect()
}

pub fn ids(uid: u32) -> Ids {
    Ids { uid, gid: uid, groups: vec![uid] }
}
