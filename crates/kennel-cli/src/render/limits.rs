//! What a service may use, in words.

use kennel_wire::{LimitHit, LimitStatus, OutOfMemory};

use super::units;

/// A value of a limit with its unit, by the limit's name.
pub(crate) fn amount(name: &str, value: u64) -> String {
    match name {
        "memory" | "memory_high" | "swap" => units::bytes(value),
        "io_read" | "io_write" | "log_rate" => format!("{}/s", units::bytes(value)),
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        "cpus" => format!("{} CPUs", value as f64 / 1000.0),
        _ => value.to_string(),
    }
}

/// `memory 64.0 MiB (cgroup)`, with what there is to say about it.
pub(crate) fn one(limit: &LimitStatus) -> String {
    let amount = amount(&limit.name, limit.value);
    let note = limit.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    let of = limit.of.as_ref().map_or_else(String::new, |of| format!(" of {of}"));
    format!("{} {amount}{of} ({}){note}", limit.name, limit.enforced_by.as_str())
}

/// `memory 64.0 MiB (cgroup)`, where it is clear whose it is.
pub(crate) fn of_owner(limit: &LimitStatus) -> String {
    format!("{} {} ({})", limit.name, amount(&limit.name, limit.value), limit.enforced_by.as_str())
}

/// `ended: beyond its limit of pids`
pub(crate) fn beyond(hit: &LimitHit) -> String {
    match &hit.of {
        None => format!("ended: beyond its limit of {}", hit.limit),
        Some(of) => format!("ended: beyond the limit of {} of {of}", hit.limit),
    }
}

/// `1 process killed, out of memory (limit 64.0 MiB, peak 64.0 MiB)`
pub(crate) fn out_of_memory(what: &OutOfMemory) -> String {
    let kills = units::processes(usize::try_from(what.kills).unwrap_or(usize::MAX));
    let of = what.of.as_ref().map_or_else(String::new, |of| format!(" of {of}"));
    let limit = what.limit.map(|bytes| format!("limit {}{of}", units::bytes(bytes)));
    let peak = what.peak.map(|bytes| format!("peak {}", units::bytes(bytes)));
    let parts: Vec<String> = [limit, peak].into_iter().flatten().collect();
    let with = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("{kills} killed, out of memory{with}")
}
