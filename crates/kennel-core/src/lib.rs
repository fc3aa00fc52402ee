//! The model, the state machines and the policies of kennel: pure decisions.
//!
//! Knows no file, clock, runtime or operating system. Time comes in with events; effects go out as actions.

pub mod capability;
pub mod model;

pub mod activity;
pub mod brake;
pub mod delivery;
pub mod glob;
pub mod graph;
pub mod history;
pub mod instance;
pub mod lease;
pub mod limit;
pub mod liveness;
pub mod notice;
pub mod ports;
pub mod probe;
pub mod reload;
pub mod restart;
pub mod rules;
pub mod sample;
pub mod schedule;
pub mod shutdown;
pub mod slot;
pub mod watch;
