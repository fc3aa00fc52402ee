//! Which tests run in the guest, and everything they need there, at the paths that are compiled into them.

use std::fs;
use std::path::{Path, PathBuf};

use super::image::Image;
use super::packages::Machine;
use crate::{Result, run};

/// A test program by package and name, and the tests of it that run in the guest.
type Chosen = (&'static str, &'static str, &'static [&'static str]);

/// The core of the matrix; what needs controllers or another kernel than the one tests usually run on; limits; what
/// `kennel doctor` finds and advises.
const CHOSEN: [Chosen; 13] = [
    (
        "kennel-cli",
        "matrix",
        &[
            "down::matrix_cgroup",
            "down::matrix_delegated",
            "daemon_killed::matrix_cgroup",
            "keeper_killed::matrix_delegated",
        ],
    ),
    ("kennel-cli", "place", &["no_process_is_in_an_inner_group", "after_a_kill_of_everything_of_ours"]),
    ("kennel-cli", "privileges", &["what_anybody_may_ask_for", "root_goes_before_others_where_it_may"]),
    ("kennel-cli", "doctor", &["what_the_kernel_can_do_is_tried", "who_sees_to_which_limit_is_tried"]),
    (
        "kennel-cli",
        "advice",
        &[
            "a_tree_that_is_read_only_is_made_writable",
            "a_tree_that_is_not_mounted_is_mounted",
            "a_user_moves_a_shell_into_a_group",
        ],
    ),
    ("kennel-keeper", "scopes", &["what_has_no_leader_dies", "a_scope_makes_groups_of_its_own_and_still_dies"]),
    ("kennel-keeper", "privileges", &["what_root_may_give"]),
    (
        "kennel-keeper",
        "bounds",
        &[
            "who_uses_more_memory_is_killed_and_that_is_the_reason",
            "a_child_that_is_killed_is_told_of_as_well",
            "no_more_processes_than_allowed_can_be_made",
            "weights_and_disks_are_bounded_where_that_can_be_had",
            "who_weighs_more_gets_more_of_a_cpu",
        ],
    ),
    (
        "kennel-keeper",
        "pools",
        &["the_memory_of_an_owner_is_that_of_all_below_it", "processes_of_all_are_counted_together"],
    ),
    ("kennel-cli", "together", &["who_grows_beyond_the_memory_of_the_stack_pays_for_it"]),
    ("kennel-keeper", "freeze", &["what_is_frozen_stands_still_until_it_is_thawed"]),
    (
        "kennel-cli",
        "limits",
        &[
            "memory_is_held_and_the_kill_is_explained",
            "only_so_many_processes",
            "other_limits_take_effect_while_it_runs",
        ],
    ),
    ("kennel-keeper", "pidns", &["nothing_outlives_everything_of_ours_in_delegated_cgroups"]),
];

/// Tests that take long in a guest: which kernel has each where they are shared.
const LONG: [(&str, &str); 13] = [
    ("down::matrix_cgroup", "6.12"),
    ("down::matrix_delegated", "6.1"),
    ("daemon_killed::matrix_cgroup", "6.1"),
    ("keeper_killed::matrix_delegated", "6.12"),
    ("after_a_kill_of_everything_of_ours", "6.1"),
    ("what_anybody_may_ask_for", "6.1"),
    ("root_goes_before_others_where_it_may", "6.12"),
    ("who_sees_to_which_limit_is_tried", "6.1"),
    ("who_grows_beyond_the_memory_of_the_stack_pays_for_it", "6.1"),
    ("memory_is_held_and_the_kill_is_explained", "6.12"),
    ("only_so_many_processes", "6.1"),
    ("other_limits_take_effect_while_it_runs", "6.12"),
    ("nothing_outlives_everything_of_ours_in_delegated_cgroups", "6.12"),
];

/// Longest time for one test, seconds.
const LIMIT: u32 = 300;

/// Programs that tests start by name.
const PROGRAMS: [&str; 20] = [
    "sh", "bash", "setsid", "setpriv", "sleep", "cat", "true", "env", "kill", "nohup", "unshare", "mount", "umount",
    "grep", "sed", "head", "tail", "mv", "chown", "mkdir",
];

/// What was built, and where.
pub(super) struct Tests {
    programs: Vec<PathBuf>,
    /// As a line for each: limit, the kernel that has it where tests are shared or `every`, program, test.
    cells: String,
}

/// Builds every program and the test programs.
pub(super) fn build() -> Result<Tests> {
    run::cargo(["build", "--workspace", "--bins", "--locked"])?;
    // With the whole workspace, so that nothing is compiled twice for the tests that run here.
    let mut call = ["test", "--workspace", "--locked", "--no-run", "--message-format=json"].map(str::to_owned).to_vec();
    call.extend(CHOSEN.iter().flat_map(|(_, name, _)| ["--test".to_owned(), (*name).to_owned()]));
    let messages = run::output("cargo", call)?;
    let debug = run::target_dir().join("debug");
    let mut programs = ["kennel", "kennel-badchild", "keeper-harness"].map(|name| debug.join(name)).to_vec();
    let is_chosen = |test: &str| CHOSEN.iter().any(|(.., tests)| tests.contains(&test));
    if let Some((test, _)) = LONG.iter().find(|(test, _)| !is_chosen(test)) {
        return Err(format!("`{test}` takes long and is not among the chosen tests"));
    }
    let mut cells = String::new();
    for (package, name, tests) in CHOSEN {
        let built = messages.lines().filter(|line| is_about(line, package, name)).find_map(executable);
        let program = built.ok_or_else(|| format!("no test program `{name}` of {package} was built"))?;
        for test in tests {
            let whose = LONG.iter().find(|(long, _)| long == test).map_or("every", |(_, series)| series);
            cells.push_str(&format!("{LIMIT} {whose} {} {test}\n", program.display()));
        }
        programs.push(program);
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
    for program in &tests.programs {
        image.stripped(program, program, at)?;
        image.libraries(program)?;
    }
    image.finish()
}

/// The test program that a message of cargo is about.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    Some(PathBuf::from(rest.split_once('"')?.0))
}

/// Whether a message of cargo is about a test program.
fn is_about(message: &str, package: &str, name: &str) -> bool {
    let file = format!("/{package}/tests/{name}");
    [".rs\"", "/main.rs\""].iter().any(|end| message.contains(&format!("{file}{end}")))
}
