//! What kennel itself uses, and the machine.

use kennel_sys::{proc, sample};
use kennel_wire::{MachineUsage, OwnUsage};

/// kennel's own processes as they are now.
pub(super) fn own(keeper: u32) -> OwnUsage {
    let daemon = std::process::id();
    let (ours, keepers) = (proc::stat(daemon), proc::stat(keeper));
    let tick_ms = 1000 / proc::ticks_per_second().max(1);
    let memory = |stat: &Option<proc::Stat>| stat.as_ref().map_or(0, |stat| stat.rss_bytes);
    let cpu_ms = |stat: &Option<proc::Stat>| stat.as_ref().map_or(0, |stat| stat.cpu_ticks * tick_ms);
    OwnUsage {
        daemon_memory_bytes: memory(&ours),
        keeper_memory_bytes: memory(&keepers),
        daemon_cpu_ms: cpu_ms(&ours),
        keeper_cpu_ms: cpu_ms(&keepers),
        daemon_open_files: sample::open_files(daemon).unwrap_or(0),
        keeper_open_files: sample::open_files(keeper).unwrap_or(0),
        daemon_threads: ours.map_or(0, |stat| stat.threads),
    }
}

/// The machine as it is now.
///
/// Source: `proc_loadavg(5)`, `proc_meminfo(5)`.
pub(super) fn machine() -> MachineUsage {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.map_or(0, |kib| kib * 1024)
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    MachineUsage {
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        memory_bytes: bytes("MemTotal"),
        available_bytes: bytes("MemAvailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_something_of_everything() {
        let machine = machine();
        assert!(machine.cpus > 0 && machine.memory_bytes > machine.available_bytes && machine.available_bytes > 0);
        let own = own(std::process::id());
        assert!(own.daemon_memory_bytes > 0 && own.daemon_threads > 0 && own.daemon_open_files > 0, "{own:?}");
    }
}
