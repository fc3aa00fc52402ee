//! Hangs: what a service is doing is told from what it uses, and what follows is as its configuration says.

use kennel_testkit::{Scratch, both, wait_for};
use serde_json::{Value, json};

use crate::common::{DEADLINE, wait_health};

both!(stalls_and_goes_on, spins, waits_for_somebody, ends);

/// Waits until a service does this; gives its entry.
fn wait_activity(scratch: &Scratch, service: &str, activity: &str) -> Value {
    wait_for(DEADLINE, &format!("`{service}` to be {activity}"), || {
        Some(scratch.ps(service)).filter(|entry| entry["activity"] == activity)
    })
}

/// A service that waits for what never comes is a warning until it comes; one that waits as long and may is quiet. A pipe that is
/// opened again before its writer has closed it gives an end and no line, so the service reads on after that.
fn stalls_and_goes_on(scratch: &Scratch) {
    scratch.config(
        "
services:
  web:
    command: rm -f pipe; mkfifo pipe; while true; do read line < pipe && echo $$line; done
    shell: true
    restart: no
    hang: 1s
  idle:
    command: sleep 600
    hang: 1h
",
    );
    scratch.ok(&["up", "-d"]);
    let before = scratch.ps("web");
    let sick = wait_health(scratch, "web", "unhealthy");
    assert_eq!((&sick["activity"], &sick["state"]), (&json!("stalled"), &json!("unhealthy")), "{sick}");
    let why = sick["health_reason"].as_str().unwrap();
    assert!(why.starts_with("it has given no sign of life for ") && why.contains("state S"), "{sick}");
    let told = scratch.wait_events("web", "instance.activity", 1);
    assert_eq!(told[0]["activity"], "stalled", "{told:?}");
    assert!(told[0]["silent_ms"].as_u64().unwrap() >= 1000, "{told:?}");
    assert_eq!(scratch.events_of("web", "instance.health")[0]["health"], "unhealthy");

    std::fs::write(scratch.project().join("pipe"), "go\n").unwrap();
    let told = scratch.wait_events("web", "instance.activity", 2);
    assert!(["active", "quiet"].contains(&told[1]["activity"].as_str().unwrap()), "{told:?}");
    let told = scratch.wait_events("web", "instance.health", 2);
    assert_eq!(told[1]["health"], "healthy", "{told:?}");
    let after = scratch.ps("web");
    assert_eq!((&after["pid"], &after["restarts"]), (&before["pid"], &json!(0)), "{after}");

    let idle = wait_activity(scratch, "idle", "quiet");
    assert_eq!((&idle["health"], &idle["state"]), (&json!("healthy"), &json!("ready")), "{idle}");
    assert_eq!(scratch.events_of("idle", "instance.activity"), Vec::<Value>::new(), "nothing worth telling");
    scratch.down();
}

/// A loop without end is found, however little of the machine it gets; one that writes is not.
fn spins(scratch: &Scratch) {
    scratch.config(
        "
services:
  loop:
    command: while :; do :; done
    shell: true
    hang: { after: 2s, action: restart }
  busy:
    command: i=0; while :; do i=$$((i+1)); [ $$((i % 5000)) -ne 0 ] || echo $$i; done
    shell: true
    hang: { after: 2s, action: restart }
",
    );
    scratch.ok(&["up", "-d"]);
    let told = &scratch.wait_events("loop", "instance.activity", 1)[0];
    assert_eq!(told["activity"], "spinning", "{told}");
    assert!(told["detail"].as_str().unwrap().contains("while :"), "{told}");
    let down = &scratch.wait_events("loop", "instance.down", 1)[0]["receipt"];
    assert_eq!((&down["reason"], &down["left"]), (&json!("hung"), &json!(0)), "{down}");
    scratch.wait_events("loop", "instance.started", 2);
    assert_eq!(wait_activity(scratch, "busy", "active")["restarts"], 0);
    scratch.down();
}

/// Who asks somebody at a terminal and gets no answer does not hang.
fn waits_for_somebody(scratch: &Scratch) {
    scratch.file("ask.py", "import pty\npty.spawn(['sh', '-c', 'read answer; exit 0'])\n");
    scratch.config(
        "
services:
  asks:
    command: [python3, ask.py]
    hang: { after: 4s, action: stop }
",
    );
    scratch.ok(&["up", "-d"]);
    let told = &scratch.wait_events("asks", "instance.activity", 1)[0];
    assert_eq!(told["activity"], "waiting_for_input", "{told}");
    assert!(told["detail"].as_str().unwrap().contains("reads /dev/pts/"), "{told}");
    let asks = wait_activity(scratch, "asks", "waiting_for_input");
    assert_eq!((&asks["health"], &asks["state"]), (&json!("healthy"), &json!("ready")), "{asks}");
    scratch.down();
}

fn ends(scratch: &Scratch) {
    scratch.config("services: { web: { command: sleep 600, restart: always, hang: { after: 1s, action: stop } } }");
    scratch.ok(&["up", "-d"]);
    let stopped = scratch.wait_state("web", "stopped", DEADLINE);
    assert_eq!(stopped["reason"], "it hung", "{stopped}");
    assert_eq!(scratch.events_of("web", "instance.started").len(), 1, "it stays stopped");
    scratch.down();
}
