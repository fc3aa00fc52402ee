//! Rights, limits and priorities of a new process: worked out before the clone, taken on in the child.
//!
//! The order matters. What needs privileges comes before the user is taken on, the bounding set among it. Taking on an
//! ordinary user empties the permitted set unless it is told to keep it, and empties effective and ambient set in any
//! case, so those are made afterwards. `NO_NEW_PRIVS` follows, and a parent-death signal would have to come after all of
//! it, since the kernel forgets it whenever ids change or rights are gained.

#[cfg(test)]
mod tests;

use std::ffi::{CString, c_long};

use super::User;
use super::child::{Failed, call};

/// Most CPUs that can be told apart.
pub const MOST_CPUS: u32 = 8192;
const WORDS: usize = MOST_CPUS as usize / 64;

pub(super) const NICE: u32 = 20;
pub(super) const CPUS: u32 = 21;
pub(super) const IO_PRIORITY: u32 = 22;
pub(super) const OOM_SCORE_ADJ: u32 = 23;
pub(super) const CAPABILITIES: u32 = 24;
pub(super) const GROUPS: u32 = 25;
/// The number of the resource is added to it.
pub(super) const LIMIT: u32 = 100;

/// Needed to take capabilities from the bounding set.
const CAP_SETPCAP: u64 = 1 << 8;
/// Numbers of capabilities end before this.
const MOST_CAPABILITIES: u32 = 64;

/// What a new process gets beside its user; the default changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings<'a> {
    /// `tasks` files of version 1 groups to be in. Nobody can be born in such a group.
    pub groups: &'a [CString],
    /// Resource limits, in this order. They win over the limit of descriptors that is restored.
    pub limits: &'a [Limit],
    /// -20 (first) to 19 (last).
    pub nice: Option<i32>,
    /// Numbers of CPUs below [`MOST_CPUS`], all of which must be there and allowed; empty: as ours.
    pub cpus: &'a [u32],
    /// As `ioprio_set(2)` takes it: class << 13 | level.
    pub io_priority: Option<u32>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Capabilities; none: as the kernel gives them to its user.
    pub capabilities: Option<Capabilities>,
}

/// One resource limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Capabilities as bit masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Those it may ever have. We may have no right to take others from its bounding set: then it gets `NO_NEW_PRIVS`,
    /// for what cannot be gained need not be bounded.
    pub bounding: u64,
    /// Those it has from the start whoever it runs as. All of them must be ours.
    pub added: u64,
}

/// Our own permitted capabilities, as a bit mask.
#[must_use]
pub fn own_capabilities() -> u64 {
    own().permitted.bits()
}

fn own() -> rustix::thread::CapabilitySets {
    let none = rustix::thread::CapabilitySet::empty();
    let nothing = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::capabilities(None).unwrap_or(nothing)
}

/// The settings in the form in which the child hands them to the kernel.
pub(super) struct Prepared<'a> {
    settings: Settings<'a>,
    cpus: [u64; WORDS],
    /// One of them has no place in `cpus`.
    too_high: bool,
    oom_score_adj: Decimal,
    /// How a thread names itself to a group.
    itself: Decimal,
    nice: Decimal,
    capabilities: Option<Sets>,
}

/// Capabilities of the new process.
struct Sets {
    /// Those to take out of the bounding set.
    unbound: u64,
    /// Keep the permitted ones while the user is taken on.
    keep: bool,
    data: [CapData; 2],
    ambient: u64,
}

/// `__user_cap_data_struct`: the low halves of the sets, then the high ones. Source: `capset(2)`, version 3.
#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `__user_cap_header_struct`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

const CAP_VERSION_3: u32 = 0x2008_0522;

impl<'a> Prepared<'a> {
    pub(super) fn new(settings: Settings<'a>, user: Option<User<'_>>) -> Self {
        let mut cpus = [0; WORDS];
        for cpu in settings.cpus {
            if let Some(word) = cpus.get_mut(*cpu as usize / 64) {
                *word |= 1_u64 << (cpu % 64);
            }
        }
        Self {
            cpus,
            too_high: settings.cpus.iter().any(|cpu| *cpu >= MOST_CPUS),
            itself: Decimal::new(0),
            oom_score_adj: Decimal::new(settings.oom_score_adj.unwrap_or_default()),
            nice: Decimal::new(settings.nice.unwrap_or_default()),
            capabilities: settings.capabilities.map(|wanted| Sets::new(wanted, user)),
            settings,
        }
    }

    /// Whether only `NO_NEW_PRIVS` can keep it from gaining what it must not have.
    pub(super) fn needs_no_new_privs(&self) -> bool {
        let bounded = self.settings.capabilities.is_some_and(|wanted| wanted.bounding != u64::MAX);
        bounded && self.capabilities.as_ref().is_some_and(|sets| sets.unbound == 0)
    }

    /// With our own rights, before the user is taken on.
    pub(super) fn apply(&self) -> Result<(), Failed> {
        // First, so that what is used from here on counts there.
        for group in self.settings.groups {
            write(group.as_ptr(), &self.itself).map_err(|errno| (GROUPS, errno))?;
        }
        if self.settings.oom_score_adj.is_some() {
            write(c"/proc/self/oom_score_adj".as_ptr(), &self.oom_score_adj).map_err(|errno| (OOM_SCORE_ADJ, errno))?;
        }
        for limit in self.settings.limits {
            let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
            let resource = limit.resource as c_long;
            let old = std::ptr::null::<libc::rlimit64>();
            call!(LIMIT + limit.resource, libc::SYS_prlimit64, 0 as c_long, resource, &raw const new, old)?;
        }
        // After the limits, of which `nice` may be what allows it.
        if let Some(nice) = self.settings.nice {
            let process = libc::PRIO_PROCESS as c_long;
            call!(NICE, libc::SYS_setpriority, process, 0 as c_long, c_long::from(nice))?;
            // Where the kernel shares the CPU out by session first, `nice` counts within a session only. Ours is new,
            // so it is a group of its own, which gets the same. Not there, or not allowed: then that is how it is.
            let _refused = write(c"/proc/self/autogroup".as_ptr(), &self.nice);
        }
        if let Some(priority) = self.settings.io_priority {
            const IOPRIO_WHO_PROCESS: c_long = 1;
            call!(IO_PRIORITY, libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0 as c_long, priority as c_long)?;
        }
        if !self.settings.cpus.is_empty() {
            self.place_on_cpus()?;
        }
        if let Some(sets) = &self.capabilities {
            sets.unbind()?;
        }
        Ok(())
    }

    fn place_on_cpus(&self) -> Result<(), Failed> {
        if self.too_high {
            return Err((CPUS, libc::EINVAL));
        }
        let zero = 0 as c_long;
        call!(CPUS, libc::SYS_sched_setaffinity, zero, size_of_val(&self.cpus), self.cpus.as_ptr())?;
        // The kernel leaves out what is not there or not allowed, and says nothing.
        let mut got = [0_u64; WORDS];
        call!(CPUS, libc::SYS_sched_getaffinity, zero, size_of_val(&got), got.as_mut_ptr())?;
        if got == self.cpus { Ok(()) } else { Err((CPUS, libc::EINVAL)) }
    }

    /// As the user that was taken on.
    pub(super) fn finish(&self) -> Result<(), Failed> {
        match &self.capabilities {
            Some(sets) => sets.take_on(),
            None => Ok(()),
        }
    }
}

impl Sets {
    fn new(wanted: Capabilities, user: Option<User<'_>>) -> Self {
        let own = own();
        let (effective, permitted) = (own.effective.bits(), own.permitted.bits());
        let is_root = rustix::process::geteuid().is_root();
        let becomes_root = user.map_or(is_root, |user| user.uid == 0);
        let changes = user.is_some_and(|user| user.uid != rustix::process::geteuid().as_raw());
        let (permitted, inheritable, ambient) = if becomes_root {
            // To root the kernel gives what is permitted and what is bounding; there is nothing to inherit.
            (permitted & wanted.bounding | wanted.added, 0, 0)
        } else if changes {
            (wanted.added, wanted.added, wanted.added)
        } else {
            let kept = wanted.bounding | wanted.added;
            (permitted & kept | wanted.added, own.inheritable.bits() & kept | wanted.added, wanted.added)
        };
        let half = |high: u32| {
            let of = |set: u64| (set >> (32 * high) & u64::from(u32::MAX)) as u32;
            CapData { effective: of(permitted), permitted: of(permitted), inheritable: of(inheritable) }
        };
        Self {
            unbound: if effective & CAP_SETPCAP != 0 { !wanted.bounding } else { 0 },
            keep: !becomes_root && changes && ambient != 0,
            data: [half(0), half(1)],
            ambient,
        }
    }

    fn unbind(&self) -> Result<(), Failed> {
        let zero = 0 as c_long;
        for number in (0..MOST_CAPABILITIES).filter(|number| self.unbound & (1 << number) != 0) {
            let drop = c_long::from(libc::PR_CAPBSET_DROP);
            match call!(CAPABILITIES, libc::SYS_prctl, drop, number as c_long, zero, zero, zero) {
                // Beyond the last one that this kernel knows.
                Err((_, libc::EINVAL)) => break,
                other => other?,
            };
        }
        if self.keep {
            let keep = c_long::from(libc::PR_SET_KEEPCAPS);
            call!(CAPABILITIES, libc::SYS_prctl, keep, 1 as c_long, zero, zero, zero)?;
        }
        Ok(())
    }

    fn take_on(&self) -> Result<(), Failed> {
        let header = CapHeader { version: CAP_VERSION_3, pid: 0 };
        call!(CAPABILITIES, libc::SYS_capset, &raw const header, self.data.as_ptr())?;
        let (option, zero) = (c_long::from(libc::PR_CAP_AMBIENT), 0 as c_long);
        for number in (0..MOST_CAPABILITIES).filter(|number| self.ambient & (1 << number) != 0) {
            let raise = libc::PR_CAP_AMBIENT_RAISE as c_long;
            call!(CAPABILITIES, libc::SYS_prctl, option, raise, number as c_long, zero, zero)?;
        }
        Ok(())
    }
}

/// A small number as text.
struct Decimal {
    digits: [u8; 12],
    start: usize,
}

impl Decimal {
    fn new(value: i32) -> Self {
        let text = value.to_string();
        let mut digits = [0; 12];
        let start = digits.len().saturating_sub(text.len());
        for (to, from) in digits.iter_mut().skip(start).zip(text.bytes()) {
            *to = from;
        }
        Self { digits, start }
    }

    fn text(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// Writes a number to a file of `/proc`, or answers with the `errno`.
fn write(path: *const libc::c_char, number: &Decimal) -> Result<(), i32> {
    let flags = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
    let here = c_long::from(libc::AT_FDCWD);
    let fd = call!(0, libc::SYS_openat, here, path, flags, 0 as c_long).map_err(|(_, errno)| errno)?;
    let text = number.text();
    let written = call!(0, libc::SYS_write, fd, text.as_ptr(), text.len());
    let _closed = call!(0, libc::SYS_close, fd);
    written.map(drop).map_err(|(_, errno)| errno)
}
