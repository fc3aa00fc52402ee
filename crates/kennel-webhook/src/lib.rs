//! One signed message to one receiver over HTTP or HTTPS, within bounds: of time, of what is read, of connections.
//!
//! Signed as Standard Webhooks says. Nothing is followed elsewhere, no proxy is asked, and what a receiver answers is its status and
//! for how long it wants to be left alone: its words are thrown away.
//!
//! Knows no event and no service. What is said of a failure has host and port of the receiver, never the rest of its address, a header
//! or a secret.

mod secret;

mod receiver;
mod send;
mod tls;

mod sender;

pub use receiver::{BadReceiver, Receiver};
pub use secret::{BadSecret, Secret};
pub use send::{Answer, Failure, Message};
pub use sender::{Job, Outcome, Sender};
