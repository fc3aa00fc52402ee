//! Badly behaved programs, a scratch kennel and a finder of survivors, for tests.
//!
//! Nothing here asks kennel what it left behind: every process that a test starts carries a [`Mark`], a resource
//! limit that the kernel hands to all descendants, and `/proc` is searched for it.
//!
//! For tests only: a failing step panics with what was seen.

#![allow(clippy::print_stderr, reason = "tests talk through their captured output")]

mod background;
mod events;
mod given;
mod http;
mod processes;
mod scratch;
mod shown;
pub mod soak;
mod survivors;
mod terminal;
mod tmux;
pub mod torture;
mod wait;

pub use background::{Background, Output};
pub use http::Reply;
pub use processes::{Seen, send, state_of, try_send};
pub use scratch::{Scratch, User, skip};
pub use shown::{Capabilities, Shown};
pub use survivors::{Mark, kill_marked, reap_orphans, survivors};
pub use terminal::Terminal;
pub use tmux::Tmux;
pub use wait::{free_port, patience, pause, port_is_free, wait_for, wait_until};

pub use rustix::process::Signal;
