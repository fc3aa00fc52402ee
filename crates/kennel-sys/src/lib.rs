//! The operating system for kennel: spawn, pidfd, cgroup, sockets, `/proc`; the only unsafe code.
//!
//! Knows no service, no policy and no protocol: mechanisms only, each with its source of fact.

#![expect(unsafe_code, reason = "the one crate that talks to the kernel without a safe wrapper in between")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

#[cfg(feature = "crash-points")]
pub mod crash;

/// Marks a step at which the tests kill kennel: see `crash`.
#[cfg(feature = "crash-points")]
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {{
        const { assert!($crate::crash::is_known($name), "not in the list of steps") };
        $crate::crash::reach($name);
    }};
}

/// Marks a step at which the tests kill kennel; here it is nothing.
#[cfg(not(feature = "crash-points"))]
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {{}};
}

mod clone_args;
pub mod limit;
pub mod spawn;

pub mod namespace;
pub mod pidfd;
pub mod posture;
pub mod process;
pub mod signal;
pub mod wait;
pub mod zombie;

pub mod cgroup;
pub mod pressure;
pub mod proc;
pub mod sample;

pub mod listening;
pub mod lock;
pub mod memory;
pub mod packet;
pub mod pipe;
pub mod unix;

pub mod features;
pub mod file;
pub mod home;
pub mod identity;
pub mod listing;
pub mod random;
pub mod tag;
pub mod user;
