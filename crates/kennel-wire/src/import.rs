use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What `kennel state import --json` prints. No route answers it: it reads a file and the machine of the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// The file that was read, absolute.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// The configuration that was made of it, as text; empty if it has no servers.
    pub config: String,
    /// Where that was written; null if it was not.
    #[schema(value_type = Option<String>)]
    pub written: Option<PathBuf>,
    /// In the order of the file.
    pub servers: Vec<ImportedServer>,
}

/// One server of the file, and what became of its process. Nothing was done to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedServer {
    /// As in the file.
    pub id: String,
    /// As in the file.
    pub pid: Option<u32>,
    /// Who has that number now.
    pub process: RecordedProcess,
    /// How that is known, one line.
    pub why: String,
    /// Command line of who has it, cut at 200 characters; null if nobody has.
    pub command: Option<String>,
}

/// Who has a process id that somebody once recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedProcess {
    /// None was recorded.
    NotRecorded,
    /// The recorded one, and it is of this kennel instance.
    Ours,
    /// Another one: the number has been used again.
    Foreign,
    /// Nobody.
    Gone,
    /// The recorded one as far as can be told, and it is not of this kennel instance.
    NotOurs,
}
