//! What kennel remembers across its own end: events and state of one instance, in SQLite.
//!
//! Files in the state directory: `store.db` with its `-wal` and `-shm`, and `store.seq`, which says how far the
//! numbers have been handed out and is read when `store.db` lost some of its end. There is one writer, the daemon that holds the
//! instance's lock; readers have connections of their own, beside it ([`History`]) or without it ([`Records`]).
//!
//! **What there is.** A stream of events, numbered without gaps, which never change; and state, a row for each thing
//! ([`Change`]), which is replaced. A flush commits both in one transaction, so that a state and the event that tells of it
//! are there together or not at all.
//!
//! **What a commit promises.** WAL with `synchronous=NORMAL`: what was committed is in the page cache of the kernel and
//! survives the end of any process. A power cut takes what was not written back, some seconds at most, and never
//! the consistency of the file. Who must not lose even that waits for [`Store::when_durable`], which is `synchronous=FULL` for
//! a whole group of commits at once.
//!
//! **What damage costs.** Every row and page is checked at each start. A damaged file is set aside, never changed, and its
//! events and rows are taken over as far as they can be read; `store.recovered` and [`Restored::damaged`] tell of it. Rows
//! may then be missing, or older than they were; none is other than it was once written.
//!
//! **What a full disk costs.** Nothing waits for it. State is held by key, the newest 4096 events, receipts and entries of the
//! audit each; what is beyond is counted and told.
//!
//! **What is kept.** The newest 100,000 events and entries of the audit, 2000 receipts beside the newest of each service, for 30
//! days, 16 MiB; the newest 4096 events and the state itself whatever their size.
//!
//! **What it costs** (`tests/measure.rs`, release build, ext4, two cores with a load of 5 to 8): a commit of one event takes 12 µs at p50,
//! of one event and one run 18 µs; 0.2-1.3 ms at p99, which is the load, and 15 ms at p99.9, which is when the log begins anew and is
//! synced (1-2 ms on a machine at rest). On the disk it is 2 ms later at p50, 8 ms where 10,000 a second ask for it, of which
//! one sync then serves some 80. A million small events in batches of 100 take 4-6 s and leave 6.8 MB. To open and check that takes
//! 11-26 ms; a store with 1000 services, after a kill, 0.1 s. Memory: 0.3 MB when opened, 3 MB with the 4096 events that are
//! held for readers; 0.35 MB more while 10,000 events a second are written and read by somebody who takes 2000.

mod store;

mod change;
mod stream;
mod waiting;

mod begin;
mod filesystem;
mod import;
mod numbers;
mod open;
mod pages;
mod salvage;

mod events;
mod records;
mod retention;
mod schema;
mod sum;

mod sync;
mod upkeep;

mod error;
mod history;
mod reader;
mod usage;

pub use change::{Change, Restored};
pub use error::StoreError;
pub use history::{History, PAGE, Records};
pub use store::Store;
pub use stream::Recent;
pub use usage::{COARSE_KEPT, FINE_KEPT, UsageLog};
