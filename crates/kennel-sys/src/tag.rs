//! A mark that a process and all that it starts carry, whatever they shed on the way: a second way to find a scope.
//!
//! It is the soft limit of real-time CPU time without a pause (`RLIMIT_RTTIME`), set to a number of centuries. So it limits nothing,
//! needs no privilege, is inherited over `fork`, `execve`, `setsid` and `setuid`, and everybody can read it in
//! `/proc/PID/limits`. Only a process that sets this very limit loses it. It attributes and does not authenticate:
//! anybody can take on anybody's, so it is acted on only with the rights that we have over the process anyway.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Resource, Rlimit};

use crate::home::fnv1a;
use crate::listing::{Moment, each_process};

/// The highest byte of every tag: as a number of microseconds half the range, and never "unlimited".
const MAGIC: u64 = 0x6b;
/// Scopes are numbered with so many bits, kennel instances with 32 above them.
const SCOPE_BITS: u32 = 24;
/// The highest of a scope's bits: it outlives its keeper.
const KEPT: u64 = 1 << (SCOPE_BITS - 1);

/// A kennel instance, as tags name it: by its lock file, which whoever runs the instance holds. So whoever holds the
/// lock knows that everything with this instance's tag is its own, or left by one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instance(u32);

/// What the processes of one scope carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(u64);

impl Instance {
    /// The instance whose lock file is open. Device and inode are the same for everybody who shares the lock, also
    /// over mounts and user namespaces, and stay when its keeper is lost.
    ///
    /// # Errors
    /// What `fstat(2)` says.
    pub fn of(lock: &File) -> io::Result<Self> {
        Ok(Self::named(&lock.metadata()?))
    }

    /// The instance whose lock file has this path.
    ///
    /// # Errors
    /// `NotFound` if it never ran.
    pub fn at(lock: &Path) -> io::Result<Self> {
        Ok(Self::named(&fs::metadata(lock)?))
    }

    fn named(lock: &fs::Metadata) -> Self {
        let mut bytes = [0; 16];
        let halves = lock.dev().to_le_bytes().into_iter().chain(lock.ino().to_le_bytes());
        bytes.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
        let hash = fnv1a(&bytes);
        Self(low(hash ^ hash >> 32))
    }

    /// The tag of a scope; of the number the lowest 23 bits count.
    #[must_use]
    pub fn tag(self, scope: u32) -> Tag {
        let scope = u64::from(scope) & (KEPT - 1);
        Tag(MAGIC << 56 | u64::from(self.0) << SCOPE_BITS | scope)
    }
}

impl Tag {
    /// The limit in microseconds.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// The same for a scope that is to outlive its keeper.
    #[must_use]
    pub fn kept(self) -> Self {
        Self(self.0 | KEPT)
    }

    /// Whether the scope is to outlive its keeper: no sweep ends what carries it.
    #[must_use]
    pub fn is_kept(self) -> bool {
        self.0 & KEPT != 0
    }

    /// The tag with this [`value`](Self::value); `None` if no tag has it.
    #[must_use]
    pub fn with_value(value: u64) -> Option<Self> {
        Self::of_limit(value)
    }

    /// What the scope was numbered with: 23 bits.
    #[must_use]
    pub fn number(self) -> u32 {
        low(self.0 & (KEPT - 1))
    }

    /// The kennel instance that gave it.
    #[must_use]
    pub fn instance(self) -> Instance {
        Instance(low(self.0 >> SCOPE_BITS))
    }

    fn of_limit(limit: u64) -> Option<Self> {
        (limit >> 56 == MAGIC).then_some(Self(limit))
    }

    /// What a process carries, zombies included; `None` for none, and once it is reaped.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        // A dozen and a half short lines.
        let mut buffer = [0; 4096];
        let mut file = File::open(format!("/proc/{pid}/limits")).ok()?;
        let length = file.read(&mut buffer).ok()?;
        Self::of_limit(soft_limit(buffer.get(..length)?)?)
    }

    /// Takes it on, for this process and all that it starts from now on. Without effect where the hard limit is
    /// lower: then there is no tag.
    ///
    /// # Errors
    /// What `setrlimit(2)` says.
    pub fn take_on(self) -> io::Result<()> {
        let Some((current, maximum)) = self.limits() else { return Ok(()) };
        rustix::process::setrlimit(Resource::Rttime, Rlimit { current: Some(current), maximum })?;
        Ok(())
    }

    /// Soft and hard limit of a process that carries it; `None` if it can carry none.
    pub(crate) fn limits(self) -> Option<(u64, Option<u64>)> {
        let maximum = rustix::process::getrlimit(Resource::Rttime).maximum;
        maximum.is_none_or(|maximum| maximum >= self.0).then_some((self.0, maximum))
    }
}

/// Drops the tag of this process, if it carries one of this instance: it was started by something that is to end.
///
/// # Errors
/// What `setrlimit(2)` says.
pub fn shed(instance: Instance) -> io::Result<()> {
    let now = rustix::process::getrlimit(Resource::Rttime);
    if now.current.and_then(Tag::of_limit).is_some_and(|tag| tag.instance() == instance) {
        rustix::process::setrlimit(Resource::Rttime, Rlimit { current: now.maximum, maximum: now.maximum })?;
    }
    Ok(())
}

/// Process ids of everything that carries a tag which `wanted` picks, zombies included, in no order, and up to when that is
/// everybody: see [`each_process`].
///
/// Costs some 10 µs for every process of the machine.
pub fn carriers(wanted: impl Fn(Tag) -> bool) -> (Vec<u32>, Moment) {
    let mut found = Vec::new();
    let moment = each_process(|pid, _| found.extend(Some(pid).filter(|pid| Tag::of(*pid).is_some_and(&wanted))));
    (found, moment)
}

/// Source: `proc_pid_limits(5)`; the columns are name, soft limit, hard limit, unit. "unlimited" is none.
fn soft_limit(limits: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"Max realtime timeout";
    let line = limits.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(NAME))?;
    let soft = line.split(u8::is_ascii_whitespace).find(|field| !field.is_empty())?;
    std::str::from_utf8(soft).ok()?.parse().ok()
}

/// The lower half.
fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tag_tells_instance_and_scope(instance: u32, other: u32, scope: u32, second: u32) {
            let tag = Instance(instance).tag(scope);
            prop_assert_eq!(Tag::of_limit(tag.value()), Some(tag));
            prop_assert_eq!(tag.instance(), Instance(instance));
            prop_assert_eq!(tag.instance() == Instance(other).tag(second).instance(), instance == other);
            prop_assert_eq!(tag == Instance(instance).tag(second), (scope ^ second).trailing_zeros() >= SCOPE_BITS - 1);
            let kept = tag.kept();
            prop_assert!(kept.is_kept() && !tag.is_kept() && kept.instance() == tag.instance());
            prop_assert_eq!(Tag::with_value(kept.value()), Some(kept));
            prop_assert_eq!((kept.number(), tag.number()), (scope & 0x7f_ffff, scope & 0x7f_ffff));
            // In the upper half of what a limit can be, and not what "unlimited" is.
            prop_assert!(tag.value() > u64::MAX / 4 && tag.value() < i64::MAX.unsigned_abs());
        }

        #[test]
        fn a_limit_of_somebody_else_is_no_tag(limit in prop_oneof![0..MAGIC << 56, (MAGIC + 1) << 56..=u64::MAX]) {
            prop_assert_eq!(Tag::of_limit(limit), None);
        }

        #[test]
        fn the_kernels_table_is_read(soft: u64, hard: Option<u64>, before in "[a-zA-Z0-9 \n]{0,200}") {
            let hard = hard.map_or("unlimited".to_owned(), |hard| hard.to_string());
            let text = format!("{before}\nMax realtime timeout      {soft:<20} {hard:<20} us        \n");
            prop_assert_eq!(soft_limit(text.as_bytes()), Some(soft));
        }

        #[test]
        fn garbage_is_no_limit(bytes: Vec<u8>) {
            let _any = soft_limit(&bytes);
        }
    }

    #[test]
    fn unlimited_is_none() {
        assert_eq!(
            soft_limit(b"Max realtime timeout      unlimited            unlimited            us        \n"),
            None
        );
        assert_eq!(soft_limit(b""), None);
    }

    #[test]
    fn a_started_process_carries_what_it_was_given_and_so_do_its_children() {
        let tag = Instance(std::process::id()).tag(7);
        let script = "setsid sh -c 'exec env -i sleep 600' & exec sleep 600";
        let child = crate::spawn::tests::start_tagged(&["sh", "-c", script], Some(tag)).unwrap();
        assert_eq!(Tag::of(child.pid), Some(tag));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let all = |found: &[u32]| found.len() == 2;
        let (mut found, _) = carriers(|it| it == tag);
        while !all(&found) && std::time::Instant::now() < deadline {
            crate::process::pause(std::time::Duration::from_millis(5));
            (found, _) = carriers(|it| it == tag);
        }
        for pid in &found {
            crate::pidfd::send_signal(crate::pidfd::open(*pid).unwrap(), libc::SIGKILL).unwrap();
        }
        crate::wait::reap(child.pid, true).unwrap();
        assert!(all(&found), "{found:?}");
        assert!(carriers(|it| it.instance() == Instance(1)).0.is_empty());
    }
}
