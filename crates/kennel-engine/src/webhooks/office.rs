//! The task behind it: reads the stream, has recorded what is to be sent, has it sent, and takes in what came of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::delivery::Next;
use kennel_store::History;
use kennel_webhook::{Failure, Job, Message, Outcome, Sender};
use kennel_wire::{Code, Event, Problem, WebhookRetryReport, WebhookSecretReport, WebhookTestReport};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::hook::{Delivery, Hook, HookRecord, News, millis, tried};
use super::keys::Keys;
use super::{Command, Left, Reply, Wish, payload};
use crate::clock;
use crate::driver::Input;
use crate::events::Events;
use crate::records::read;

/// Events that are read at a time.
const PAGE: usize = 200;
/// The thread that sends is kept so long after the last try.
const REST: Duration = Duration::from_secs(10);
/// Most webhooks that nobody declares any more and of which is still known: the newest.
const AWAY: usize = 64;

/// All that it knows.
pub(super) struct Office {
    events: Events,
    inbox: mpsc::UnboundedSender<Input>,
    state_dir: PathBuf,
    instance: Arc<str>,
    keys: Keys,
    wish: Option<Arc<Wish>>,
    hooks: IndexMap<String, Hook>,
    /// There while there is something to send.
    sender: Option<Sender>,
    tries: JoinSet<Option<(String, u64, Outcome)>>,
    news: News,
}

/// The daemon ends, or another one goes on.
struct Over;

impl Office {
    pub(super) fn new(
        events: Events,
        inbox: mpsc::UnboundedSender<Input>,
        state_dir: &Path,
        instance: &str,
        left: Left,
    ) -> Self {
        let mut hooks: IndexMap<String, Hook> = IndexMap::new();
        for (name, body) in left.webhooks {
            if let Some(record) = read::<HookRecord>("webhook", &name, body) {
                hooks.insert(name.clone(), Hook::new(&name, record));
            }
        }
        for (id, body) in left.deliveries {
            let name = id.split('/').next().unwrap_or_default();
            let delivery = read::<Delivery>("delivery", &id, body);
            if let Some((hook, delivery)) = hooks.get_mut(name).zip(delivery) {
                hook.restore(delivery);
            }
        }
        Self {
            events,
            inbox,
            keys: Keys::of(state_dir),
            state_dir: state_dir.to_owned(),
            instance: instance.into(),
            wish: None,
            hooks,
            sender: None,
            tries: JoinSet::new(),
            news: News::default(),
        }
    }

    /// Works until the daemon ends, or another one goes on: what is not recorded by then has not happened.
    pub(super) async fn serve(
        mut self,
        mut asked: mpsc::UnboundedReceiver<Command>,
        mut wished: watch::Receiver<Option<Arc<Wish>>>,
    ) {
        let mut published = self.events.watch();
        loop {
            published.borrow_and_update();
            if self.read_on().await.is_err() || self.record().await.is_err() {
                return;
            }
            let due = self.send();
            let listens = self.hooks.values().any(Hook::reads);
            tokio::select! {
                command = asked.recv() => match command {
                    Some(command) => {
                        // Whoever asks may have changed the wish just now.
                        if wished.has_changed().is_ok_and(|changed| changed) {
                            let wish = wished.borrow_and_update().clone();
                            self.take_wish(wish);
                        }
                        self.answer(command);
                    }
                    None => return,
                },
                changed = wished.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wish = wished.borrow_and_update().clone();
                    self.take_wish(wish);
                }
                Some(done) = self.tries.join_next() => self.take_outcome(done.ok().flatten()),
                changed = published.changed(), if listens => if changed.is_err() {
                    return;
                },
                () = clock::until(due) => {
                    if self.tries.is_empty() {
                        self.rest();
                    }
                }
            }
        }
    }

    /// Looks at what has happened since, for each webhook that has room.
    async fn read_on(&mut self) -> Result<(), Over> {
        loop {
            let begin = self.hooks.values().filter(|hook| hook.reads()).map(|hook| hook.record.seen).min();
            let Some(begin) = begin else { return Ok(()) };
            let page = self.events.after(begin, PAGE).await;
            if page.is_empty() {
                return Ok(());
            }
            let now = millis(Timestamp::now());
            for event in &page {
                for hook in self.hooks.values_mut().filter(|hook| hook.record.seen < event.seq && hook.reads()) {
                    hook.look(event, &self.instance, now, &mut self.news);
                }
            }
            self.record().await?;
        }
    }

    /// Has the driver record what has changed, and waits for that: nothing is sent before.
    async fn record(&mut self) -> Result<(), Over> {
        let News { changes, told } = std::mem::take(&mut self.news);
        if changes.is_empty() && told.is_empty() {
            return Ok(());
        }
        let (reply, recorded) = oneshot::channel();
        self.inbox.send(Input::Webhooks(changes, told, reply)).map_err(|_| Over)?;
        recorded.await.map_err(|_| Over)
    }

    /// Begins every try that is due; answers with when the next one is, or when to rest.
    fn send(&mut self) -> Option<Instant> {
        let now = millis(Timestamp::now());
        let (mut due, mut begins) = (None, Vec::new());
        for hook in self.hooks.values_mut() {
            match hook.next(now) {
                Next::Send(seq) => begins.push((hook.name.clone(), seq, hook.id(seq), hook.key(seq))),
                Next::At(at) => due = Some(due.map_or(at, |due: u64| due.min(at))),
                Next::Rest => {}
            }
        }
        for (name, seq, id, key) in begins {
            let source = Source::Recorded { key, seq };
            let attempt = self.attempt(&name, id, source);
            self.tries.spawn(async move { Some((name, seq, attempt.await)) });
        }
        let soon = due.map(|due| Instant::now() + Duration::from_millis(due.saturating_sub(now)));
        let rest = (self.sender.is_some() && self.tries.is_empty()).then(|| Instant::now() + REST);
        match (soon, rest) {
            (Some(soon), Some(rest)) => Some(soon.min(rest)),
            (soon, rest) => soon.or(rest),
        }
    }

    /// One try of a message to a webhook. It does nothing before it is polled.
    fn attempt(&mut self, name: &str, id: String, source: Source) -> impl Future<Output = Outcome> + Send + 'static {
        let declared = self.hooks.get(name).and_then(|hook| hook.declared.clone());
        let (keys, wish) = (self.keys.clone(), self.wish.clone());
        let (history, events) = (History::of(&self.state_dir), self.events.clone());
        let (name, instance) = (name.to_owned(), Arc::clone(&self.instance));
        let sender = self.sender();
        async move {
            let failed = |why: String| Outcome { answer: Err(Failure(why)), took: Duration::ZERO };
            let Some((declared, wish)) = declared.zip(wish) else { return failed("it is not declared".to_owned()) };
            let from_stream = source.seq();
            let read = tokio::task::spawn_blocking(move || {
                let receiver = Keys::receiver(&declared, &wish.variables)?;
                let secret = keys.secret(&name, &declared, &wish.variables)?;
                Ok::<_, String>((receiver, secret, source.read(&history)))
            });
            let (receiver, secret, body) = match read.await {
                Ok(Ok(read)) => read,
                Ok(Err(why)) => return failed(why),
                Err(error) => return failed(error.to_string()),
            };
            let body = match (body, from_stream) {
                (Some(body), _) => Some(body),
                // What could not be recorded yet is in memory.
                (None, Some(seq)) => of_stream(&events, seq, &instance).await,
                (None, None) => None,
            };
            let Some(body) = body else { return failed("what was to be sent is lost".to_owned()) };
            let timestamp = Timestamp::now().as_second();
            let message = Message { id, timestamp, body: body.to_string().into(), secret };
            match sender.map(|sender| sender.send(Job { receiver, message })) {
                Ok(outcome) => outcome.await.unwrap_or_else(|_| failed("it could not be sent".to_owned())),
                Err(why) => failed(why),
            }
        }
    }

    fn sender(&mut self) -> Result<Sender, String> {
        if let Some(sender) = &self.sender {
            return Ok(sender.clone());
        }
        // A death is told of before a message about it is signed, also on one processor.
        let begin = || drop(kennel_sys::process::never_interrupts());
        let sender = Sender::start(begin).map_err(|error| format!("no thread to send with: {error}"))?;
        Ok(self.sender.insert(sender).clone())
    }

    fn rest(&mut self) {
        self.sender = None;
    }

    fn take_outcome(&mut self, done: Option<(String, u64, Outcome)>) {
        let Some((name, seq, outcome)) = done else { return };
        let Some(hook) = self.hooks.get_mut(&name) else { return };
        let failed_before = hook.last.as_ref().is_some_and(|last| last.error.is_some());
        hook.heard(seq, &outcome, Timestamp::now(), fastrand::f64(), &mut self.news);
        let why = hook.last.as_ref().and_then(|last| last.error.as_deref());
        match (failed_before, why) {
            (false, Some(why)) => tracing::warn!(webhook = name, why, "a webhook does not take what is sent"),
            (true, None) => tracing::info!(webhook = name, "a webhook takes again what is sent"),
            _ => {}
        }
    }

    fn take_wish(&mut self, wish: Option<Arc<Wish>>) {
        let now = Timestamp::now();
        match &wish {
            None => self.hooks.values_mut().for_each(|hook| hook.declared = None),
            Some(wish) => self.declare(wish, now),
        }
        self.wish = wish;
    }

    fn declare(&mut self, wish: &Wish, now: Timestamp) {
        for (name, declared) in &wish.hooks {
            let hook = self.hooks.entry(name.clone()).or_insert_with(|| {
                let salt = format!("{:016x}", fastrand::u64(..));
                let record = HookRecord { seen: wish.since, salt, delivered: 0, gone: None, shown: false, away: None };
                Hook::new(name, record)
            });
            hook.declare(declared, wish.since, &mut self.news);
            hook.forget_old(now, &mut self.news);
        }
        // Another directory's file, or one that is empty for a moment, takes no secret from anybody.
        let others = self.hooks.values_mut().filter(|hook| !wish.hooks.contains_key(&hook.name));
        let mut away: Vec<(Timestamp, String)> = Vec::new();
        let mut gone: Vec<String> = Vec::new();
        for hook in others {
            match hook.leave(now, &mut self.news) {
                true => gone.push(hook.name.clone()),
                false => away.push((hook.record.away.unwrap_or(now), hook.name.clone())),
            }
        }
        away.sort_by(|one, next| next.cmp(one));
        gone.extend(away.into_iter().skip(AWAY).map(|(_, name)| name));
        gone.iter().for_each(|name| self.forget(name));
    }

    /// Forgets a webhook with its messages, and the secret that kennel made for it.
    fn forget(&mut self, name: &str) {
        self.keys.remove(name);
        if let Some(mut hook) = self.hooks.shift_remove(name) {
            hook.remove(&mut self.news);
        }
    }

    fn answer(&mut self, command: Command) {
        // Whoever asked may have gone.
        match command {
            Command::List(reply) => drop(reply.send(Ok(self.hooks.values().filter_map(Hook::status).collect()))),
            Command::Deliveries(None, limit, reply) => {
                let mut all: Vec<_> = self.hooks.values().flat_map(|hook| hook.log(limit)).collect();
                all.sort_by_key(|one| one.seq);
                drop(reply.send(Ok(all)));
            }
            Command::Deliveries(Some(name), limit, reply) => {
                drop(reply.send(self.hook(&name).map(|hook| hook.log(limit))));
            }
            Command::Test(name, reply) => self.test(name, reply),
            Command::Retry(name, ids, reply) => drop(reply.send(self.retry(&name, &ids))),
            Command::Forget(name, reply) => drop(reply.send(self.let_go(&name))),
            Command::Secret(name, rotate, reply) => drop(reply.send(self.secret(&name, rotate))),
        }
    }

    fn hook(&mut self, name: &str) -> Result<&mut Hook, Problem> {
        let known: Vec<&String> = self.hooks.keys().collect();
        let hint = match &known[..] {
            [] => "the configuration that is loaded has none under `webhooks`".to_owned(),
            known => format!("there is {}", known.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")),
        };
        let hook = self.hooks.get_mut(name).filter(|hook| hook.declared.is_some());
        // Not the name that was asked for: it may be anything.
        hook.ok_or_else(|| Problem::new(Code::UnknownWebhook, "no webhook has that name").hint(hint))
    }

    /// Only one that nobody declares.
    fn let_go(&mut self, name: &str) -> Result<bool, Problem> {
        let is_known = self.hooks.get(name).is_some_and(|hook| hook.declared.is_none());
        if is_known {
            self.forget(name);
        }
        Ok(is_known)
    }

    fn test(&mut self, name: String, reply: Reply<WebhookTestReport>) {
        let hook = match self.hook(&name) {
            Ok(hook) => hook,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let now = Timestamp::now();
        let id = format!("msg_{}_test_{}", hook.record.salt, now.as_millisecond());
        let body = payload::test(&name, &self.instance, now);
        let attempt = self.attempt(&name, id.clone(), Source::Given(body));
        self.tries.spawn(async move {
            let outcome = attempt.await;
            let result = tried(&outcome, Timestamp::now());
            // Whoever asked may have gone.
            let _unheard = reply.send(Ok(WebhookTestReport { ok: result.error.is_none(), id, result }));
            None
        });
    }

    fn retry(&mut self, name: &str, ids: &[String]) -> Result<WebhookRetryReport, Problem> {
        let (newest, now) = (self.events.newest(), Timestamp::now());
        let hook = self.hook(name)?;
        let seqs: Option<Vec<u64>> = ids.iter().map(|id| hook.seq_of(id)).collect();
        let unknown = || Problem::new(Code::BadRequest, "no message of this webhook has one of these ids");
        let seqs = seqs.ok_or_else(|| unknown().hint(format!("`kennel webhook log {name}` has them")))?;
        let mut news = News::default();
        let retried = hook.retry(&seqs, newest, now, &mut news);
        self.news.changes.append(&mut news.changes);
        Ok(WebhookRetryReport { retried })
    }

    fn secret(&mut self, name: &str, rotate: bool) -> Result<WebhookSecretReport, Problem> {
        let keys = self.keys.clone();
        let hook = self.hook(name)?;
        let is_ours = hook.status().is_some_and(|status| status.secret == "generated");
        if !is_ours {
            let problem = Problem::new(Code::Conflict, "kennel did not make the secret of this webhook");
            return Err(problem.hint("it is where the configuration says"));
        }
        if hook.record.shown && !rotate {
            let problem = Problem::new(Code::Conflict, "the secret of this webhook was shown already");
            return Err(problem.hint("`--rotate` makes another one, with which messages are signed from then on"));
        }
        let secret = if rotate { keys.renew(name) } else { keys.own(name) };
        let secret = secret.map_err(|why| Problem::new(Code::Internal, why))?;
        hook.record.shown = true;
        let mut news = News::default();
        hook.note(&mut news);
        self.news.changes.append(&mut news.changes);
        Ok(WebhookSecretReport { secret: secret.reveal() })
    }
}

/// Where what is sent comes from.
enum Source {
    /// The store, else the stream.
    Recorded {
        key: String,
        seq: u64,
    },
    Given(Value),
}

impl Source {
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Recorded { seq, .. } => Some(*seq),
            Self::Given(_) => None,
        }
    }

    /// Reads files.
    fn read(self, history: &History) -> Option<Value> {
        match self {
            Self::Given(body) => Some(body),
            Self::Recorded { key, .. } => history.payload(&key).unwrap_or_else(|error| {
                tracing::warn!(%error, key, "what is to be sent cannot be read");
                None
            }),
        }
    }
}

/// As it was when it was enqueued, for an event never changes.
async fn of_stream(events: &Events, seq: u64, instance: &str) -> Option<Value> {
    let found: Vec<Event> = events.after(seq.checked_sub(1)?, 1).await;
    found.iter().find(|event| event.seq == seq).map(|event| payload::of(event, instance))
}
