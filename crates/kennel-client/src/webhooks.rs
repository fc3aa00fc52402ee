//! Where events are sent to.

use hyper::Method;
use kennel_wire::{
    Definition, DeliveryStatus, WebhookReport, WebhookRetryReport, WebhookRetryRequest, WebhookSecretReport,
    WebhookSecretRequest, WebhookStatus, WebhookTestReport,
};

use crate::http::{self, encode};
use crate::{CallError, Daemon};

impl Daemon {
    /// The webhooks of the configuration.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn webhooks(&self) -> Result<Vec<WebhookStatus>, CallError> {
        self.call(Method::GET, "/v1/webhooks", Vec::new()).await
    }

    /// The newest messages to one webhook, or to each; oldest first, `limit` of each at most.
    ///
    /// # Errors
    /// `unknown_webhook`.
    pub async fn deliveries(&self, webhook: Option<&str>, limit: usize) -> Result<Vec<DeliveryStatus>, CallError> {
        let only = webhook.map_or_else(String::new, |name| format!("&webhook={}", encode(name)));
        self.call(Method::GET, &format!("/v1/deliveries?limit={limit}{only}"), Vec::new()).await
    }

    /// Registers a webhook beside those of the configuration file, or declares one that is registered anew.
    ///
    /// # Errors
    /// `config_invalid` with everything that is wrong, `conflict` for a name of the configuration file.
    pub async fn register_webhook(&self, name: &str, as_: &Definition) -> Result<WebhookReport, CallError> {
        self.call(Method::PUT, &format!("/v1/webhooks/{}", encode(name)), http::json(as_)?).await
    }

    /// Forgets a webhook that was registered, with its messages and its secret.
    ///
    /// # Errors
    /// `unknown_webhook`, `conflict` for a name of the configuration file.
    pub async fn remove_webhook(&self, name: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, &format!("/v1/webhooks/{}", encode(name)), Vec::new()).await
    }

    /// Sends a message that says that it is a test.
    ///
    /// # Errors
    /// `unknown_webhook`. That the receiver does not take it is no error.
    pub async fn test_webhook(&self, name: &str) -> Result<WebhookTestReport, CallError> {
        self.call(Method::POST, &format!("/v1/webhooks/{}/test", encode(name)), Vec::new()).await
    }

    /// Tries dead messages again, and those that wait at once.
    ///
    /// # Errors
    /// `unknown_webhook`, `bad_request` if one of them is none of its messages.
    pub async fn retry_webhook(
        &self,
        name: &str,
        request: &WebhookRetryRequest,
    ) -> Result<WebhookRetryReport, CallError> {
        self.call(Method::POST, &format!("/v1/webhooks/{}/retry", encode(name)), http::json(request)?).await
    }

    /// The secret that kennel made for it, or another one.
    ///
    /// # Errors
    /// `unknown_webhook`, `conflict` if it was told already or is not kennel's.
    pub async fn webhook_secret(
        &self,
        name: &str,
        request: &WebhookSecretRequest,
    ) -> Result<WebhookSecretReport, CallError> {
        self.call(Method::POST, &format!("/v1/webhooks/{}/secret", encode(name)), http::json(request)?).await
    }
}
