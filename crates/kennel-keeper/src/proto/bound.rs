//! What a scope may use, and who sees to that.

pub use kennel_sys::cgroup::bounds::Resource;

/// One bound of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What is bounded.
    pub resource: Resource,
    /// In its unit; none: no more than the system bounds it.
    pub value: Option<u64>,
}

/// What became of a bound that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What was asked for.
    pub bound: Bound,
    /// Who sees to it.
    pub by: HeldBy,
}

/// Who sees to a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBy {
    /// The kernel, by the scope's own group.
    Cgroup,
    /// The kernel, by a group of version 1 beside that.
    CgroupV1,
    /// The kernel cannot here.
    Nobody {
        /// Why.
        why: String,
    },
}
