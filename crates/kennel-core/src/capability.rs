//! The names of the kernel's capabilities, and sets of them as bit masks.
//!
//! Source: `capabilities(7)`, Linux 5.9 and later.

/// By number, without `CAP_`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// All that there are or will be.
pub const ALL: u64 = u64::MAX;

/// The set that holds this one capability; by name, in any case, with or without `CAP_`.
#[must_use]
pub fn bit(name: &str) -> Option<u64> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

/// The names of those in the set that have one, by number.
pub fn names(set: u64) -> impl Iterator<Item = &'static str> {
    NAMES.iter().enumerate().filter(move |(number, _)| set & (1 << number) != 0).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_agree() {
        assert_eq!(bit("cap_Net_Bind_Service"), Some(1 << 10));
        assert_eq!(bit("CHECKPOINT_RESTORE"), Some(1 << 40));
        for wrong in ["", "CAP_", "NET", "ALL"] {
            assert_eq!(bit(wrong), None, "{wrong}");
        }
        for (number, name) in NAMES.iter().enumerate() {
            assert_eq!(bit(name), Some(1 << number));
            assert_eq!(names(1 << number).collect::<Vec<_>>(), [*name]);
        }
        assert_eq!(names(ALL).count(), NAMES.len());
    }
}
