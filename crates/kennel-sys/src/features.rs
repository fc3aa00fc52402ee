//! What this kernel can do, found out by doing it: a version number says little about a patched kernel.
//!
//! Each probe takes milliseconds, has a bound of time and leaves nothing behind: the processes it makes are children
//! of the caller, end by themselves when everything else fails, and are reaped before it answers. For a process with
//! a single thread: the others are told `Unknown`.

mod group;
mod process;

use std::path::Path;

pub use self::group::in_group;
use self::process::{Ended, child};
use crate::tag::{Instance, Tag};
use crate::{identity, pidfd};

/// One thing that a kernel can do or cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Stable name, lower-case words with underscores.
    pub name: &'static str,
    /// What was found.
    pub answer: Answer,
    /// What it means for kennel, where that needs words: one line, lower case, without a full stop.
    pub note: String,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was done and worked.
    Yes,
    /// It was tried and did not work.
    No,
    /// It could not be tried.
    Unknown,
}

impl Feature {
    fn new(name: &'static str, works: bool, without: impl Into<String>) -> Self {
        let (answer, note) = if works { (Answer::Yes, String::new()) } else { (Answer::No, without.into()) };
        Self { name, answer, note }
    }

    /// One that could not be tried, and why.
    #[must_use]
    pub fn unknown(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, answer: Answer::Unknown, note: why.into() }
    }

    fn of(name: &'static str, works: Option<bool>, without: &str) -> Self {
        works.map_or_else(|| Self::unknown(name, "could not be tried"), |works| Self::new(name, works, without))
    }
}

/// Names of what [`in_group`] answers.
pub const IN_GROUP: [&str; 5] =
    ["clone_into_cgroup", "cgroup_kill", "cgroup_freeze", "cgroup_kill_without_leader", "cgroup_reuse_after_kill"];

/// Everything that needs no cgroup, what kennel cannot do without first.
#[must_use]
pub fn everywhere() -> Vec<Feature> {
    vec![
        clone3(),
        pidfd_open(),
        pidfd_send_signal(),
        pidfd_info(),
        pidfd_exit_info(),
        pidfd_inodes(),
        pidfd_handles(),
        children_lists(),
        inherited_tag(),
        user_namespaces(),
        pid_namespaces(),
        pressure(),
    ]
}

fn clone3() -> Feature {
    Feature::new("clone3", process::has_clone3(), "kennel cannot start anything: Linux 5.5 is needed")
}

fn pidfd_open() -> Feature {
    let works = pidfd::open(std::process::id()).is_ok();
    Feature::new("pidfd_open", works, "kennel cannot run: Linux 5.3 is needed")
}

fn pidfd_send_signal() -> Feature {
    let works = pidfd::open(std::process::id()).ok().map(|fd| pidfd::send_signal(fd, 0).is_ok());
    Feature::of("pidfd_send_signal", works, "kennel cannot signal anything: Linux 5.1 is needed")
}

fn pidfd_info() -> Feature {
    let works = pidfd::open(std::process::id()).ok().map(|fd| pidfd::info(fd).is_ok());
    Feature::of("pidfd_info", works, "membership is read from /proc instead (Linux 6.13 has it)")
}

fn pidfd_exit_info() -> Feature {
    let learnt = child(|| 7).map(|child| {
        let (fd, ended) = child.end();
        ended == Ended::Code(7) && pidfd::info(fd).is_ok_and(|info| info.wait_status == Some(7 << 8))
    });
    let without = "the exit code of a process that its own parent reaps stays unknown (Linux 6.15 has it)";
    Feature::of("pidfd_exit_info", learnt, without)
}

fn pidfd_inodes() -> Feature {
    let me = std::process::id();
    let works = pidfd::open(me).and_then(|fd| identity::Identity::read(me, fd)).ok().map(|it| it.inode != 0);
    let without = "a process is told from others by its number and start time alone (Linux 6.9 has it)";
    Feature::of("pidfd_inodes", works, without)
}

fn pidfd_handles() -> Feature {
    let works = pidfd::open(std::process::id()).ok().map(process::has_handle);
    Feature::of("pidfd_handles", works, "not needed by this version of kennel (Linux 6.14 has it)")
}

fn children_lists() -> Feature {
    let works = crate::process::children().is_ok();
    Feature::new("children_lists", works, "descendants are found by a look at every process, which is slower")
}

fn inherited_tag() -> Feature {
    // Of no instance that could be: nobody acts on it.
    let Some(tag) = Instance::at(Path::new("/proc/self/limits")).ok().map(|nobody| nobody.tag(0)) else {
        return Feature::unknown("inherited_tag", "could not be tried");
    };
    let works = child(|| {
        // Read by a process of its own, which can only have it from this one.
        let is_tagged = || u8::from(Tag::of(std::process::id()) != Some(tag));
        u8::from(!(tag.take_on().is_ok() && child(is_tagged).is_some_and(succeeds)))
    });
    let without = "what a lost kennel leaves without cgroups cannot be found again (RLIMIT_RTTIME is set too low)";
    Feature::of("inherited_tag", works.map(succeeds), without)
}

fn user_namespaces() -> Feature {
    let works = child(|| u8::from(!process::unshare(true, false))).map(succeeds);
    let without = format!("`isolation: pid` is for root alone here{}", why_no_user_namespaces());
    Feature::of("user_namespaces", works, &without)
}

fn pid_namespaces() -> Feature {
    let works = child(|| {
        let is_root = rustix::process::geteuid().is_root();
        let first = || child(|| u8::from(std::process::id() != 1));
        u8::from(!(process::unshare(!is_root, true) && first().is_some_and(succeeds)))
    });
    Feature::of("pid_namespaces", works.map(succeeds), "`isolation: pid` is refused for this user")
}

fn succeeds(child: process::Child) -> bool {
    child.end().1 == Ended::Code(0)
}

/// Which switch forbids them, if it is one that is known.
fn why_no_user_namespaces() -> &'static str {
    let is = |file: &str, value: &str| std::fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        ": `sudo sysctl user.max_user_namespaces=10000` allows it to everybody"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        ": `sudo sysctl kernel.unprivileged_userns_clone=1` allows it to everybody"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        ": `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows it to everybody"
    } else {
        ""
    }
}

fn pressure() -> Feature {
    let works = std::fs::read_to_string("/proc/pressure/cpu").is_ok_and(|text| text.contains("some"));
    Feature::new("pressure", works, "no figures about waiting (PSI): boot with `psi=1` where the kernel has it")
}
