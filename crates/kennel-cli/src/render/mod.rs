//! How things look. Pure: values of the protocol in, text out; no file, socket or terminal is touched.

pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod units;

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod diagnostic;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod fold;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod limits;
pub(crate) mod log_line;
pub(crate) mod names;
pub(crate) mod orphans;
pub(crate) mod outcome;
pub(crate) mod owners;
pub(crate) mod phase;
pub(crate) mod ports;
pub(crate) mod ps;
pub(crate) mod receipt;
pub(crate) mod registry;
pub(crate) mod reload;
pub(crate) mod shutdown;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod tree;
pub(crate) mod usage;
pub(crate) mod webhooks;

#[cfg(test)]
pub(crate) mod samples;
