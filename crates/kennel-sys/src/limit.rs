//! Resource limits by name.

use rustix::process::Resource;

/// Names, in lower case without `RLIMIT_`, and numbers. Source: `getrlimit(2)`.
const RESOURCES: [(&str, u32); 16] = [
    ("as", Resource::As as u32),
    ("core", Resource::Core as u32),
    ("cpu", Resource::Cpu as u32),
    ("data", Resource::Data as u32),
    ("fsize", Resource::Fsize as u32),
    ("locks", Resource::Locks as u32),
    ("memlock", Resource::Memlock as u32),
    ("msgqueue", Resource::Msgqueue as u32),
    ("nice", Resource::Nice as u32),
    ("nofile", Resource::Nofile as u32),
    ("nproc", Resource::Nproc as u32),
    ("rss", Resource::Rss as u32),
    ("rtprio", Resource::Rtprio as u32),
    ("rttime", Resource::Rttime as u32),
    ("sigpending", Resource::Sigpending as u32),
    ("stack", Resource::Stack as u32),
];

/// The kernel's number of a limit.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    RESOURCES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of a limit.
#[must_use]
pub fn name(number: u32) -> Option<&'static str> {
    RESOURCES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}
