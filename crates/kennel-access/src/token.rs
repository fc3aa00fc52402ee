use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use kennel_wire::Role;

/// What a secret begins with, so that scanners for secrets that were published find it.
const PREFIX: &str = "kennel_";
/// Random bytes of a secret.
const BYTES: usize = 32;
/// Longest name.
const LONGEST: usize = 64;
/// Letters of a digest in the name of a session.
const SHORT: usize = 8;

/// What its holder shows. It is told once, when it is made, and kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// What the kernel says where it has no random numbers to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += getrandom(rest, GetRandomFlags::empty())?;
        }
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// To be shown to its holder, and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// SHA-256 of a secret. A secret has 256 random bits, so nothing slower is needed against guessing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    /// Of what somebody has shown.
    #[must_use]
    pub fn of(shown: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(shown.as_bytes())))
    }

    /// Eight letters of it, for names.
    fn short(&self) -> String {
        self.0.chars().take(SHORT).collect()
    }

    /// Takes as long wherever they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// What a page has to say beside the cookie that its browser sends by itself: it follows from the cookie's secret, so nothing
/// has to be kept, and a page from elsewhere cannot know it.
#[must_use]
pub fn csrf_of(shown: &str) -> String {
    Digest::of(&format!("csrf {shown}")).0
}

/// Name of a token: 1 to 64 of `[A-Za-z0-9_.-]`. That of a session has the name of its token with a dot and eight letters more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String")]
pub struct Name(#[serde(deserialize_with = "kept")] String);

impl Name {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For a session that is opened with the token of this name; `unique` tells it from others.
    #[must_use]
    pub fn of_session(&self, unique: &Digest) -> Self {
        Self(format!("{}.{}", self.0, unique.short()))
    }

    fn is_plain(text: &str, longest: usize) -> bool {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        (1..=longest).contains(&text.len()) && text.chars().all(fits)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if Self::is_plain(&text, LONGEST) {
            Ok(Self(text))
        } else {
            Err(format!("the name of a token has 1 to {LONGEST} letters, digits, `_`, `.` or `-`"))
        }
    }
}

/// A name as it is in a file, where those of sessions are as well.
fn kept<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let is_plain = Name::is_plain(&text, LONGEST + 1 + SHORT);
    is_plain.then_some(text).ok_or_else(|| D::Error::custom("no name of a token or a session"))
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A right that was given away, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the audit calls its holder.
    pub name: Name,
    /// What its holder may do.
    pub role: Role,
    /// To which services, with all their replicas; empty: to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// To what runs for which owners and for those below them. With either list, to nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What its secret is compared with.
    pub digest: Digest,
}

impl Token {
    /// Whether it has ended.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Of a session, the name of the token that it was opened with.
    fn opened_with(&self) -> &str {
        self.name.as_str().rsplit_once('.').map_or("", |(token, _)| token)
    }
}

/// Whether one of these services is this one, or has this replica.
#[must_use]
pub fn covers(services: &[String], name: &str) -> bool {
    // A service's own name has no dot.
    let service = name.split('.').next().unwrap_or(name);
    services.iter().any(|one| one == name || one == service)
}

/// Why a secret opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No token has it.
    Unknown,
    /// Its token has ended.
    Expired,
}

/// All that were given away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// In the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// Adds one.
    ///
    /// # Errors
    /// One of that name is there and has not expired.
    pub fn add(&mut self, token: Token, now: Timestamp) -> Result<(), String> {
        if self.0.iter().any(|one| one.name == token.name && !one.has_expired(now)) {
            return Err(format!("there is a token called `{}` already", token.name.as_str()));
        }
        self.0.retain(|one| one.name != token.name);
        self.0.push(token);
        Ok(())
    }

    /// Takes one back; tells whether it was there.
    pub fn revoke(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|one| one.name.as_str() != name);
        self.0.len() < before
    }

    /// Takes back the sessions that were opened with the token of this name.
    pub fn revoke_sessions(&mut self, name: &str) {
        self.0.retain(|one| one.opened_with() != name);
    }

    /// Forgets those that have ended.
    pub fn drop_expired(&mut self, now: Timestamp) {
        self.0.retain(|one| !one.has_expired(now));
    }

    /// Forgets the oldest sessions beyond so many that were opened with the token of this name.
    pub fn keep_newest_sessions(&mut self, name: &str, most: usize) {
        let count = self.0.iter().filter(|one| one.opened_with() == name).count();
        let mut over = count.saturating_sub(most);
        self.0.retain(|one| {
            let goes = over > 0 && one.opened_with() == name;
            over -= usize::from(goes);
            !goes
        });
    }

    /// When the one of this digest ends; none if it has ended already, or is not there any more.
    #[must_use]
    pub fn lasts(&self, digest: &Digest, now: Timestamp) -> Option<Timestamp> {
        let one = self.0.iter().find(|one| one.digest == *digest)?;
        (!one.has_expired(now)).then(|| one.expires_at.unwrap_or(Timestamp::MAX))
    }

    /// The token of a secret. Compares with every one of them, so that the time tells nothing.
    ///
    /// # Errors
    /// Why it opens nothing.
    pub fn find(&self, shown: &str, now: Timestamp) -> Result<&Token, Denied> {
        let digest = Digest::of(shown);
        let mut found = None;
        for token in &self.0 {
            if token.digest.is(&digest) {
                found = Some(token);
            }
        }
        let found = found.ok_or(Denied::Unknown)?;
        if found.has_expired(now) { Err(Denied::Expired) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &Secret, expires_at: Option<i64>) -> Token {
        Token {
            name: Name::try_from(name.to_owned()).unwrap(),
            role: Role::Read,
            services: Vec::new(),
            owners: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: expires_at.map(|second| Timestamp::from_second(second).unwrap()),
            digest: secret.digest(),
        }
    }

    #[test]
    fn only_its_secret_opens_and_only_in_its_time() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        let now = Timestamp::from_second(100).unwrap();
        let mut tokens = Tokens::default();
        tokens.add(token("ci", &one, Some(101)), now).unwrap();
        assert_eq!(tokens.find(one.reveal(), now).unwrap().name.as_str(), "ci");
        assert_eq!(tokens.find(one.reveal(), Timestamp::from_second(101).unwrap()), Err(Denied::Expired));
        let almost = one.reveal().split_at(49).0;
        for wrong in [other.reveal(), "", almost] {
            assert_eq!(tokens.find(wrong, now), Err(Denied::Unknown), "{wrong}");
        }
        assert!(tokens.add(token("ci", &other, None), now).is_err());
        // The name is free again when its time is over.
        tokens.add(token("ci", &other, None), Timestamp::from_second(200).unwrap()).unwrap();
        assert_eq!((tokens.find(one.reveal(), now), tokens.iter().count()), (Err(Denied::Unknown), 1));
        assert!(tokens.revoke("ci") && !tokens.revoke("ci"));
    }

    #[test]
    fn neither_is_shown_by_accident() {
        let secret = Secret::random().unwrap();
        let text = format!("{secret:?} {:?}", token("ci", &secret, None));
        assert!(!text.contains(secret.reveal()) && !text.contains(&secret.digest().0), "{text}");
        let kept = serde_json::to_string(&token("ci", &secret, None)).unwrap();
        assert!(!kept.contains(secret.reveal()), "{kept}");
    }

    #[test]
    fn a_scope_is_services_with_their_replicas() {
        assert!(!covers(&[], "web"), "what no list means is said elsewhere");
        let services = ["web".to_owned(), "job.2".to_owned()];
        let covered = ["web", "web.1", "job.2"].map(|name| covers(&services, name));
        assert_eq!(covered, [true; 3]);
        let not = ["website", "job", "job.1", "job.22", ""].map(|name| covers(&services, name));
        assert_eq!(not, [false; 5]);
    }

    #[test]
    fn names_are_plain() {
        for bad in ["", "a b", "../x", "ü", &"x".repeat(65), "a\n"] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Name::try_from("ci-7_a.b".to_owned()).is_ok());
        let longest = Name::try_from("x".repeat(64)).unwrap().of_session(&Digest::of(""));
        let kept = serde_json::to_string(&longest).unwrap();
        assert_eq!(serde_json::from_str::<Name>(&kept).unwrap(), longest);
        for bad in ["\"\"", "\"a b\"", &format!("\"{}\"", "x".repeat(74))] {
            assert!(serde_json::from_str::<Name>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sessions_belong_to_their_token_alone() {
        let now = Timestamp::UNIX_EPOCH;
        let session = |of: &str, number: u8| {
            let secret = Secret::random().unwrap();
            let name = Name::try_from(of.to_owned()).unwrap().of_session(&Digest::of(&number.to_string()));
            Token { name, ..token("x", &secret, Some(10)) }
        };
        let mut sessions = Tokens::default();
        for number in 0..3 {
            sessions.add(session("ci", number), now).unwrap();
            sessions.add(session("ci.web", number), now).unwrap();
        }
        let digest = sessions.iter().last().unwrap().digest.clone();
        assert_eq!(sessions.lasts(&digest, now), Some(Timestamp::from_second(10).unwrap()));
        assert_eq!(sessions.lasts(&digest, Timestamp::from_second(10).unwrap()), None);
        sessions.keep_newest_sessions("ci", 1);
        assert_eq!(sessions.iter().count(), 4, "those of others stay");
        sessions.revoke_sessions("ci");
        assert!(sessions.iter().all(|one| one.opened_with() == "ci.web") && sessions.iter().count() == 3);
        sessions.revoke_sessions("ci.web");
        assert_eq!(sessions.lasts(&digest, now), None);
    }
}
