use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Role;

/// Opens a session of a browser: body of `POST /v1/session`, with one of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionRequest {
    /// What a login link has. It is good once, and for five minutes.
    pub login: Option<String>,
    /// A token.
    pub token: Option<String>,
}

/// A session, as its own browser sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionStatus {
    /// What the audit calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// To which services; empty: to all.
    pub services: Vec<String>,
    /// To be sent as `x-kennel-csrf` with every request that is no `GET`.
    pub csrf: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Gives a right away: body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// 1 to 64 of `[A-Za-z0-9_.-]`.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// To which services. With neither these nor owners, to all.
    #[serde(default)]
    pub services: Vec<String>,
    /// To what runs for which owners and for those below them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// How long, milliseconds; none: until it is revoked.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
}

/// A right that was given away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenStatus {
    /// What the audit calls its holder.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// To which services. With neither these nor owners, to all.
    pub services: Vec<String>,
    /// To what runs for which owners and for those below them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether it has.
    pub expired: bool,
}

/// A new token. Its secret is told here and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenReport {
    /// What was given away.
    pub token: TokenStatus,
    /// To be sent as `authorization: Bearer SECRET`.
    pub secret: String,
}

/// Opens the TCP door, or asks for a login link where it is open: body of `POST /v1/web`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebRequest {
    /// Address and port, for example `127.0.0.1:4747`; none: where it is open, else a free port of 127.0.0.1.
    pub listen: Option<String>,
    /// More names of this server, as browsers say them in `Host`: for example that of a proxy.
    pub hosts: Vec<String>,
    /// Speak TLS, which every address takes that is not of this machine alone; none: as it is open, else without.
    pub tls: Option<WebTls>,
}

/// Where the certificate of the TCP door comes from: both files, or neither, and then kennel makes one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebTls {
    /// Absolute path of the certificate and its chain, in PEM. It is read again when it changes.
    #[schema(value_type = Option<String>)]
    pub certificate: Option<PathBuf>,
    /// Absolute path of its key, in PEM.
    #[schema(value_type = Option<String>)]
    pub key: Option<PathBuf>,
}

/// The TCP door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebStatus {
    /// Where it is open; none: it is not.
    pub url: Option<String>,
    /// More names that it answers to.
    pub hosts: Vec<String>,
    /// With TLS: SHA-256 of its certificate, as browsers show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Answer to a [`WebRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebReport {
    /// Where the page is.
    pub url: String,
    /// The same, logged in: good once, and for five minutes.
    pub login_url: String,
    /// With a certificate that kennel has made, which no browser knows: its SHA-256, to be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}
