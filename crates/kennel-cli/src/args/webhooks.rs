//! Options of `kennel webhook`.

use clap::{Args, Subcommand};

/// `kennel webhook`
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Show the webhooks of the configuration and how they are
    List,
    /// Have events sent to one more receiver, without touching the configuration file
    Add(AddWebhook),
    /// Forget a webhook that was added, with its messages and its secret
    Remove {
        /// Name of the webhook
        name: String,
    },
    /// Send a message that says that it is a test, and show what came of it
    Test {
        /// Name of the webhook
        name: String,
    },
    /// Show messages: on their way, arrived, or dead
    Log(WebhookLog),
    /// Try dead messages again, and those that wait at once
    Retry {
        /// Name of the webhook
        name: String,
        /// Only these, by the ids that `log` shows
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
    /// Print the secret that kennel made, which it does once
    Secret {
        /// Name of the webhook
        name: String,
        /// Make another one; messages are signed with it from then on
        #[arg(long)]
        rotate: bool,
    },
}

/// `kennel webhook add`
#[derive(Debug, Args)]
pub(crate) struct AddWebhook {
    /// Name of the webhook; one that was added already is changed
    pub(crate) name: String,
    /// Where it is: `https://…` or `http://…`; `-` reads that from standard input
    pub(crate) url: String,
    /// Only these kinds of events, or beginnings of them with a `*` [default: what somebody may have to do something about]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) events: Vec<String>,
    /// Only events about these services
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub(crate) services: Vec<String>,
    /// Where its secret is: `env:NAME` or `file:PATH` [default: kennel makes one and prints it]
    #[arg(long, value_name = "PLACE")]
    pub(crate) secret: Option<String>,
    /// A header to be sent as well; its value may be `env:NAME` or `file:PATH`
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// How long one try may take
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// Tries after the first one
    #[arg(long, value_name = "COUNT")]
    pub(crate) retries: Option<u32>,
    /// No further try of a message that is older
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<String>,
    /// Certificates that are trusted in place of the machine's
    #[arg(long, value_name = "PATH")]
    pub(crate) ca_file: Option<String>,
}

/// `kennel webhook log`
#[derive(Debug, Args)]
pub(crate) struct WebhookLog {
    /// Name of the webhook [default: all]
    pub(crate) name: Option<String>,
    /// So many of each webhook, the newest
    #[arg(short, value_name = "COUNT", default_value_t = 50)]
    pub(crate) number: usize,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
