//! Who has a process id that somebody once recorded. It is looked at, and never signalled.

use kennel_sys::identity::Identity;
use kennel_sys::{pidfd, proc};
use kennel_wire::RecordedProcess;

/// Longest command line that is told, characters.
const COMMAND: usize = 200;
/// A begin is recorded after it: by so much at most, milliseconds.
const AFTER: i64 = 10_000;
/// Or before, as far as the clocks of the record and of the kernel differ; the kernel's tells whole seconds for the boot.
const BEFORE: i64 = 2_000;

/// What a file says of a process.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Its number.
    pub pid: Option<u32>,
    /// Its command, as in a shell.
    pub command: &'a str,
    /// Its begin, milliseconds since 1970.
    pub start_time_ms: Option<i64>,
}

/// A process that is known to be of this instance: by a record, by its scope, or by what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Which.
    pub identity: Identity,
    /// How that is known, in words that follow "it is".
    pub why: String,
}

/// Who has that number now, how that is known, and the command line.
#[must_use]
pub fn whose(claim: &Claim<'_>, ours: &[Ours]) -> (RecordedProcess, String, Option<String>) {
    let Some(pid) = claim.pid else {
        return (RecordedProcess::NotRecorded, "no process was recorded".to_owned(), None);
    };
    let seen = look(pid);
    let (process, why) = judge(claim, seen.as_ref(), ours);
    (process, why, seen.map(|seen| seen.command))
}

/// What the machine tells of a living process.
#[derive(Debug, Clone)]
struct Seen {
    identity: Identity,
    /// Milliseconds since 1970, to about a second; none where the clock cannot be read.
    began_ms: Option<i64>,
    command: String,
}

/// Everything is read while there is a hold on the process, and once more whether it lives: so all of it is about one.
fn look(pid: u32) -> Option<Seen> {
    let fd = pidfd::open(pid).ok()?;
    let identity = Identity::read(pid, &fd).ok()?;
    let command = proc::command(pid, COMMAND)?;
    let ended = pidfd::has_exited(&fd).unwrap_or(true);
    (!ended).then(|| Seen { identity, began_ms: began_ms(&identity), command })
}

fn began_ms(identity: &Identity) -> Option<i64> {
    let since_boot = u128::from(identity.start_ticks) * 1000 / u128::from(proc::ticks_per_second().max(1));
    i64::try_from(u128::from(proc::boot_time()?) * 1000 + since_boot).ok()
}

fn judge(claim: &Claim<'_>, seen: Option<&Seen>, ours: &[Ours]) -> (RecordedProcess, String) {
    let Some(seen) = seen else {
        return (RecordedProcess::Gone, "no process has that number".to_owned());
    };
    let same_time = claim.start_time_ms.zip(seen.began_ms).map(|(recorded, began)| {
        let later = recorded.saturating_sub(began);
        (-BEFORE..=AFTER).contains(&later)
    });
    let same_command = is_like(claim.command, &seen.command);
    if same_time == Some(false) {
        let why = "the process with that number began at another time than the recorded one".to_owned();
        return (RecordedProcess::Foreign, why);
    }
    if same_time.is_none() && !same_command {
        let why = "the process with that number has another command, and no begin was recorded".to_owned();
        return (RecordedProcess::Foreign, why);
    }
    if let Some(ours) = ours.iter().find(|it| is_same(&it.identity, &seen.identity)) {
        return (RecordedProcess::Ours, format!("it is {}", ours.why));
    }
    let why = match (same_time, same_command) {
        (Some(_), true) => "begin and command are those that were recorded",
        (Some(_), false) => "it began when the recorded one did, with another command",
        (None, _) => "its command is like the recorded one; its begin was not recorded",
    };
    (RecordedProcess::NotOurs, format!("{why}, and nothing says that it is of this kennel"))
}

/// Everything that both know is equal.
fn is_same(one: &Identity, other: &Identity) -> bool {
    (one.pid, one.start_ticks) == (other.pid, other.start_ticks)
        && (one.inode == other.inode || one.inode == 0 || other.inode == 0)
}

/// Whether the program of a command is somewhere in a command line: an interpreter may stand before it.
fn is_like(command: &str, line: &str) -> bool {
    let words = shell_words::split(command).unwrap_or_default();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let Some(program) = words.first().map(|word| name(word)).filter(|program| !program.is_empty()) else {
        return false;
    };
    line.split_whitespace().any(|word| name(word) == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_767_323_045_000;

    fn seen(command: &str) -> Seen {
        let identity = Identity { pid: 7, start_ticks: 100, inode: 9 };
        Seen { identity, began_ms: Some(BEGAN), command: command.to_owned() }
    }

    fn ours(start_ticks: u64, inode: u64) -> Vec<Ours> {
        vec![Ours { identity: Identity { pid: 7, start_ticks, inode }, why: "`web`".to_owned() }]
    }

    fn verdict(command: &str, start_time_ms: Option<i64>, seen: Option<&Seen>, ours: &[Ours]) -> RecordedProcess {
        judge(&Claim { pid: Some(7), command, start_time_ms }, seen, ours).0
    }

    #[test]
    fn a_number_alone_makes_nobody_the_recorded_one() {
        let node = seen("node /usr/bin/npm run dev");
        let of = |command, at| verdict(command, at, Some(&node), &[]);
        assert_eq!(of("npm run dev", Some(BEGAN)), RecordedProcess::NotOurs);
        assert_eq!(of("npm run dev", Some(BEGAN + AFTER)), RecordedProcess::NotOurs);
        assert_eq!(of("npm run dev", Some(BEGAN - BEFORE)), RecordedProcess::NotOurs);
        assert_eq!(of("npm run dev", Some(BEGAN + AFTER + 1)), RecordedProcess::Foreign, "it is older than the record");
        assert_eq!(of("npm run dev", Some(BEGAN - BEFORE - 1)), RecordedProcess::Foreign, "it began after the record");
        assert_eq!(of("postgres", Some(BEGAN)), RecordedProcess::NotOurs, "a program may rename itself");
        assert_eq!(of("npm start", None), RecordedProcess::NotOurs);
        assert_eq!(of("postgres", None), RecordedProcess::Foreign);
        assert_eq!(of("", None), RecordedProcess::Foreign);
        assert_eq!(verdict("npm", None, None, &ours(100, 9)), RecordedProcess::Gone);
        assert_eq!(whose(&Claim { pid: None, command: "x", start_time_ms: None }, &[]).0, RecordedProcess::NotRecorded);
    }

    #[test]
    fn ours_are_told_by_everything_that_is_known_of_them() {
        let it = seen("npm");
        for (known, is_ours) in
            [(ours(100, 9), true), (ours(100, 0), true), (ours(100, 8), false), (ours(99, 9), false)]
        {
            let wanted = if is_ours { RecordedProcess::Ours } else { RecordedProcess::NotOurs };
            assert_eq!(verdict("npm", Some(BEGAN), Some(&it), &known), wanted, "{known:?}");
        }
        let reused = verdict("npm", Some(BEGAN - 60_000), Some(&it), &ours(100, 9));
        assert_eq!(reused, RecordedProcess::Foreign, "it is ours, and not the one that was recorded");
    }

    #[test]
    fn a_living_process_is_seen_and_a_number_that_nobody_has_is_not() {
        let own = std::process::id();
        let now = jiff::Timestamp::now().as_millisecond();
        let seen = look(own).unwrap();
        assert_eq!(seen.identity.pid, own);
        assert!(seen.began_ms.unwrap() <= now + BEFORE && seen.began_ms.unwrap() > now - 3_600_000, "{seen:?}");
        assert!(look(0x7fff_fff0).is_none());
    }
}
