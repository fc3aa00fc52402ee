//! Which tests run in the guest, and everything they need there, at the paths that are compiled into them.

use std::fs;
use std::path::{Path, PathBuf};

use super::image::Image;
use super::packages::Machine;
use crate::{Result, run};

/// Test program, environment, and the tests to run there; a test may take so many seconds.
const CELLS: [(&str, &str, u32, &[&str]); 3] = [
    ("matrix", "cgroup-root", 120, &["down::matrix_cgroup", "daemon_killed::matrix_cgroup"]),
    ("matrix", "cgroup-delegated", 120, &["down::matrix_delegated", "daemon_killed::matrix_delegated"]),
    ("matrix", "reaper-user", 120, &["down::matrix_reaper"]),
];

/// Programs that tests start by name.
const PROGRAMS: [&str; 11] =
    ["sh", "setsid", "setpriv", "sleep", "cat", "true", "env", "bash", "kill", "nohup", "tmux"];

/// What was built, and where.
pub(super) struct Tests {
    programs: Vec<PathBuf>,
    /// As a line for each: environment, limit, program, test.
    cells: String,
}

/// Builds every program and the test programs.
pub(super) fn build() -> Result<Tests> {
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    let mut call = ["test", "--workspace", "--locked", "--no-run", "--message-format=json"].map(str::to_owned).to_vec();
    let mut names: Vec<&str> = CELLS.iter().map(|(name, ..)| *name).collect();
    names.dedup();
    for name in names {
        call.extend(["--test".to_owned(), name.to_owned()]);
    }
    let messages = run::output("cargo", call)?;
    let built: Vec<PathBuf> = messages.lines().filter_map(executable).collect();
    let debug = run::target_dir().join("debug");
    let mut programs = vec![debug.join("kennel"), debug.join("kennel-badchild")];
    let mut cells = String::new();
    for (name, environment, limit, tests) in CELLS {
        let program =
            built.iter().find(|path| is_build_of(path, name)).ok_or_else(|| format!("no `{name}` was built"))?;
        for test in tests {
            cells.push_str(&format!("{environment} {limit} {} {test}\n", program.display()));
        }
        if !programs.contains(program) {
            programs.push(program.clone());
        }
    }
    Ok(Tests { programs, cells })
}

/// Writes the guest's file system.
pub(super) fn pack(tests: &Tests, machine: &Machine, at: &Path) -> Result {
    let mut image = Image::create(at)?;
    let guest = Path::new("/usr/lib/guest");
    image.copy(&machine.busybox(), &guest.join("busybox"))?;
    image.file(Path::new("/init"), 0o755, include_bytes!("init.sh"))?;
    image.file(Path::new("/cells"), 0o644, tests.cells.as_bytes())?;
    image.file(
        Path::new("/etc/passwd"),
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nplain:x:60200:60200::/tmp:/bin/sh\n",
    )?;
    image.file(Path::new("/etc/group"), 0o644, b"root:x:0:\nplain:x:60200:\n")?;
    for name in PROGRAMS {
        let path = run::find(name).ok_or_else(|| format!("`{name}` is not installed"))?;
        let path = fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        image.program(&path)?;
        if path.file_name().is_none_or(|file| file != name) {
            image.link(&Path::new("/usr/bin").join(name), &path)?;
        }
    }
    let stripped = at.with_extension("stripped");
    for program in &tests.programs {
        // Symbols would fill the guest's memory.
        run::quiet("strip", [Path::new("-o"), &stripped, program])?;
        image.copy(&stripped, program)?;
        image.libraries(program)?;
    }
    let _none = fs::remove_file(&stripped);
    image.finish()
}

/// The test program that a message of cargo is about.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    Some(PathBuf::from(rest.split_once('"')?.0))
}

/// Whether a file is `deps/NAME-HASH`.
fn is_build_of(path: &Path, name: &str) -> bool {
    let in_deps = path.parent().is_some_and(|dir| dir.ends_with("deps"));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    in_deps && file.rsplit_once('-').is_some_and(|(stem, _)| stem == name)
}
