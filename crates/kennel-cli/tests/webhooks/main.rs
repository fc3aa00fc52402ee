//! Events are sent to receivers over HTTP: signed, until they arrive or are given up, whatever becomes of daemon and receiver.
//!
//! covers: B9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod common;
mod receiver;

mod delivery;
mod floods;
mod kept;
mod losses;
mod receivers;
mod registered;
mod secrets;
mod tls;
