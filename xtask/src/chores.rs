//! The chores that call cargo.

use crate::{Result, run, setup, tidy, vm};

/// Builds kennel and the zoo, then becomes `kennel -f examples/zoo/kennel.yaml up`.
pub(crate) fn demo(arguments: &[String]) -> Result {
    setup::for_demo()?;
    run::cargo(["build", "--package", "kennel-cli", "--package", "kennel-zoo", "--bins"])?;
    let built = run::target_dir().join("debug");
    let call = ["-f", "examples/zoo/kennel.yaml"].map(str::to_owned);
    let verb = if arguments.is_empty() { vec!["up".to_owned()] } else { arguments.to_vec() };
    let zoo = built.join("kennel-zoo");
    run::become_program(&built.join("kennel"), call.into_iter().chain(verb), &[("ZOO", zoo.as_path())])
}

/// Sets up, builds every program and test, runs the documentation tests and then all others.
///
/// nextest comes last: its summary closes the output.
pub(crate) fn test(arguments: &[String]) -> Result {
    setup::for_tests()?;
    // Tests start programs of other packages, which cargo builds only when asked.
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    with_crash_points()?;
    run::cargo(["test", "--workspace", "--doc", "--locked", "--quiet"])?;
    let call = ["nextest", "run", "--workspace", "--locked"].map(str::to_owned);
    run::cargo(call.iter().chain(arguments))?;
    // Somebody who chose a test did not mean these.
    if arguments.is_empty() { with_otel() } else { Ok(()) }
}

/// Builds the page anew and compares it with the one that is committed, then uses it in a browser over a kennel that was just built.
pub(crate) fn web() -> Result {
    setup::for_web()?;
    let web = run::root().join("web");
    run::program("npm", ["run", "--silent", "verify"], &web)?;
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    let kennel = format!("KENNEL={}", run::target_dir().join("debug/kennel").display());
    run::program("env", [&kennel, "DOOR=kennel", "npm", "run", "--silent", "test"], &web)
}

/// What is only there with the feature `otel`. Nothing else is built with it.
fn with_otel() -> Result {
    let what = ["--package", "kennel-server", "--package", "kennel-cli", "--features", "kennel-cli/otel"];
    run::cargo(["nextest", "run", "--locked"].into_iter().chain(what).chain(["--lib", "--test", "otel"]))
}

/// A kennel that a test can kill at each of its steps, in a place of its own; what it shares with the ordinary one is
/// not compiled again. The test builds it by itself where this was not done, with the same words.
fn with_crash_points() -> Result {
    let target = run::target_dir();
    let shared = format!("build.build-dir={:?}", target.display().to_string());
    let place = target.join("crash").display().to_string();
    let what = ["--workspace", "--bin", "kennel", "--bin", "kennel-badchild", "--features", "kennel-cli/crash-points"];
    run::cargo(["build", "--locked", "--config", &shared, "--target-dir", &place].into_iter().chain(what))
}

/// Everything that reads the code without running it.
pub(crate) fn lint() -> Result {
    setup::for_build()?;
    tidy::check()?;
    run::cargo(["fmt", "--all", "--check"])?;
    run::cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    let otel = ["--workspace", "--features", "kennel-cli/otel", "--all-targets", "--locked", "--", "-D", "warnings"];
    run::cargo(["clippy"].into_iter().chain(otel))?;
    if run::have("cargo-deny") {
        return run::cargo(["deny", "--workspace", "check", "bans", "licenses", "sources"]);
    }
    eprintln!("lint: cargo-deny is not installed; tidy held the licences and bans of deny.toml, nothing more");
    Ok(())
}

/// Builds everything with the release profile and measures kennel beside bare loops; needs root and cgroups.
pub(crate) fn bench(arguments: &[String]) -> Result {
    setup::for_build()?;
    let packages = ["kennel-cli", "kennel-benches", "kennel-testkit"].map(|name| ["--package", name]);
    run::cargo(["build", "--release", "--locked", "--bins"].into_iter().chain(packages.into_iter().flatten()))?;
    run::become_program(&run::target_dir().join("release/kennel-bench"), arguments, &[])
}

/// The tests of everything that is unsafe, under the address sanitizer. Its runtime comes with the stable compiler, its
/// switch does not, hence the variable.
pub(crate) fn sanitize(arguments: &[String]) -> Result {
    setup::for_demo()?;
    setup::nextest()?;
    let target = format!("CARGO_TARGET_DIR={}", run::target_dir().join("sanitize").display());
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = |words: &[&str], rest: &[String]| {
        let sanitized = ["RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-Zsanitizer=address", &target, "cargo"];
        let words = sanitized.iter().chain(words).map(|word| (*word).to_owned());
        run::program("env", words.chain(rest.iter().cloned()), &run::root())
    };
    cargo(&["build", "--locked", "--target", &triple, "--package", "kennel-testkit", "--bins"], &[])?;
    let packages = ["--package", "kennel-sys", "--package", "kennel-keeper"];
    cargo(&[&["nextest", "run", "--locked", "--target", &triple], &packages[..]].concat(), arguments)
}

/// Kills daemon, keeper or both of a kennel with the release profile at random instants, again and again; what is
/// left fails it. Needs root.
pub(crate) fn torture(arguments: &[String]) -> Result {
    setup::for_build()?;
    let packages = ["--package", "kennel-cli", "--package", "kennel-testkit"];
    run::cargo(
        ["build", "--release", "--locked", "--bin", "kennel", "--bin", "kennel-badchild"].into_iter().chain(packages),
    )?;
    // A round that fails panics and the next one follows, which the release profile does not have.
    run::cargo(["build", "--locked", "--package", "kennel-testkit", "--bin", "kennel-torture"])?;
    let target = run::target_dir();
    let kennel = target.join("release/kennel").display().to_string();
    let call = std::iter::once(kennel).chain(arguments.iter().cloned());
    run::become_program(&target.join("debug/kennel-torture"), call, &[])
}

/// Lets a kennel with the release profile run for some time with services that fail, fork and flood, while others start
/// and stop; what grows, is left or is lost fails it. Needs root.
pub(crate) fn soak(arguments: &[String]) -> Result {
    setup::for_build()?;
    let packages = ["--package", "kennel-cli", "--package", "kennel-testkit"];
    let programs = ["--bin", "kennel", "--bin", "kennel-badchild", "--bin", "kennel-soak"];
    run::cargo(["build", "--release", "--locked"].into_iter().chain(programs).chain(packages))?;
    let target = run::target_dir();
    let kennel = target.join("release/kennel").display().to_string();
    let call = std::iter::once(kennel).chain(arguments.iter().cloned());
    run::become_program(&target.join("release/kennel-soak"), call, &[])
}

/// Boots a machine with cgroup v2 alone and runs the core of the tests there.
pub(crate) fn vm(arguments: &[String]) -> Result {
    setup::for_build()?;
    vm::vm(arguments)
}

/// The npm stack that once left 74 processes behind, ended in every way; prints a table.
pub(crate) fn incident() -> Result {
    setup::for_tests()?;
    run::program("bash", ["incident/run.sh"], &run::root())
}
