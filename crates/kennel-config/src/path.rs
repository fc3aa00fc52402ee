//! Paths as they stand in the file.

use std::path::{Path, PathBuf};

use crate::diagnostic::Report;
use crate::tree::Node;

/// The absolute path that `text` means in a file that lies in `directory`. `.` disappears; `..` stays, because what
/// it means depends on symbolic links.
pub(crate) fn resolve(report: &Report<'_>, node: &Node, directory: &Path, text: &str) -> Option<PathBuf> {
    if text == "~" || text.starts_with("~/") {
        let message = "`~` has no meaning here, only in a shell";
        report.error_help(node.span, "bad_value", message, "write `${HOME}`");
        return None;
    }
    Some(directory.join(text).components().collect())
}
