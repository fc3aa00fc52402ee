//! What a shutdown could not do.

use kennel_wire::{CleanupOutcome, ShutdownReport};

use super::units;

/// One line for each cleanup that did not succeed.
pub(crate) fn failures(report: &ShutdownReport) -> Vec<String> {
    let failed = report.cleanups.iter().filter_map(|cleanup| {
        let name = &cleanup.name;
        Some(match &cleanup.outcome {
            CleanupOutcome::Ok => return None,
            CleanupOutcome::Failed { error } => format!("cleanup `{name}` failed: {error}"),
            CleanupOutcome::Panicked { error } => format!("cleanup `{name}` panicked: {error}"),
            CleanupOutcome::TimedOut => {
                format!("cleanup `{name}` was given up after {}", units::duration(cleanup.duration_ms))
            }
            CleanupOutcome::Skipped => format!("cleanup `{name}` was skipped"),
        })
    });
    failed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn only_what_failed_is_told() {
        let text = failures(&samples::shutdown_report()).join("\n");
        insta::assert_snapshot!(text, @r"
        cleanup `logs` was given up after 1.0 s
        cleanup `keeper` failed: broken pipe
        ");
    }
}
