//! A guest that is run by a real systemd: delegation, login sessions, what `kennel doctor` advises.
//!
//! The packages are unpacked and not configured, so what their scripts would have written is written here.

use std::path::Path;

use super::image::Image;
use super::packages::Machine;
use crate::{Result, run};

const UNIT: &str = "\
[Unit]
Wants=dbus.service systemd-logind.service
After=dbus.service systemd-logind.service multi-user.target
[Service]
Type=oneshot
ExecStart=/checks.sh
";

/// A service as somebody writes it who has not heard of delegation.
const ADVISED: &str = "\
[Service]
Type=oneshot
User=plain
Environment=HOME=/home/plain
ExecStart=/usr/local/bin/kennel-check [a-z]*
";

const USERS: &str = "\
root:x:0:0:root:/root:/bin/sh
messagebus:x:100:100::/nonexistent:/usr/sbin/nologin
plain:x:60200:60200::/home/plain:/bin/sh
shop:x:60201:60201::/srv/shop:/bin/sh
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
";

const GROUPS: &str = "\
root:x:0:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nkmem:x:15:\nutmp:x:43:\nshadow:x:42:\naudio:x:29:\nvideo:x:44:\ninput:x:104:\nrender:x:105:
sgx:x:106:\nkvm:x:107:\nlp:x:7:\ndialout:x:20:\ncdrom:x:24:\ntape:x:26:\nusers:x:100:\nsystemd-journal:x:101:
messagebus:x:102:\nplain:x:60200:\nshop:x:60201:\nnogroup:x:65534:
";

/// Who comes is let in and gets a session of logind.
const PAM: &str = "\
auth sufficient pam_permit.so
account sufficient pam_permit.so
password sufficient pam_permit.so
session required pam_loginuid.so
session required pam_systemd.so
";

const STACK: &str = "\
services:
  web:
    command: [sh, -c, \"setsid sleep 1000 & echo up; exec sleep 1000\"]
    readiness: { log_line: \"^up$\" }
    stop_grace_period: 500ms
";

/// Builds kennel and writes the guest's file system.
pub(super) fn pack(machine: &Machine, at: &Path) -> Result {
    // With the whole workspace, so that nothing is compiled twice.
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    let kennel = run::target_dir().join("debug/kennel");
    let mut image = Image::create(at)?;
    // First, so that their versions are the ones that kennel is linked with.
    image.libraries(&kennel)?;
    image.stripped(&kennel, Path::new("/usr/local/bin/kennel"), at)?;
    image.file(Path::new("/usr/local/bin/kennel-check"), 0o755, include_bytes!("systemd/check.sh"))?;
    // The advice is written for somebody who is not root; here root follows it.
    image.file(Path::new("/usr/local/bin/sudo"), 0o755, b"#!/bin/sh\nexec \"$@\"\n")?;
    image.file(Path::new("/checks.sh"), 0o755, include_bytes!("systemd/checks.sh"))?;
    let system = Path::new("/etc/systemd/system");
    image.file(&system.join("checks.service"), 0o644, UNIT.as_bytes())?;
    image.file(&system.join("advised.service"), 0o644, ADVISED.as_bytes())?;
    image.file(&system.join("shop.service"), 0o644, include_bytes!("../../../examples/systemd/shop.service"))?;
    let user_unit = include_bytes!("../../../examples/systemd/shop.user.service");
    image.file(Path::new("/home/plain/.config/systemd/user/shop.service"), 0o644, user_unit)?;
    for project in ["/srv/shop", "/home/plain/shop"] {
        image.file(&Path::new(project).join("kennel.yaml"), 0o644, STACK.as_bytes())?;
    }
    image.link(&system.join("default.target"), Path::new("/usr/lib/systemd/system/multi-user.target"))?;
    image.link(&system.join("multi-user.target.wants/checks.service"), Path::new("../checks.service"))?;
    for unwanted in ["serial-getty@ttyS0.service", "getty@tty1.service", "systemd-firstboot.service"] {
        image.link(&system.join(unwanted), Path::new("/dev/null"))?;
    }
    for service in ["login", "systemd-user", "other"] {
        image.file(&Path::new("/etc/pam.d").join(service), 0o644, PAM.as_bytes())?;
    }
    for (name, content) in [
        ("passwd", USERS),
        ("group", GROUPS),
        ("nsswitch.conf", "passwd: files\ngroup: files\n"),
        ("machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("hostname", "guest\n"),
        ("fstab", ""),
        // Whose directories the archive cannot give to anybody but root.
        ("tmpfiles.d/guest.conf", "Z /home/plain - plain plain\nZ /srv/shop - shop shop\nd /var/tmp 1777\n"),
    ] {
        image.file(&Path::new("/etc").join(name), 0o644, content.as_bytes())?;
    }
    image.tree(machine.system().ok_or("no system was unpacked")?)?;
    image.finish()
}
