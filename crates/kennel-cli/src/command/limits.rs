//! `--limit` and `--owner-limit`: the configuration's words, as requests have them.

use kennel_client::CallError;
use kennel_core::limit::{LimitAction, Limits};
use kennel_wire::{self as wire, Code, Problem};

use crate::failure::Failure;

/// What is given; `together`: for everything of an owner. None if nothing is.
pub(super) fn given(words: &[String], together: bool) -> Result<Option<wire::Limits>, Failure> {
    let refused = |text: String| Failure::Call(CallError::Problem(Problem::new(Code::BadRequest, text)));
    let limits = kennel_config::limits_from_words(words, together).map_err(refused)?;
    Ok((!words.is_empty()).then(|| on_wire(&limits)))
}

fn on_wire(limits: &Limits) -> wire::Limits {
    wire::Limits {
        memory: limits.memory,
        memory_high: limits.memory_high,
        swap: limits.swap,
        pids: limits.pids,
        cpus: limits.cpus,
        cpu_weight: limits.cpu_weight,
        io_weight: limits.io_weight,
        io_read: limits.io_read,
        io_write: limits.io_write,
        open_files: limits.open_files,
        log_rate: limits.log_rate,
        action: Some(match limits.action {
            LimitAction::Warn => wire::LimitAction::Warn,
            LimitAction::Freeze => wire::LimitAction::Freeze,
            LimitAction::Restart => wire::LimitAction::Restart,
            LimitAction::Stop => wire::LimitAction::Stop,
            LimitAction::Kill => wire::LimitAction::Kill,
        }),
    }
}
