//! Memory that a shape shares with all its descendants.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

use crate::os;

/// Most members that can know of each other.
pub(crate) const MEMBERS: usize = 16;

/// All zero at the start.
pub(crate) struct Shared {
    /// Members alive, counted by forks and orderly exits: who is killed is not counted down.
    pub(crate) alive: AtomicI64,
    /// Forks so far; each storm ends by itself at some number of them.
    pub(crate) forked: AtomicI64,
    /// Set once the kernel has refused a fork.
    pub(crate) refused: AtomicI64,
    /// Set by main once all are in place.
    pub(crate) go: AtomicBool,
    /// Process ids as they are in the shape's PID namespace.
    members: [AtomicI32; MEMBERS],
    registered: AtomicI64,
    held: AtomicI64,
}

/// The one mapping, made by whoever asks first; so ask before the first fork. Never unmapped.
pub(crate) fn get() -> &'static Shared {
    static SHARED: OnceLock<&'static Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping; no address is asked for.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Shared>(), protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            os::fail("mmap", std::io::Error::last_os_error());
        }
        // SAFETY: the mapping is page-aligned, big enough, zeroed (a valid value of every field) and permanent.
        unsafe { &*at.cast::<Shared>() }
    })
}

impl Shared {
    /// Takes hold of all others of `count` members, once all are there.
    ///
    /// Nobody may end before all have hold of each other. Their parent waits for none of them, so that no number
    /// is another's meanwhile, and from here on only the descriptors count.
    pub(crate) fn hold_each_other(&self, count: usize) -> Vec<std::os::fd::OwnedFd> {
        let me = rustix::process::getpid().as_raw_pid();
        let expected = i64::try_from(count).unwrap_or(0);
        let at = usize::try_from(self.registered.fetch_add(1, Ordering::SeqCst)).unwrap_or(MEMBERS);
        match self.members.get(at) {
            Some(slot) => slot.store(me, Ordering::SeqCst),
            None => os::fail("members", "too many"),
        }
        let known = || self.members.iter().map(|slot| slot.load(Ordering::SeqCst)).filter(|pid| *pid != 0);
        wait(|| known().count() >= count);
        let others = known().filter(|pid| *pid != me).map(os::hold).collect();
        self.held.fetch_add(1, Ordering::SeqCst);
        wait(|| self.held.load(Ordering::SeqCst) >= expected);
        others
    }
}

/// Looks again and again.
pub(crate) fn wait(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
