//! What is said to whoever shows notifications.

use std::collections::HashMap;
use std::time::Duration;

use zbus::message::Message;
use zbus::zvariant::{DynamicType, Value};
use zbus::{Connection, connection};

use crate::bus::{Bus, NoBus};
use crate::text;

/// How long all of it may take. Whoever shows notifications may have to be started first.
const LIMIT: Duration = Duration::from_secs(5);

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// What is shown: plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// One line.
    pub title: String,
    /// A line or several.
    pub body: String,
}

/// Why it is not shown: one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody is there to be asked.
    #[error("{0}")]
    NoBus(#[from] NoBus),
    /// The bus cannot be reached or refuses.
    #[error("the session bus does not take it: {0}")]
    Refused(String),
    /// No answer in time.
    #[error("no answer from the session bus within {0:?}")]
    Silent(Duration),
    /// This machine has no thread to do it with.
    #[error("no thread to show it with: {0}")]
    Thread(String),
}

/// Shows one.
///
/// # Errors
/// The bus is not there or says nothing, or nobody shows notifications.
pub async fn show(bus: &Bus, notice: &Notice) -> Result<(), Failure> {
    within(async {
        let connection = connect(bus).await?;
        let capabilities = call(&connection, "GetCapabilities", &()).await?;
        let capabilities: Vec<String> = capabilities.body().deserialize().map_err(refused)?;
        let has_markup = capabilities.iter().any(|one| one == "body-markup");
        let (title, body) = (text::title(&notice.title), text::body(&notice.body, has_markup));
        let hints: HashMap<&str, Value<'_>> = HashMap::from([("category", Value::from("device.error"))]);
        let (replaces, icon, actions, expires) = (0_u32, "dialog-warning", [""; 0], -1_i32);
        let shown = ("kennel", replaces, icon, title, body, &actions[..], hints, expires);
        call(&connection, "Notify", &shown).await.map(drop)
    })
    .await
}

/// Who would show one: name and version.
///
/// # Errors
/// As [`show`].
pub async fn server(bus: &Bus) -> Result<String, Failure> {
    within(async {
        let connection = connect(bus).await?;
        let told = call(&connection, "GetServerInformation", &()).await?;
        let (name, _vendor, version, _specification): (String, String, String, String) =
            told.body().deserialize().map_err(refused)?;
        Ok(text::title(&format!("{name} {version}")))
    })
    .await
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(Failure::Silent(LIMIT)))
}

async fn connect(bus: &Bus) -> Result<Connection, Failure> {
    connection::Builder::address(bus.0.clone()).map_err(refused)?.build().await.map_err(refused)
}

async fn call(
    connection: &Connection,
    method: &str,
    arguments: &(impl serde::Serialize + DynamicType),
) -> Result<Message, Failure> {
    connection.call_method(Some(NAME), PATH, Some(NAME), method, arguments).await.map_err(refused)
}

fn refused(error: zbus::Error) -> Failure {
    // Its words may be anybody's who owns the name.
    Failure::Refused(text::title(&error.to_string()))
}
