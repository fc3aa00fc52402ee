//! Which limits can be held here, and by whom.

use kennel_keeper::proto::{Applied, HeldBy, Resource};
use kennel_keeper::{Probe, Situation, advise_limits};
use kennel_wire::{Advice, Containment, EnforcedBy, LimitSupport};

/// One for each limit, in the order of the documentation; empty where it could not be tried.
pub(super) fn support(probe: &Probe, containment: &Containment) -> Vec<LimitSupport> {
    let by_cgroup = containment.backend == "cgroup";
    if by_cgroup && probe.bounds.is_empty() {
        return Vec::new();
    }
    let tried = |resource: Resource| match probe.bounds.iter().find(|one| one.bound.resource == resource) {
        Some(Applied { by, .. }) if by_cgroup => by.clone(),
        _ => HeldBy::Nobody { why: "no cgroup can be used".to_owned() },
    };
    let mut all: Vec<LimitSupport> = Resource::ALL.into_iter().map(|resource| one(resource, tried(resource))).collect();
    let each = "each process by itself".to_owned();
    all.push(LimitSupport { name: "open_files".into(), enforced_by: EnforcedBy::Rlimit, note: Some(each) });
    all.push(LimitSupport { name: "log_rate".into(), enforced_by: EnforcedBy::Kennel, note: None });
    all
}

fn one(resource: Resource, by: HeldBy) -> LimitSupport {
    let (enforced_by, note) = match by {
        HeldBy::Cgroup => (EnforcedBy::Cgroup, None),
        HeldBy::CgroupV1 => (EnforcedBy::CgroupV1, None),
        HeldBy::Nobody { why } => match resource {
            Resource::Memory | Resource::Pids => (EnforcedBy::Sampling, Some(why)),
            _ => (EnforcedBy::Nobody, Some(why)),
        },
    };
    LimitSupport { name: resource.name().to_owned(), enforced_by, note }
}

/// What would have the kernel hold more of them: what gives a cgroup at all, or the controllers of it.
pub(super) fn advice(probe: &Probe, containment: &Containment) -> Option<Advice> {
    if containment.backend != "cgroup" {
        return containment.advice.clone();
    }
    let mut missing: Vec<&str> = Vec::new();
    for one in &probe.bounds {
        let name = one.bound.resource.controller().name();
        let is_held = |other: &Applied| {
            other.bound.resource.controller().name() == name && !matches!(other.by, HeldBy::Nobody { .. })
        };
        // Of a controller that serves some of them the others cannot be had either.
        if !missing.contains(&name) && !probe.bounds.iter().any(is_held) {
            missing.push(name);
        }
    }
    advise_limits(&missing, &Situation::here()).map(|it| Advice { text: it.text, command: it.command })
}
