//! `webhooks`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::schema::values::{Address, Duration, HeaderValue, Retries, Strings};

/// Webhooks by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum Webhooks {
    Webhooks(BTreeMap<String, WebhookOrUrl>),
    None(()),
}

/// Its address, or all of it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum WebhookOrUrl {
    Url(Address),
    Webhook(Webhook),
}

/// A receiver of events over HTTP.
#[derive(JsonSchema)]
pub(in crate::schema) struct Webhook {
    /// `https://` or `http://`. It needs no user or password: send them with `headers`.
    url: Address,
    /// Which events: names as in `kennel events`, or their beginnings with a `*` behind them. Default: what somebody may have to do
    /// something about.
    events: Strings,
    /// Services that they must be about. Default: whatever they are about.
    services: Strings,
    /// Where the secret is that messages are signed with: `env:NAME`, `file:PATH`; or `generated`, by kennel (the default).
    secret: String,
    /// Headers to be sent as well. A value may be `env:NAME` or `file:PATH`.
    headers: Headers,
    /// How long one try may take. Default 10s.
    timeout: Duration,
    /// Tries after the first one. Default 100.
    retries: Retries,
    /// No further try of a message that is older. Default 24h.
    max_age: Duration,
    /// Certificates that are trusted in place of the machine's, PEM, relative to this file.
    ca_file: String,
}

/// Headers by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum Headers {
    Headers(BTreeMap<String, HeaderValue>),
    None(()),
}
