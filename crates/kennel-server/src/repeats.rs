//! `Idempotency-Key`: a request that is sent again, since its answer was lost, is not carried out again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kennel_wire::{Code, Problem};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::access::Actor;
use crate::answered::{Answered, asker};
use crate::audit::{Who, too_long};
use crate::reply::{Refusal, bad_request};
use crate::routes::MAX_BODY_BYTES;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, bytes.
const LONGEST: usize = 255;
/// How long a key is known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// Most keys, and bytes of all answers together; the oldest go first.
const MOST: usize = 1024;
const MOST_BYTES: usize = 16 << 20;
/// Where answers are secrets, or have no end: nothing of them is kept.
const NOT: [&str; 10] = [
    "/v1/session",
    "/v1/tokens",
    "/v1/tokens/{name}",
    "/v1/web",
    "/v1/webhooks/{name}",
    "/v1/webhooks/{name}/secret",
    "/v1/lease",
    "/v1/owners/{name}/hold",
    "/v1/run",
    "/v1/run/{token}/wait",
];

/// Whose key it is, and the key.
type Name = (String, String);
/// What was asked with it, so that nobody takes the answer to something else.
type Print = [u8; 32];

/// Answers by key.
#[derive(Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    entries: HashMap<Name, Entry>,
    /// The oldest first.
    order: VecDeque<Name>,
}

struct Entry {
    print: Print,
    since: Instant,
    /// None: it is under way.
    answer: watch::Receiver<Option<Answered>>,
}

/// What is to be done about a request.
enum Course {
    /// It is the first one.
    Run(watch::Sender<Option<Answered>>),
    /// Another one is or was the first.
    Follow(watch::Receiver<Option<Answered>>),
}

impl Repeats {
    fn course(&self, name: &Name, print: Print) -> Result<Course, Problem> {
        let mut known = self.known();
        known.forget();
        if let Some(entry) = known.entries.get(name) {
            if entry.print != print {
                let text = format!("`{}` was the key of another request", name.1.escape_debug());
                return Err(Problem::new(Code::BadRequest, text)
                    .with_status(422)
                    .hint("every request has a key of its own"));
            }
            return Ok(Course::Follow(entry.answer.clone()));
        }
        let (sender, answer) = watch::channel(None);
        known.entries.insert(name.clone(), Entry { print, since: Instant::now(), answer });
        known.order.push_back(name.clone());
        Ok(Course::Run(sender))
    }

    /// An answer that says nothing of what was asked, but of the daemon: it may be asked again.
    fn drop_key(&self, name: &Name) {
        let mut known = self.known();
        known.entries.remove(name);
        known.order.retain(|one| one != name);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The old, and what is too much.
    fn forget(&mut self) {
        let bytes = |entries: &HashMap<Name, Entry>| {
            entries.values().map(|one| one.answer.borrow().as_ref().map_or(0, |it| it.body.len())).sum::<usize>()
        };
        while let Some(oldest) = self.order.front() {
            let is_old = self.entries.get(oldest).is_none_or(|one| one.since.elapsed() >= KNOWN_FOR);
            if !is_old && self.order.len() < MOST && bytes(&self.entries) <= MOST_BYTES {
                return;
            }
            if let Some(name) = self.order.pop_front() {
                self.entries.remove(&name);
            }
        }
    }
}

/// The layer around all routes: carries a request out once for each key.
pub(crate) async fn once(
    State(repeats): State<Repeats>,
    ConnectInfo(who): ConnectInfo<Who>,
    actor: Option<Extension<Actor>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = request.headers().get(KEY).filter(|_| !request.method().is_safe()) else {
        return next.run(request).await;
    };
    let key = match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST => key.to_owned(),
        _ => return bad_request(format!("`{KEY}` is 1 to {LONGEST} visible characters")).into_response(),
    };
    if NOT.contains(&path.as_str()) {
        return bad_request(format!("{} takes no `{KEY}`", path.as_str())).into_response();
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return Refusal(too_long(MAX_BODY_BYTES)).into_response();
    };
    let print = print(&[parts.method.as_str(), &parts.uri.to_string()], &body);
    let name = (asker(who, actor.as_deref()), key);
    let request = Request::from_parts(parts, Body::from(body));
    let (mut answer, is_first) = match repeats.course(&name, print) {
        Err(problem) => return Refusal(problem).into_response(),
        Ok(Course::Follow(answer)) => (answer, false),
        Ok(Course::Run(sender)) => {
            let answer = sender.subscribe();
            tokio::spawn(async move {
                let answered = Answered::by(next, request).await;
                if answered.status.is_server_error() {
                    repeats.drop_key(&name);
                }
                sender.send_replace(Some(answered));
            });
            (answer, true)
        }
    };
    let answered = answer.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
    let Some(answered) = answered else {
        return Refusal(Problem::new(Code::Internal, "the first request of this key came to nothing")).into_response();
    };
    let mut response = answered.response();
    if !is_first {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn print(words: &[&str], body: &[u8]) -> Print {
    let mut digest = Sha256::new();
    for word in words {
        digest.update(word.as_bytes());
        digest.update([0]);
    }
    digest.update(body);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};

    use super::*;

    fn name(key: &str) -> Name {
        ("uid 0".to_owned(), key.to_owned())
    }

    fn answered(bytes: usize) -> Option<Answered> {
        Some(Answered { status: StatusCode::OK, head: HeaderMap::new(), body: vec![b'x'; bytes].into() })
    }

    #[test]
    fn a_key_stands_for_one_request_of_one_asker() {
        let repeats = Repeats::default();
        let one = print(&["POST", "/v1/stop"], b"{}");
        assert!(matches!(repeats.course(&name("k"), one), Ok(Course::Run(_))));
        assert!(matches!(repeats.course(&name("k"), one), Ok(Course::Follow(_))));
        assert!(matches!(repeats.course(&("uid 1".into(), "k".into()), one), Ok(Course::Run(_))));
        for other in [print(&["POST", "/v1/stop"], b"{ }"), print(&["POST", "/v1/start"], b"{}")] {
            assert_eq!(repeats.course(&name("k"), other).err().map(|problem| problem.status), Some(422));
        }
        repeats.drop_key(&name("k"));
        assert!(matches!(repeats.course(&name("k"), one), Ok(Course::Run(_))));
    }

    #[test]
    fn keys_are_few_and_answers_are_small() {
        let repeats = Repeats::default();
        let one = print(&["POST"], b"");
        let mut senders = Vec::new();
        for number in 0..2 * MOST {
            let Ok(Course::Run(sender)) = repeats.course(&name(&number.to_string()), one) else { panic!("{number}") };
            senders.push(sender);
        }
        assert_eq!(repeats.known().order.len(), MOST);
        assert_eq!(repeats.known().entries.len(), MOST);
        senders[2 * MOST - 2].send_replace(answered(MOST_BYTES));
        senders[2 * MOST - 1].send_replace(answered(2));
        assert!(matches!(repeats.course(&name("more"), one), Ok(Course::Run(_))));
        assert_eq!(repeats.known().order, [name(&(2 * MOST - 1).to_string()), name("more")]);
    }
}
