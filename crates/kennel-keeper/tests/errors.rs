//! Every way a start can fail, told apart, with nothing left of the attempt.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::ffi::CString;
use std::os::unix::fs::PermissionsExt;

use kennel_keeper::proto::{Exit, Limit, Privileges, Setting, SpawnErrorKind};
use rig::{Rig, World, ids};

fn in_each(body: impl Fn(&mut Rig)) {
    rig::in_each(|rig| {
        body(rig);
        rig.no_service_is_left();
    });
}

fn file(rig: &Rig, name: &str, text: &str, mode: u32) -> String {
    let path = rig.dir.path().join(name);
    let _nobody_starts = rig::WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn failure(rig: &mut Rig, argv: &[&str]) -> (SpawnErrorKind, String) {
    let plan = rig.plan(argv);
    let error = rig.fail(plan);
    (error.kind, error.subject)
}

#[test]
fn a_program_that_is_not_there() {
    in_each(|rig| {
        for name in ["no-such-program", "./no-such-program", "/no/such/program", "/etc/passwd/x", ""] {
            assert_eq!(failure(rig, &[name]), (SpawnErrorKind::NotFound, name.to_owned()));
        }
    });
}

#[test]
fn a_program_is_looked_for_in_the_path_of_the_service() {
    in_each(|rig| {
        file(rig, "only-here", "#!/bin/sh\nexit 9\n", 0o755);
        let dir = rig.dir.path().to_str().unwrap().to_owned();
        assert_eq!(failure(rig, &["only-here"]).0, SpawnErrorKind::NotFound);
        let mut plan = rig.plan(&["only-here"]);
        plan.env = vec![CString::new(format!("PATH=/no/such/dir:{dir}")).unwrap()];
        let (scope, _) = rig.run_plan(plan);
        assert_eq!(rig.ended(scope), Exit::Code(9));
        let mut plan = rig.plan(&["./only-here"]);
        plan.cwd = CString::new(dir).unwrap();
        let (scope, _) = rig.run_plan(plan);
        assert_eq!(rig.ended(scope), Exit::Code(9));
    });
}

#[test]
fn a_file_that_cannot_be_executed() {
    in_each(|rig| {
        let plain = file(rig, "plain", "text", 0o644);
        let nonsense = file(rig, "nonsense", "text", 0o755);
        for path in [&plain, &nonsense, "/usr"] {
            assert_eq!(failure(rig, &[path]), (SpawnErrorKind::NotExecutable, path.to_owned()));
        }
    });
}

#[test]
fn an_interpreter_that_is_not_there() {
    in_each(|rig| {
        let direct = file(rig, "direct", "#!/no/such/interpreter -x\n", 0o755);
        assert_eq!(failure(rig, &[&direct]), (SpawnErrorKind::BadInterpreter, "/no/such/interpreter".into()));
        let nested = file(rig, "nested", &format!("#! {direct}\n"), 0o755);
        assert_eq!(failure(rig, &[&nested]), (SpawnErrorKind::BadInterpreter, "/no/such/interpreter".into()));
    });
}

#[test]
fn a_directory_that_cannot_be_entered() {
    in_each(|rig| {
        let plain = file(rig, "plain", "", 0o644);
        for path in ["/no/such/dir", plain.as_str()] {
            let mut plan = rig.plan(&["true"]);
            plan.cwd = CString::new(path).unwrap();
            let error = rig.fail(plan);
            assert_eq!((error.kind, error.subject.as_str()), (SpawnErrorKind::BadCwd, path));
        }
    });
}

#[test]
fn the_directory_is_entered_with_the_rights_of_the_service() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let private = rig.dir.path().join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
    let mut plan = rig.plan(&["true"]);
    plan.cwd = CString::new(private.to_str().unwrap()).unwrap();
    plan.user = Some(ids(60_204));
    assert_eq!(rig.fail(plan).kind, SpawnErrorKind::BadCwd);
    let mut plan = rig.plan(&["id", "-u"]);
    plan.user = Some(ids(60_204));
    let (scope, _) = rig.run_plan(plan);
    assert_eq!(rig.ended(scope), Exit::Code(0));
    assert_eq!(rig.output(scope), "60204\n");
    rig.finish();
}

#[test]
fn a_user_that_cannot_be_taken_on() {
    in_each(|rig| {
        let mut plan = rig.plan(&["true"]);
        // Not valid for anybody: -1 means "no change" to the kernel.
        plan.user = Some(ids(if rig.world == World::Cgroup { u32::MAX } else { 60_204 }));
        plan.user.as_mut().unwrap().gid = u32::MAX - 1;
        let error = rig.fail(plan);
        if rig.world == World::Reaper {
            assert_eq!((error.kind, error.subject.as_str()), (SpawnErrorKind::BadUser, "60204"));
        }
        // One that is us already needs no rights.
        if rig.world == World::Reaper {
            let mut plan = rig.plan(&["true"]);
            plan.user = Some(ids(rig::ORDINARY));
            let (scope, _) = rig.run_plan(plan);
            assert_eq!(rig.ended(scope), Exit::Code(0));
        }
    });
}

#[test]
fn a_setting_that_cannot_be_had() {
    const NOFILE: u32 = 7;
    let limit =
        |soft, hard| Privileges { limits: vec![Limit { resource: NOFILE, soft, hard }], ..Privileges::default() };
    let anywhere = [
        (limit(1, u64::MAX), Setting::Limit, "nofile"),
        (Privileges { cpus: vec![0, 8191], ..Privileges::default() }, Setting::Cpus, "cpus"),
        (Privileges { io_priority: Some(7 << 13), ..Privileges::default() }, Setting::IoPriority, "io_priority"),
        (Privileges { added_capabilities: 1 << 63, ..Privileges::default() }, Setting::Capabilities, "capabilities"),
    ];
    let for_some = [
        (Privileges { nice: Some(-1), ..Privileges::default() }, Setting::Nice, "nice"),
        (Privileges { oom_score_adj: Some(-1000), ..Privileges::default() }, Setting::OomScoreAdj, "oom_score_adj"),
        (Privileges { io_priority: Some(1 << 13), ..Privileges::default() }, Setting::IoPriority, "io_priority"),
        (Privileges { added_capabilities: 1 << 10, ..Privileges::default() }, Setting::Capabilities, "capabilities"),
    ];
    in_each(|rig| {
        let some = if rig.world == World::Reaper { &for_some[..] } else { &[] };
        for (privileges, setting, subject) in anywhere.iter().chain(some) {
            let mut plan = rig.plan(&["true"]);
            // Somebody who gets what is added as ambient capabilities, which the kernel checks one by one.
            plan.user = (rig.world == World::Cgroup).then(|| ids(60_204));
            plan.privileges = privileges.clone();
            let error = rig.fail(plan);
            assert_eq!((error.kind, error.subject.as_str()), (SpawnErrorKind::Setting(*setting), *subject));
        }
        // The keeper itself is as it was.
        let (scope, _) = rig.run(&["sh", "-c", "ulimit -Hn; cat /proc/self/oom_score_adj; nice"]);
        assert_eq!(rig.ended(scope), Exit::Code(0));
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap();
        let oom = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        let nice = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(rig.output(scope), format!("{own}\n{oom}{nice}\n"));
    });
}

#[test]
fn arguments_and_environment_of_any_length() {
    in_each(|rig| {
        let long = "x".repeat(3 << 20);
        assert_eq!(failure(rig, &["true", &long]), (SpawnErrorKind::TooLong, "true".into()));
        let mut plan = rig.plan(&["true"]);
        plan.env.extend((0..200).map(|n| CString::new(format!("V{n}={}", "y".repeat(100_000))).unwrap()));
        assert_eq!(rig.fail(plan).kind, SpawnErrorKind::TooLong);
        // What the kernel takes arrives whole, though it is far more than a packet holds.
        let mut plan = rig.plan(&["sh", "-c", "echo ${#V0} ${#V9}"]);
        plan.env.extend((0..10).map(|n| CString::new(format!("V{n}={}", "z".repeat(100_000))).unwrap()));
        let (scope, _) = rig.run_plan(plan);
        rig.ended(scope);
        assert_eq!(rig.output(scope), "100000 100000\n");
    });
}

#[test]
fn a_scope_that_cannot_be_made() {
    in_each(|rig| {
        for name in ["a/b", "..", "", "ü"] {
            let mut plan = rig.plan(&["true"]);
            plan.name = name.into();
            assert_eq!(rig.fail(plan).kind, SpawnErrorKind::Scope, "{name}");
        }
    });
}

#[test]
fn processes_run_short() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    // Counted over all processes of this user, of which the keeper and its daemon are two.
    let keeper = rustix::process::Pid::from_raw(rig.keeper.pid.cast_signed()).unwrap();
    let limit = rustix::process::Rlimit { current: Some(1), maximum: Some(1) };
    if rustix::process::prlimit(Some(keeper), rustix::process::Resource::Nproc, limit).is_ok() {
        assert_eq!(failure(&mut rig, &["true"]).0, SpawnErrorKind::Resources);
    }
    rig.finish();
}
