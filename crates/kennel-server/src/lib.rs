//! The one door: HTTP and JSON over a Unix socket, for every front end alike.
//!
//! Knows the engine by its handle, and nothing of how processes are run.

mod audit;
mod choice;
mod daemon;
mod descriptors;
mod ending;
mod health;
mod idle;
mod leases;
mod listener;
mod load;
mod metrics;
#[cfg(feature = "otel")]
mod otel;
mod owners;
mod query;
mod record;
mod reply;
mod rest;
mod routes;
mod sockets;
mod streams;
mod succession;
mod usage;

pub use daemon::daemon_main;
