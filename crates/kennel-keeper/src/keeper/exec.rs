//! The keeper replaces its own program, with all that it holds; children stay its children.
//!
//! The new program is asked first, in a process of its own, whether it can take over a table of this format and speak to
//! this daemon. If it cannot be executed then, all goes on as it was. If it cannot read the table in spite of what it said, it
//! executes the old program again, with the same table. Only a program that crashes in between is the loss of a keeper.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use kennel_sys::{pidfd, process, wait};

use super::losses::described;
use super::{HandOver, Keeper};
use crate::daemon::{environment, path_of};
use crate::proto::{Event, VERSION};
use crate::saved::{self, FORMAT, READS, Table};
use crate::start::{Options, note};

/// Arguments of a program that is asked whether it can take over, before the format and the version of the daemon.
pub(crate) const CHECK: &str = "--check-resume";
/// Argument before the number of the descriptor of the table.
pub(crate) const RESUME: &str = "--resume-fd";
/// What a program says that can.
const YES: &[u8] = b"kennel resumes\n";
/// How long it may take to say so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a replacement stands.
#[derive(Debug)]
pub(super) enum Exec {
    None,
    /// The new program was asked.
    Checking {
        program: OwnedFd,
        pid: u32,
        pidfd: OwnedFd,
        said: OwnedFd,
        until: Instant,
    },
    /// It can take over, as soon as nothing else is under way.
    Ready {
        program: OwnedFd,
    },
}

impl Exec {
    pub(super) fn due(&self) -> Option<Instant> {
        if let Self::Checking { until, .. } = self { Some(*until) } else { None }
    }

    /// The process that is asked, which is in no scope.
    pub(super) fn pid(&self) -> Option<u32> {
        if let Self::Checking { pid, .. } = self { Some(*pid) } else { None }
    }
}

impl Keeper {
    /// Begins to replace the program.
    pub(super) fn exec(&mut self, program: OwnedFd) {
        kennel_sys::crash_point!("exec.asked");
        let refused = match (&self.exec, &self.handover) {
            (Exec::Checking { .. } | Exec::Ready { .. }, _) => Some("it is being replaced already".to_owned()),
            (Exec::None, HandOver::Starting { .. } | HandOver::Ready { .. } | HandOver::Settling { .. }) => {
                Some("a hand-over between daemons is under way".to_owned())
            }
            (Exec::None, HandOver::None | HandOver::Leaving { .. }) => {
                self.ask(program).err().map(|error| format!("the program cannot be started: {error}"))
            }
        };
        if let Some(why) = refused {
            self.tell_executed(Some(why));
        }
    }

    /// Starts the new program only to say whether it can take over.
    fn ask(&mut self, program: OwnedFd) -> io::Result<()> {
        let (said, out) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&said, true)?;
        let spoken = self.daemon.as_ref().map_or(VERSION, |daemon| daemon.version);
        let words =
            [path_of(&program), "__keeper".to_owned(), CHECK.to_owned(), FORMAT.to_string(), spoken.to_string()];
        let argv = words.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let (null, errors) = (self.setup.null.as_fd(), rustix::stdio::stderr());
        let env = environment()?;
        let fds = [null, out.as_fd(), errors];
        let exec =
            kennel_sys::spawn::Exec { nofile: self.setup.nofile, ..kennel_sys::spawn::Exec::new(&argv, &env, &fds) };
        let child = self.spawner.spawn(&exec).map_err(|failure| io::Error::from_raw_os_error(failure.errno))?;
        let until = Instant::now() + PATIENCE;
        self.exec = Exec::Checking { program, pid: child.pid, pidfd: child.pidfd, said, until };
        self.tell_contain();
        Ok(())
    }

    /// The process that was asked was reaped.
    pub(super) fn checked(&mut self, exit: Option<wait::Exit>) {
        let Exec::Checking { program, said, .. } = std::mem::replace(&mut self.exec, Exec::None) else { return };
        let mut answer = [0; 64];
        let length = rustix::io::read(&said, &mut answer).unwrap_or(0);
        if exit == Some(wait::Exit::Code(0)) && answer.get(..length) == Some(YES) {
            kennel_sys::crash_point!("exec.checked");
            self.exec = Exec::Ready { program };
        } else {
            let how = described(exit);
            self.tell_executed(Some(format!("it does not know how to take over from this keeper ({how})")));
        }
    }

    /// It takes too long.
    pub(super) fn hasten_exec(&mut self, now: Instant) {
        if let Exec::Checking { pidfd, until, .. } = &mut self.exec
            && *until <= now
        {
            // Its end says the rest.
            let _gone = pidfd::send_signal(&*pidfd, rustix::process::Signal::KILL.as_raw());
            *until = now + PATIENCE;
        }
    }

    /// Replaces the program if that is due; then it does not return.
    pub(super) fn replace_if_due(&mut self) {
        let Exec::Ready { program } = &self.exec else { return };
        // An old daemon that is just leaving is waited for: so there is one channel to take along.
        if self.leaving.is_some() || self.handover.other().is_some() {
            return;
        }
        let error = self.replace(program);
        note!("the keeper goes on as it was: {error}");
        self.exec = Exec::None;
        self.tell_executed(Some(format!("the program cannot be executed: {error}")));
    }

    /// Answers only if it failed, and then with nothing changed.
    fn replace(&self, program: &OwnedFd) -> io::Error {
        let writer = self.save();
        let replaced = || -> io::Result<io::Error> {
            let own = File::open("/proc/self/exe")?.into();
            let table = saved::write(&own, &writer)?;
            let (argv, env) = (arguments(&self.options, &table)?, environment()?);
            let keep: Vec<_> = writer.fds.iter().copied().chain([own.as_fd(), table.as_fd()]).collect();
            note!("replacing the keeper's program");
            Ok(process::replace(program.as_fd(), &argv, &env, &keep))
        };
        replaced().unwrap_or_else(|error| error)
    }

    /// Says which program the keeper is now, to a daemon that has asked for another one.
    pub(crate) fn tell_executed(&mut self, refused: Option<String>) {
        if let Some(why) = &refused {
            note!("the keeper's program is not replaced: {why}");
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.tell(&Event::Executed { version: VERSION, refused });
            daemon.flush(&self.tools);
        }
    }
}

/// Of a keeper that goes on with this table. The name is for whoever looks at command lines.
fn arguments(options: &Options, table: &File) -> io::Result<Vec<CString>> {
    use std::os::fd::AsRawFd;
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("kennel"));
    let number = OsString::from(table.as_raw_fd().to_string());
    let words = [program, "__keeper".into(), "--name".into(), options.name.clone(), RESUME.into(), number];
    words.into_iter().map(|word| Ok(CString::new(word.as_bytes())?)).collect()
}

/// Goes on with the table that another program left, or lets that program go on with it. `reads`: the formats that this
/// program reads.
///
/// # Errors
/// If neither can be; the keeper is lost then, as if it had been killed.
pub(crate) fn resume(number: i32, reads: &RangeInclusive<u16>) -> io::Result<Keeper> {
    kennel_sys::crash_point!("exec.replaced");
    let table = Table::read(number)?;
    let spared = table.open();
    process::close_all_but(&spared)?;
    let loaded = match table.format {
        format if reads.contains(&format) => table.descriptors().and_then(|fds| Keeper::load(&table.body, fds)),
        format => Err(io::Error::other(format!(
            "its format is {format}, and this program reads {} to {}",
            reads.start(),
            reads.end()
        ))),
    };
    match loaded {
        Ok(mut keeper) => {
            let back = "it could not read what this keeper left to it, and has given it back".to_owned();
            keeper.tell_executed(table.given_back.then_some(back));
            kennel_sys::crash_point!("exec.resumed");
            Ok(keeper)
        }
        Err(error) => {
            note!("the keeper that was here cannot be taken over, giving it back: {error}");
            let argv: Vec<CString> =
                std::env::args_os().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
            Err(table.give_back(&argv, &environment()?))
        }
    }
}

/// Whether this program can take over: what follows [`CHECK`].
pub(crate) fn can_resume(format: &str, daemon: &str) -> Option<&'static [u8]> {
    let speaks = daemon.parse().is_ok_and(|daemon: u16| VERSION <= daemon);
    (format.parse().is_ok_and(|format| READS.contains(&format)) && speaks).then_some(YES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_read_and_spoken_is_taken_over() {
        let (format, daemon) = (FORMAT.to_string(), VERSION.to_string());
        assert!(can_resume(&format, &daemon).is_some());
        assert!(can_resume(&format, "7").is_some());
        assert!(can_resume(&format, "5").is_none());
        assert!(can_resume("1", &daemon).is_some());
        assert!(can_resume("4", &daemon).is_none());
        assert!(can_resume("x", "").is_none());
    }
}
