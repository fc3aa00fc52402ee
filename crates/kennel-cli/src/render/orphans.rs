//! What runs untracked, and what became of it.

use std::fmt::Write;
use std::path::PathBuf;

use anstyle::Style;
use jiff::Timestamp;
use kennel_wire::{AdoptReport, Fate, InstanceOrphans, InstanceState, KnownBy, Orphan, OrphanReport, Sure};

use super::paint::{BOLD, DIM, GREEN, Paint, RED, YELLOW};
use super::table::{Cell, Column, cut, layout};
use super::{receipt, units};

/// Longest command that is listed, characters.
const COMMAND: usize = 60;

const COLUMNS: [Column; 9] = [
    Column { title: "INSTANCE", right: false, spare: 5 },
    Column { title: "PID", right: true, spare: 0 },
    Column { title: "SERVICE", right: false, spare: 1 },
    Column { title: "USER", right: false, spare: 4 },
    Column { title: "AGE", right: false, spare: 3 },
    Column { title: "KNOWN BY", right: false, spare: 2 },
    Column { title: "SURE", right: false, spare: 0 },
    Column { title: "NEXT START", right: false, spare: 0 },
    Column { title: "COMMAND", right: false, spare: 0 },
];

/// Everything that there is to say; nothing where nothing was found and nothing done.
pub(crate) fn block(report: &OrphanReport, width: Option<usize>, verbose: bool, paint: Paint) -> String {
    let mut text = String::new();
    let (done, open): (Vec<_>, Vec<_>) = report.instances.iter().partition(|one| was_changed(one));
    let found: Vec<&Orphan> = open.iter().flat_map(|one| &one.orphans).collect();
    if !found.is_empty() {
        text.push_str(&table(&found, report.instances.len() > 1, Timestamp::now(), width, paint));
        for one in found.iter().filter(|_| verbose) {
            let _infallible = writeln!(text, "{:>9}   {}", one.pid, paint.paint(DIM, &one.why));
        }
        text.push_str(&advice(&found));
    }
    done.iter().for_each(|one| text.push_str(&changed(one, verbose, paint)));
    for one in open.iter().filter(|one| one.note.is_some()) {
        text.push_str(&note(one, paint));
    }
    text
}

/// Said before a start, of what had to be ended for it.
pub(crate) fn remark(one: &InstanceOrphans, paint: Paint) -> String {
    let named: Vec<String> = one.ended.iter().take(3).map(|it| process(it.pid, it.command.as_deref())).collect();
    let more = one.ended.len().saturating_sub(named.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let mut text = String::new();
    if !one.ended.is_empty() {
        let count = units::processes(one.ended.len());
        text.push_str(&format!("left by a lost kennel and ended: {count}: {}{more}\n", named.join(", ")));
    }
    text.push_str(&receipt::survivors(&one.survivors, paint));
    if let Some(why) = &one.note {
        text.push_str(&format!("{why}\n"));
    }
    text
}

fn was_changed(one: &InstanceOrphans) -> bool {
    let nothing = one.ended.is_empty() && one.adopted.is_empty() && one.removed.is_empty() && one.forgotten.is_empty();
    !nothing || one.down.is_some() || one.left > 0
}

fn table(found: &[&Orphan], several: bool, now: Timestamp, width: Option<usize>, paint: Paint) -> String {
    let row = |one: &&Orphan| {
        let known: Vec<&str> = one.known_by.iter().map(|by| word(*by)).collect();
        let age = one.since.map(|since| units::duration(age_ms(since, now))).unwrap_or_default();
        vec![
            Cell::new(if several { one.instance.as_str() } else { "" }),
            Cell::new(one.pid.to_string()),
            Cell::new(one.service.clone().unwrap_or_default()),
            Cell::new(&one.user),
            Cell::new(age),
            Cell::new(known.join(" ")),
            match one.sure {
                Sure::Certain => Cell::styled("certain", GREEN),
                Sure::Likely => Cell::styled("likely", YELLOW),
            },
            Cell::styled(fate(one.on_start), fate_style(one.on_start)),
            Cell::styled(&one.command, DIM),
        ]
    };
    let rows: Vec<Vec<Cell>> = found.iter().map(row).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn age_ms(since: Timestamp, now: Timestamp) -> u64 {
    // A start is known to about a second, so it can be a moment from now.
    u64::try_from(now.as_millisecond().saturating_sub(since.as_millisecond())).unwrap_or(0)
}

fn advice(found: &[&Orphan]) -> String {
    let mut text = String::new();
    let count = |is: &dyn Fn(&Orphan) -> bool| found.iter().filter(|one| is(one)).count();
    let (kept, refused) = (count(&|one| one.on_start == Fate::Adopted), count(&|one| one.on_stop == Fate::Refused));
    let ended = found.len() - refused;
    let _infallible = writeln!(text, "`kennel sweep --stop` ends {ended} of them");
    if kept > 0 {
        let _infallible = writeln!(text, "`kennel sweep --adopt` takes {kept} of them over");
    }
    if refused > 0 {
        let _infallible = writeln!(text, "{refused} of them run as another user, whom this one has no right to signal");
    }
    text
}

/// What is held again.
pub(crate) fn held(report: &AdoptReport, verbose: bool, paint: Paint) -> String {
    let name = paint.paint(BOLD, &report.name);
    let count = units::processes(report.processes.len());
    let mut text = format!("{} {name}  adopted, pid {}, {count}\n", paint.paint(GREEN, "✓"), report.pid);
    let notes = [
        (report.ad_hoc.is_some(), "it runs on its own: no service of the configuration has its name"),
        (!report.kept, "it ends with the daemon, as a service without `on_daemon_loss: keep` does"),
        (!report.output, "what it writes is not recorded: its output goes elsewhere, or nowhere any more"),
    ];
    for (_, note) in notes.iter().filter(|(is_so, _)| *is_so) {
        let _infallible = writeln!(text, "{}", paint.paint(DIM, &format!("  {note}")));
    }
    for pid in report.processes.iter().filter(|_| verbose) {
        let _infallible = writeln!(text, "{}", paint.paint(DIM, &format!("{pid:>9}")));
    }
    text
}

/// What was done with one instance.
fn changed(one: &InstanceOrphans, verbose: bool, paint: Paint) -> String {
    let (mark, style) = if one.left == 0 && one.note.is_none() { ("✓", GREEN) } else { ("✗", RED) };
    let name = paint.paint(BOLD, &one.instance);
    let mut text = format!("{} {name}  {}\n", paint.paint(style, mark), summary(one));
    if verbose {
        text.push_str(&details(one, paint));
    }
    match waiting(one) {
        0 => {}
        count => {
            let words = "to be adopted: `kennel sweep --adopt` does, `kennel clean --all` ends them";
            let _infallible = writeln!(text, "{} {words}", units::processes(count));
        }
    }
    if !one.forgotten.is_empty() {
        let _infallible = writeln!(text, "forgotten: {}", one.forgotten.join(", "));
    }
    text.push_str(&receipt::survivors(&one.survivors, paint));
    if one.note.is_some() {
        text.push_str(&note(one, paint));
    }
    text
}

/// `was lost, 3 processes ended, 2 stale sockets removed, left 0`
fn summary(one: &InstanceOrphans) -> String {
    let is_socket = |path: &&PathBuf| path.extension().is_some_and(|it| it == "sock");
    let sockets = one.removed.iter().filter(is_socket).count();
    let counted = [
        (one.down.as_ref().map_or(0, |down| down.receipts.len()), "service", "services", "down"),
        (one.ended.len(), "process", "processes", "ended"),
        (one.adopted.len(), "process", "processes", "adopted"),
        (sockets, "stale socket", "stale sockets", "removed"),
        (one.removed.len() - sockets, "empty cgroup", "empty cgroups", "removed"),
    ];
    let state = match one.state {
        InstanceState::Silent => Some("did not answer".to_owned()),
        InstanceState::Lost => Some("was lost".to_owned()),
        InstanceState::Idle | InstanceState::Running => None,
    };
    let done = counted.into_iter().filter(|(count, ..)| *count > 0);
    let done = done.map(|(count, one, many, word)| format!("{count} {} {word}", if count == 1 { one } else { many }));
    let parts: Vec<String> = state.into_iter().chain(done).chain([format!("left {}", one.left)]).collect();
    parts.join(", ")
}

/// Every process and file of it, one a line.
fn details(one: &InstanceOrphans, paint: Paint) -> String {
    let receipts = one.down.as_ref().map(|down| receipt::summary(&down.receipts, true, paint));
    let mut text = receipts.unwrap_or_default();
    let ended = one.ended.iter().map(|it| {
        let exit = it.exit.map_or_else(String::new, |exit| exit.to_string());
        let command = cut(it.command.as_deref().unwrap_or_default(), COMMAND);
        format!("{:>9}   {exit} at {}  {command}", it.pid, it.stage.as_deref().unwrap_or_default())
    });
    let removed = one.removed.iter().map(|path| format!("{:>9}   {}", "removed", path.display()));
    for line in ended.chain(removed) {
        text.push_str(&paint.paint(DIM, &line));
        text.push('\n');
    }
    text
}

/// How many a new daemon would take over.
fn waiting(one: &InstanceOrphans) -> usize {
    let is_done = |pid: u32| one.ended.iter().any(|done| done.pid == pid) || one.adopted.contains(&pid);
    one.orphans.iter().filter(|it| it.on_start == Fate::Adopted && !is_done(it.pid)).count()
}

fn note(one: &InstanceOrphans, paint: Paint) -> String {
    let why = one.note.as_deref().unwrap_or_default();
    format!("{} {}  {why}\n", paint.paint(RED, "✗"), paint.paint(BOLD, &one.instance))
}

/// `812 (node server.js)`
fn process(pid: u32, command: Option<&str>) -> String {
    format!("{pid} ({})", cut(command.unwrap_or("no command"), COMMAND))
}

fn word(by: KnownBy) -> &'static str {
    match by {
        KnownBy::Scope => "scope",
        KnownBy::Record => "record",
        KnownBy::Stamp => "stamp",
        KnownBy::Descent => "descent",
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Ended => "ends it",
        Fate::Adopted => "adopts it",
        Fate::Refused => "cannot end it",
    }
}

fn fate_style(fate: Fate) -> Style {
    match fate {
        Fate::Ended => Style::new(),
        Fate::Adopted => GREEN,
        Fate::Refused => RED,
    }
}

#[cfg(test)]
mod tests {
    use kennel_wire::{AdHoc, Lifetime};

    use super::*;
    use crate::render::samples;

    fn found() -> InstanceOrphans {
        let orphans = vec![samples::orphan(100, KnownBy::Scope), samples::orphan(4242, KnownBy::Stamp)];
        InstanceOrphans { orphans, ..InstanceOrphans::new("shop-1234abcd", InstanceState::Lost) }
    }

    fn shown(one: InstanceOrphans, verbose: bool) -> String {
        block(&OrphanReport::of(vec![one]), None, verbose, Paint::PLAIN)
    }

    #[test]
    fn a_table_of_those_found() {
        let all = found().orphans;
        let now = samples::time() + jiff::SignedDuration::from_mins(5);
        let all: Vec<&Orphan> = all.iter().collect();
        insta::assert_snapshot!(table(&all, true, now, None, Paint::PLAIN), @r"
        INSTANCE        PID  SERVICE  USER    AGE    KNOWN BY  SURE     NEXT START     COMMAND
        shop-1234abcd   100  web      deploy  5 min  scope     certain  adopts it      node server.js
        shop-1234abcd  4242           root    5 min  stamp     likely   cannot end it  sleep 600
        ");
        insta::assert_snapshot!(table(&all, false, now, Some(70), Paint::PLAIN), @r"
         PID  SERVICE  AGE    KNOWN BY  SURE     NEXT START     COMMAND
         100  web      5 min  scope     certain  adopts it      node server.js
        4242           5 min  stamp     likely   cannot end it  sleep 600
        ");
        insta::assert_snapshot!(advice(&all), @r"
        `kennel sweep --stop` ends 1 of them
        `kennel sweep --adopt` takes 1 of them over
        1 of them run as another user, whom this one has no right to signal
        ");
    }

    #[test]
    fn what_is_held_again() {
        let report = samples::adopted();
        insta::assert_snapshot!(held(&report, false, Paint::PLAIN), @"✓ web  adopted, pid 812, 2 processes");
        let on_its_own = AdHoc { owner: None, lifetime: Lifetime::Daemon, created_at: samples::time() };
        let odd = AdoptReport { kept: false, output: false, ad_hoc: Some(on_its_own), ..report };
        insta::assert_snapshot!(held(&odd, true, Paint::PLAIN), @"
        ✓ web  adopted, pid 812, 2 processes
          it runs on its own: no service of the configuration has its name
          it ends with the daemon, as a service without `on_daemon_loss: keep` does
          what it writes is not recorded: its output goes elsewhere, or nowhere any more
              812
              815
        ");
    }

    #[test]
    fn nothing_found_is_nothing_said() {
        assert_eq!(shown(InstanceOrphans::new("shop", InstanceState::Running), true), "");
    }

    #[test]
    fn what_became_of_them() {
        let ended = InstanceOrphans {
            ended: vec![samples::ended(100)],
            removed: vec!["/r/api.sock".into(), "/c/kennel/shop".into()],
            ..found()
        };
        insta::assert_snapshot!(shown(ended.clone(), true), @r"
        ✓ shop-1234abcd  was lost, 1 process ended, 1 stale socket removed, 1 empty cgroup removed, left 0
              100   SIGKILL at KILL  node server.js
          removed   /r/api.sock
          removed   /c/kennel/shop
        ");
        insta::assert_snapshot!(remark(&ended, Paint::PLAIN), @"left by a lost kennel and ended: 1 process: 100 (node server.js)");
        let waiting = InstanceOrphans { removed: vec!["/r/api.sock".into()], ..found() };
        insta::assert_snapshot!(shown(waiting, false), @r"
        ✓ shop-1234abcd  was lost, 1 stale socket removed, left 0
        1 process to be adopted: `kennel sweep --adopt` does, `kennel clean --all` ends them
        ");
        let adopted = InstanceOrphans { adopted: vec![100], ..found() };
        insta::assert_snapshot!(shown(adopted, false), @"✓ shop-1234abcd  was lost, 1 process adopted, left 0");
        let stuck = samples::stuck("web");
        let left = InstanceOrphans { left: 1, survivors: stuck.survivors, ..found() };
        insta::assert_snapshot!(shown(left, false), @r"
        ✗ shop-1234abcd  was lost, left 1
        1 process to be adopted: `kennel sweep --adopt` does, `kennel clean --all` ends them
             4711   left, in uninterruptible sleep, waits in nfs_wait_bit_killable, traced by 99 (gdb -p 4711)  dd of=/mnt/x
                    nfs_wait_bit_killable < nfs_file_fsync < do_exit
        ");
        let silent = InstanceOrphans {
            note: Some("it does not answer".into()),
            ..InstanceOrphans::new("shop-1234abcd", InstanceState::Silent)
        };
        insta::assert_snapshot!(shown(silent, false), @"✗ shop-1234abcd  it does not answer");
    }
}
