use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A receiver of events, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Scheme, host and port of its address; the rest may be a secret.
    pub receiver: String,
    /// Which events.
    pub events: Vec<String>,
    /// About which services; empty: whatever they are about.
    pub services: Vec<String>,
    /// Where its secret is: `generated`, `env`, `file`.
    pub secret: String,
    /// How it is.
    pub state: WebhookState,
    /// Messages that are on their way.
    pub waiting: u32,
    /// Messages that did not arrive and are kept.
    pub dead: u32,
    /// Messages that have arrived since it was declared.
    pub delivered: u64,
    /// When the next try is due, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// The last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<WebhookTry>,
    /// Number of the newest event that was looked at for it.
    pub seen: u64,
    /// Whether it was registered over the API; else the configuration file declares it.
    #[serde(default)]
    pub registered: bool,
}

/// What came of a registration: answer to `PUT /v1/webhooks/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookReport {
    /// How it is now.
    pub webhook: WebhookStatus,
    /// Whether none of this name was registered before.
    pub created: bool,
    /// What its messages are signed with, if kennel has made that and it was not told before. It is told here, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// How a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// The last try succeeded, or there was none.
    Ok,
    /// The last try failed.
    Failing,
    /// The receiver said that it wants nothing any more (410): nothing is sent until somebody asks for it.
    Disabled,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTry {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// Status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A message and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryStatus {
    /// What the receiver gets as `webhook-id`, the same with every try.
    pub id: String,
    /// To which webhook.
    pub webhook: String,
    /// Kind of the event.
    pub kind: String,
    /// Its number.
    pub seq: u64,
    /// Which service it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// When that happened.
    pub time: Timestamp,
    /// How far it is.
    pub state: DeliveryState,
    /// Tries so far.
    pub tries: u32,
    /// When the next one is due, of one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<WebhookTry>,
    /// Why it is not tried any more, of a dead one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is on its way.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It did not arrive and is not tried any more, unless somebody asks for it.
    Dead,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTestReport {
    /// Whether the receiver took it.
    pub ok: bool,
    /// What it got as `webhook-id`.
    pub id: String,
    /// The try.
    pub result: WebhookTry,
}

/// Asks for dead messages to be tried again: body of `POST /v1/webhooks/{name}/retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookRetryRequest {
    /// Which, by their ids; empty: all dead ones, and those that wait are tried now.
    pub ids: Vec<String>,
}

/// Answer to a [`WebhookRetryRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookRetryReport {
    /// How many are tried again.
    pub retried: u32,
}

/// Asks for the secret that kennel made for a webhook: body of `POST /v1/webhooks/{name}/secret`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSecretRequest {
    /// Make another one, with which messages are signed from now on.
    pub rotate: bool,
}

/// A secret. It is told here, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookSecretReport {
    /// As receivers take it: `whsec_` and base64.
    pub secret: String,
}
