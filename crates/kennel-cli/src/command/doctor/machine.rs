//! What the machine is, in words.

use kennel_core::model::{Project, RequireContainment};
use kennel_wire::Containment;

/// Which cgroup hierarchies are mounted where.
///
/// Source: `proc_pid_mountinfo(5)`; mount point and file system type are fields 5 and 1 after the separator.
pub(super) fn cgroups() -> String {
    layout(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn layout(mounts: &str) -> String {
    let of = |kind: &str| {
        let matching = mounts.lines().filter(|line| {
            line.split_once(" - ").is_some_and(|(_, rest)| rest.split_whitespace().next() == Some(kind))
        });
        matching.collect::<Vec<_>>()
    };
    let v2 = of("cgroup2").first().and_then(|line| line.split_whitespace().nth(4).map(str::to_owned));
    let v1 = of("cgroup");
    // Memory, processes and CPU are what limits will need.
    let has = |controller: &str| v1.iter().any(|line| line.rsplit([' ', ',']).any(|option| option == controller));
    let of_v1: Vec<&str> = ["memory", "pids", "cpu"].into_iter().filter(|controller| has(controller)).collect();
    let of_v1 = if of_v1.is_empty() { String::new() } else { format!(" ({})", of_v1.join(", ")) };
    match (v2, v1.is_empty()) {
        (Some(v2), true) => format!("version 2 at {v2}{}", controllers(&v2)),
        (Some(v2), false) => format!("version 1{of_v1}, with version 2 beside it at {v2}"),
        (None, false) => format!("version 1 alone{of_v1}"),
        (None, true) => "none mounted".to_owned(),
    }
}

fn controllers(mount: &str) -> String {
    let text = std::fs::read_to_string(format!("{mount}/cgroup.controllers")).unwrap_or_default();
    let has: Vec<&str> =
        ["memory", "pids", "cpu"].into_iter().filter(|one| text.split_whitespace().any(|word| word == *one)).collect();
    if has.is_empty() { String::new() } else { format!(" ({})", has.join(", ")) }
}

/// `6.18.44`
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Who would not be started with this containment, in words; `None` if everybody is.
pub(super) fn refused(project: &Project, containment: &Containment) -> Option<String> {
    if project.require_containment != RequireContainment::Kernel || containment.backend == "cgroup" {
        return None;
    }
    let weak = project.services.iter().filter(|(_, service)| !service.isolation.pid);
    let names: Vec<String> = weak.map(|(name, _)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_names() {
        let v2 = "41 31 0:38 / /no/such/place rw,relatime shared:4 - cgroup2 cgroup2 rw";
        let v1 = "35 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  36 31 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";
        assert_eq!(layout(v2), "version 2 at /no/such/place");
        assert_eq!(layout(v1), "version 1 alone (memory, cpu)");
        let both = format!("{v1}\n{v2}");
        assert_eq!(layout(&both), "version 1 (memory, cpu), with version 2 beside it at /no/such/place");
        assert_eq!(layout(""), "none mounted");
    }
}
