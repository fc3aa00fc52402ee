//! Who may ask kennel for what: roles, tokens, and the origins of a browser's requests.
//!
//! Decides, and keeps the file of tokens; knows nothing of HTTP servers. Everything that is not known is refused.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

mod file;
mod login;
mod origin;
mod token;

pub use file::TokenFile;
pub use login::Logins;
pub use origin::{Authority, Hosts, Refused, Site};
pub use token::{Denied, Digest, Name, Secret, Token, Tokens, covers, csrf_of};
