//! The API against its own document: schemathesis asks it for everything that the document allows, and more.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, run, setup};

/// Operations that end or replace the daemon, move or close the door, or have no answer that ends. Whatever is new is asked as well.
const LEFT_OUT: [&str; 7] =
    ["down", "restart_daemon", "open_web", "close_web", "hold_stack", "hold_owner", "server_events"];
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Of the tool: what it asks for, and its options, differ between versions.
const VERSION: &str = "4.32.5";
/// The same questions each time.
const SEED: &str = "20261122";
/// For all operations, as far as they come, seconds.
const WITHIN: &str = "90";
/// How long one answer may take, seconds: as long as a service may take to end.
const ANSWER_WITHIN: &str = "30";
const HOOKS: &str = include_str!("api_hooks.py");
const STACK: &str =
    "services:\n  web: { command: [sleep, '1000'] }\n  worker: { command: [sleep, '1000'], scale: 2 }\n";

/// Installs it where it is missing, starts a stack of its own, and lets it ask; whatever happens, the stack is ended.
pub(crate) fn api() -> Result {
    setup::for_build()?;
    let tool = installed()?;
    // As everything else builds it: of other features its crates would be compiled once more.
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    let place = run::target_dir().join("api");
    let _none_before = fs::remove_dir_all(&place);
    fs::create_dir_all(place.join("stack")).map_err(|error| format!("{}: {error}", place.display()))?;
    fs::write(place.join("stack/kennel.yaml"), STACK).map_err(|error| error.to_string())?;
    let stack = Stack { kennel: run::target_dir().join("debug/kennel"), place };
    stack.kennel(&["up", "-d", "-q"])?;
    let asked = stack.ask(&tool);
    asked.and(stack.kennel(&["down", "-q"]).map(drop))
}

/// A kennel instance with directories of its own.
struct Stack {
    kennel: PathBuf,
    place: PathBuf,
}

impl Stack {
    /// What it prints.
    fn kennel(&self, arguments: &[&str]) -> Result<String> {
        let of = |variable: &str, below: &str| format!("{variable}={}", self.place.join(below).display());
        let file = self.place.join("stack/kennel.yaml").display().to_string();
        let kennel = self.kennel.display().to_string();
        let call = [of("XDG_STATE_HOME", "state"), of("XDG_RUNTIME_DIR", "run"), kennel, "-f".into(), file];
        run::quiet("env", call.into_iter().chain(arguments.iter().map(|&one| one.to_owned())))
    }

    fn ask(&self, tool: &Path) -> Result {
        let link = self.kennel(&["dashboard", "--no-open", "-q"])?;
        let url = link.split("/#").next().unwrap_or_default().trim().to_owned();
        let secret = self.kennel(&["token", "create", "fuzz", "--role", "admin", "-q"])?;
        let right = format!("authorization: Bearer {}", secret.trim());
        let document = run::root().join("crates/kennel-server/openapi.json").display().to_string();
        let tool = tool.display().to_string();
        let hooks = self.place.join("hooks.py");
        fs::write(&hooks, HOOKS).map_err(|error| format!("{}: {error}", hooks.display()))?;
        let path = format!("PYTHONPATH={}", self.place.display());
        let call = [&path, "SCHEMATHESIS_HOOKS=hooks", &tool, "run", &document, "--url", &url, "-H", &right];
        let bounds = ["-n", "20", "--seed", SEED, "--max-time", WITHIN, "--request-timeout", ANSWER_WITHIN];
        let call =
            call.into_iter().chain(["--checks", CHECKS, "--generation-database", "none", "--no-color"]).chain(bounds);
        let call = call.chain(LEFT_OUT.iter().flat_map(|operation| ["--exclude-operation-id", *operation]));
        run::program("env", call, &self.place)?;
        // A daemon that was lost is followed by another one, of which the last answers may have come.
        let events = self.kennel(&["events", "--json"])?;
        let is_of_a_loss = |line: &&str| {
            ["recovered", "terminated", "panicked"].iter().any(|what| line.contains(&format!("\"daemon.{what}\"")))
        };
        let lost = events.lines().find(is_of_a_loss);
        lost.map_or(Ok(()), |event| Err(format!("the daemon did not last: {event}")))
    }
}

/// The program, in an environment of its own below the target directory.
fn installed() -> Result<PathBuf> {
    let place = run::target_dir().join("schemathesis");
    let program = place.join("bin/schemathesis");
    // An environment knows its version by a file of that name.
    let known = place.join(VERSION);
    if !program.is_file() || !known.is_file() {
        let wanted = format!("schemathesis=={VERSION}");
        setup::for_python()?;
        let place = place.display().to_string();
        run::program("python3", ["-m", "venv", &place], &run::root())?;
        let pip = format!("{place}/bin/pip");
        run::program(&pip, ["install", "--quiet", "--disable-pip-version-check", &wanted], &run::root())?;
        fs::write(&known, "").map_err(|error| format!("{}: {error}", known.display()))?;
    }
    Ok(program)
}
