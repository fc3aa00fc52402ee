//! What holds scopes together here, and where their members are.

use std::path::PathBuf;

/// The containment in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// One cgroup v2 leaf a scope, below this directory.
    Cgroup {
        /// `…/kennel/<instance>`.
        root: PathBuf,
    },
    /// One subreaper process a scope.
    Reaper {
        /// Why there is no usable cgroup, as a kind.
        reason: Reason,
        /// The same in words, with what the system said.
        because: String,
    },
}

/// Why no cgroup can be used here. What can be done about each is in `docs/containment.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No cgroup v2 hierarchy is mounted.
    NoCgroup2,
    /// One is mounted, but the group that this process is in is not visible there.
    NotVisible,
    /// It is mounted read-only, as in most containers.
    ReadOnly,
    /// This user may not make groups below the own one, or not move processes there: a session that was not
    /// delegated.
    NotDelegated,
    /// Not even root may.
    NotWritable,
    /// The own group takes no groups or no processes: it has controllers or too many groups, or is of the kind for
    /// threads.
    NotUsable,
    /// The kernel cannot start a process in a group, or not kill a whole one: Linux before 5.14.
    OldKernel,
    /// The kernel kills what is born in any group that this process can make.
    KilledAtBirth,
    /// The reaper back end was asked for.
    Forced,
    /// Anything else.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoCgroup2,
        Self::NotVisible,
        Self::ReadOnly,
        Self::NotDelegated,
        Self::NotWritable,
        Self::NotUsable,
        Self::OldKernel,
        Self::KilledAtBirth,
        Self::Forced,
        Self::Other,
    ];

    /// As the API names it: lower-case words with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCgroup2 => "no_cgroup2",
            Self::NotVisible => "not_visible",
            Self::ReadOnly => "read_only",
            Self::NotDelegated => "not_delegated",
            Self::NotWritable => "not_writable",
            Self::NotUsable => "not_usable",
            Self::OldKernel => "old_kernel",
            Self::KilledAtBirth => "killed_at_birth",
            Self::Forced => "forced",
            Self::Other => "other",
        }
    }
}

/// Where the members of a scope can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Directory of the leaf, to be read recursively.
    Cgroup(PathBuf),
    /// All descendants of this process.
    Reaper(u32),
}
