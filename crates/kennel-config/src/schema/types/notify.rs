//! `notify`.

use schemars::JsonSchema;

use crate::schema::values::{Boolean, Strings};

/// Where people are told of events.
#[derive(JsonSchema)]
pub(in crate::schema) struct Notify {
    /// Show notifications on the desktop of whoever loads this file. Default: no.
    desktop: DesktopOrNot,
}

/// Whether, or of which events.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum DesktopOrNot {
    Desktop(Desktop),
    Whether(Boolean),
    None(()),
}

/// Of which events.
#[derive(JsonSchema)]
pub(in crate::schema) struct Desktop {
    /// Which events: names as in `kennel events`, or their beginnings with a `*` behind them. Default: what somebody may have to do
    /// something about.
    events: Strings,
    /// Services that they must be about. Default: whatever they are about.
    services: Strings,
}
