//! Whose a process is, in words for people: nothing here decides what is signalled.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use kennel_sys::{cgroup, proc};

use crate::place::layout;

/// A process that some kennel instance of this machine started, or is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Name of the instance.
    pub instance: String,
    /// Whether it is the instance's own keeper, daemon or reaper, and no process of a service.
    pub is_kennel: bool,
}

/// The kennel instance that a process belongs to, as its cgroup tells, or the keeper above it. `None` for every other
/// process. Both can be imitated by whoever wants to, so this is for explanations only.
#[must_use]
pub fn whose(pid: u32) -> Option<Whose> {
    let of_group = cgroup::of_process(pid).and_then(|path| by_cgroup(&path));
    of_group.or_else(|| by_ancestry(pid))
}

/// Whether a process seems to be a keeper, a reaper or a daemon.
pub(crate) fn is_kennel(pid: u32) -> bool {
    let of_group = || cgroup::of_process(pid).and_then(|path| by_cgroup(&path));
    kennel_process(pid).is_some() || of_group().is_some_and(|whose| whose.is_kennel)
}

/// `…/kennel/<instance>/stack/…`, or what keepers before had instead, or `…/kennel/<instance>/self…`; the innermost where one
/// kennel runs in another.
fn by_cgroup(path: &Path) -> Option<Whose> {
    let parts: Vec<&OsStr> = path.iter().collect();
    let found = parts.windows(3).rev().find_map(|three| match three {
        [kennel, instance, below] if *kennel == "kennel" || kennel.as_encoded_bytes().starts_with(b"kennel~") => {
            let below = below.to_str()?;
            let is_kennel = below == "self" || below.starts_with("self~");
            (is_kennel || layout::is_of_scopes(below)).then(|| (instance.to_string_lossy().into_owned(), is_kennel))
        }
        _ => None,
    });
    found.map(|(instance, is_kennel)| {
        // Where the name was taken, a number stands behind it.
        let instance = instance.split('~').next().unwrap_or_default().to_owned();
        Whose { instance, is_kennel }
    })
}

fn by_ancestry(pid: u32) -> Option<Whose> {
    if let Some((instance, _)) = kennel_process(pid) {
        return Some(Whose { instance, is_kennel: true });
    }
    let above = proc::ancestors(pid).into_iter().find_map(|above| kennel_process(above.pid));
    // A daemon has no services below it.
    above.filter(|(_, verb)| verb == "__keeper").map(|(instance, _)| Whose { instance, is_kennel: false })
}

/// Name and verb of a keeper, reaper or daemon by its command line.
fn kennel_process(pid: u32) -> Option<(String, String)> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let verb = *words.get(1)?;
    if verb != b"__keeper" && verb != b"__daemon" {
        return None;
    }
    let at = words.iter().position(|word| *word == b"--name")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(words.get(at + 1)?), text(verb)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> Option<(String, bool)> {
        by_cgroup(Path::new(path)).map(|whose| (whose.instance, whose.is_kennel))
    }

    #[test]
    fn a_cgroup_names_its_kennel() {
        assert_eq!(told("/kennel/shop-1/svc/web.1"), Some(("shop-1".into(), false)));
        assert_eq!(told("/a.slice/b.scope/kennel~1/shop~1/svc/web.1/sub"), Some(("shop".into(), false)));
        assert_eq!(told("/kennel/shop-1/keep/web.1"), Some(("shop-1".into(), false)));
        assert_eq!(told("/kennel/shop-1/stack/own/a/svc/run.1"), Some(("shop-1".into(), false)));
        assert_eq!(told("/kennel/shop-1/self~2"), Some(("shop-1".into(), true)));
        assert_eq!(told("/kennel/out/svc/x.1/kennel/in/svc/y.1"), Some(("in".into(), false)));
        assert_eq!(told("/user.slice/kennel/notes"), None);
        assert_eq!(told("/"), None);
    }
}
