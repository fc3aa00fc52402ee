//! Starts real processes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::wait::Exit;

fn strings(of: &[&str]) -> Vec<CString> {
    of.iter().map(|text| CString::new(*text).unwrap()).collect()
}

/// Everything a test may want to vary.
pub(super) struct Case {
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: CString,
    pub(super) user: Option<(u32, u32, Vec<u32>)>,
    pub(super) umask: Option<u32>,
    pub(super) nofile: Option<Nofile>,
    pub(super) tag: Option<Tag>,
    pub(super) settings: Settings<'static>,
    pub(super) no_new_privs: bool,
}

impl Case {
    pub(super) fn new(argv: &[&str]) -> Self {
        Self {
            argv: strings(argv),
            env: strings(&["PATH=/usr/bin:/bin"]),
            cwd: c"/".into(),
            user: None,
            umask: None,
            nofile: None,
            tag: None,
            settings: Settings::default(),
            no_new_privs: true,
        }
    }

    fn start_with(&self, fds: &[BorrowedFd<'_>]) -> Result<Child, Failure> {
        let user = self.user.as_ref().map(|(uid, gid, groups)| User { uid: *uid, gid: *gid, groups });
        let exec = Exec {
            argv: &self.argv,
            env: &self.env,
            cwd: &self.cwd,
            user,
            umask: self.umask,
            fds,
            nofile: self.nofile,
            tag: self.tag,
            settings: self.settings,
            no_new_privs: self.no_new_privs,
            cgroup: None,
        };
        Spawner::new().unwrap().spawn(&exec)
    }

    pub(super) fn start(&self) -> Result<Child, Failure> {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        self.start_with(&[null.as_fd(), null.as_fd(), null.as_fd()])
    }

    pub(super) fn output(&self) -> (String, Exit) {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let child = self.start_with(&[null.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (text, wait::reap(child.pid, true).unwrap().unwrap().exit)
    }

    fn failure(&self) -> (Stage, i32) {
        let failure = self.start().unwrap_err();
        (failure.stage, failure.errno)
    }
}

pub(crate) fn start(argv: &[&str]) -> Result<Child, Failure> {
    start_tagged(argv, None)
}

/// A child whose standard input is this file.
pub(crate) fn start_on(argv: &[&str], input: &File) -> Result<Child, Failure> {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    Case::new(argv).start_with(&[input.as_fd(), null.as_fd(), null.as_fd()])
}

pub(crate) fn start_tagged(argv: &[&str], tag: Option<Tag>) -> Result<Child, Failure> {
    Case { tag, ..Case::new(argv) }.start()
}

#[test]
fn a_program_runs_with_what_it_was_given() {
    let mut case = Case::new(&["sh", "-c", "echo $A $$; umask; pwd; exit 3"]);
    case.env = strings(&["PATH=/nowhere:/usr/bin:/bin", "A=b c"]);
    case.cwd = c"/usr".into();
    case.umask = Some(0o027);
    let (text, exit) = case.output();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("b c "), "{text}");
    assert_eq!(&lines[1..], ["0027", "/usr"]);
    assert_eq!(exit, Exit::Code(3));
}

#[test]
fn nothing_of_ours_is_inherited() {
    let leaky = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    // `ls` itself has the directory open as descriptor 3.
    let (text, _) = Case::new(&["ls", "/proc/self/fd"]).output();
    assert_eq!(text, "0\n1\n2\n3\n");
    let (status, _) = Case::new(&["cat", "/proc/self/status"]).output();
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
}

#[test]
fn its_table_of_descriptors_is_its_own() {
    let before: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
    // What the shell closes and opens must not show here, and what it was given is not kept.
    let (text, exit) = Case::new(&["sh", "-c", "exec 0<&- 7</dev/null; ls /proc/self/fd | wc -l"]).output();
    assert_eq!((text.trim(), exit), ("4", Exit::Code(0)));
    for file in before {
        assert!(file.metadata().is_ok());
    }
    let zero = std::fs::read_link("/proc/self/fd/0");
    assert!(zero.is_ok(), "{zero:?}");
}

#[test]
fn more_descriptors_than_there_are_slots_can_be_given() {
    let null = File::open("/dev/null").unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    let mut fds = vec![null.as_fd(); 12];
    fds[1] = writer.as_fd();
    let child = Case::new(&["ls", "/proc/self/fd"]).start_with(&fds).unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 13, "{text}");
    assert_eq!(wait::reap(child.pid, true).unwrap().unwrap().exit, Exit::Code(0));
}

#[test]
fn it_leads_a_session_of_its_own() {
    let child = start(&["sleep", "600"]).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid)).unwrap();
    let session: u32 = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(session, child.pid);
    crate::pidfd::send_signal(&child.pidfd, libc::SIGTERM).unwrap();
    assert_eq!(wait::reap(child.pid, true).unwrap().unwrap().exit, Exit::Signal(libc::SIGTERM));
}

#[test]
fn every_failure_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "#! /no/such/interpreter -x\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "text").unwrap();

    assert_eq!(Case::new(&["no-such-program"]).failure(), (Stage::Exec, libc::ENOENT));
    assert_eq!(Case::new(&["./no-such-program"]).failure(), (Stage::Exec, libc::ENOENT));
    assert_eq!(Case::new(&[script.to_str().unwrap()]).failure(), (Stage::Exec, libc::ENOENT));
    assert_eq!(interpreter(&script).unwrap(), Path::new("/no/such/interpreter"));
    assert_eq!(Case::new(&[plain.to_str().unwrap()]).failure(), (Stage::Exec, libc::EACCES));
    assert_eq!(Case::new(&["/usr"]).failure(), (Stage::Exec, libc::EACCES));
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Case::new(&[plain.to_str().unwrap()]).failure(), (Stage::Exec, libc::ENOEXEC));
    let mut case = Case::new(&["true"]);
    case.cwd = c"/no/such/dir".into();
    assert_eq!(case.failure(), (Stage::Cwd, libc::ENOENT));
    let long = "x".repeat(3 << 20);
    assert_eq!(Case::new(&["true", &long]).failure(), (Stage::Exec, libc::E2BIG));
    assert_eq!(Case::new(&[]).failure(), (Stage::Exec, libc::EINVAL));
}

#[test]
fn a_program_names_its_loader() {
    let loader = interpreter(Path::new("/bin/sh")).unwrap();
    assert!(loader.exists(), "{}", loader.display());
    assert_eq!(interpreter(Path::new("/proc/self/status")), None);
}

#[test]
fn a_user_is_taken_on_before_the_directory_is_entered() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut case = Case::new(&["id", "-G"]);
    case.user = Some((60_201, 60_202, vec![60_203]));
    assert_eq!(case.output().0.trim(), "60202 60203");
    case.cwd = CString::new(dir.path().to_str().unwrap()).unwrap();
    assert_eq!(case.failure(), (Stage::Cwd, libc::EACCES));
}
