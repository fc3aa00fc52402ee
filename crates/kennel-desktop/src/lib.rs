//! One notification on the desktop of a user: over the session bus, within bounds of time and length.
//!
//! Nothing is held while nothing is shown: a connection is made for each notification, by a thread of its own that ends with it.
//!
//! Knows no event and no service.
//!
//! Source: Desktop Notifications Specification 1.3; D-Bus Specification.

mod bus;
mod text;

mod show;

mod thread;

pub use bus::{Bus, NoBus};
pub use show::{Failure, Notice, server, show};
pub use thread::in_background;
