//! The TCP door, and rights for those who come by it.

use hyper::Method;
use kennel_wire::{TokenReport, TokenRequest, TokenStatus, WebReport, WebRequest, WebStatus};

use crate::http::{self, encode};
use crate::{CallError, Daemon};

impl Daemon {
    /// Opens the TCP door, or leaves it open, and makes a link that logs a browser in.
    ///
    /// # Errors
    /// `bad_request` for an address that is not of this machine alone, `conflict` for one that is taken.
    pub async fn open_web(&self, request: &WebRequest) -> Result<WebReport, CallError> {
        self.call(Method::POST, "/v1/web", http::json(request)?).await
    }

    /// Whether it is open, and where.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn web(&self) -> Result<WebStatus, CallError> {
        self.call(Method::GET, "/v1/web", Vec::new()).await
    }

    /// Closes it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn close_web(&self) -> Result<(), CallError> {
        self.call(Method::DELETE, "/v1/web", Vec::new()).await
    }

    /// Gives a right away.
    ///
    /// # Errors
    /// `bad_request` for a name that cannot be, `conflict` for one that there is.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<TokenReport, CallError> {
        self.call(Method::POST, "/v1/tokens", http::json(request)?).await
    }

    /// All rights that were given away.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn tokens(&self) -> Result<Vec<TokenStatus>, CallError> {
        self.call(Method::GET, "/v1/tokens", Vec::new()).await
    }

    /// Takes one back.
    ///
    /// # Errors
    /// A problem with status 404 if there is none of that name.
    pub async fn revoke_token(&self, name: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, &format!("/v1/tokens/{}", encode(name)), Vec::new()).await
    }
}
