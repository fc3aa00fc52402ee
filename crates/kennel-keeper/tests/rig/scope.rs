//! Scopes of a keeper: started, listened to, ended.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use kennel_keeper::Link;
use kennel_keeper::proto::{
    AdoptError, Applied, Event, Exit, Identity, KillStage, Place, Privileges, Request, ScopeId, SignalRefused, Spawn,
    SpawnError, Stdio, Stray, Successor, Survivor,
};
use kennel_sys::unix;
use rustix::event::PollFlags;

use super::talk::{meet, poll};
use super::{ORDINARY, PATIENCE, Rig};

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
    /// What was told last of each bound.
    pub bounded: HashMap<ScopeId, Vec<Applied>>,
    /// Kills, limit and peak.
    pub out_of_memory: HashMap<ScopeId, (u64, Option<u64>, Option<u64>)>,
    /// Whose bound it was, the last time.
    pub memory_of: HashMap<ScopeId, Option<Vec<String>>>,
    /// What became of bounds of several scopes, by their owners.
    pub pools: HashMap<Vec<String>, Vec<Applied>>,
    /// What was told last of each.
    pub frozen: HashMap<ScopeId, bool>,
    pub stages: Vec<(ScopeId, KillStage)>,
    pub signalled: Vec<(Identity, Option<SignalRefused>)>,
    /// Process ids and cgroups.
    pub escaped: HashMap<ScopeId, Vec<(u32, String)>>,
    /// Those that were told last.
    pub leftovers: Option<Vec<Survivor>>,
    pub held: HashMap<String, OwnedFd>,
    pub adopted: HashMap<ScopeId, (Place, Option<[OwnedFd; 2]>, bool)>,
    pub adopt_refused: HashMap<ScopeId, AdoptError>,
    pub strays: Option<Vec<Stray>>,
    pub strays_ended: HashSet<String>,
    pub successor: Vec<Successor>,
    /// Version and refusal.
    pub executed: Vec<(u16, Option<String>)>,
}

impl Rig {
    /// Reads events until `done` says that enough is known.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = done(&mut self.seen) {
                return value;
            }
            assert!(Instant::now() < deadline, "no {what}: {}", self.log());
            match self.receive(deadline) {
                Event::Welcome { .. } => panic!("a second welcome"),
                Event::Spawned { scope, pid, identity, place, pipes, .. } => {
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
                Event::Leftovers { survivors } => self.seen.leftovers = Some(survivors),
                Event::Bounded { scope, applied } => {
                    self.seen.bounded.insert(scope, applied);
                }
                Event::OutOfMemory { scope, kills, limit, peak, of } => {
                    assert!(!self.seen.exited.contains_key(&scope), "the reason comes after the end");
                    let before = self.seen.out_of_memory.get(&scope).map_or(0, |(kills, ..)| *kills);
                    self.seen.out_of_memory.insert(scope, (before + kills, limit, peak));
                    self.seen.memory_of.insert(scope, of);
                }
                Event::PoolBounded { owners, applied } => {
                    self.seen.pools.insert(owners, applied);
                }
                Event::Frozen { scope, frozen } => {
                    self.seen.frozen.insert(scope, frozen);
                }
                Event::Stage { scope, stage } => self.seen.stages.push((scope, stage)),
                Event::Signalled { process, refused, .. } => self.seen.signalled.push((process, refused)),
                Event::Held { name, fd } => {
                    self.seen.held.insert(name, fd);
                }
                Event::Adopted { scope, place, pipes, main_alive } => {
                    self.seen.adopted.insert(scope, (place, pipes, main_alive));
                }
                Event::AdoptRefused { scope, error } => {
                    self.seen.adopt_refused.insert(scope, error);
                }
                Event::Strays { strays } => self.seen.strays = Some(strays),
                Event::StrayEnded { leaf } => assert!(self.seen.strays_ended.insert(leaf), "a stray ended twice"),
                Event::Successor(news) => self.seen.successor.push(news),
                Event::Executed { version, refused } => self.seen.executed.push((version, refused)),
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
            keep: false,
            note: Vec::new(),
            bounds: Vec::new(),
            owners: Vec::new(),
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

    /// The same, to be kept when the daemon is lost.
    pub fn keep(&mut self, text: &str) -> (ScopeId, u32) {
        let plan = self.plan(&["sh", "-c", text]);
        let note = format!("note of {}", plan.scope.0).into_bytes();
        let (scope, pid) = self.run_plan(Spawn { keep: true, note, ..plan });
        self.wait_for_output(scope, "up\n");
        (scope, pid)
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
        let daemon = meet(&listener);
        (scope, daemon.link, daemon.leash.unwrap())
    }

    /// Known by this keeper's own, so that tests that run side by side do not share a cgroup.
    fn nested_name(&self) -> String {
        format!("{}-nested", self.name)
    }
}
