//! What tells people of events.

use hyper::Method;
use kennel_wire::NotifyTestReport;

use crate::{CallError, Daemon};

impl Daemon {
    /// Shows a notification that says that it is a test, on the desktop of whoever loaded the configuration.
    ///
    /// # Errors
    /// `config_missing`. That it cannot be shown is no error.
    pub async fn test_notification(&self) -> Result<NotifyTestReport, CallError> {
        self.call(Method::POST, "/v1/notify/test", Vec::new()).await
    }
}
