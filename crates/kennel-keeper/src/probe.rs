//! What a keeper would get here, found out by doing what it does, with nothing left behind.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;

use kennel_sys::features::{self, Feature};
use kennel_sys::spawn::Spawner;

use crate::CONTAINMENT;
use crate::place::{Place, Refused, born_in};
use crate::proto::{Backend, Reason};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The containment that a keeper started like this process would use.
    pub backend: Backend,
    /// What the kernel can do, tried out.
    pub features: Vec<Feature>,
}

/// Tries everything out. Takes some tens of milliseconds, in which this process is in a cgroup of its own if that is
/// possible; for a process with a single thread. `name` is that of the instance it is for.
#[must_use]
pub fn probe(name: &str) -> Probe {
    let mut features = features::everywhere();
    let (place, mut in_group) = try_place();
    features.append(&mut in_group);
    let forced = std::env::var_os(CONTAINMENT).is_some_and(|wanted| wanted == "reaper");
    let backend = match place {
        Ok(_) if forced => Backend::Reaper { reason: Reason::Forced, because: format!("{CONTAINMENT} says so") },
        // That of the trial is gone again; the keeper's has its own name.
        Ok(root) => Backend::Cgroup { root: root.with_file_name(name) },
        Err(Refused { reason, because }) => Backend::Reaper { reason, because },
    };
    Probe { backend, features }
}

fn try_place() -> (Result<std::path::PathBuf, Refused>, Vec<Feature>) {
    let unknown = |because: &str| {
        let feature = |name: &&'static str| Feature::unknown(name, because);
        features::IN_GROUP.iter().map(feature).collect()
    };
    let name = OsString::from(format!("doctor-{}", std::process::id()));
    let found = (|| {
        let null: OwnedFd = File::open("/dev/null").map_err(Refused::other("/dev/null"))?.into();
        let mut spawner = Spawner::new().map_err(Refused::other("cannot prepare to spawn"))?;
        let place = Place::find(&name, &mut spawner, &null)?;
        Ok((place, spawner, null))
    })();
    match found {
        Ok((place, mut spawner, null)) => {
            let make = |name: &str| place.leaf(name, |_| false).ok();
            let features = features::in_group(make, |group| born_in(group, &mut spawner, &null).is_ok());
            place.remove();
            (Ok(place.root().to_owned()), features)
        }
        Err(refused) => {
            let features = unknown("no cgroup to try it in");
            (Err(refused), features)
        }
    }
}
