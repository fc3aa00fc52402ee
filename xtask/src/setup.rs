//! What a build and the tests need beyond the Rust toolchain, installed where it is missing.
//!
//! Every step looks first and says what it does; a machine that has everything is left alone.

use std::fs;
use std::path::Path;

use crate::{Result, run};

/// Oldest Node.js that the npm packages accept.
const NODE_MAJOR: u32 = 20;

/// What `cargo build` needs: a linker.
pub(crate) fn for_build() -> Result {
    packages(&[("cc", "gcc"), ("cc", "libc6-dev")])
}

/// What the example stack needs: `setsid` for its escape artist.
pub(crate) fn for_demo() -> Result {
    for_build()?;
    packages(&[("setsid", "util-linux"), ("sh", "dash")])
}

/// What programs from PyPI need.
pub(crate) fn for_python() -> Result {
    packages(&[("python3", "python3"), ("python3", "python3-venv")])
}

/// What the page's tests need: its npm packages, and a browser.
pub(crate) fn for_web() -> Result {
    for_demo()?;
    packages(&[("chromium", "chromium"), ("chromium", "fonts-liberation"), ("git", "git")])?;
    npm_packages(&run::root().join("web"))
}

/// What the tests need: programs for badly behaved children, cargo-nextest, the npm packages of the incident.
pub(crate) fn for_tests() -> Result {
    for_demo()?;
    packages(&[("setpriv", "util-linux"), ("tmux", "tmux"), ("script", "bsdutils"), ("git", "git")])?;
    // Completion is tested in each shell.
    packages(&[("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")])?;
    // A receiver of webhooks that checks signatures and speaks TLS, and its certificates.
    packages(&[("python3", "python3"), ("openssl", "openssl")])?;
    // A session bus of a test's own, for notifications on the desktop.
    packages(&[("dbus-daemon", "dbus-daemon")])?;
    nextest()?;
    npm_packages(&run::root().join("incident"))?;
    eprintln!("setup: complete");
    Ok(())
}

/// Installs the Debian packages whose program (left) is not in `PATH`.
fn packages(wanted: &[(&str, &str)]) -> Result {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !run::have(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !run::have("apt-get") {
        return Err(format!("this is not a Debian system; please install what Debian calls: {list}"));
    }
    eprintln!("setup: installing Debian packages: {list}");
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], &missing[..]].concat())
}

/// Runs apt-get as root, without a question.
pub(crate) fn apt(arguments: &[&str]) -> Result {
    let root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    // `env` carries the variable through sudo as well.
    let call = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"];
    let call: Vec<&str> = call.into_iter().chain(arguments.iter().copied()).collect();
    match root {
        true => run::program(call[0], &call[1..], &run::root()),
        false if run::have("sudo") => run::program("sudo", [&["-n"], &call[..]].concat(), &run::root()),
        false => Err(format!("please run as root: apt-get update && apt-get {}", arguments.join(" "))),
    }
}

/// cargo-nextest runs each test in a process of its own, which tests of subreapers and signals rely on.
pub(crate) fn nextest() -> Result {
    if run::have("cargo-nextest") {
        return Ok(());
    }
    eprintln!("setup: installing cargo-nextest from source, which takes some minutes");
    run::cargo(["install", "--locked", "cargo-nextest"])
}

/// Installs what `package-lock.json` pins, unless that is what `node_modules` holds.
fn npm_packages(directory: &Path) -> Result {
    let lock = directory.join("package-lock.json");
    if !lock.is_file() {
        return Ok(());
    }
    if !(run::have("node") && run::have("npm")) {
        packages(&[("node", "nodejs"), ("npm", "npm")])?;
    }
    let version = run::output("node", ["--version"])?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        return Err(format!("its npm packages need Node.js {NODE_MAJOR} or newer, here is {}", version.trim()));
    }
    // npm has no cheap "is it complete?"; a copy of the lock file beside the packages answers it exactly.
    let stamp = directory.join("node_modules/.kennel-lock");
    let wanted = fs::read(&lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("setup: installing the npm packages of {}", directory.display());
    run::program("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], directory)?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}
