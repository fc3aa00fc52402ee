//! Starts real processes and asks the kernel what they got.

use rustix::process::Resource;

use super::super::tests::Case;
use super::super::{Child, Failure, Stage};
use super::*;
use crate::{pidfd, process, wait};

const BIND: u64 = 1 << 10;
const RAW: u64 = 1 << 13;
const SYS_RESOURCE: u64 = 1 << 24;

/// A process that sleeps until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new(case: &Case) -> Self {
        Self(case.start().unwrap())
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.pid)).unwrap()
    }

    /// A line of `/proc/PID/status`.
    fn status(&self, field: &str) -> String {
        let text = self.file("status");
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().to_owned()
    }

    fn set(&self, field: &str) -> u64 {
        u64::from_str_radix(&self.status(field), 16).unwrap()
    }

    /// Effective, permitted, inheritable, ambient, bounding.
    fn capabilities(&self) -> [u64; 5] {
        ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"].map(|field| self.set(field))
    }

    /// Soft and hard, as the kernel prints them.
    fn limit(&self, name: &str) -> [String; 2] {
        let text = self.file("limits");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut words = line.split_whitespace();
        [words.next().unwrap().to_owned(), words.next().unwrap().to_owned()]
    }

    fn nice(&self) -> i32 {
        self.file("stat").rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    fn io_priority(&self) -> i64 {
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_ioprio_get, 1, self.0.pid) }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        pidfd::send_signal(&self.0.pidfd, libc::SIGKILL).unwrap();
        wait::reap(self.0.pid, true).unwrap();
    }
}

fn case(settings: Settings<'static>) -> Case {
    Case { settings, no_new_privs: false, ..Case::new(&["sleep", "600"]) }
}

fn limits(limits: &'static [Limit]) -> Settings<'static> {
    Settings { limits, ..Settings::default() }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const ORDINARY: (u32, u32) = (60_201, 60_202);

fn as_ordinary(settings: Settings<'static>) -> Case {
    let (uid, gid) = ORDINARY;
    Case { user: is_root().then(|| (uid, gid, vec![gid])), ..case(settings) }
}

#[track_caller]
fn fails(case: &Case, stage: Stage, errno: i32) {
    let before = process::children().unwrap();
    let Failure { stage: got, errno: said } = case.start().unwrap_err();
    assert_eq!((got, said), (stage, errno));
    // Nothing is left of the attempt, not even a zombie.
    assert_eq!(process::children().unwrap(), before);
}

#[test]
fn limits_are_set() {
    const CORE: u32 = Resource::Core as u32;
    const CPU: u32 = Resource::Cpu as u32;
    const NOFILE: u32 = Resource::Nofile as u32;
    const RTTIME: u32 = Resource::Rttime as u32;
    let settings = limits(&[
        Limit { resource: CORE, soft: 0, hard: 0 },
        Limit { resource: CPU, soft: 3600, hard: u64::MAX },
        Limit { resource: NOFILE, soft: 17, hard: 23 },
        Limit { resource: RTTIME, soft: 5_000_000, hard: 6_000_000 },
    ]);
    let mut case = case(settings);
    // What is restored gives way to what is asked for.
    case.nofile = Some(crate::process::Nofile { current: Some(64), maximum: Some(128) });
    let process = Sleeper::new(&case);
    assert_eq!(process.limit("Max core file size"), ["0", "0"]);
    assert_eq!(process.limit("Max cpu time"), ["3600", "unlimited"]);
    assert_eq!(process.limit("Max open files"), ["17", "23"]);
    assert_eq!(process.limit("Max realtime timeout"), ["5000000", "6000000"]);
}

#[test]
fn few_descriptors_are_not_in_the_way_of_the_first_three() {
    const NOFILE: u32 = Resource::Nofile as u32;
    let mut case = case(limits(&[Limit { resource: NOFILE, soft: 0, hard: 0 }]));
    // A shell would need more; this program is refused its libraries, which only it can tell.
    case.argv = vec![c"/bin/true".into()];
    let child = case.start().unwrap();
    assert_eq!(wait::reap(child.pid, true).unwrap().unwrap().exit, wait::Exit::Code(127));
}

#[test]
fn a_limit_that_cannot_be_set_is_named() {
    const NOFILE: u32 = Resource::Nofile as u32;
    const CORE: u32 = Resource::Core as u32;
    // Above `fs.nr_open` for everybody.
    fails(&case(limits(&[Limit { resource: NOFILE, soft: 1, hard: u64::MAX }])), Stage::Limit(NOFILE), libc::EPERM);
    fails(&case(limits(&[Limit { resource: CORE, soft: 2, hard: 1 }])), Stage::Limit(CORE), libc::EINVAL);
    fails(&case(limits(&[Limit { resource: 99, soft: 1, hard: 1 }])), Stage::Limit(99), libc::EINVAL);
}

#[test]
fn priorities_are_set() {
    let idle = 3 << 13;
    let settings = Settings { nice: Some(7), io_priority: Some(idle), oom_score_adj: Some(321), ..Settings::default() };
    let process = Sleeper::new(&case(settings));
    assert_eq!(process.nice(), 7);
    assert_eq!(process.io_priority(), i64::from(idle));
    assert_eq!(process.file("oom_score_adj").trim(), "321");
    // Ours are as they were: nothing was changed before the clone.
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), 0);
}

#[test]
fn the_group_of_its_session_is_as_nice() {
    let settings = Settings { nice: Some(7), ..Settings::default() };
    let process = Sleeper::new(&case(settings));
    // Only where the kernel has it, and only root is sure to be allowed at any time.
    if is_root() && std::path::Path::new("/proc/self/autogroup").exists() {
        assert!(process.file("autogroup").ends_with(" nice 7\n"), "{}", process.file("autogroup"));
    }
}

#[test]
fn better_priorities_need_rights() {
    if !is_root() {
        return;
    }
    // In the order in which the child sets them: with the rights it has before it is somebody else.
    let realtime = 1 << 13 | 3;
    let settings = Settings { nice: Some(-5), io_priority: Some(realtime), ..Settings::default() };
    let process = Sleeper::new(&as_ordinary(settings));
    assert_eq!(process.status("Uid").split_whitespace().next(), Some("60201"));
    assert_eq!((process.nice(), process.io_priority()), (-5, i64::from(realtime)));
    let settings = Settings { oom_score_adj: Some(-100), ..Settings::default() };
    if own_capabilities() & SYS_RESOURCE != 0 {
        assert_eq!(Sleeper::new(&as_ordinary(settings)).file("oom_score_adj").trim(), "-100");
    } else {
        fails(&as_ordinary(settings), Stage::OomScoreAdj, libc::EACCES);
    }
}

#[test]
fn cpus_are_kept_to() {
    let first = rustix::thread::sched_getaffinity(None).unwrap();
    let allowed: Vec<u32> = (0..1024).filter(|cpu| first.is_set(*cpu as usize)).collect();
    static LAST: std::sync::OnceLock<[u32; 1]> = std::sync::OnceLock::new();
    let last: &'static [u32] = LAST.get_or_init(|| [*allowed.last().unwrap()]);
    let process = Sleeper::new(&case(Settings { cpus: last, ..Settings::default() }));
    assert_eq!(process.status("Cpus_allowed_list"), last[0].to_string());
    // One that is there does not make up for one that is not.
    for absent in [&[0, MOST_CPUS - 1][..], &[MOST_CPUS - 1], &[MOST_CPUS], &[0, MOST_CPUS]] {
        fails(&case(Settings { cpus: absent, ..Settings::default() }), Stage::Cpus, libc::EINVAL);
    }
}

#[test]
fn root_has_exactly_what_it_is_left() {
    if !is_root() {
        return;
    }
    let wanted =
        |bounding, added| Settings { capabilities: Some(Capabilities { bounding, added }), ..Settings::default() };
    assert_eq!(Sleeper::new(&case(wanted(BIND, BIND))).capabilities(), [BIND, BIND, 0, 0, BIND]);
    assert_eq!(Sleeper::new(&case(wanted(0, 0))).capabilities(), [0; 5]);
    let all = own_capabilities();
    let rest = all & !RAW;
    assert_eq!(Sleeper::new(&case(wanted(!RAW, 0))).capabilities(), [rest, rest, 0, 0, rest]);
    // With `NO_NEW_PRIVS` it is the same.
    let mut strict = case(wanted(BIND, 0));
    strict.no_new_privs = true;
    assert_eq!(Sleeper::new(&strict).capabilities(), [BIND, BIND, 0, 0, BIND]);
}

#[test]
fn an_ordinary_user_has_what_is_added() {
    if !is_root() {
        return;
    }
    let wanted = |bounding, added| {
        as_ordinary(Settings { capabilities: Some(Capabilities { bounding, added }), ..Settings::default() })
    };
    let all = own_capabilities();
    assert_eq!(Sleeper::new(&wanted(u64::MAX, BIND)).capabilities(), [BIND, BIND, BIND, BIND, all]);
    assert_eq!(Sleeper::new(&wanted(BIND, BIND)).capabilities(), [BIND; 5]);
    assert_eq!(Sleeper::new(&wanted(!RAW, 0)).capabilities(), [0, 0, 0, 0, all & !RAW]);
    assert_eq!(Sleeper::new(&wanted(BIND, BIND)).status("NoNewPrivs"), "0");
    // What the kernel does not have cannot be given, and is not passed over.
    fails(&wanted(u64::MAX, 1 << 62), Stage::Capabilities, libc::EINVAL);
}

/// Everything at once, each of which another one could undo.
#[test]
fn the_order_is_right() {
    if !is_root() {
        return;
    }
    const NPROC: u32 = Resource::Nproc as u32;
    let settings = Settings {
        groups: &[],
        limits: &[Limit { resource: NPROC, soft: 50, hard: 60 }],
        nice: Some(-5),
        cpus: &[0],
        io_priority: Some(1 << 13),
        oom_score_adj: Some(100),
        capabilities: Some(Capabilities { bounding: BIND | RAW, added: BIND }),
    };
    let mut case = as_ordinary(settings);
    case.no_new_privs = true;
    let process = Sleeper::new(&case);
    assert_eq!(process.capabilities(), [BIND, BIND, BIND, BIND, BIND | RAW]);
    assert_eq!((process.nice(), process.io_priority()), (-5, 1 << 13));
    assert_eq!(process.status("Cpus_allowed_list"), "0");
    assert_eq!(process.status("Groups"), "60202");
    assert_eq!(process.status("NoNewPrivs"), "1");
    assert_eq!(process.limit("Max processes"), ["50", "60"]);
    assert_eq!(process.file("oom_score_adj").trim(), "100");
}

/// What `initgroups(3)` would give, for every account of this machine, root among them.
#[test]
fn a_user_brings_its_groups() {
    if !is_root() {
        return;
    }
    let sorted = |text: &str| {
        let mut groups: Vec<u32> = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
        groups.sort_unstable();
        groups
    };
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    for name in accounts.lines().filter_map(|line| line.split(':').next()) {
        let ids = crate::user::lookup(name, None).unwrap();
        let told = Case::new(&["id", "-G", name]).output().0;
        let mut case = Case::new(&["id", "-G"]);
        case.user = Some((ids.uid, ids.gid, ids.groups.clone()));
        assert_eq!(sorted(&case.output().0), sorted(&told), "{name}");
        // Another primary group is in the place of its own, beside the supplementary ones.
        let other = crate::user::lookup(name, Some("60202")).unwrap();
        assert_eq!(other.gid, 60_202);
        assert!(other.groups.contains(&60_202) && other.groups.len() <= ids.groups.len() + 1, "{name}");
    }
}

/// The kernel takes the highest number for "as before", and before is root.
#[test]
fn nobody_is_started_as_no_user() {
    for user in [(u32::MAX, 60_202), (60_201, u32::MAX)] {
        let case = Case { user: Some((user.0, user.1, vec![60_202])), ..case(Settings::default()) };
        fails(&case, Stage::User, libc::EINVAL);
    }
}

#[test]
fn numbers_are_written_as_text() {
    for number in [0, 7, -1000, i32::MIN, i32::MAX] {
        assert_eq!(Decimal::new(number).text(), number.to_string().as_bytes());
    }
}
