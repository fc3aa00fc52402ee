//! From the command line to a running keeper: options, lock, standard descriptors.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kennel_sys::process::{self, Nofile, Side};
use kennel_sys::signal;

use crate::delegate::Asker;

/// What the keeper was told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) name: OsString,
    pub(crate) state_dir: PathBuf,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) ready_fd: i32,
    /// Where the lock is open already: this is the copy of a keeper in a scope of its own, or the heir of one.
    pub(crate) lock_fd: Option<i32>,
    /// With that: it was the daemon of a keeper that was lost, see [`crate::heir`].
    pub(crate) is_heir: bool,
    /// With that: the keeper before both ended without an end of its own.
    pub(crate) after_loss: bool,
}

impl Options {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut name, mut state_dir, mut runtime_dir, mut ready_fd) = (None, None, None, None);
        let (mut lock_fd, mut after_loss, mut is_heir) = (None, false, false);
        let number = |value: &OsStr, first: i32| {
            value.to_str().and_then(|text| text.parse().ok()).filter(|number| (first..64).contains(number))
        };
        let mut args = args.into_iter();
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| format!("{} needs a value", option.display()))?;
            match option.to_str() {
                Some("--name") => name = Some(value),
                Some("--state-dir") => state_dir = Some(PathBuf::from(value)),
                Some("--runtime-dir") => runtime_dir = Some(PathBuf::from(value)),
                Some("--ready-fd") => {
                    ready_fd = Some(number(&value, 1).ok_or("--ready-fd needs a number from 1 to 63")?);
                }
                Some("--lock-fd") => {
                    lock_fd = Some(number(&value, 3).ok_or("--lock-fd needs a number from 3 to 63")?);
                }
                Some("--heir-lock-fd") => {
                    lock_fd = Some(number(&value, 3).ok_or("--heir-lock-fd needs a number from 3 to 63")?);
                    (after_loss, is_heir) = (true, true);
                }
                Some("--after-loss") => after_loss = value == "yes",
                _ => return Err(format!("the keeper does not know {}", option.display())),
            }
        }
        Ok(Self {
            name: name.filter(|name| is_plain(name)).ok_or("the keeper needs a --name without slashes")?,
            state_dir: state_dir.ok_or("the keeper needs a --state-dir")?,
            runtime_dir: runtime_dir.ok_or("the keeper needs a --runtime-dir")?,
            ready_fd: ready_fd.ok_or("the keeper needs a --ready-fd")?,
            lock_fd,
            is_heir,
            after_loss,
        })
    }
}

/// The descriptor to report to. Standard output or errors serve as well, for a caller that cannot place others; they
/// are given up for it.
pub(crate) fn ready_fd(number: i32) -> io::Result<OwnedFd> {
    match number {
        1 => rustix::stdio::stdout().try_clone_to_owned(),
        2 => rustix::stdio::stderr().try_clone_to_owned(),
        number => process::inherited(number),
    }
}

/// Fit for the name of a directory, which is what becomes of it.
pub(crate) fn is_plain(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    !bytes.is_empty() && bytes.len() <= 200 && bytes.iter().all(known) && name != "." && name != ".."
}

/// What a process needs to be a keeper.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Held for as long as the keeper or its daemon lives.
    pub(crate) lock: File,
    /// Whether the keeper before this one ended without an end of its own.
    pub(crate) follows_a_loss: bool,
    pub(crate) null: OwnedFd,
    /// Limit of open descriptors before it was raised.
    pub(crate) nofile: Option<Nofile>,
    /// Own process, for children that end when it does.
    pub(crate) own_pidfd: OwnedFd,
    /// In the copy of a keeper: the one that waits for it.
    pub(crate) asker: Option<Asker>,
}

/// Result of [`Setup::begin`].
#[derive(Debug)]
pub(crate) enum Start {
    Go(Box<Setup>),
    /// Another keeper or its daemon has the lock.
    Busy,
    /// This process goes no further: a copy of it does.
    Elsewhere,
}

impl Setup {
    /// Leaves the caller's session, terminal, directory and descriptors behind, and takes the lock.
    pub(crate) fn begin(options: &Options, ready: &OwnedFd) -> Result<Start, String> {
        let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        if process::new_session().is_err() && !process::leads_session() {
            // The leader of a group cannot leave it, a copy can.
            match process::fork().map_err(say("cannot leave the session"))? {
                Side::Parent(_) => return Ok(Start::Elsewhere),
                Side::Child => process::new_session().map_err(say("cannot leave the session"))?,
            }
        }
        let inherited = options.lock_fd.map(process::inherited).transpose().map_err(say("the lock"))?;
        let asked = inherited.as_ref().filter(|_| !options.is_heir);
        let asker = asked.map(|_| Asker::of_stdio()).transpose().map_err(say("cannot answer"))?;
        let asked = asker.iter().flat_map(Asker::descriptors);
        let keep: Vec<_> = [ready.as_fd()].into_iter().chain(inherited.iter().map(AsFd::as_fd)).chain(asked).collect();
        process::close_all_but(&keep).map_err(say("cannot close what was inherited"))?;
        signal::set_default(rustix::process::Signal::CHILD.as_raw()).map_err(say("cannot set up signals"))?;
        process::become_subreaper().map_err(say("cannot become the parent of orphans"))?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(say("/dev/null"))?;
        let log = options.state_dir.join("kennel.log");
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log)
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let held = match inherited {
            Some(fd) => Some((File::from(fd), options.after_loss)),
            None => lock(options)?,
        };
        let Some((mut lock, follows_a_loss)) = held else { return Ok(Start::Busy) };
        sign(&mut lock, options).map_err(say("cannot write to the lock"))?;
        process::set_stdio(&null, &null, &log).map_err(say("cannot set up stdio"))?;
        rustix::process::chdir("/").map_err(|errno| format!("/: {errno}"))?;
        let own_pidfd = kennel_sys::pidfd::open(std::process::id()).map_err(say("cannot open the own process"))?;
        // Not essential: with fewer descriptors fewer scopes fit.
        let nofile = process::raise_nofile().ok();
        Ok(Start::Go(Box::new(Self { lock, follows_a_loss, null: null.into(), nofile, own_pidfd, asker })))
    }
}

/// `None` if somebody has it; else also whether it tells of a keeper that was lost.
fn lock(options: &Options) -> Result<Option<(File, bool)>, String> {
    let path = options.state_dir.join("lock");
    let say = |error: io::Error| format!("{}: {error}", path.display());
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(say)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(say(error)),
    }
    let follows_a_loss = file.metadata().map_err(say)?.len() > 0;
    Ok(Some((file, follows_a_loss)))
}

/// Writes into the lock who holds it.
fn sign(lock: &mut File, options: &Options) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    let runtime_dir = json_string(&options.runtime_dir.to_string_lossy());
    writeln!(lock, "{{\"keeper_pid\":{},\"runtime_dir\":{runtime_dir}}}", std::process::id())
}

/// A JSON string, quotes included. Source: RFC 8259 §7.
fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Puts one line into the log, which is our stderr. What cannot be logged is lost, for there is nobody to tell.
macro_rules! note {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let line = format!("keeper[{}]: {}\n", std::process::id(), format_args!($($part)*));
        let _lost = std::io::stderr().write_all(line.as_bytes());
    }};
}
pub(crate) use note;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn options_are_all_needed() {
        let options = parse("--name web --state-dir /s --runtime-dir /r --ready-fd 3").unwrap();
        assert_eq!((options.ready_fd, options.name.to_str()), (3, Some("web")));
        let copy =
            parse("--name web --state-dir /s --runtime-dir /r --ready-fd 3 --lock-fd 4 --after-loss yes").unwrap();
        assert_eq!((copy.lock_fd, copy.after_loss), (Some(4), true));
        for line in [
            "--name web --state-dir /s --runtime-dir /r",
            "--name a/b --state-dir /s --runtime-dir /r --ready-fd 3",
            "--name .. --state-dir /s --runtime-dir /r --ready-fd 3",
            "--name web --state-dir /s --runtime-dir /r --ready-fd 0",
            "--name web --state-dir /s --runtime-dir /r --ready-fd 3 --other x",
            "--name",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_path_becomes_valid_json() {
        assert_eq!(json_string("/a \"b\\\n"), r#""/a \"b\\\u000a""#);
    }
}
