//! What is recorded beside the events: desired and observed state, a row for each thing.

use indexmap::IndexMap;
use kennel_wire::Receipt;
use serde_json::Value;

/// One row that becomes another, or goes. A body is what the writer wants to have back: the store does not look into it,
/// but for the columns of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// What is loaded; `None`: nothing.
    Project(Option<Value>),
    /// The definition in use by new runs. Here and below, a body of `None` removes the row.
    Service {
        /// Name of the service.
        name: String,
        /// Its definition.
        body: Option<Value>,
    },
    /// Desired state and state of restarts of one place.
    Slot {
        /// Name in `ps`, for example `worker.2`.
        name: String,
        /// Its state.
        body: Option<Value>,
    },
    /// One living or intended run, as observed. Its `service`, `scope`, `boot_id`, `pid`, `start_ticks` and `inode`, at the
    /// top of the body or in its `identity`, are columns as well.
    Run {
        /// Its number.
        id: u64,
        /// What is known of it.
        body: Option<Value>,
    },
    /// Proof of an end. The newest of each service is kept, others for a time.
    Receipt {
        /// Name in `ps`.
        service: String,
        /// Number of the run.
        instance: u64,
        /// The proof.
        receipt: Box<Receipt>,
    },
    /// Whom something runs for.
    Owner {
        /// Its name.
        name: String,
        /// What is known of it.
        body: Option<Value>,
    },
    /// What keeps an owner's things alive.
    Lease {
        /// Its id.
        id: String,
        /// What is known of it.
        body: Option<Value>,
    },
    /// Where events are sent, and how far that is.
    Webhook {
        /// Its name.
        name: String,
        /// What is known of it.
        body: Option<Value>,
    },
    /// An event on its way to a webhook.
    Delivery {
        /// Which.
        id: String,
        /// How far it is.
        body: Option<Value>,
    },
    /// What is sent with the delivery of the same id. It is not read with everything else: see [`crate::History::payload`].
    Payload {
        /// Of the delivery.
        id: String,
        /// What is sent.
        body: Option<Value>,
    },
    /// Who did what to whom, and how it went. Never changes; kept for as long as events are.
    Audit {
        /// Who.
        actor: String,
        /// What, for example `clean`.
        action: String,
        /// To whom.
        subject: String,
        /// How it went.
        outcome: String,
    },
    /// A small fact.
    Meta {
        /// Its name, for example `last_shutdown`.
        key: String,
        /// Its value.
        body: Option<Value>,
    },
}

/// What a store remembers, as its last writer left it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// What was loaded.
    pub project: Option<Value>,
    /// Definitions by name, in the order in which they were first recorded.
    pub services: IndexMap<String, Value>,
    /// Places by name in `ps`, in that order.
    pub slots: IndexMap<String, Value>,
    /// Runs that were not recorded as ended, by number.
    pub runs: std::collections::BTreeMap<u64, Value>,
    /// The newest receipt of each service, by name in `ps`.
    pub receipts: IndexMap<String, Receipt>,
    /// Owners by name.
    pub owners: IndexMap<String, Value>,
    /// Leases by id.
    pub leases: IndexMap<String, Value>,
    /// Webhooks by name.
    pub webhooks: IndexMap<String, Value>,
    /// Deliveries by id, in the order in which they were first recorded; without what is sent.
    pub deliveries: IndexMap<String, Value>,
    /// Small facts by name.
    pub meta: IndexMap<String, Value>,
    /// Whether the last writer closed the store. One that was never written to counts as closed.
    pub clean: bool,
    /// Why some of this may be missing or older than it was: what was wrong with the store, and where it is now.
    pub damaged: Option<String>,
}

impl Restored {
    /// Takes in what was read, in the order in which it was read.
    pub(crate) fn take(&mut self, change: Change) {
        match change {
            Change::Project(body) => self.project = body,
            Change::Service { name, body } => put(&mut self.services, name, body),
            Change::Slot { name, body } => put(&mut self.slots, name, body),
            Change::Run { id, body: Some(body) } => {
                self.runs.insert(id, body);
            }
            Change::Run { id, body: None } => {
                self.runs.remove(&id);
            }
            Change::Receipt { service, receipt, .. } => {
                self.receipts.insert(service, *receipt);
            }
            Change::Owner { name, body } => put(&mut self.owners, name, body),
            Change::Lease { id, body } => put(&mut self.leases, id, body),
            Change::Meta { key, body } => put(&mut self.meta, key, body),
            Change::Webhook { name, body } => put(&mut self.webhooks, name, body),
            Change::Delivery { id, body } => put(&mut self.deliveries, id, body),
            Change::Payload { .. } | Change::Audit { .. } => {}
        }
    }
}

fn put(map: &mut IndexMap<String, Value>, key: String, body: Option<Value>) {
    match body {
        Some(body) => drop(map.insert(key, body)),
        None => drop(map.shift_remove(&key)),
    }
}
