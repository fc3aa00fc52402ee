//! One kennel with all escapes of a group, in one environment.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, Seen, patience, pause, state_of, wait_until};

use crate::environment::Environment;
use crate::escapes::{ESCAPES, Escape, Group};
use crate::record::{self, Verdict};

/// For everything that has to happen, on a machine that has other things to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// From kennel's word that nothing is left until `/proc` agrees: the kernel calls a cgroup empty a moment before
/// its last member shows as dead. Not a measure of speed.
pub(crate) const AGREE: Duration = Duration::from_secs(30);

/// An escape that is there, and its cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) number: u64,
    pub(crate) escape: &'static Escape,
}

impl Cell {
    pub(crate) fn name(self) -> &'static str {
        self.escape.name
    }
}

pub(crate) struct Stack {
    pub(crate) environment: Environment,
    pub(crate) scratch: Scratch,
    pub(crate) cells: Vec<Cell>,
    /// Removed after the scratch.
    _elsewhere: Option<Elsewhere>,
}

impl Stack {
    /// `None` where the environment cannot be had here.
    pub(crate) fn new(environment: Environment, group: Group) -> Option<Self> {
        let scratch = environment.scratch()?;
        let cells: Vec<Cell> = (1..)
            .zip(&ESCAPES)
            .map(|(number, escape)| Cell { number, escape })
            .filter(|cell| cell.escape.group == group && cell.escape.applies(environment))
            .collect();
        if cells.is_empty() {
            return None;
        }
        let has = |name| cells.iter().any(|cell| cell.name() == name);
        let elsewhere = has("other-cgroup").then(Elsewhere::new);
        if has("setuid") {
            setuid_copy(&scratch);
        }
        let stack = Self { environment, scratch, cells, _elsewhere: elsewhere };
        stack.scratch.config(&stack.yaml());
        Some(stack)
    }

    fn yaml(&self) -> String {
        let mut yaml = "services:\n".to_owned();
        for cell in &self.cells {
            let command = cell.escape.command(usize::try_from(cell.number).unwrap());
            let isolation = if self.environment.pid_namespace() { "    isolation: pid\n" } else { "" };
            write!(
                yaml,
                "  {}:\n    command: {command}\n    restart: 'no'\n    readiness: {{ log_line: '^up$' }}\n    \
                 stop_grace_period: 500ms\n{isolation}{}",
                cell.name(),
                cell.escape.keys,
            )
            .unwrap();
        }
        let path = |below: &str| self.scratch.path(below).display().to_string();
        let elsewhere = self._elsewhere.as_ref().map(|it| it.0.display().to_string()).unwrap_or_default();
        let user = if self.environment.root() { "    user: '60200:60200'\n" } else { "" };
        yaml.replace("@elsewhere@", &elsewhere)
            .replace("@setuid@", &path("bin/setuid"))
            .replace("@run@", &path("run"))
            .replace("@hung@", &path("hung"))
            .replace("@user@", user)
    }

    pub(crate) fn up(&self) {
        self.scratch.ok(&["up", "-d"]);
        self.check_shapes();
    }

    /// Every cell has a living process beside its main process: an escape that is not there proves nothing.
    pub(crate) fn check_shapes(&self) {
        let mut missing = self.cells.clone();
        wait_until(DEADLINE, "two living processes of each", || {
            let seen = self.scratch.in_cells();
            missing.retain(|cell| of(&seen, *cell).filter(|seen| seen.living).count() < 2);
            missing.is_empty()
        });
        for cell in &self.cells {
            match cell.name() {
                "stopped" => wait_until(DEADLINE, "stopped is stopped", || {
                    self.cell(*cell).iter().all(|seen| state_of(seen.pid) == Some('T'))
                }),
                "setuid" if self.environment.cgroups() => wait_until(DEADLINE, "a child that took all rights", || {
                    self.cell(*cell).iter().any(|seen| user_of(seen).is_some_and(|uid| uid == "0"))
                }),
                "kills-reaper" | "stops-reaper" if self.environment.name().starts_with("reaper") => {
                    wait_until(DEADLINE, "a daemon that its scope's reaper adopted", || {
                        self.cell(*cell).iter().all(|seen| {
                            let parent = std::fs::read_to_string(format!("/proc/{}/comm", seen.ppid));
                            parent.is_ok_and(|name| name == "kennel-reaper\n")
                        })
                    });
                }
                _ => {}
            }
        }
    }

    /// Processes of one service, zombies included.
    pub(crate) fn cell(&self, cell: Cell) -> Vec<Seen> {
        of(&self.scratch.in_cells(), cell).cloned().collect()
    }

    /// The main process of each service, by what `ps` says.
    pub(crate) fn mains(&self) -> Vec<(Cell, Seen)> {
        let listed = self.scratch.json(&["ps", "--json"]);
        let listed = listed.as_array().expect("ps prints an array");
        let seen = self.scratch.in_cells();
        let main = |cell: &Cell| {
            let service = listed.iter().find(|service| service["name"] == cell.name()).expect("listed");
            let pid = service["pid"].as_u64().unwrap_or_else(|| panic!("no main process: {service}"));
            let main = of(&seen, *cell).find(|seen| u64::from(seen.pid) == pid);
            (*cell, main.unwrap_or_else(|| panic!("{pid} is not of {}", cell.name())).clone())
        };
        self.cells.iter().map(main).collect()
    }

    /// Waits until each of these services has nobody left, or the time is up.
    pub(crate) fn end_within(&self, cells: &[Cell], deadline: Duration) -> Vec<Verdict> {
        let end = Instant::now() + patience(deadline);
        loop {
            let seen = self.scratch.in_cells();
            let verdicts: Vec<Verdict> =
                cells.iter().map(|cell| Verdict::new(cell.name(), of(&seen, *cell).cloned().collect())).collect();
            if Instant::now() > end || verdicts.iter().all(|verdict| verdict.left.is_empty()) {
                return self.with_tmux(verdicts);
            }
            pause();
        }
    }

    /// Says what became of the cells, then the whole ends and goes up and down once more, at once.
    pub(crate) fn conclude(&self, exit: &str, verdicts: &[Verdict]) {
        record::conclude(self.environment, exit, verdicts);
        if exit != "down" {
            self.down();
        }
        self.nothing_and_again();
    }

    /// A terminal multiplexer that is killed leaves the name of its socket; nobody may answer there.
    fn with_tmux(&self, mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
        if let Some(verdict) = verdicts.iter_mut().find(|verdict| verdict.escape == "tmux") {
            let dirs = std::fs::read_dir(self.scratch.path("run")).expect("a directory");
            if dirs.flatten().any(|dir| UnixStream::connect(dir.path().join("kt")).is_ok()) {
                verdict.wrong = "its server still answers".to_owned();
            }
        }
        verdicts
    }

    pub(crate) fn nothing_and_again(&self) {
        if let Err(left) = self.scratch.nothing_within(DEADLINE) {
            panic!("left: {}", show(&left));
        }
        let groups = self.scratch.cgroups();
        assert!(groups.is_empty(), "cgroups left: {groups:?}");
        self.up();
        self.down();
        self.scratch.expect_nothing(DEADLINE);
    }

    pub(crate) fn down(&self) {
        let answer = self.scratch.json(&["down", "--json"]);
        assert_eq!(answer["left"], 0, "{answer}");
        assert_eq!(answer["ok"], true, "{answer}");
        wait_until(AGREE, "kennel and /proc agree that nothing lives", || {
            self.scratch.in_cells().iter().all(Seen::zombie)
        });
    }
}

/// Those of one cell.
pub(crate) fn of(seen: &[Seen], cell: Cell) -> impl Iterator<Item = &Seen> {
    seen.iter().filter(move |seen| seen.cell == Some(cell.number))
}

pub(crate) fn show(left: &[Seen]) -> String {
    left.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Effective user id.
fn user_of(seen: &Seen) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", seen.pid)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// A copy of the bad child that belongs to root and gives everybody root's rights.
fn setuid_copy(scratch: &Scratch) {
    let copy = scratch.path("bin/setuid");
    std::fs::copy(scratch.badchild(), &copy).expect("a copy");
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).expect("permissions");
}

/// A cgroup that is not kennel's.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn new() -> Self {
        let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let tree = trees.iter().map(Path::new).find(|tree| tree.join("cgroup.procs").exists()).expect("a tree");
        let dir = tree.join(format!("elsewhere-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("a group");
        Self(dir)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "somebody is left in {}: {removed:?}", self.0.display());
    }
}
