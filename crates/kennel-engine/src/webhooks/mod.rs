//! Sends events to webhooks, for as long as the configuration asks for it.
//!
//! One more reader of the stream, with a place of its own in it. What is to be sent is recorded in one transaction with that place, so
//! that no end of a daemon loses or doubles it, and sent from there by a thread of its own (`kennel-webhook`): a receiver may be as slow or
//! as dead as it likes. When to send again is decided by `core::delivery`.
//!
//! The driver records what the office has it record, as it does everything else; the office waits for that, and the driver never for the
//! office.

mod hook;
mod keys;
mod office;
mod payload;
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use kennel_core::model::Webhook;
use kennel_core::model::webhook::{Secret, Text};
use kennel_store::Restored;
use kennel_wire::{
    Code, DeliveryStatus, Problem, WebhookRetryReport, WebhookSecretReport, WebhookStatus, WebhookTestReport,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::Input;
use crate::events::Events;
use crate::handle::Handle;
use office::Office;

type Reply<T> = oneshot::Sender<Result<T, Problem>>;

/// What the configuration asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    hooks: IndexMap<String, Webhook>,
    /// Those that the hooks name, of the environment that the configuration was loaded with.
    variables: BTreeMap<String, String>,
    /// Number of the newest event that is none of a webhook that was not there before.
    since: u64,
}

/// The webhooks of a configuration, and the environment that it was loaded with.
type Declared<'l> = (&'l IndexMap<String, Webhook>, &'l BTreeMap<String, String>);

/// What somebody asks of the office.
#[derive(Debug)]
enum Command {
    List(Reply<Vec<WebhookStatus>>),
    /// Of one, or of all; so many of each.
    Deliveries(Option<String>, usize, Reply<Vec<DeliveryStatus>>),
    Test(String, Reply<WebhookTestReport>),
    /// These, or all that are dead.
    Retry(String, Vec<String>, Reply<WebhookRetryReport>),
    /// One that is declared no more.
    Forget(String, Reply<bool>),
    /// Another one if it is true.
    Secret(String, bool, Reply<WebhookSecretReport>),
}

/// A hand on the office.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    commands: mpsc::UnboundedSender<Command>,
    wish: watch::Sender<Option<Arc<Wish>>>,
}

/// What another daemon left of webhooks.
#[derive(Debug, Default)]
pub(crate) struct Left {
    webhooks: IndexMap<String, Value>,
    deliveries: IndexMap<String, Value>,
}

impl Left {
    pub(crate) fn of(restored: &mut Restored) -> Self {
        Self { webhooks: std::mem::take(&mut restored.webhooks), deliveries: std::mem::take(&mut restored.deliveries) }
    }
}

impl Webhooks {
    /// Opens the office. `inbox` is the driver's, `instance` the name of the kennel instance.
    pub(crate) fn open(
        events: Events,
        inbox: mpsc::UnboundedSender<Input>,
        state_dir: &Path,
        instance: &str,
        left: Left,
    ) -> Self {
        let (commands, asked) = mpsc::unbounded_channel();
        let (wish, wished) = watch::channel(None);
        let office = Office::new(events, inbox, state_dir, instance, left);
        tokio::spawn(office.serve(asked, wished));
        Self { commands, wish }
    }

    /// What is wanted from now on. Without a configuration nothing is sent, and nothing forgotten.
    pub(crate) fn wish(&self, loaded: Option<Declared<'_>>, since: u64) {
        let wish = loaded.map(|(hooks, environment)| Arc::new(Wish::of(hooks, environment, since)));
        let is_same = |old: &Option<Arc<Wish>>| match (old, &wish) {
            (Some(old), Some(new)) => old.hooks == new.hooks && old.variables == new.variables,
            (None, None) => true,
            _ => false,
        };
        if !is_same(&self.wish.borrow()) {
            self.wish.send_replace(wish);
        }
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, Problem> {
        let gone = || Problem::new(Code::ShuttingDown, "the daemon is shutting down");
        let (reply, answer) = oneshot::channel();
        self.commands.send(make(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Handle {
    /// The webhooks of the configuration, without their secrets.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn list_webhooks(&self) -> Result<Vec<WebhookStatus>, Problem> {
        self.webhooks.ask(Command::List).await
    }

    /// The newest messages to one webhook, or to each; oldest first, `limit` of each at most.
    ///
    /// # Errors
    /// `unknown_webhook`, `shutting_down`.
    pub async fn deliveries(&self, name: Option<String>, limit: usize) -> Result<Vec<DeliveryStatus>, Problem> {
        self.webhooks.ask(|reply| Command::Deliveries(name, limit, reply)).await
    }

    /// Sends a message that says that it is a test; answers with what came of it.
    ///
    /// # Errors
    /// `unknown_webhook`, `shutting_down`.
    pub async fn test_webhook(&self, name: String) -> Result<WebhookTestReport, Problem> {
        self.webhooks.ask(|reply| Command::Test(name, reply)).await
    }

    /// Tries dead messages again, and those that wait at once: these, or all. A receiver that wanted nothing any more is asked again.
    ///
    /// # Errors
    /// `unknown_webhook`, `bad_request` if one of the ids is none of its messages, `shutting_down`.
    pub async fn retry_webhook(&self, name: String, ids: Vec<String>) -> Result<WebhookRetryReport, Problem> {
        self.webhooks.ask(|reply| Command::Retry(name, ids, reply)).await
    }

    /// Forgets what is known of a webhook that is declared no more, at once; answers whether anything was.
    ///
    /// # Errors
    /// `shutting_down`.
    pub async fn forget_webhook(&self, name: String) -> Result<bool, Problem> {
        self.webhooks.ask(|reply| Command::Forget(name, reply)).await
    }

    /// The secret that kennel made for a webhook, or another one: each is told once.
    ///
    /// # Errors
    /// `unknown_webhook`, `conflict` if it was told or is not ours, `internal` if it cannot be kept, `shutting_down`.
    pub async fn webhook_secret(&self, name: String, rotate: bool) -> Result<WebhookSecretReport, Problem> {
        self.webhooks.ask(|reply| Command::Secret(name, rotate, reply)).await
    }
}

impl Wish {
    fn of(hooks: &IndexMap<String, Webhook>, environment: &BTreeMap<String, String>, since: u64) -> Self {
        let secrets = hooks.values().filter_map(|hook| match &hook.secret {
            Secret::Env(name) => Some(name),
            Secret::Generated | Secret::File(_) => None,
        });
        let headers = hooks.values().flat_map(|hook| hook.headers.values()).filter_map(|text| match text {
            Text::Env(name) => Some(name),
            Text::Plain(_) | Text::File(_) => None,
        });
        let named = secrets.chain(headers).filter_map(|name| environment.get_key_value(name));
        let variables = named.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { hooks: hooks.clone(), variables, since }
    }
}
