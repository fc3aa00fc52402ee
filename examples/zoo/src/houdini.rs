//! The escape artist: leaves by every trick that a process-group kill cannot follow.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::{Life, memory};

/// In the cage: starts the one that gets away, then sits there looking innocent.
pub(crate) fn live() -> Life {
    // setsid --fork: a new session with no terminal, and a parent that is gone at once (the double fork).
    // trap '': TERM, INT and HUP are ignored, also over the exec that follows.
    // An empty environment: no mark that a search could find. Standard output is kept open all the while.
    let program = std::env::current_exe()?;
    let status = Command::new("setsid")
        .args(["--fork", "sh", "-c", "trap '' TERM INT HUP; exec \"$0\" houdini-at-large"])
        .arg(program)
        .env_clear()
        .current_dir("/")
        .status()
        .map_err(|error| format!("cannot run setsid: {error}"))?;
    if !status.success() {
        return Err(format!("setsid: {status}").into());
    }
    println!("the box is locked, and houdini (pid {}) is certainly inside it", std::process::id());
    loop {
        thread::sleep(Duration::from_secs(600));
    }
}

/// At large: no parent, no session, no environment, deaf to TERM.
pub(crate) fn at_large() -> Life {
    println!(
        "psst: I am pid {}, nobody's child, in a session of my own, and TERM does not reach me",
        std::process::id()
    );
    loop {
        // The elephant may be gone before us; that is no reason to come back.
        let sightings = memory::count("houdini:sightings").unwrap_or_default();
        if sightings > 0 {
            println!("seen {sightings} times, caught 0 times");
        }
        thread::sleep(Duration::from_secs(10));
    }
}
