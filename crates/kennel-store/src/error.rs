use std::io;
use std::path::PathBuf;

/// Why the store cannot be opened. A damaged file is no such reason: it is set aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The user has gone back to an older kennel.
    #[error(
        "{} has version {found} and this kennel knows versions up to {known}: use the newer kennel again, or move the \
         file away",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Somebody else put it there, or kennel ran as another user before.
    #[error("{} belongs to user {owner}, and kennel runs as user {us}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Its log cannot be relied on there.
    #[error(
        "{} is on a file system of a network ({kind}), where a database is not safe: set XDG_STATE_HOME to a local directory",
        path.display()
    )]
    Network {
        /// The state directory.
        path: PathBuf,
        /// Kind of the file system.
        kind: String,
    },
    /// The file system says no: read-only, full, no right.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite says no for a reason that is not the content of the file: read-only, full, no right.
    #[error("cannot use {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}
