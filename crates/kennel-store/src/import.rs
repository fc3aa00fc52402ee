//! Takes in `events.ndjson`, where kennel recorded its events before it had a store.

use std::io::{BufRead, BufReader};
use std::path::Path;

use kennel_wire::Event;

use crate::events::Row;

/// In the order in which they were written.
const FILES: [&str; 2] = ["events.1.ndjson", "events.ndjson"];

/// All events of the old files, oldest first. A line that is torn or not understood is left out, as it always was.
pub(crate) fn read(dir: &Path) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for name in FILES {
        let Ok(file) = std::fs::File::open(dir.join(name)) else { continue };
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
        let events = lines.filter_map(|line| serde_json::from_slice::<Event>(&line).ok());
        rows.extend(events.map(|event| Row::of(&event)));
    }
    rows
}

/// Renames the files, so that they are taken in once and are there still.
pub(crate) fn done(dir: &Path) {
    for name in FILES {
        let path = dir.join(name);
        if path.exists()
            && let Err(error) = std::fs::rename(&path, dir.join(format!("{name}.imported")))
        {
            tracing::warn!(%error, path = %path.display(), "cannot rename a file that was taken in");
        }
    }
}
