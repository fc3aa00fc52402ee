//! Who has been given which right, and who shows it: tokens, sessions of browsers, and links that log in.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kennel_access::{Denied, Digest, Logins, Name, Secret, Token, TokenFile, Tokens, csrf_of};
use kennel_wire::{Code, Problem, Role, SessionRequest, SessionStatus, TokenReport, TokenRequest, TokenStatus};
use tokio::sync::watch;

use crate::right::{self, Right};

/// How long a session lasts.
pub(crate) const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// Most sessions of one token, and of links; the oldest gives way.
const SESSIONS: usize = 16;
/// What sessions are called that a link has opened.
const LINK: &str = "link";
/// Wrong attempts that may come in one go, and how long it takes until one is forgotten.
const ATTEMPTS: u32 = 20;
const FORGET: Duration = Duration::from_secs(1);

/// Somebody who has shown a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// For the audit.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// With neither these nor owners, all.
    pub(crate) services: Vec<String>,
    /// What runs for these and for those below them.
    pub(crate) owners: Vec<String>,
    /// Of a session: what its page has to say with every change.
    pub(crate) csrf: Option<String>,
    pub(crate) right: Right,
}

impl Actor {
    /// Whether it may ask for some things alone.
    pub(crate) fn is_bound(&self) -> bool {
        !(self.services.is_empty() && self.owners.is_empty())
    }
}

/// Shared by all doors.
#[derive(Debug, Clone)]
pub(crate) struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: TokenFile,
    sessions: TokenFile,
    /// Held while one of the files is read, changed and written.
    files: Mutex<()>,
    /// Wakes those who go on by a right when one is taken back.
    changed: watch::Sender<()>,
    logins: Mutex<Logins>,
    wrong: Mutex<(u32, Instant)>,
}

impl Access {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(Arc::new(Inner {
            tokens: TokenFile::of(state_dir),
            sessions: TokenFile::of_sessions(state_dir),
            files: Mutex::default(),
            changed: watch::Sender::default(),
            logins: Mutex::default(),
            wrong: Mutex::new((0, Instant::now())),
        }))
    }

    /// The holder of a token.
    pub(crate) fn bearer(&self, shown: &str) -> Result<Actor, Problem> {
        self.attempt(self.0.tokens.read().map_err(unreadable)?.find(shown, Timestamp::now()).map(|token| Actor {
            name: format!("token {}", token.name.as_str()),
            role: token.role,
            services: token.services.clone(),
            owners: token.owners.clone(),
            csrf: None,
            right: Right { digest: token.digest.clone(), is_session: false },
        }))
    }

    /// The browser of a session.
    pub(crate) fn session(&self, shown: &str) -> Result<(Actor, SessionStatus), Problem> {
        let sessions = self.0.sessions.read().map_err(unreadable)?;
        let session = self.attempt(sessions.find(shown, Timestamp::now()))?;
        let status = status_of_session(session, shown);
        let actor = Actor {
            name: format!("session {}", status.name),
            role: status.role,
            services: status.services.clone(),
            owners: session.owners.clone(),
            csrf: Some(status.csrf.clone()),
            right: Right { digest: session.digest.clone(), is_session: true },
        };
        Ok((actor, status))
    }

    /// Opens one; answers with its secret as well.
    pub(crate) fn log_in(&self, request: &SessionRequest) -> Result<(Secret, SessionStatus), Problem> {
        let now = Timestamp::now();
        let (name, role, services, ends) = match (&request.login, &request.token) {
            (Some(login), None) => {
                let good = self.logins().take(login, Instant::now());
                self.attempt(good.then_some(()).ok_or(Denied::Unknown))?;
                let link = Name::try_from(LINK.to_owned()).map_err(|why| Problem::new(Code::Internal, why))?;
                (link, Role::Admin, Vec::new(), None)
            }
            (None, Some(token)) => {
                let tokens = self.0.tokens.read().map_err(unreadable)?;
                let token = self.attempt(tokens.find(token, now))?;
                if !token.owners.is_empty() {
                    let why = "the page is about services, and this token about owners: it is for programs";
                    return Err(Problem::new(Code::Forbidden, why));
                }
                (token.name.clone(), token.role, token.services.clone(), token.expires_at)
            }
            _ => return Err(Problem::new(Code::BadRequest, "either `login` or `token` is needed")),
        };
        let (secret, unique) = (random()?, random()?);
        let latest = now.checked_add(SESSION).unwrap_or(Timestamp::MAX);
        let session = Token {
            name: name.of_session(&unique.digest()),
            role,
            services,
            owners: Vec::new(),
            created_at: now,
            expires_at: Some(ends.map_or(latest, |ends| ends.min(latest))),
            digest: secret.digest(),
        };
        let status = status_of_session(&session, secret.reveal());
        self.change(&self.0.sessions, |sessions| {
            sessions.drop_expired(now);
            // Whoever opens one after another ends only its own.
            sessions.keep_newest_sessions(name.as_str(), SESSIONS - 1);
            sessions.add(session, now)
        })?;
        Ok((secret, status))
    }

    /// Ends a session.
    pub(crate) fn log_out(&self, actor: &Actor) -> Result<(), Problem> {
        let Some(name) = actor.name.strip_prefix("session ") else { return Ok(()) };
        self.change(&self.0.sessions, |sessions| {
            sessions.revoke(name);
            Ok(())
        })
    }

    /// What a link shows that logs a browser in.
    pub(crate) fn link(&self) -> Result<Secret, Problem> {
        let secret = random()?;
        self.logins().add(&secret, Instant::now());
        Ok(secret)
    }

    pub(crate) fn tokens(&self) -> Result<Vec<TokenStatus>, Problem> {
        let now = Timestamp::now();
        let tokens = self.0.tokens.read().map_err(unreadable)?;
        Ok(tokens.iter().map(|token| status_of(token, now)).collect())
    }

    pub(crate) fn give(&self, request: TokenRequest) -> Result<TokenReport, Problem> {
        let TokenRequest { name, role, services, owners, expires_in_ms } = request;
        let bad = |why: String| Problem::new(Code::BadRequest, why);
        let now = Timestamp::now();
        let expires_at = match expires_in_ms {
            None => None,
            Some(ms) => {
                let after = i64::try_from(ms).ok().map(SignedDuration::from_millis);
                let end = after.and_then(|after| now.checked_add(after).ok());
                Some(end.ok_or_else(|| bad(format!("`expires_in_ms` of {ms} is too long")))?)
            }
        };
        let name = Name::try_from(name).map_err(bad)?;
        let secret = random()?;
        let token = Token { name, role, services, owners, created_at: now, expires_at, digest: secret.digest() };
        let status = status_of(&token, now);
        self.change(&self.0.tokens, |tokens| tokens.add(token, now))?;
        Ok(TokenReport { token: status, secret: secret.reveal().to_owned() })
    }

    /// Takes a token back, and the sessions that were opened with it.
    pub(crate) fn revoke(&self, name: &str) -> Result<(), Problem> {
        let mut was_there = false;
        self.change(&self.0.tokens, |tokens| {
            was_there = tokens.revoke(name);
            Ok(())
        })?;
        if !was_there {
            return Err(Problem::new(Code::BadRequest, format!("there is no token called `{name}`")).with_status(404));
        }
        self.change(&self.0.sessions, |sessions| {
            sessions.revoke_sessions(name);
            Ok(())
        })
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.0.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, file: &TokenFile, change: impl FnOnce(&mut Tokens) -> Result<(), String>) -> Result<(), Problem> {
        let _held = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = Tokens::clone(&*file.read().map_err(unreadable)?);
        change(&mut tokens).map_err(|why| Problem::new(Code::Conflict, why))?;
        file.write(&tokens).map_err(unreadable)?;
        self.0.changed.send_replace(());
        Ok(())
    }

    /// Waits until this right is none any more.
    pub(crate) fn ended(&self, right: Right) -> impl Future<Output = ()> + Send + 'static {
        let (inner, changed) = (Arc::clone(&self.0), self.0.changed.subscribe());
        let lasts = move |now| {
            let file = if right.is_session { &inner.sessions } else { &inner.tokens };
            file.read().ok()?.lasts(&right.digest, now)
        };
        right::ended(lasts, changed)
    }

    /// Turns a wrong one into what is answered; too many of them are not written down any more for a while. A secret cannot be
    /// guessed, so whoever has one is let in meanwhile.
    fn attempt<T>(&self, found: Result<T, Denied>) -> Result<T, Problem> {
        let denied = match found {
            Ok(found) => return Ok(found),
            Err(denied) => denied,
        };
        self.not_too_often()?;
        self.0.wrong.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Err(match denied {
            Denied::Unknown => unauthorized("that is no right of this kennel instance"),
            Denied::Expired => unauthorized("that right has ended"),
        })
    }

    fn not_too_often(&self) -> Result<(), Problem> {
        let mut wrong = self.0.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = u32::try_from(wrong.1.elapsed().as_secs() / FORGET.as_secs()).unwrap_or(u32::MAX);
        if passed > 0 {
            *wrong = (wrong.0.saturating_sub(passed), Instant::now());
        }
        if wrong.0 >= ATTEMPTS {
            return Err(Problem::new(Code::RateLimited, "too many wrong attempts; try again in a while"));
        }
        Ok(())
    }
}

/// Nobody has shown anything, or nothing that is good.
pub(crate) fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
        .hint("`kennel dashboard` opens the page, `kennel token create` gives a token")
}

fn unreadable(error: std::io::Error) -> Problem {
    tracing::error!(%error, "rights cannot be read or kept");
    Problem::new(Code::Internal, "rights cannot be read or kept; kennel's own log has the reason")
}

fn random() -> Result<Secret, Problem> {
    Secret::random().map_err(|error| Problem::new(Code::Internal, format!("no random numbers: {error}")))
}

fn status_of(token: &Token, now: Timestamp) -> TokenStatus {
    TokenStatus {
        name: token.name.as_str().to_owned(),
        role: token.role,
        services: token.services.clone(),
        owners: token.owners.clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        expired: token.has_expired(now),
    }
}

fn status_of_session(session: &Token, secret: &str) -> SessionStatus {
    SessionStatus {
        name: session.name.as_str().to_owned(),
        role: session.role,
        services: session.services.clone(),
        csrf: csrf_of(secret),
        expires_at: session.expires_at.unwrap_or(Timestamp::MAX),
    }
}

/// Whether two secrets are the same, in constant time.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    Digest::of(one).is(&Digest::of(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(dir: &tempfile::TempDir) -> Access {
        Access::new(dir.path())
    }

    fn token(name: &str, services: &[&str]) -> TokenRequest {
        let services = services.iter().map(|&one| one.to_owned()).collect();
        TokenRequest { name: name.into(), role: Role::Operate, services, owners: Vec::new(), expires_in_ms: None }
    }

    #[test]
    fn a_token_opens_a_session_that_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(&dir);
        let given = access.give(token("ci", &["web"])).unwrap();
        assert_eq!(access.give(token("ci", &[])).unwrap_err().code, Code::Conflict);
        let actor = access.bearer(&given.secret).unwrap();
        assert_eq!((actor.name.as_str(), actor.role, &actor.csrf), ("token ci", Role::Operate, &None));
        let request = SessionRequest { token: Some(given.secret.clone()), login: None };
        let (secret, opened) = access.log_in(&request).unwrap();
        // Another daemon, the same files.
        let later = Access::new(dir.path());
        let (actor, told) = later.session(secret.reveal()).unwrap();
        assert_eq!((told, actor.csrf.as_deref()), (opened.clone(), Some(opened.csrf.as_str())));
        assert_eq!(actor.services, ["web"]);
        later.revoke("ci").unwrap();
        assert_eq!(later.session(secret.reveal()).unwrap_err().code, Code::Unauthorized);
        assert_eq!(later.bearer(&given.secret).unwrap_err().code, Code::Unauthorized);
        assert_eq!(later.revoke("ci").unwrap_err().status, 404);
    }

    #[test]
    fn a_link_opens_one_session_and_a_session_can_be_left() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(&dir);
        let link = access.link().unwrap();
        let request = SessionRequest { login: Some(link.reveal().to_owned()), token: None };
        let (secret, opened) = access.log_in(&request).unwrap();
        assert_eq!(opened.role, Role::Admin);
        assert_eq!(access.log_in(&request).unwrap_err().code, Code::Unauthorized);
        let (actor, _) = access.session(secret.reveal()).unwrap();
        access.log_out(&actor).unwrap();
        assert!(access.session(secret.reveal()).is_err());
    }

    #[test]
    fn who_guesses_is_not_listened_to_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(&dir);
        let codes: Vec<Code> = (0..ATTEMPTS + 1).map(|_| access.bearer("x").unwrap_err().code).collect();
        assert_eq!((codes[0], codes[ATTEMPTS as usize]), (Code::Unauthorized, Code::RateLimited));
        // Who knows it is let in all the same.
        let given = access.give(token("ci", &[])).unwrap();
        assert!(access.bearer(&given.secret).is_ok());
    }

    #[test]
    fn a_token_for_owners_opens_no_session() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(&dir);
        let given = access.give(TokenRequest { owners: vec!["agent-a".into()], ..token("agent", &[]) }).unwrap();
        let actor = access.bearer(&given.secret).unwrap();
        assert!(actor.is_bound() && actor.owners == ["agent-a"] && given.token.owners == ["agent-a"]);
        let request = SessionRequest { token: Some(given.secret), login: None };
        assert_eq!(access.log_in(&request).unwrap_err().code, Code::Forbidden);
    }
}
