//! The one command that would have the kernel hold more limits, where it holds the scopes already.

use super::{Advice, Manager, Situation, advice, quoted, sudo};

/// What to do where these controllers, by their names, cannot be used; `None` where nothing is known to help, or nothing is
/// missing.
#[must_use]
pub fn advise_limits(missing: &[&str], at: &Situation) -> Option<Advice> {
    if missing.is_empty() || at.container.is_some() {
        return None;
    }
    let list = missing.join(", ");
    // A user's services and sessions have what is passed on to the user's manager.
    if let Some(unit) = at.unit.clone().or_else(|| of_user(at)) {
        let drop_in = format!(
            "{sudo}mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\nDelegate=cpu io memory pids\\n' | {sudo}tee \
             /etc/systemd/system/{unit}.d/kennel.conf && {sudo}systemctl daemon-reload",
            sudo = sudo(at)
        );
        let restarts = at.unit.is_some();
        let then = if restarts { "" } else { "; it takes effect with the next login" };
        let command = if restarts { format!("{drop_in} && {}systemctl restart {unit}", sudo(at)) } else { drop_in };
        return Some(advice(format!("gives {unit} the controllers for all limits ({list}){then}"), command));
    }
    if at.cgroup1 {
        // Where a controller is in version 1, version 2 cannot have it.
        let how = if at.systemd { "systemd.unified_cgroup_hierarchy=1" } else { "cgroup_no_v1=all" };
        let text = format!("boot with `{how}`, so that version 2 has the controllers ({list})");
        return Some(Advice { text, command: None });
    }
    let mount = at.cgroup2.as_ref().filter(|_| !at.root && !at.systemd)?;
    let words: Vec<String> = missing.iter().map(|controller| format!("+{controller}")).collect();
    let command = format!("sudo sh -c 'echo {} > {}'", words.join(" "), quoted(&mount.join("cgroup.subtree_control")));
    Some(advice(format!("passes the controllers on to the groups below the top ({list})"), command))
}

/// The unit of this user's manager.
fn of_user(at: &Situation) -> Option<String> {
    (!at.root && at.systemd && at.user_manager != Manager::None).then(|| format!("user@{}.service", at.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Situation {
        Situation { user_manager: Manager::Here, ..crate::advice::tests::alice() }
    }

    #[test]
    fn what_is_missing_is_given_where_it_is_passed_on() {
        let command = |missing: &[&str], at: &Situation| advise_limits(missing, at).and_then(|it| it.command);
        assert_eq!(command(&[], &alice()), None);
        let user = command(&["io", "cpu"], &alice()).unwrap();
        assert!(
            user.contains("user@1000.service.d/kennel.conf") && user.contains("Delegate=cpu io memory pids"),
            "{user}"
        );
        assert!(user.starts_with("sudo ") && !user.contains("restart"), "{user}");
        let unit = Situation { root: true, unit: Some("shop.service".into()), ..alice() };
        let unit = command(&["memory"], &unit).unwrap();
        assert!(
            unit.starts_with("mkdir -p /etc/systemd/system/shop.service.d") && unit.ends_with("restart shop.service")
        );
        let hybrid = Situation { root: true, cgroup1: true, ..alice() };
        let hybrid = advise_limits(&["io"], &hybrid).unwrap();
        assert!(hybrid.command.is_none() && hybrid.text.contains("unified_cgroup_hierarchy=1"), "{hybrid:?}");
        let shell = Situation { systemd: false, user_manager: Manager::None, ..alice() };
        let shell = command(&["memory", "pids"], &shell).unwrap();
        assert_eq!(shell, "sudo sh -c 'echo +memory +pids > /sys/fs/cgroup/cgroup.subtree_control'");
        assert_eq!(
            advise_limits(&["io"], &Situation { container: Some(super::super::Container::Docker), ..alice() }),
            None
        );
    }
}
