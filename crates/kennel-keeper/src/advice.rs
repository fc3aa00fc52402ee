//! The one command that would give a better containment, chosen by why there is none and by where kennel runs.

mod limits;

use std::fs;
use std::path::{Path, PathBuf};

use kennel_sys::{cgroup, user};

pub use self::limits::advise_limits;
use crate::proto::Reason;

/// What somebody can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What it does, one line, lower case, without a full stop.
    pub text: String,
    /// To be copied into a shell; none where no command of this machine helps.
    pub command: Option<String>,
}

/// What the advice depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Situation {
    /// Runs as root.
    pub root: bool,
    /// Name of the user.
    pub user: String,
    /// Id of the user.
    pub uid: u32,
    /// What it runs inside of.
    pub container: Option<Container>,
    /// systemd runs this machine.
    pub systemd: bool,
    /// How the user's own service manager can be reached.
    pub user_manager: Manager,
    /// The system service that it is part of, for example `shop.service`.
    pub unit: Option<String>,
    /// Where cgroup v2 is mounted; none: nowhere.
    pub cgroup2: Option<PathBuf>,
    /// The kernel knows cgroup v2.
    pub knows_cgroup2: bool,
    /// Version 1 is mounted.
    pub cgroup1: bool,
}

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `docker run`.
    Docker,
    /// `podman run`.
    Podman,
    /// A pod.
    Kubernetes,
    /// Another one.
    Other,
}

/// The user's own service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manager {
    /// It runs and this process's environment says where.
    Here,
    /// It runs; the environment does not say where, as after `su` and `sudo`.
    Elsewhere,
    /// It does not run.
    #[default]
    None,
}

/// What to do about a `reason`; `None` where nothing is known to help.
#[must_use]
pub fn advise(reason: Reason, at: &Situation) -> Option<Advice> {
    match reason {
        Reason::Forced => Some(advice(
            "starts the stack anew with the best back end there is; KENNEL_CONTAINMENT asks for the reaper",
            "kennel down; env -u KENNEL_CONTAINMENT kennel up -d",
        )),
        Reason::ReadOnly | Reason::NotVisible | Reason::NotWritable if at.container.is_some() => in_container(at),
        Reason::ReadOnly => at.cgroup2.as_ref().map(|mount| {
            let command = format!("{}mount -o remount,rw {}", sudo(at), quoted(mount));
            advice("makes the cgroup tree writable", command)
        }),
        Reason::NoCgroup2 => mount(at),
        Reason::NotDelegated if at.container.is_some() => Some(Advice {
            text: "only root may divide the cgroup of a container: run kennel as root there, and the services as a \
                   `user`"
                .into(),
            command: None,
        }),
        Reason::NotDelegated | Reason::NotUsable => own_group(at),
        Reason::OldKernel => Some(Advice { text: "needs Linux 5.14 or later".into(), command: None }),
        Reason::KilledAtBirth => Some(Advice {
            text: "needs a kernel with the fix for children killed at birth (6.1.191, 6.12.115 or later)".into(),
            command: None,
        }),
        Reason::NotVisible | Reason::NotWritable | Reason::Other => None,
    }
}

fn advice(text: impl Into<String>, command: impl Into<String>) -> Advice {
    Advice { text: text.into(), command: Some(command.into()) }
}

fn sudo(at: &Situation) -> &'static str {
    if at.root { "" } else { "sudo " }
}

fn in_container(at: &Situation) -> Option<Advice> {
    let text = "gives the container a cgroup tree of its own that it may write to";
    Some(match at.container? {
        Container::Docker => advice(
            format!("{text} (Docker 28 and later, cgroup v2; before that only `--privileged` does)"),
            "docker run --cgroupns=private --security-opt writable-cgroups=true …",
        ),
        Container::Podman => advice(
            format!("{text} (cgroup v2)"),
            "podman run --cgroupns=private --security-opt unmask=/sys/fs/cgroup …",
        ),
        Container::Kubernetes => Advice {
            text: "needs a container runtime that mounts the cgroup tree writable: `cgroup_writable = true` in \
                   containerd's configuration, or a privileged pod"
                .into(),
            command: None,
        },
        Container::Other => {
            Advice { text: "needs a container whose own cgroup v2 tree is mounted writable".into(), command: None }
        }
    })
}

fn mount(at: &Situation) -> Option<Advice> {
    if !at.knows_cgroup2 {
        return Some(Advice { text: "needs a kernel with cgroup v2".into(), command: None });
    }
    if at.container.is_some() {
        return in_container(at);
    }
    // Beside version 1 it gets a directory of its own, where systemd's hybrid layout has it.
    let place = if at.cgroup1 { "/sys/fs/cgroup/unified" } else { "/sys/fs/cgroup" };
    let make = if at.cgroup1 { format!("{sudo}mkdir -p {place} && ", sudo = sudo(at)) } else { String::new() };
    let then = if at.root { "" } else { "; `kennel doctor` then says how to get a group of one's own there" };
    let command = format!("{make}{sudo}mount -t cgroup2 cgroup2 {place}", sudo = sudo(at));
    Some(advice(format!("mounts cgroup v2{}{then}", if at.cgroup1 { " beside version 1" } else { "" }), command))
}

/// A group that this user may divide, with kennel started inside of it.
fn own_group(at: &Situation) -> Option<Advice> {
    if let Some(unit) = &at.unit {
        let command = format!(
            "{sudo}mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\nDelegate=yes\\n' | {sudo}tee \
             /etc/systemd/system/{unit}.d/kennel.conf && {sudo}systemctl daemon-reload && {sudo}systemctl restart {unit}",
            sudo = sudo(at)
        );
        return Some(advice(format!("lets {unit} divide its own cgroup"), command));
    }
    let ask = "systemd-run --user --scope -p Delegate=yes true";
    let user = &at.user;
    match (at.root, at.systemd, at.user_manager) {
        (true, true, _) => {
            Some(advice("starts kennel in a group that it may divide", "systemd-run --scope -p Delegate=yes kennel up"))
        }
        (true, false, _) => None,
        // Kennel has asked it already, and told what it said.
        (false, true, Manager::Here) => {
            Some(advice(format!("shows what {user}'s systemd says when it is asked for a group"), ask))
        }
        (false, true, Manager::Elsewhere) => Some(advice(
            format!("shows what {user}'s systemd says when it is asked for a group"),
            format!("XDG_RUNTIME_DIR=/run/user/{} {ask}", at.uid),
        )),
        (false, true, Manager::None) => Some(advice(
            format!("starts a systemd for {user}, which gives kennel a group, and starts the stack there"),
            format!("sudo loginctl enable-linger {user} && kennel down && kennel up -d"),
        )),
        (false, false, _) => at.cgroup2.as_ref().map(|mount| {
            let group = quoted(&mount.join(format!("kennel-{user}")));
            // The number is that of the shell it is typed into, which moves into the group with all it starts.
            let command = format!(
                "sudo sh -c 'mkdir -p {group} && chown {user} {group} {group}/cgroup.procs && echo '$$' > \
                 {group}/cgroup.procs' && kennel up"
            );
            advice(format!("moves this shell into a group that {user} may divide, and starts kennel there"), command)
        }),
    }
}

/// A path for a shell; mount points hardly ever need it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-+:@".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("\"{text}\"") }
}

impl Situation {
    /// That of this process.
    #[must_use]
    pub fn here() -> Self {
        let uid = rustix::process::geteuid();
        let user = user::account(&uid.as_raw().to_string()).map_or_else(|| uid.as_raw().to_string(), |it| it.name);
        let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounted = cgroup::Hierarchy::mounted().unwrap_or_default();
        Self {
            root: uid.is_root(),
            user,
            uid: uid.as_raw(),
            container: container(),
            systemd: Path::new("/run/systemd/system").is_dir(),
            user_manager: user_manager(uid.as_raw()),
            unit: unit(&cgroup::of_self().unwrap_or_default()),
            cgroup2: mounted.into_iter().next().map(|hierarchy| hierarchy.mount),
            knows_cgroup2: filesystems.lines().any(|line| line.split_whitespace().last() == Some("cgroup2")),
            cgroup1: mounts.lines().any(|line| line.split_once(" - ").is_some_and(|(_, of)| of.starts_with("cgroup "))),
        }
    }
}

fn container() -> Option<Container> {
    // A machine that was made of a container's image still has its mark, and the machine's own processes.
    // Source: `PID_NS_INIT_INO` in `linux/nsfs.h`.
    if fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name == Path::new("pid:[4026531836]")) {
        return None;
    }
    // The container engines' own marks. Source: `podman-run(1)`; docker's has no documentation and is there for years.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(Container::Kubernetes);
    }
    if Path::new("/run/.containerenv").exists() {
        return Some(Container::Podman);
    }
    if Path::new("/.dockerenv").exists() {
        return Some(Container::Docker);
    }
    // Written by systemd where it runs inside of one; source: `systemd` container interface.
    Path::new("/run/systemd/container").exists().then_some(Container::Other)
}

fn user_manager(uid: u32) -> Manager {
    let runs_in = |dir: &Path| dir.join("systemd/private").exists();
    let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    if told.is_some_and(|dir| runs_in(&dir)) {
        Manager::Here
    } else if runs_in(Path::new(&format!("/run/user/{uid}"))) {
        Manager::Elsewhere
    } else {
        Manager::None
    }
}

/// The system's unit that a cgroup belongs to; a user's own units are reached through the user's manager.
fn unit(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let of_user = parts.iter().any(|part| part.starts_with("user@"));
    let unit = parts.iter().rev().find(|part| part.ends_with(".service"))?;
    (!of_user).then(|| (*unit).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn alice() -> Situation {
        Situation {
            user: "alice".into(),
            uid: 1000,
            systemd: true,
            cgroup2: Some("/sys/fs/cgroup".into()),
            knows_cgroup2: true,
            ..Situation::default()
        }
    }

    fn command(reason: Reason, at: &Situation) -> String {
        advise(reason, at).and_then(|it| it.command).unwrap_or_default()
    }

    #[test]
    fn a_login_shell_needs_a_systemd_of_its_user() {
        let told = command(Reason::NotDelegated, &alice());
        assert_eq!(told, "sudo loginctl enable-linger alice && kennel down && kennel up -d");
        // Where there is one, kennel has asked it.
        let ask = "systemd-run --user --scope -p Delegate=yes true";
        let here = Situation { user_manager: Manager::Here, ..alice() };
        assert_eq!(command(Reason::NotDelegated, &here), ask);
        let elsewhere = Situation { user_manager: Manager::Elsewhere, ..alice() };
        assert_eq!(command(Reason::NotDelegated, &elsewhere), format!("XDG_RUNTIME_DIR=/run/user/1000 {ask}"));
    }

    #[test]
    fn without_systemd_a_group_is_made_by_hand() {
        let at = Situation { systemd: false, ..alice() };
        let told = command(Reason::NotDelegated, &at);
        assert!(told.starts_with("sudo sh -c 'mkdir -p /sys/fs/cgroup/kennel-alice && chown alice "), "{told}");
    }

    #[test]
    fn a_service_is_told_to_delegate() {
        let at = Situation { unit: Some("shop.service".into()), ..alice() };
        let told = command(Reason::NotDelegated, &at);
        assert!(told.contains("Delegate=yes") && told.ends_with("sudo systemctl restart shop.service"), "{told}");
        let of = |path: &str| unit(Path::new(path));
        assert_eq!(of("/system.slice/shop.service/sub"), Some("shop.service".into()));
        assert_eq!(of("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service"), None);
        assert_eq!(of("/user.slice/user-1000.slice/session-3.scope"), None);
    }

    #[test]
    fn a_container_is_told_its_flags() {
        let inside = |container| Situation { root: true, container: Some(container), ..alice() };
        for reason in [Reason::ReadOnly, Reason::NotVisible, Reason::NotWritable] {
            assert!(command(reason, &inside(Container::Docker)).contains("writable-cgroups=true"));
            assert!(command(reason, &inside(Container::Podman)).contains("unmask=/sys/fs/cgroup"));
            assert_eq!(command(reason, &inside(Container::Kubernetes)), "");
            assert!(advise(reason, &inside(Container::Other)).is_some());
        }
    }

    #[test]
    fn version_2_is_mounted_where_it_is_missing() {
        let at = Situation { cgroup2: None, root: true, ..alice() };
        assert_eq!(command(Reason::NoCgroup2, &at), "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
        let beside = Situation { cgroup1: true, ..at.clone() };
        let unified = "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified";
        assert_eq!(command(Reason::NoCgroup2, &beside), unified);
        let old = Situation { knows_cgroup2: false, ..at };
        assert_eq!(command(Reason::NoCgroup2, &old), "");
    }
}
