//! What messages are signed with.
//!
//! Source: Standard Webhooks, "Signature scheme": HMAC-SHA256 over `id.timestamp.body`, in base64 behind `v1,`; a secret is 24 to 64 random
//! bytes, written in base64 behind `whsec_`.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::Sha256;

/// What stands before a secret.
const PREFIX: &str = "whsec_";
/// How long a secret may be, bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;
/// How long one of ours is, bytes.
const OURS: usize = 32;

/// A secret that is shared with a receiver. It is never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// It is not what receivers know as a secret. What it is is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not `whsec_` with the base64 of 24 to 64 bytes behind it")]
pub struct BadSecret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = vec![0; OURS];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += getrandom(rest, GetRandomFlags::empty())?;
        }
        Ok(Self(bytes))
    }

    /// Reads one as it is written. `whsec_` may be missing, and there may be blanks around it.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| BadSecret)?;
        if LENGTH.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSecret) }
    }

    /// As it is written, for whoever may know it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// What stands in `webhook-signature`. `timestamp` is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    /// The example of the specification, and of its libraries.
    #[test]
    fn the_example_of_the_specification() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        for wrong in ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ=", &format!("whsec_{}", "A".repeat(200))] {
            assert_eq!(Secret::parse(wrong), Err(BadSecret), "{wrong}");
        }
        let secret = Secret::generate().unwrap();
        assert_eq!(Secret::parse(&format!(" {}\n", secret.reveal())), Ok(secret.clone()));
        assert_ne!(Secret::generate().unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
