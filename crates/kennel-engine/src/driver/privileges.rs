//! Rights, limits and priorities of a service: what the keeper is asked for, and what to say when it cannot be had.
//!
//! What only the kernel can decide is tried and explained afterwards: an ordinary user may well be allowed a better
//! `nice`. Capabilities are looked at before, because nothing but having them gives them.

use kennel_core::capability;
use kennel_core::model::{IoPriority, ResourceLimit, Service};
use kennel_keeper::proto::{self, Limit, Setting};
use kennel_sys::{limit, spawn};

/// The service's settings in the kernel's numbers.
pub(super) fn wanted(service: &Service) -> Result<proto::Privileges, String> {
    let privileges = &service.privileges;
    let limits = privileges.limits.iter().map(|(name, ResourceLimit { soft, hard })| {
        let resource = limit::number(name).ok_or_else(|| format!("there is no limit `{name}`"))?;
        Ok(Limit { resource, soft: soft.unwrap_or(u64::MAX), hard: hard.unwrap_or(u64::MAX) })
    });
    // What is said of it under `ulimits` says more.
    let files = service.limits.open_files.filter(|_| !privileges.limits.contains_key("nofile"));
    let files =
        files.zip(limit::number("nofile")).map(|(value, resource)| Limit { resource, soft: value, hard: value });
    Ok(proto::Privileges {
        no_new_privs: privileges.no_new_privileges,
        capabilities: privileges.capabilities,
        added_capabilities: added(privileges.added_capabilities, spawn::own_capabilities())?,
        limits: limits.chain(files.map(Ok)).collect::<Result<_, String>>()?,
        nice: privileges.nice,
        cpus: privileges.cpus.clone(),
        io_priority: privileges.io.map(io_priority),
        oom_score_adj: privileges.oom_score_adj,
        dedicated_user: privileges.dedicated_user,
    })
}

/// The capabilities to give, all of which must be ours.
fn added(wanted: u64, own: u64) -> Result<u64, String> {
    if wanted == capability::ALL && own != 0 {
        return Ok(own);
    }
    let missing = wanted & !own;
    if missing == 0 {
        return Ok(wanted);
    }
    let names = match wanted {
        capability::ALL => "ALL".to_owned(),
        _ => capability::names(missing).collect::<Vec<_>>().join(", "),
    };
    let who = match own {
        0 => "kennel runs as an ordinary user; start it as root, or leave them out",
        _ => "kennel has not got them itself; it runs where they are withheld",
    };
    Err(format!("cannot give the capabilities `{names}`: {who}"))
}

/// `class << 13 | level`. Source: `ioprio_set(2)`.
fn io_priority(io: IoPriority) -> u32 {
    let (class, level) = match io {
        IoPriority::Realtime(level) => (1, level),
        IoPriority::BestEffort(level) => (2, level),
        // The kernel counts it as level 0 of its class.
        IoPriority::Idle => (3, 0),
    };
    class << 13 | u32::from(level)
}

/// One line about a setting that was refused.
pub(super) fn explain(setting: Setting, subject: &str, errno: i32, service: &Service) -> String {
    let system = super::spawn::system(errno);
    let denied = [rustix::io::Errno::PERM, rustix::io::Errno::ACCESS].iter().any(|e| e.raw_os_error() == errno);
    let privileges = &service.privileges;
    // What root lacks is withheld by a container or the like, and then root has to be told which right it is.
    let needs = |right: &str| match rustix::process::geteuid().is_root() {
        true => format!("it needs {right}, which is withheld from root here"),
        false => "it needs root".to_owned(),
    };
    match setting {
        Setting::Limit => {
            let limit = privileges.limits.get(subject);
            let part = |part: Option<u64>| part.map_or("unlimited".to_owned(), |number| number.to_string());
            let value = limit
                .map_or_else(String::new, |limit| format!(" to soft {}, hard {}", part(limit.soft), part(limit.hard)));
            let why = match denied {
                true if subject == "nofile" && above_nr_open(limit) => "it is above the sysctl `fs.nr_open`".to_owned(),
                true => format!("it raises the hard limit that kennel runs under; {}", needs("CAP_SYS_RESOURCE")),
                false => system,
            };
            format!("cannot set the limit `{subject}`{value}: {why}")
        }
        Setting::Nice => {
            let nice = privileges.nice.unwrap_or_default();
            let why = if denied { format!("to go before others, {}", needs("CAP_SYS_NICE")) } else { system };
            format!("cannot set `nice` to {nice}: {why}")
        }
        Setting::Cpus => {
            let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
            let online = match online.trim() {
                "" => String::new(),
                online => format!("; the machine has {online}"),
            };
            format!("cannot keep to the CPUs of `cpu_affinity`: not all of them are there and allowed here{online}")
        }
        Setting::IoPriority => {
            let why =
                if denied { format!("for `realtime` {}", needs("CAP_SYS_ADMIN or CAP_SYS_NICE")) } else { system };
            format!("cannot set `io_priority`: {why}")
        }
        Setting::OomScoreAdj => {
            let score = privileges.oom_score_adj.unwrap_or_default();
            let why = match denied {
                true => format!("it is below the one that kennel runs under; {}", needs("CAP_SYS_RESOURCE")),
                false => system,
            };
            format!("cannot set `oom_score_adj` to {score}: {why}")
        }
        Setting::Capabilities => format!("cannot set the capabilities of `cap_drop` and `cap_add`: {system}"),
    }
}

fn above_nr_open(limit: Option<&ResourceLimit>) -> bool {
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let asked = limit.map(|limit| limit.hard.unwrap_or(u64::MAX));
    most.zip(asked).is_some_and(|(most, asked)| asked > most)
}

/// What of the service's own limits may be behind a failure that looks like a lack of something, in words.
pub(super) fn suspects(errno: i32, service: &Service) -> String {
    use rustix::io::Errno;
    let names: &[&str] = match Errno::from_raw_os_error(errno) {
        Errno::AGAIN => &["nproc"],
        Errno::NOMEM => &["as", "data", "memlock"],
        Errno::TOOBIG => &["stack"],
        _ => &[],
    };
    let limits = &service.privileges.limits;
    match names.iter().find(|name| limits.contains_key(**name)) {
        Some(name) => format!("; its limit `{name}` may be too low"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::model::RESOURCE_LIMITS;

    use super::*;

    #[test]
    fn every_limit_has_a_number() {
        for name in RESOURCE_LIMITS {
            assert_eq!(limit::number(name).and_then(limit::name), Some(name));
        }
    }

    #[test]
    fn only_what_is_ours_can_be_given() {
        let (bind, raw) = (1 << 10, 1 << 13);
        assert_eq!(added(bind, bind | raw), Ok(bind));
        assert_eq!(added(0, 0), Ok(0));
        assert_eq!(added(capability::ALL, bind | raw), Ok(bind | raw));
        assert!(
            added(bind | raw, 0).is_err_and(|text| text.contains("NET_BIND_SERVICE, NET_RAW") && text.contains("root"))
        );
        assert!(added(bind | raw, bind).is_err_and(|text| text.contains("`NET_RAW`") && text.contains("withheld")));
        assert!(added(capability::ALL, 0).is_err_and(|text| text.contains("`ALL`")));
    }

    #[test]
    fn io_priorities_are_numbers_of_the_kernel() {
        assert_eq!(io_priority(IoPriority::Idle), 0x6000);
        assert_eq!(io_priority(IoPriority::BestEffort(7)), 0x4007);
        assert_eq!(io_priority(IoPriority::Realtime(0)), 0x2000);
    }
}
