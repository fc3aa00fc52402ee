//! Why there is no usable cgroup: what the system said, and which kind of reason that is.

use std::fmt::Display;
use std::io;
use std::path::Path;

use kennel_sys::spawn::{Failure, Stage};
use rustix::io::Errno;

use crate::codec::{Malformed, Reader, Writer, read_backend, write_backend};
use crate::proto::{Backend, Reason};

/// A place that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// One line, with the cgroup that it is about.
    pub(crate) because: String,
}

impl Refused {
    pub(crate) fn save(&self, writer: &mut Writer<'_>) {
        let Self { reason, because } = self.clone();
        write_backend(writer, &Backend::Reaper { reason, because });
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match read_backend(reader)? {
            Backend::Reaper { reason, because } => Ok(Self { reason, because }),
            Backend::Cgroup { .. } => Err(Malformed::Unknown("reason", 0)),
        }
    }

    pub(crate) fn new(reason: Reason, because: impl Into<String>) -> Self {
        Self { reason, because: because.into() }
    }

    /// A failure that says nothing about cgroups.
    pub(crate) fn other<E: Display>(what: &str) -> impl Fn(E) -> Self {
        move |error| Self::new(Reason::Other, format!("{what}: {error}"))
    }

    /// The system refused to make a group, or to move this process into one.
    pub(crate) fn by_system(group: &Path, error: &io::Error, root: bool) -> Self {
        Self::new(reason(error, root), format!("cannot use {}: {error}", group.display()))
    }

    /// Nothing lives that is started in a group.
    pub(crate) fn by_birth(group: &Path, failure: &Failure, root: bool) -> Self {
        let error = io::Error::from_raw_os_error(failure.errno);
        let group = group.display();
        match (failure.stage, Errno::from_io_error(&error)) {
            (Stage::Born, _) => Self::new(Reason::KilledAtBirth, format!("this kernel kills what is born in {group}")),
            (Stage::Clone, Some(Errno::NOSYS | Errno::TOOBIG | Errno::INVAL)) => {
                Self::new(Reason::OldKernel, format!("this kernel cannot start anything in a group: {error}"))
            }
            _ => Self::new(reason(&error, root), format!("nothing can be born in {group}: {error}")),
        }
    }

    /// The one that says most: that a place was nearly good says more than that another is not there.
    pub(crate) fn or(self, other: Self) -> Self {
        if rank(other.reason) > rank(self.reason) { other } else { self }
    }
}

fn reason(error: &io::Error, root: bool) -> Reason {
    match Errno::from_io_error(error) {
        Some(Errno::ROFS) => Reason::ReadOnly,
        Some(Errno::ACCESS | Errno::PERM) if root => Reason::NotWritable,
        Some(Errno::ACCESS | Errno::PERM) => Reason::NotDelegated,
        // Controllers or threads in the way; the limits on groups and on their depth.
        Some(Errno::BUSY | Errno::OPNOTSUPP | Errno::AGAIN) => Reason::NotUsable,
        _ => Reason::Other,
    }
}

fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::NoCgroup2 | Reason::Forced => 0,
        Reason::NotVisible => 1,
        Reason::Other => 2,
        Reason::ReadOnly => 3,
        Reason::NotWritable | Reason::NotDelegated => 4,
        Reason::NotUsable => 5,
        Reason::OldKernel => 6,
        Reason::KilledAtBirth => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno, root: bool) -> Reason {
        Refused::by_system(Path::new("/g"), &errno.into(), root).reason
    }

    #[test]
    fn what_the_system_says_has_a_kind() {
        assert_eq!(of(Errno::ROFS, true), Reason::ReadOnly);
        assert_eq!(of(Errno::ACCESS, true), Reason::NotWritable);
        assert_eq!(of(Errno::ACCESS, false), Reason::NotDelegated);
        assert_eq!(of(Errno::PERM, false), Reason::NotDelegated);
        assert_eq!(of(Errno::BUSY, false), Reason::NotUsable);
        assert_eq!(of(Errno::IO, false), Reason::Other);
    }

    #[test]
    fn a_birth_that_fails_has_a_kind() {
        let of = |stage, errno: Errno| {
            let failure = Failure { stage, errno: errno.raw_os_error() };
            Refused::by_birth(Path::new("/g"), &failure, false).reason
        };
        assert_eq!(of(Stage::Born, Errno::INTR), Reason::KilledAtBirth);
        assert_eq!(of(Stage::Clone, Errno::NOSYS), Reason::OldKernel);
        assert_eq!(of(Stage::Clone, Errno::ACCESS), Reason::NotDelegated);
        assert_eq!(of(Stage::Clone, Errno::BUSY), Reason::NotUsable);
    }

    #[test]
    fn the_reason_that_says_most_is_kept() {
        let far = Refused::new(Reason::NoCgroup2, "none");
        let near = Refused::new(Reason::NotDelegated, "no right");
        assert_eq!(far.clone().or(near.clone()), near);
        assert_eq!(near.clone().or(far), near);
    }
}
