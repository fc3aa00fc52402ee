//! Ends orphans, proves it, and clears away what they and their kennel left.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::time::Duration;

use kennel_keeper::orphans::{Claim, Ending, Found, Orphan, Outcome, Record, Root, clear, end, roots};
use kennel_sys::cgroup::survivors;
use kennel_sys::home::Home;
use kennel_sys::tag::Tag;
use kennel_wire::{InstanceOrphans, InstanceState};

use crate::search::{Error, Search};
use crate::{Tracking, instance, words};

/// How long whoever only looks at the lock may take.
const LOOKERS: Duration = Duration::from_secs(2);
/// Longest time for the kill.
const KILL: Duration = Duration::from_secs(10);
/// Most survivors that are described.
const DESCRIBED: usize = 100;

/// What is to be done with orphans.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who is to be ended.
    pub whom: Whom,
    /// Time between `SIGTERM` and the kill; without any there is no `SIGTERM`.
    pub grace: Duration,
    /// A keeper is started next, which looks for itself: it is still to know that the one before it was lost.
    pub for_a_start: bool,
}

/// Which orphans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// All of them.
    All,
    /// Those that no daemon would adopt.
    NotKept,
    /// These process ids.
    These(BTreeSet<u32>),
}

impl Whom {
    fn is(&self, orphan: &Orphan) -> bool {
        match self {
            Self::All => true,
            Self::NotKept => !orphan.kept,
            Self::These(pids) => pids.contains(&orphan.process.identity.pid),
        }
    }

    /// Of those that nobody could look at.
    fn tags(&self, mut fleeting: HashSet<Tag>) -> HashSet<Tag> {
        match self {
            Self::All => {}
            Self::NotKept => fleeting.retain(|tag| !tag.is_kept()),
            Self::These(_) => fleeting.clear(),
        }
        fleeting
    }
}

/// Ends orphans of an instance that nobody runs, and removes its stale sockets and empty cgroups. No keeper of it can
/// begin meanwhile. Where nothing at all is left, the lock says so.
///
/// # Errors
/// [`Error::Held`], [`Error::Inside`], [`Error::NoOrphan`], [`Error::Look`].
pub fn stop(home: &Home, wish: &Wish) -> Result<InstanceOrphans, Error> {
    let failed = |source| Error::Look { instance: home.name.clone(), source };
    let state = instance::state(home).map_err(failed)?;
    let claim = match Claim::take(&home.lock_file(), LOOKERS) {
        Ok(Some(claim)) => claim,
        Ok(None) => return Err(Error::Held { instance: home.name.clone() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(InstanceOrphans::new(&home.name, state)),
        Err(error) => return Err(failed(error)),
    };
    let state = if state == InstanceState::Silent { InstanceState::Lost } else { state };
    let mut search = Search::alone(home);
    let mut told = InstanceOrphans::new(&home.name, state);
    let is_empty = run(&mut search, wish, &mut told)?;
    told.removed = instance::remove_sockets(home);
    let own: Vec<Root> = roots().into_iter().filter(|root| root.instance == home.name).collect();
    told.removed.extend(clear(&own));
    if is_empty && !wish.for_a_start {
        claim.clear().map_err(failed)?;
    }
    Ok(told)
}

/// Ends orphans beside the daemon of their instance, which says anew at each look what it tracks.
///
/// # Errors
/// [`Error::NoOrphan`], [`Error::Look`].
pub fn stop_beside(
    home: &Home,
    mut tracks: impl FnMut() -> Option<Tracking>,
    wish: &Wish,
) -> Result<InstanceOrphans, Error> {
    let mut told = InstanceOrphans::new(&home.name, InstanceState::Running);
    run(&mut Search::beside(home, &mut tracks), wish, &mut told)?;
    Ok(told)
}

/// Answers whether the last look has found nobody at all.
fn run(search: &mut Search<'_>, wish: &Wish, told: &mut InstanceOrphans) -> Result<bool, Error> {
    let (Found { orphans: found, fleeting }, records) = search.look_from_outside()?;
    if let Whom::These(pids) = &wish.whom {
        let is_found = |pid: &&u32| found.iter().any(|orphan| orphan.process.identity.pid == **pid);
        if let Some(pid) = pids.iter().find(|pid| !is_found(pid)) {
            return Err(Error::NoOrphan { instance: search.home.name.clone(), pid: *pid });
        }
    }
    told.orphans = found.iter().map(|orphan| words::orphan(orphan, search.home, &records)).collect();
    let (wanted, others): (Vec<Orphan>, Vec<Orphan>) = found.into_iter().partition(|orphan| wish.whom.is(orphan));
    let fleeting = wish.whom.tags(fleeting);
    if wanted.is_empty() && fleeting.is_empty() {
        return Ok(others.is_empty());
    }
    // An error of ours goes through theirs, which is the system's.
    let mut failed = None;
    let mut is_empty = false;
    let look = || match search.look_from_outside() {
        Ok((Found { mut orphans, fleeting }, _)) => {
            is_empty = orphans.is_empty() && fleeting.is_empty();
            orphans.retain(|orphan| wish.whom.is(orphan));
            Ok(Found { orphans, fleeting: wish.whom.tags(fleeting) })
        }
        Err(error) => {
            let kind = io::ErrorKind::Other;
            failed = Some(error);
            Err(kind.into())
        }
    };
    match end(
        Found { orphans: wanted, fleeting },
        look,
        Ending { grace: wish.grace, limit: KILL, whole_scopes: !matches!(wish.whom, Whom::These(_)) },
    ) {
        Ok(outcome) => report(outcome, &records, told),
        Err(source) => {
            return Err(failed.unwrap_or_else(|| Error::Look { instance: search.home.name.clone(), source }));
        }
    }
    Ok(is_empty)
}

fn report(outcome: Outcome, records: &[Record], told: &mut InstanceOrphans) {
    let Outcome { ended, left, refused, unseen } = outcome;
    let is_main = |one: &kennel_keeper::orphans::Ended| records.iter().any(|it| it.process.pid == one.process.pid);
    told.ended = ended.iter().map(|one| words::ended(one, is_main(one))).collect();
    // Anybody can take on the tag; what carries nothing else and is another user's is told, and does not count.
    let counts = |orphan: &&Orphan| orphan.is_certain || orphan.evidence.stamp.is_none();
    let left: Vec<u32> =
        left.iter().chain(refused.iter().filter(counts)).map(|orphan| orphan.process.identity.pid).collect();
    // Who could not be looked at cannot be told either, and is not nobody.
    let count = left.len().max(usize::from(unseen > 0));
    told.left = u32::try_from(count).unwrap_or(u32::MAX);
    told.survivors = survivors(&left, DESCRIBED).into_iter().map(words::survivor).collect();
    let refused: Vec<Orphan> = refused.into_iter().filter(|orphan| counts(&orphan)).collect();
    if !refused.is_empty() {
        told.note = Some(words::refused(&refused));
    } else if left.is_empty() && unseen > 0 {
        told.note = Some("somebody starts another and ends before it can be looked at; ask again".to_owned());
    }
}
