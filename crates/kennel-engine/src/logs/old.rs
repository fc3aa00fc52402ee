//! Logs of kennels that wrote lines of text, one file for each service.

use std::fs;
use std::path::Path;

/// Moves such files (`web.log`, `web.log.1`) out of the way, into `logs.old` beside the directory: they are text, and read by everything.
/// Once: afterwards there are none.
pub(super) fn set_aside(logs: &Path) {
    let old = logs.with_extension("old");
    for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let moved = fs::create_dir_all(&old).and_then(|()| fs::rename(entry.path(), old.join(entry.file_name())));
        if let Err(error) = moved {
            tracing::warn!(%error, file = %entry.path().display(), "cannot move a log of an older kennel");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn files_of_lines_are_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir_all(logs.join("web")).unwrap();
        fs::write(logs.join("web.log.1"), "2026-11-21T00:00:00Z stdout F x\n").unwrap();
        set_aside(&logs);
        assert!(logs.join("web").exists() && !logs.join("web.log.1").exists());
        assert!(dir.path().join("logs.old/web.log.1").exists());
    }
}
