//! A kennel that kills itself at named steps.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The kennel with the steps compiled in, built beside the ordinary one, which has none.
pub(crate) fn kennel_that_crashes() -> PathBuf {
    let ordinary = PathBuf::from(env!("CARGO_BIN_EXE_kennel"));
    let target = ordinary.ancestors().nth(2).expect("<target>/<profile>/kennel");
    // What is compiled goes where everything else is, so that dependencies are not compiled once more; only the
    // programs go to a place of their own.
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["build", "--quiet", "--locked", "--workspace", "--bin", "kennel", "--bin", "kennel-badchild"])
        .args(["--features", "kennel-cli/crash-points", "--config"])
        .arg(format!("build.build-dir={:?}", target.display().to_string()))
        .arg("--target-dir")
        .arg(target.join("crash"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status();
    assert!(built.expect("cargo runs").success(), "the build with crash points failed");
    target.join("crash/debug/kennel")
}
