//! What this machine gives, and what is wrong on it.

use std::fmt::Write;

use anstyle::Style;
use kennel_wire::{Advice, Doctor, EnforcedBy, Feature, FeatureCounts, LimitSupport, Works, ZombieParent};

use super::paint::{BOLD, DIM, GREEN, Paint, RED, YELLOW};
use super::table::cut;
use super::units;

/// Longest command that is shown, characters.
const COMMAND: usize = 60;
/// Most zombies' parents that are shown without being asked for all.
const PARENTS: usize = 3;

/// A block of lines: what is wrong first, then section by section. `all` also lists what works.
pub(crate) fn block(doctor: &Doctor, all: bool, paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    for finding in &doctor.findings {
        page.head("✗", RED, "act", &finding.text);
        page.advice(finding.advice.as_ref());
    }
    if !doctor.findings.is_empty() {
        page.text.push('\n');
    }
    containment(&mut page, doctor);
    features(&mut page, doctor, all);
    limits(&mut page, doctor, all);
    let (mark, style) = if doctor.desktop.works { ("✓", GREEN) } else { ("·", DIM) };
    page.head(mark, style, "desktop", &doctor.desktop.note);
    zombies(&mut page, &doctor.zombies, all);
    leftovers(&mut page, doctor);
    page.line("instance", &doctor.instance);
    match &doctor.daemon {
        Some(info) => page.line("daemon", &format!("{}, pid {}, keeper {}", info.version, info.pid, info.keeper_pid)),
        None => page.line("daemon", "none runs; this is what the next one gets"),
    }
    page.line("client", &doctor.version);
    page.line("state", &doctor.state_dir.display().to_string());
    page.line("sockets", &doctor.runtime_dir.display().to_string());
    page.text
}

struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn head(&mut self, mark: &str, style: Style, title: &str, value: &str) {
        let (mark, value) = (self.paint.paint(style, mark), self.paint.paint(BOLD, value));
        let _infallible = writeln!(self.text, "{mark} {title:<12} {value}");
    }

    fn line(&mut self, title: &str, value: &str) {
        let _infallible = writeln!(self.text, "  {title:<12} {value}");
    }

    /// What to do stands on a line of its own, so that it can be copied.
    fn advice(&mut self, advice: Option<&Advice>) {
        let Some(Advice { text, command }) = advice else { return };
        match command {
            Some(command) => {
                let (command, text) = (self.paint.paint(GREEN, command), self.paint.paint(DIM, text));
                self.line("do", &command);
                self.line("", &text);
            }
            None => self.line("do", text),
        }
    }
}

fn containment(page: &mut Page, doctor: &Doctor) {
    let it = &doctor.containment;
    let (mark, style) = if it.because.is_none() { ("✓", GREEN) } else { ("!", YELLOW) };
    page.head(mark, style, "containment", &it.backend);
    page.line("promise", &it.promise);
    for (index, limit) in it.limits.iter().enumerate() {
        page.line(if index == 0 { "except" } else { "" }, limit);
    }
    if let Some(because) = &it.because {
        // Its number says nothing that the words before it do not.
        page.line("because", because.split(" (os error").next().unwrap_or_default());
    }
    page.advice(it.advice.as_ref());
    let command = it.advice.as_ref().and_then(|advice| advice.command.as_deref());
    if doctor.daemon.is_some() && command.is_some_and(|command| !command.contains("kennel ")) {
        page.line("then", &page.paint.paint(GREEN, "kennel down && kennel up -d"));
    }
    page.line("cgroups", &doctor.cgroups);
}

fn features(page: &mut Page, doctor: &Doctor, all: bool) {
    let FeatureCounts { yes, no, unknown } = doctor.feature_counts;
    let tried = format!("{}, {yes} of {} features work", doctor.kernel, yes + no);
    let count = if unknown == 0 { tried } else { format!("{tried}, {unknown} more not tried") };
    let (mark, style) = if no == 0 { ("✓", GREEN) } else { ("·", DIM) };
    page.head(mark, style, "kernel", &count);
    let width = doctor.features.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
    let word = |one: &Feature| match one.works {
        Works::Yes => "yes",
        Works::No => "no",
        Works::Unknown => "?",
    };
    for one in doctor.features.iter().filter(|one| all || one.works == Works::No) {
        let line = format!("{:<width$}  {:<3}  {}", one.name, word(one), one.note);
        page.line("", line.trim_end());
    }
    let untried: Vec<&str> =
        doctor.features.iter().filter(|one| one.works == Works::Unknown).map(|one| one.name.as_str()).collect();
    if !all && !untried.is_empty() {
        page.line("", &format!("not tried: {}", untried.join(", ")));
    }
}

/// By who sees to them, the strongest first; why it is no more only with `all`.
fn limits(page: &mut Page, doctor: &Doctor, all: bool) {
    let by = |wanted: EnforcedBy| doctor.limits.iter().filter(move |one| one.enforced_by == wanted);
    let is_weak = |one: &LimitSupport| {
        one.enforced_by == EnforcedBy::Nobody
            || one.note.as_ref().is_some_and(|_| one.enforced_by == EnforcedBy::Sampling)
    };
    let weak = doctor.limits.iter().filter(|one| is_weak(one)).count();
    let (mark, style, whole) = match (doctor.limits.len(), weak) {
        (0, _) => ("·", DIM, "not tried; `kennel status` tells those of what runs".to_owned()),
        (_, 0) => ("✓", GREEN, "each can be held".to_owned()),
        (all, weak) => ("!", YELLOW, format!("the kernel holds {} of {all}", all - weak)),
    };
    page.head(mark, style, "limits", &whole);
    let kinds =
        [EnforcedBy::Cgroup, EnforcedBy::CgroupV1, EnforcedBy::Rlimit, EnforcedBy::Sampling, EnforcedBy::Nobody];
    for kind in kinds.into_iter().filter(|kind| by(*kind).next().is_some()) {
        let names: Vec<&str> = by(kind).map(|one| one.name.as_str()).collect();
        page.line("", &format!("{:<9}  {}", kind.as_str(), names.join(", ")));
    }
    for one in doctor.limits.iter().filter(|one| all && is_weak(one)) {
        page.line("", &format!("{}: {}", one.name, one.note.as_deref().unwrap_or_default()));
    }
    // What gives a group at all is said above.
    let advice = doctor.limits_advice.as_ref().filter(|advice| doctor.containment.advice.as_ref() != Some(advice));
    page.advice(advice);
}

fn zombies(page: &mut Page, parents: &[ZombieParent], all: bool) {
    if parents.is_empty() {
        return page.head("✓", GREEN, "zombies", "none");
    }
    let count: u32 = parents.iter().map(|parent| parent.count).sum();
    let whole = format!("{count}, left by {}", units::processes(parents.len()));
    page.head("!", YELLOW, "zombies", &whole);
    let shown = if all { parents.len() } else { PARENTS };
    for one in parents.iter().take(shown) {
        let began = units::duration(one.oldest_began_s.max(1).saturating_mul(1000));
        let of = one.instance.as_ref().map(|name| format!(" of kennel `{name}`")).unwrap_or_default();
        let command = cut(&one.command, COMMAND);
        page.line("", &format!("{} below {} ({command}){of}, the oldest began {began} ago", one.count, one.pid));
    }
    if parents.len() > shown {
        page.line("", &format!("and below {} more", units::processes(parents.len() - shown)));
    }
    page.line("", "each goes when its parent waits for it, or ends");
}

fn leftovers(page: &mut Page, doctor: &Doctor) {
    let leftovers = &doctor.leftovers;
    if leftovers.is_empty() {
        return page.head("✓", GREEN, "leftovers", "none");
    }
    let processes: usize = leftovers.iter().map(|one| one.processes.len()).sum();
    let (mark, style) = if processes == 0 { ("!", YELLOW) } else { ("✗", RED) };
    let value =
        if processes == 0 { "no process, but marks of lost kennels".to_owned() } else { units::processes(processes) };
    page.head(mark, style, "leftovers", &value);
    for one in leftovers {
        let name = one.instance.as_ref().map_or_else(|| "a lost kennel".to_owned(), |name| format!("`{name}`"));
        let pids: Vec<String> = one.processes.iter().take(10).map(u32::to_string).collect();
        let who = if pids.is_empty() { "was lost without an end of its own".to_owned() } else { pids.join(" ") };
        page.line("", &format!("{name}: {who}"));
        // What is to be acted on has said it above.
        let is_told = |command: &Option<String>| command.as_ref() == Some(&one.command);
        if !doctor.findings.iter().filter_map(|finding| finding.advice.as_ref()).any(|it| is_told(&it.command)) {
            let command = page.paint.paint(GREEN, &one.command);
            page.line("do", &command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn all_is_well() {
        insta::assert_snapshot!(block(&samples::healthy(), false, Paint::PLAIN), @r"
        ✓ containment  cgroup
          promise      every descendant of a service is found and ended, daemonised or not
          except       a process in uninterruptible sleep
          cgroups      version 2 at /sys/fs/cgroup (memory, pids, cpu)
        ✓ kernel       6.18.44, 2 of 2 features work
        ✓ limits       each can be held
                       cgroup     memory, cpus
        ✓ desktop      plasma 6.1 shows notifications
        ✓ zombies      none
        ✓ leftovers    none
          instance     shop-1234abcd
          daemon       0.1.0, pid 20, keeper 19
          client       0.1.0
          state        /var/state/kennel/shop-1234abcd
          sockets      /run/user/1000/kennel/shop-1234abcd
        ");
    }

    #[test]
    fn what_is_wrong_comes_first() {
        insta::assert_snapshot!(block(&samples::doctor(), false, Paint::PLAIN), @r"
        ✗ act          2 processes of the lost kennel `blog-99` still run
          do           kennel --instance blog-99 down
                       ends them

        ! containment  reaper
          promise      every descendant is found and ended while its scope's reaper lives
          except       setuid-root children
                       uninterruptible sleep
          because      no writable cgroup v2 directory
          do           systemd-run --user --scope -p Delegate=yes kennel up
                       starts kennel in a group that alice may divide
          cgroups      version 2 at /sys/fs/cgroup (memory, pids, cpu)
        ✓ kernel       6.18.44, 2 of 2 features work, 1 more not tried
                       not tried: cgroup_kill
        ! limits       the kernel holds 0 of 2
                       sampling   memory
                       nobody     cpus
        · desktop      no notification can be shown: there is no session bus
        ! zombies      13, left by 2 processes
                       12 below 812 (node server.js) of kennel `shop-1234abcd`, the oldest began 3 h 3 min ago
                       1 below 1 (/sbin/init), the oldest began 3.0 s ago
                       each goes when its parent waits for it, or ends
        ✗ leftovers    2 processes
                       `blog-99`: 4711 4712
                       `shop-0`: was lost without an end of its own
          do           kennel --instance shop-0 down
          instance     shop-1234abcd
          daemon       none runs; this is what the next one gets
          client       0.1.0
          state        /var/state/kennel/shop-1234abcd
          sockets      /run/user/1000/kennel/shop-1234abcd
        ");
    }

    #[test]
    fn what_does_not_work_is_named_and_counted_apart_from_what_was_not_tried() {
        let mut doctor = samples::doctor();
        let without = "a deep tree is ended more slowly".into();
        doctor.features.push(Feature { name: "pidfd_info".into(), works: Works::No, note: without });
        doctor.feature_counts = FeatureCounts::of(&doctor.features);
        let text = block(&doctor, false, Paint::PLAIN);
        let kernel: Vec<&str> = text.lines().skip_while(|line| !line.contains("kernel  ")).take(3).collect();
        insta::assert_snapshot!(kernel.join("\n"), @r"
        · kernel       6.18.44, 2 of 3 features work, 1 more not tried
                       pidfd_info    no   a deep tree is ended more slowly
                       not tried: cgroup_kill
        ");
    }

    #[test]
    fn everything_on_request() {
        insta::assert_snapshot!(block(&samples::doctor(), true, Paint::PLAIN), @r"
        ✗ act          2 processes of the lost kennel `blog-99` still run
          do           kennel --instance blog-99 down
                       ends them

        ! containment  reaper
          promise      every descendant is found and ended while its scope's reaper lives
          except       setuid-root children
                       uninterruptible sleep
          because      no writable cgroup v2 directory
          do           systemd-run --user --scope -p Delegate=yes kennel up
                       starts kennel in a group that alice may divide
          cgroups      version 2 at /sys/fs/cgroup (memory, pids, cpu)
        ✓ kernel       6.18.44, 2 of 2 features work, 1 more not tried
                       clone3        yes
                       pidfd_inodes  yes
                       cgroup_kill   ?    no cgroup to try it in
        ! limits       the kernel holds 0 of 2
                       sampling   memory
                       nobody     cpus
                       memory: no cgroup can be used
                       cpus: no cgroup can be used
        · desktop      no notification can be shown: there is no session bus
        ! zombies      13, left by 2 processes
                       12 below 812 (node server.js) of kennel `shop-1234abcd`, the oldest began 3 h 3 min ago
                       1 below 1 (/sbin/init), the oldest began 3.0 s ago
                       each goes when its parent waits for it, or ends
        ✗ leftovers    2 processes
                       `blog-99`: 4711 4712
                       `shop-0`: was lost without an end of its own
          do           kennel --instance shop-0 down
          instance     shop-1234abcd
          daemon       none runs; this is what the next one gets
          client       0.1.0
          state        /var/state/kennel/shop-1234abcd
          sockets      /run/user/1000/kennel/shop-1234abcd
        ");
    }
}
