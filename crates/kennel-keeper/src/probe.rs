//! What a keeper would get here, found out by doing what it does, with nothing left behind.

mod limits;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;

use kennel_sys::features::{self, Answer, Feature};
use kennel_sys::spawn::Spawner;

use crate::place::{Place, Refused, born_in};
use crate::proto::{Applied, Backend, Reason};
use crate::{CONTAINMENT, delegate};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The containment that a keeper started like this process would use.
    pub backend: Backend,
    /// What the kernel can do, tried out.
    pub features: Vec<Feature>,
    /// Who would hold a bound of each resource; empty where no group could be tried.
    pub bounds: Vec<Applied>,
}

/// Begins each line that the copy in a scope prints: systemd and the loader may print theirs.
const MARK: &str = "kennel-probe ";

/// Tries everything out. Takes some tens of milliseconds, in which this process is in a cgroup of its own if that is
/// possible; for a process with a single thread. `name` is that of the instance it is for.
///
/// From a login session, with `ask`, a copy of this program does it in the scope that a keeper would get from the
/// user's systemd: `__probe NAME`.
#[must_use]
pub fn probe(name: &OsStr, ask: bool) -> Probe {
    let mut features = features::everywhere();
    let Trial { mut place, features: mut in_group, mut bounds } = try_place();
    if let Err(refused) = &mut place
        && ask
        && refused.reason == Reason::NotDelegated
        && let Some(said) = delegate::output(name, &["__probe".into(), name.to_owned()])
    {
        match read(&said) {
            Ok((root, answers, told)) => {
                (place, bounds) = (Ok(root), told);
                in_group.iter_mut().zip(answers).for_each(|(feature, answer)| feature.answer = answer);
            }
            Err(why) => refused.because = format!("{}; systemd-run --user --scope: {why}", refused.because),
        }
    }
    features.append(&mut in_group);
    // As the keeper would see it.
    let forced = std::env::var_os(CONTAINMENT).is_some_and(|wanted| wanted == "reaper");
    let backend = match place {
        Ok(_) if forced => Backend::Reaper { reason: Reason::Forced, because: format!("{CONTAINMENT} says so") },
        // That of the trial is gone again; the keeper's has its own name.
        Ok(root) => Backend::Cgroup { root: root.with_file_name(name) },
        Err(Refused { reason, because }) => Backend::Reaper { reason, because },
    };
    Probe { backend, features, bounds }
}

/// What the copy in a scope does: `args` is what follows `__probe`.
#[must_use]
pub fn probe_main(_args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Trial { place, features, bounds } = try_place();
    let mut line = MARK.as_bytes().to_vec();
    match place {
        Ok(root) => {
            line.extend(features.iter().map(|feature| letter(feature.answer)));
            line.extend(limits::letters(&bounds).into_bytes());
            line.extend([b" ", root.as_os_str().as_bytes()].concat());
        }
        Err(refused) => line.extend(format!("- {}", refused.because).into_bytes()),
    }
    line.push(b'\n');
    // Whoever asked may have gone.
    let _unheard = std::io::stdout().write_all(&line);
    ExitCode::SUCCESS
}

/// The directory of the trial, an answer for each of [`features::IN_GROUP`], and what becomes of bounds; or why not.
fn read(said: &str) -> Result<(PathBuf, Vec<Answer>, Vec<Applied>), String> {
    let line = said.lines().find_map(|line| line.strip_prefix(MARK));
    let other = || said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer").to_owned();
    let (letters, rest) = line.and_then(|line| line.split_once(' ')).ok_or_else(other)?;
    if letters == "-" {
        return Err(rest.to_owned());
    }
    let answer = |letter: u8| match letter {
        b'y' => Answer::Yes,
        b'n' => Answer::No,
        _ => Answer::Unknown,
    };
    let (features, bounds) = letters.split_at_checked(features::IN_GROUP.len()).ok_or_else(other)?;
    Ok((OsString::from_vec(rest.into()).into(), features.bytes().map(answer).collect(), limits::read(bounds)))
}

fn letter(answer: Answer) -> u8 {
    match answer {
        Answer::Yes => b'y',
        Answer::No => b'n',
        Answer::Unknown => b'?',
    }
}

/// What a place gave, or why there is none.
struct Trial {
    place: Result<PathBuf, Refused>,
    features: Vec<Feature>,
    bounds: Vec<Applied>,
}

fn try_place() -> Trial {
    let name = OsString::from(format!("doctor-{}", std::process::id()));
    let found = (|| {
        let null: OwnedFd = File::open("/dev/null").map_err(Refused::other("/dev/null"))?.into();
        let mut spawner = Spawner::new().map_err(Refused::other("cannot prepare to spawn"))?;
        let place = Place::find(&name, false, &mut spawner, &null)?;
        Ok((place, spawner, null))
    })();
    match found {
        Ok((place, mut spawner, null)) => {
            let make = |name: &str| place.leaf(name, &[], false, |_| false).ok();
            let features = features::in_group(make, |group| born_in(group, &mut spawner, &null).is_ok());
            let bounds = limits::try_out(&place);
            place.remove();
            Trial { place: Ok(place.root().to_owned()), features, bounds }
        }
        Err(refused) => {
            let unknown = |name: &&'static str| Feature::unknown(name, "no cgroup to try it in");
            let features = features::IN_GROUP.iter().map(unknown).collect();
            Trial { place: Err(refused), features, bounds: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copy_prints_is_understood() {
        let told = read("Running as unit: x\nkennel-probe yyn?y22-1 /sys/fs/cgroup/a b/kennel/doctor-7\n").unwrap();
        let answers = [Answer::Yes, Answer::Yes, Answer::No, Answer::Unknown, Answer::Yes];
        assert_eq!(told, ("/sys/fs/cgroup/a b/kennel/doctor-7".into(), answers.to_vec(), limits::read("22-1")));
        assert_eq!(read("kennel-probe - cannot use /x: read-only\n"), Err("cannot use /x: read-only".into()));
        assert_eq!(read("\nFailed to connect to bus\n"), Err("Failed to connect to bus".into()));
        assert_eq!(read(""), Err("no answer".into()));
    }
}
