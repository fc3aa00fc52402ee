//! What the members of a group may use together: the files of the controllers, in both versions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Period of a CPU quota, microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, microseconds.
const LEAST_QUOTA_US: u64 = 1_000;
/// What the kernel gives to who has asked for nothing, version 2 and version 1.
const USUAL_WEIGHT: u64 = 100;
const USUAL_SHARES: u64 = 1024;

/// One thing that can be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Memory, bytes. Beyond it somebody is killed.
    Memory,
    /// Memory, bytes. Beyond it members are slowed down and their memory is taken back.
    MemoryHigh,
    /// Swap beside the memory, bytes.
    Swap,
    /// Processes and threads. Beyond it none can be made.
    Pids,
    /// CPU time, thousandths of a CPU.
    Cpus,
    /// Share of the CPU while there is not enough for all: 1 to 10000, of which 100 is usual.
    CpuWeight,
    /// The same of disks.
    IoWeight,
    /// Bytes a second read from each disk.
    IoRead,
    /// Bytes a second written to each disk.
    IoWrite,
}

/// What serves some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Controller {
    /// `memory`
    Memory,
    /// `pids`
    Pids,
    /// `cpu`
    Cpu,
    /// `io`, in version 1 `blkio`
    Io,
}

impl Resource {
    /// All of them. Swap comes after memory, without which it cannot be set.
    pub const ALL: [Self; 9] = [
        Self::Memory,
        Self::MemoryHigh,
        Self::Swap,
        Self::Pids,
        Self::Cpus,
        Self::CpuWeight,
        Self::IoWeight,
        Self::IoRead,
        Self::IoWrite,
    ];

    /// As it is written in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::MemoryHigh => "memory_high",
            Self::Swap => "swap",
            Self::Pids => "pids",
            Self::Cpus => "cpus",
            Self::CpuWeight => "cpu_weight",
            Self::IoWeight => "io_weight",
            Self::IoRead => "io_read",
            Self::IoWrite => "io_write",
        }
    }

    /// What it is served by.
    #[must_use]
    pub const fn controller(self) -> Controller {
        match self {
            Self::Memory | Self::MemoryHigh | Self::Swap => Controller::Memory,
            Self::Pids => Controller::Pids,
            Self::Cpus | Self::CpuWeight => Controller::Cpu,
            Self::IoWeight | Self::IoRead | Self::IoWrite => Controller::Io,
        }
    }
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Io];

    /// Its name in `cgroup.controllers`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Io => "io",
        }
    }

    /// Its name in version 1.
    #[must_use]
    pub const fn name_1(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::Memory | Self::Pids | Self::Cpu => self.name(),
        }
    }
}

/// Sets one bound of a version 2 group; none takes it away.
///
/// # Errors
/// `NotFound` where the group has no such controller, and what else the system says.
///
/// Source: kernel documentation, cgroup v2, "Controllers".
pub fn set(group: &Path, resource: Resource, value: Option<u64>) -> io::Result<()> {
    let number = |value: Option<u64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
    let weight = |value: Option<u64>| value.unwrap_or(USUAL_WEIGHT).clamp(1, 10_000);
    match resource {
        Resource::Memory => put(group, "memory.max", &number(value)),
        Resource::MemoryHigh => put(group, "memory.high", &number(value)),
        Resource::Swap => put(group, "memory.swap.max", &number(value)),
        Resource::Pids => put(group, "pids.max", &number(value)),
        Resource::Cpus => put(group, "cpu.max", &format!("{} {PERIOD_US}", number(value.map(quota_us)))),
        Resource::CpuWeight => put(group, "cpu.weight", &weight(value).to_string()),
        Resource::IoWeight => put(group, "io.weight", &format!("default {}", weight(value)))
            .or_else(|_| put(group, "io.bfq.weight", &format!("default {}", weight(value).min(1000)))),
        Resource::IoRead => on_disks(group, "io.max", |disk| format!("{disk} rbps={}", number(value))),
        Resource::IoWrite => on_disks(group, "io.max", |disk| format!("{disk} wbps={}", number(value))),
    }
}

/// The same of a version 1 group of the resource's controller. `memory`: the bound of memory that is in force there, which
/// one of swap counts in.
///
/// # Errors
/// As [`set`].
///
/// Source: kernel documentation, cgroup v1, "memory", "pids", "blkio"; scheduler, "CFS bandwidth control".
pub fn set_1(group: &Path, resource: Resource, value: Option<u64>, memory: Option<u64>) -> io::Result<()> {
    let number = |value: Option<u64>| value.map_or_else(|| "-1".to_owned(), |value| value.to_string());
    match resource {
        Resource::Memory => put(group, "memory.limit_in_bytes", &number(value)).or_else(|error| {
            // Not above what memory and swap may be together, which is set after it.
            if error.kind() != io::ErrorKind::InvalidInput {
                return Err(error);
            }
            put(group, "memory.memsw.limit_in_bytes", "-1")?;
            put(group, "memory.limit_in_bytes", &number(value))
        }),
        Resource::MemoryHigh => put(group, "memory.soft_limit_in_bytes", &number(value)),
        Resource::Swap => {
            let both = value.zip(memory).map(|(swap, memory)| memory.saturating_add(swap));
            put(group, "memory.memsw.limit_in_bytes", &number(both))
        }
        Resource::Pids => put(group, "pids.max", &value.map_or_else(|| "max".to_owned(), |value| value.to_string())),
        Resource::Cpus => put(group, "cpu.cfs_quota_us", &number(value.map(quota_us))),
        Resource::CpuWeight => {
            let shares = value.unwrap_or(USUAL_WEIGHT).saturating_mul(USUAL_SHARES) / USUAL_WEIGHT;
            put(group, "cpu.shares", &shares.max(2).to_string())
        }
        Resource::IoWeight => {
            let weight = value.unwrap_or(USUAL_WEIGHT).clamp(1, 1000).to_string();
            put(group, "blkio.bfq.weight", &weight).or_else(|_| put(group, "blkio.weight", &weight))
        }
        Resource::IoRead => {
            on_disks(group, "blkio.throttle.read_bps_device", |disk| format!("{disk} {}", value.unwrap_or(0)))
        }
        Resource::IoWrite => {
            on_disks(group, "blkio.throttle.write_bps_device", |disk| format!("{disk} {}", value.unwrap_or(0)))
        }
    }
}

fn quota_us(milli_cpus: u64) -> u64 {
    (milli_cpus.saturating_mul(PERIOD_US) / 1000).max(LEAST_QUOTA_US)
}

fn put(group: &Path, file: &str, text: &str) -> io::Result<()> {
    // Not created where it is not there: that is how a missing controller shows.
    let mut file = fs::OpenOptions::new().write(true).open(group.join(file))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// Writes a line for every disk; those that take none of it are left out as long as one does.
fn on_disks(group: &Path, file: &str, line: impl Fn(&str) -> String) -> io::Result<()> {
    if !group.join(file).exists() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let disks = disks();
    let written = disks.iter().map(|disk| put(group, file, &line(disk)));
    let (done, mut failed): (Vec<_>, Vec<_>) = written.partition(Result::is_ok);
    match failed.pop() {
        Some(Err(error)) if done.is_empty() => Err(error),
        _ if done.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "no disk")),
        _ => Ok(()),
    }
}

/// Device numbers of all disks that something backs, as `8:0`. Partitions are none of their own here.
fn disks() -> Vec<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let text = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    entries
        .map(|entry| entry.path())
        .filter(|disk| text(disk.join("size")).is_some_and(|size| size != "0"))
        .filter_map(|disk| text(disk.join("dev")))
        .collect()
}

/// Has every group below `group`, which may be the root of a hierarchy, have these controllers. Those that are not there, or may
/// not be passed on, are left out: the files of the groups below show it.
///
/// Source: kernel documentation, cgroup v2, `cgroup.subtree_control`.
pub fn pass_on(group: &Path, controllers: impl IntoIterator<Item = Controller>) {
    for controller in controllers {
        // One by one, for one that is refused refuses all that are asked for with it.
        let _refused = put(group, "cgroup.subtree_control", &format!("+{}", controller.name()));
    }
}

/// Which of them every group below `group` has.
#[must_use]
pub fn passed_on(group: &Path) -> Vec<Controller> {
    let text = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |controller: &Controller| text.split_whitespace().any(|word| word == controller.name());
    Controller::ALL.into_iter().filter(has).collect()
}

/// Directories of the groups of version 1 that this process is in, where a controller has such a hierarchy and it is visible
/// here.
///
/// # Errors
/// What reading `/proc/self/mountinfo` and `/proc/self/cgroup` says.
///
/// Source: `cgroups(7)`, `/proc/PID/cgroup`; `proc_pid_mountinfo(5)`.
pub fn own_1() -> io::Result<Vec<(Controller, PathBuf)>> {
    Ok(groups_1(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?))
}

fn groups_1(mounts: &str, groups: &str) -> Vec<(Controller, PathBuf)> {
    Controller::ALL
        .into_iter()
        .filter_map(|controller| Some((controller, group_1(mounts, groups, controller)?)))
        .collect()
}

fn group_1(mounts: &str, groups: &str, controller: Controller) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller.name_1());
    let own = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        has(names).then(|| PathBuf::from(path))
    })?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_it = kind.next() == Some("cgroup") && kind.nth(1).is_some_and(has);
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (super::unescape(fields.next()?), super::unescape(fields.next()?));
        // In a namespace of its own the path starts anew at the mount.
        let inside = own.strip_prefix(&root).or_else(|_| own.strip_prefix("/")).ok()?;
        let directory = if inside.as_os_str().is_empty() { at } else { at.join(inside) };
        (is_it && directory.is_dir()).then_some(directory)
    })
}

/// Where hierarchies of version 1 with one of these controllers are mounted.
///
/// # Errors
/// What reading `/proc/self/mountinfo` says.
pub fn mounts_1() -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let is_known = |option: &str| Controller::ALL.iter().any(|controller| controller.name_1() == option);
    let found = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_it = kind.next() == Some("cgroup") && kind.nth(1)?.split(',').any(is_known);
        is_it.then(|| super::unescape(mount.split(' ').nth(4)?).into()).flatten()
    });
    Ok(found.collect())
}

/// Removes what stands for a version 2 group and everything below it in the hierarchies of version 1, as far as nobody is in it.
/// `inside`: where it stands below the groups that this process is in.
pub fn remove_1(inside: &Path) {
    for (_, own) in own_1().unwrap_or_default() {
        let _used = super::remove_tree(&own.join(inside));
        if let Some(parent) = inside.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // Shared with others: the last one succeeds.
            let _used = fs::remove_dir(own.join(parent));
        }
    }
}

/// What is known of kills for want of memory in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutOfMemory {
    /// Processes that the kernel has killed.
    pub kills: u64,
    /// The most memory that was used, bytes; none: the kernel does not tell.
    pub peak: Option<u64>,
}

/// Of a version 2 group.
///
/// Source: kernel documentation, cgroup v2, `memory.events`; `memory.peak` since Linux 5.19.
#[must_use]
pub fn out_of_memory(group: &Path) -> OutOfMemory {
    OutOfMemory { kills: field(group, "memory.events", "oom_kill"), peak: number(group, "memory.peak") }
}

/// Of a version 1 group of the memory controller.
///
/// Source: kernel documentation, cgroup v1, "memory", "oom_control"; `oom_kill` since Linux 4.13.
#[must_use]
pub fn out_of_memory_1(group: &Path) -> OutOfMemory {
    let peak = number(group, "memory.max_usage_in_bytes");
    OutOfMemory { kills: field(group, "memory.oom_control", "oom_kill"), peak }
}

/// How often a version 2 group was out of its own memory, those below it not counted.
///
/// Source: kernel documentation, cgroup v2, `memory.events.local`, since Linux 5.2.
#[must_use]
pub fn hits(group: &Path) -> u64 {
    field(group, "memory.events.local", "oom")
}

/// How often a version 1 group of the memory controller was at its own limit, also where memory could be taken back then.
///
/// Source: kernel documentation, cgroup v1, "memory", `memory.failcnt`.
#[must_use]
pub fn hits_1(group: &Path) -> u64 {
    number(group, "memory.failcnt").unwrap_or(0)
}

/// How often a process or thread could not be made, in a group of either version.
#[must_use]
pub fn pids_refused(group: &Path) -> u64 {
    field(group, "pids.events", "max")
}

fn field(group: &Path, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(group.join(file)).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}

fn number(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
}

/// A descriptor that becomes readable when memory is short in a version 1 group of the memory controller. Somebody is killed
/// just after that.
///
/// # Errors
/// What the system says.
///
/// Source: kernel documentation, cgroup v1, "memory", "OOM control".
pub fn watch_memory_1(group: &Path) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::AsRawFd;
    let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
    let eventfd = rustix::event::eventfd(0, flags)?;
    let control = fs::File::open(group.join("memory.oom_control"))?;
    put(group, "cgroup.event_control", &format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd()))?;
    Ok(eventfd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "32 31 0:29 / / rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 /a /tmp rw shared:1 - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn groups_of_version_1_are_found_below_their_mounts() {
        let found = groups_1(MOUNTS, "4:memory:/a\n3:cpu,cpuacct:/\n0::/x\n");
        assert_eq!(found, [(Controller::Memory, "/tmp".into()), (Controller::Cpu, "/".into())]);
        // One that is not there, and one whose hierarchy is not mounted.
        assert_eq!(groups_1(MOUNTS, "4:memory:/a/not-there\n8:pids:/\n"), []);
    }

    #[test]
    fn values_are_written_as_the_kernel_takes_them() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["memory.max", "cpu.max", "cpu.shares", "memory.memsw.limit_in_bytes"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let is = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
        set(dir.path(), Resource::Memory, Some(64 << 20)).unwrap();
        set(dir.path(), Resource::Cpus, Some(1500)).unwrap();
        set_1(dir.path(), Resource::CpuWeight, Some(50), None).unwrap();
        set_1(dir.path(), Resource::Swap, Some(1), Some(10)).unwrap();
        assert_eq!([is("memory.max"), is("cpu.max")], ["67108864", "150000 100000"]);
        assert_eq!([is("cpu.shares"), is("memory.memsw.limit_in_bytes")], ["512", "11"]);
        let missing = set(dir.path(), Resource::Pids, Some(1)).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(!dir.path().join("pids.max").exists());
    }

    #[test]
    fn counters_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.events"), "low 0\noom 4\noom_kill 3\noom_group_kill 1\n").unwrap();
        assert_eq!(out_of_memory(dir.path()), OutOfMemory { kills: 3, peak: None });
        assert_eq!(pids_refused(dir.path()), 0);
    }
}
