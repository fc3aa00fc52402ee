//! Desktops that are not there, or say nothing.

use std::os::unix::net::UnixListener;

use kennel_testkit::wait_until;

use crate::desktop::{Bus, Desktop};
use crate::{BAD, DEADLINE, config, fail, scratch};

#[test]
fn a_desktop_that_is_not_there_is_told_of_once() {
    let scratch = scratch();
    config(&scratch, "desktop: { events: service.failed }", BAD);
    scratch.ok(&["up", "-d"]);
    let log = || std::fs::read_to_string(scratch.instance_dir().join("kennel.log")).unwrap();
    let told = || log().matches("notifications cannot be shown on the desktop").count();
    fail(&scratch);
    wait_until(DEADLINE, "that it is told", || told() == 1);
    let test = scratch.kennel(&["notify", "test"]);
    let path = scratch.path("run/bus");
    assert!(test.code() == 1 && test.all().contains(&format!("nothing is at {}", path.display())), "{}", test.all());
    let doctor = scratch.kennel(&["doctor"]).all();
    assert!(doctor.contains("no notification can be shown: there is no session bus"), "{doctor}");
    assert!(doctor.contains("`notify: desktop` of the configuration is not met"), "{doctor}");
    fail(&scratch);

    // A bus is there, and nobody on it who would show anything.
    let bus = Bus::at(&scratch, &path);
    let test = scratch.kennel(&["notify", "test"]);
    assert!(test.code() == 1 && test.all().contains("org.freedesktop.Notifications"), "{}", test.all());
    // When somebody is, it goes on, and what happened meanwhile is not told again.
    let desktop = Desktop::on(&path, &["body"]);
    wait_until(DEADLINE, "that it is shown", || {
        fail(&scratch);
        !desktop.shown().is_empty()
    });
    wait_until(DEADLINE, "that it is told", || log().contains("notifications are shown on the desktop again"));
    assert_eq!(told(), 1, "{}", log());
    drop((desktop, bus));
    scratch.down();
}

#[test]
fn a_bus_that_says_nothing_makes_nobody_wait() {
    let scratch = scratch();
    let path = scratch.path("run/bus");
    let _silent = UnixListener::bind(&path).unwrap();
    config(&scratch, "desktop: { events: service.failed }", BAD);
    scratch.ok(&["up", "-d"]);
    let pid = scratch.daemon().pid;
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    let shows = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .any(|name| name == "kennel-desktop\n")
    };
    // While it hangs everything else goes on. On a machine under load that may take longer than it hangs, and is tried again.
    wait_until(DEADLINE, "that it still hangs when everything else is done", || {
        fail(&scratch);
        wait_until(DEADLINE, "that it is tried", shows);
        scratch.ok(&["restart", "web"]);
        scratch.ok(&["ps"]);
        shows()
    });
    let test = scratch.kennel(&["notify", "test"]);
    assert!(test.code() == 1 && test.all().contains("no answer from the session bus within 5s"), "{}", test.all());
    wait_until(DEADLINE, "that the thread has gone", || !shows());
    assert!(threads() < 12, "{}", threads());
    scratch.down();
}
