//! Users and groups by name or number.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// Numeric credentials of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, complete, the primary one among them.
    pub groups: Vec<u32>,
}

/// Why a name cannot be turned into ids.
#[derive(Debug)]
pub enum LookupError {
    /// No such user; a number without an entry needs a group beside it.
    NoUser(String),
    /// No such group.
    NoGroup(String),
    /// The user database could not be read.
    Database(io::Error),
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoUser(name) => write!(f, "no user `{name}`"),
            Self::NoGroup(name) => write!(f, "no group `{name}`"),
            Self::Database(_) => f.write_str("cannot read the user database"),
        }
    }
}

impl std::error::Error for LookupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(source) => Some(source),
            Self::NoUser(_) | Self::NoGroup(_) => None,
        }
    }
}

/// Works out what a process of `user` (and `group`, else the user's own) runs as. Both may be names or numbers.
///
/// The highest number is nobody's: to the kernel it means "as before", which would be root.
///
/// Reads the user database, which may ask the network (LDAP and the like): not for an event loop. A number that
/// no user has is taken as it is, with the group given, or the same number, and no supplementary groups.
///
/// # Errors
/// A name that is not known, or a database that cannot be read.
pub fn lookup(user: &str, group: Option<&str>) -> Result<Ids, LookupError> {
    let entry = user_entry(user)?;
    let gid = group.map(group_id).transpose()?;
    match entry {
        Some(entry) => {
            let gid = gid.unwrap_or(entry.gid);
            let name = CString::new(entry.name.as_str()).map_err(|_| LookupError::NoUser(user.to_owned()))?;
            let groups = getgrouplist(&name, gid).map_err(|errno| LookupError::Database(errno.into()))?;
            let groups = groups.into_iter().map(Gid::as_raw).collect();
            Ok(Ids { uid: entry.uid.as_raw(), gid: gid.as_raw(), groups })
        }
        None => {
            let uid = number(user).ok_or_else(|| LookupError::NoUser(user.to_owned()))?;
            let gid = gid.map_or(uid, Gid::as_raw);
            Ok(Ids { uid, gid, groups: vec![gid] })
        }
    }
}

/// What the user database says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// The account of a user by name or number; `None` for a number without an entry, or a database that cannot be read.
#[must_use]
pub fn account(user: &str) -> Option<Account> {
    let User { name, dir, shell, .. } = user_entry(user).ok()??;
    Some(Account { name, home: dir, shell })
}

/// Login name of a user id; the number itself where there is none, or the database cannot be read.
#[must_use]
pub fn name(uid: u32) -> String {
    // Not by its text: a user may be called `1000`.
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn user_entry(user: &str) -> Result<Option<User>, LookupError> {
    // A name first: POSIX lets a user be called `1000`.
    let by_name = User::from_name(user).map_err(|errno| LookupError::Database(errno.into()))?;
    match (by_name, number(user)) {
        (Some(entry), _) => Ok(Some(entry)),
        (None, Some(uid)) => User::from_uid(Uid::from_raw(uid)).map_err(|errno| LookupError::Database(errno.into())),
        (None, None) => Ok(None),
    }
}

fn group_id(group: &str) -> Result<Gid, LookupError> {
    let by_name = Group::from_name(group).map_err(|errno| LookupError::Database(errno.into()))?;
    match (by_name, number(group)) {
        (Some(entry), _) => Ok(entry.gid),
        (None, Some(gid)) => Ok(Gid::from_raw(gid)),
        (None, None) => Err(LookupError::NoGroup(group.to_owned())),
    }
}

/// An id of a user or group. See [`lookup`] for the one that is none.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        let root = lookup("root", None).unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(lookup("0", None).unwrap(), root);
        assert_eq!(lookup("root", Some("12")).unwrap().gid, 12);
        assert_eq!(account("0").unwrap().name, "root");
        assert_eq!((name(0), name(60_211)), ("root".to_owned(), "60211".to_owned()));
    }

    #[test]
    fn a_number_without_an_entry_is_taken_as_it_is() {
        assert_eq!(lookup("60211", None).unwrap(), Ids { uid: 60211, gid: 60211, groups: vec![60211] });
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(matches!(lookup("no-such-user", None), Err(LookupError::NoUser(_))));
        assert!(matches!(lookup("root", Some("no-such-group")), Err(LookupError::NoGroup(_))));
        for none in ["4294967295", "4294967296", "-1", ""] {
            assert!(matches!(lookup(none, None), Err(LookupError::NoUser(_))), "{none}");
            assert!(matches!(lookup("root", Some(none)), Err(LookupError::NoGroup(_))), "{none}");
        }
    }
}
