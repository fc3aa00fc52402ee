//! The doors: HTTP and JSON over a Unix socket for every front end alike, and over TCP for browsers and whoever has a token.
//!
//! Knows the engine by its handle, and nothing of how processes are run.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

mod access;
mod answered;
mod aside;
mod audit;
mod choice;
mod connection;
mod crowd;
mod daemon;
mod descriptors;
mod ending;
mod followers;
mod gate;
mod health;
mod idle;
mod kept;
mod leases;
mod listener;
mod load;
mod metrics;
mod notify;
mod openapi;
mod operations;
#[cfg(feature = "otel")]
mod otel;
mod owners;
mod page;
mod processes;
mod query;
mod record;
mod refusals;
mod registrations;
mod registry;
mod repeats;
mod reply;
mod rest;
mod right;
mod routes;
mod scope;
mod servers;
mod service;
mod services;
mod session;
mod sockets;
mod sse;
mod streams;
mod succession;
mod tcp;
mod tls;
mod tokens;
mod usage;
mod web;
mod webhooks;

pub use daemon::daemon_main;
