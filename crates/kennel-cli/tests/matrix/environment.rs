//! As whom kennel runs, and what holds its scopes.

use std::path::Path;

use kennel_testkit::{Scratch, User};

/// A column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Environment {
    /// Root, a cgroup for each scope.
    Cgroup,
    /// An ordinary user, in a group that was given to it.
    Delegated,
    /// An ordinary user, a reaper for each scope.
    Reaper,
    /// Root, a reaper for each scope.
    ReaperRoot,
    /// Root, a cgroup and a PID namespace for each scope.
    Pidns,
    /// An ordinary user, a PID namespace for each scope.
    PidnsUser,
}

impl Environment {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cgroup, Self::Delegated, Self::Reaper, Self::ReaperRoot, Self::Pidns, Self::PidnsUser];

    pub(crate) fn of_test(name: &str) -> Self {
        match name {
            "matrix_cgroup" => Self::Cgroup,
            "matrix_delegated" => Self::Delegated,
            "matrix_reaper" => Self::Reaper,
            "matrix_reaper_root" => Self::ReaperRoot,
            "matrix_pidns" => Self::Pidns,
            "matrix_pidns_user" => Self::PidnsUser,
            _ => panic!("`{name}` names no environment"),
        }
    }

    /// As the generated table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup root",
            Self::Delegated => "cgroup user",
            Self::Reaper => "reaper user",
            Self::ReaperRoot => "reaper root",
            Self::Pidns => "pidns root",
            Self::PidnsUser => "pidns user",
        }
    }

    /// `None`, with the reason printed, where it cannot be had.
    pub(crate) fn scratch(self) -> Option<Scratch> {
        let user = match self {
            Self::Cgroup | Self::ReaperRoot | Self::Pidns => User::Root,
            Self::Delegated => User::Delegated,
            Self::Reaper | Self::PidnsUser => User::Plain,
        };
        let mut scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
        if self == Self::ReaperRoot {
            scratch.env("KENNEL_CONTAINMENT", "reaper");
        }
        Some(scratch)
    }

    pub(crate) fn pid_namespace(self) -> bool {
        matches!(self, Self::Pidns | Self::PidnsUser)
    }

    /// Whether a scope is a cgroup.
    pub(crate) fn cgroups(self) -> bool {
        matches!(self, Self::Cgroup | Self::Delegated | Self::Pidns)
    }

    pub(crate) fn root(self) -> bool {
        matches!(self, Self::Cgroup | Self::ReaperRoot | Self::Pidns)
    }

    /// Whether a scope ends by itself when keeper and daemon are both gone. Elsewhere the next command ends it.
    pub(crate) fn ends_alone(self, escape: &str) -> bool {
        match self {
            Self::Cgroup | Self::Delegated => false,
            // Its reaper sees the keeper go, unless the scope has stopped it.
            Self::Reaper | Self::ReaperRoot => escape != "stops-reaper",
            Self::Pidns | Self::PidnsUser => true,
        }
    }
}
