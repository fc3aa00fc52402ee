//! Services beside those of the configuration file.

use hyper::Method;
use kennel_wire::{Definition, Registry, ReloadReport};

use crate::http::{self, encode};
use crate::{CallError, Daemon};

/// How the registry is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registering {
    /// Start what is registered; else it is only known.
    pub start: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
}

impl Daemon {
    /// What is registered; with the values of environments, which may be secrets, or without.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn registry(&self, values: bool) -> Result<Registry, CallError> {
        self.call(Method::GET, &format!("/v1/registry?values={values}"), Vec::new()).await
    }

    /// Registers a service, or declares one that is registered anew. Answers when what follows is done.
    ///
    /// # Errors
    /// `config_invalid` with everything that is wrong, `conflict` for a name of the configuration file.
    pub async fn register(&self, name: &str, as_: &Definition, how: Registering) -> Result<ReloadReport, CallError> {
        self.call(Method::PUT, &format!("/v1/services/{}?{how}", encode(name)), http::json(as_)?).await
    }

    /// The same for several at once.
    ///
    /// # Errors
    /// As [`Daemon::register`].
    pub async fn register_all(&self, services: &Registry, how: Registering) -> Result<ReloadReport, CallError> {
        self.call(Method::POST, &format!("/v1/registry?{how}"), http::json(services)?).await
    }

    /// Stops a service that was registered, and forgets it.
    ///
    /// # Errors
    /// `unknown_service` if none of this name is registered.
    pub async fn unregister(&self, name: &str) -> Result<ReloadReport, CallError> {
        self.call(Method::DELETE, &format!("/v1/services/{}", encode(name)), Vec::new()).await
    }
}

impl std::fmt::Display for Registering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { start, dry_run } = self;
        write!(f, "start={start}&dry_run={dry_run}")
    }
}
