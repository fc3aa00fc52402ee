//! What it costs to record output, and to search what was recorded.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use kennel_logs::{Bounds, HEADER, Header, Kind, Log, Stream, pack, usage};
use kennel_sys::spawn::{Exec, Spawner};
use kennel_testkit::{Scratch, User, wait_until};

use crate::watch::{cpu, spent};
use crate::{Row, bare, median, times};

const ROUNDS: usize = 9;
const PATIENCE: Duration = Duration::from_secs(120);
/// Written by the service, bytes.
const OUTPUT: u64 = 1 << 30;
/// A part of it, which it writes again and again.
const PART: u64 = 64 << 20;
/// What a write of it and a bare read of it take, bytes.
const AT_ONCE: usize = 64 << 10;
/// Capacity of the pipe, as a service that floods it is given.
const PIPE: usize = 256 << 10;

/// A service writes 1 GiB of lines of 100 bytes, 64 KiB at a time; against a loop that reads them from such a pipe and writes them
/// to a file.
pub(crate) fn capture(kennel: &Path) -> Vec<Row> {
    let (mut bares, mut plain, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bares.push(bare_capture(kennel));
        plain.push(captured(kennel, ""));
        kept.push(captured(kennel, "on_daemon_loss: keep,"));
    }
    let bare = medians(&bares);
    let row = |what: &str, of: (Duration, Duration)| {
        Row::new(format!("log path, {what}"), figures(bare), figures(of), times(of.0, bare.0), "≤ 1.3× the CPU")
    };
    vec![row("of a service that ends with the daemon", medians(&plain)), row("of one that is kept", medians(&kept))]
}

/// CPU and time, each by itself.
fn medians(all: &[(Duration, Duration)]) -> (Duration, Duration) {
    (median(all.iter().map(|one| one.0).collect()), median(all.iter().map(|one| one.1).collect()))
}

fn figures((cpu, time): (Duration, Duration)) -> String {
    let gigabytes = OUTPUT as f64 / 1e9;
    format!("{:.2} CPU-s/GB, {:.0} MB/s", cpu.as_secs_f64() / gigabytes, gigabytes * 1e3 / time.as_secs_f64())
}

/// The shell's words for writing [`OUTPUT`] bytes of lines of 100.
fn writer(text: &Path) -> String {
    let parts = OUTPUT / PART;
    format!("for part in $(seq {parts}); do dd if={} bs={AT_ONCE} status=none; done", text.display())
}

fn text(scratch: &Scratch) -> PathBuf {
    let line = |number: u64| format!("{number:0>99}\n");
    let mut text: String = (0..PART / 100).map(line).collect();
    text.extend(std::iter::repeat_n('\n', (PART % 100) as usize));
    scratch.file("text", text)
}

/// CPU of the loop and time until it has all of it.
fn bare_capture(kennel: &Path) -> (Duration, Duration) {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    let script = CString::new(writer(&text(&scratch))).expect("no NUL");
    let argv = [c"sh".to_owned(), c"-c".to_owned(), script];
    let (null, env) = (bare::null(), [c"PATH=/usr/bin:/bin".to_owned()]);
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&write, PIPE).expect("root may");
    let mut file = File::create(scratch.path("copy")).expect("a file");
    let begin = Instant::now();
    let exec = Exec { argv: &argv, env: &env, fds: &[null.as_fd(), write.as_fd(), null.as_fd()], ..bare::exec() };
    let child = Spawner::new().expect("a stack").spawn(&exec).expect("a shell");
    drop(write);
    let mut buffer = vec![0; AT_ONCE];
    let mut copied = 0;
    let cpu = spent(|| {
        loop {
            let count = rustix::io::read(&read, &mut buffer[..]).expect("a pipe can be read");
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).expect("there is room");
            copied += count as u64;
        }
    });
    let time = begin.elapsed();
    assert_eq!(copied, OUTPUT);
    bare::kill_and_reap(vec![child]);
    (cpu, time)
}

/// CPU of the daemon and time until all of it is in the files.
fn captured(kennel: &Path, keys: &str) -> (Duration, Duration) {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    let script =
        format!("until [ -e go ]; do sleep 0.02; done; {}; touch done; exec sleep 1000", writer(&text(&scratch)));
    scratch.config(&format!(
        "services:\n  s: {{ command: {script:?}, shell: true, {keys} logs: {{ max_size: 4GiB, compress: false }} }}\n"
    ));
    scratch.ok(&["up", "-d", "-q"]);
    let daemon = scratch.daemon().pid;
    let before = cpu(daemon);
    scratch.file("go", "");
    let begin = Instant::now();
    let done = scratch.project().join("done");
    wait_until(PATIENCE, "all of it in the pipe", || done.exists());
    wait_until(PATIENCE, "all of it recorded", || scratch.ps("s")["log_bytes"] == OUTPUT);
    let time = begin.elapsed();
    let spent = cpu(daemon) - before;
    scratch.down();
    (spent, time)
}

/// A search of 1 GiB of compressed logs by the command alone, against `zstdcat | grep` over the same files.
pub(crate) fn search(kennel: &Path) -> Vec<Row> {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config("services: { web: { command: 'true', restart: 'no' } }\n");
    scratch.kennel(&["up", "-d", "-q"]);
    scratch.down();
    let logs = scratch.instance_dir().join("logs");
    fill(&logs);
    let packed: u64 = usage(&logs).iter().map(|one| one.bytes).sum();
    let files = logs.join("web").join("*.zst");
    let patterns = [
        ("a word that is rare", "deadlock detected"),
        ("a word in every tenth line", " 500 "),
        ("a pattern without a word", "user=[0-9]*7 .* in 9[0-9] ms"),
    ];
    let mut rows = Vec::new();
    for (what, pattern) in patterns {
        let kennel = format!("'{}' logs web --raw --grep '{pattern}' | wc -l", scratch.path("bin/kennel").display());
        let grep = format!("zstdcat {} | grep -a '{pattern}' | wc -l", files.display());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (found, time) = run(&scratch, &grep);
            theirs.push(time);
            let (seen, time) = run(&scratch, &kennel);
            ours.push(time);
            assert_eq!(seen, found, "{pattern}");
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let rate = |time: Duration| format!("{:.0} MB/s", OUTPUT as f64 / 1e6 / time.as_secs_f64());
        let what = format!("search of 1 GiB ({} MB compressed) for {what}; bare: `zstdcat | grep`", packed / 1_000_000);
        rows.push(Row::new(what, rate(theirs), rate(ours), times(ours, theirs), "≤ 3×"));
    }
    rows
}

/// Lines as a web server writes them, 1 GiB, in compressed segments.
fn fill(logs: &Path) {
    let bounds = Bounds { max_size: 4 << 30, max_age: None, segment_size: 8 << 20 };
    let mut log = Log::new(logs, "web", bounds);
    let (mut written, mut number, mut random) = (0_u64, 0_u64, 0x9e37_79b9_7f4a_7c15_u64);
    let mut buffer = vec![0; HEADER];
    while written < OUTPUT {
        buffer.truncate(HEADER);
        while buffer.len() < AT_ONCE {
            // xorshift64: numbers that do not compress to nothing.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            number += 1;
            let (user, took) = (random % 100_000, random / 7 % 400);
            let status = if number % 10 == 0 { 500 } else { 200 };
            let extra = if number % 1_000_000 == 0 { " deadlock detected" } else { "" };
            let path = random >> 40;
            writeln!(buffer, "GET /api/items/{path:x} {status} user={user} in {took} ms, {random:x}{extra}")
                .expect("memory");
        }
        let length = u32::try_from(buffer.len() - HEADER).expect("short");
        let header = Header { length, time: 0, run: 1, stream: Stream::Out, kind: Kind::Data, is_fresh: false };
        assert!(log.append(&mut buffer, header).error.is_none());
        written += u64::from(length);
    }
    let dir = log.dir().to_owned();
    let last = log.begin().expect("a segment").0;
    drop(log);
    for number in 1..=last {
        pack(&dir, number).expect("there is room");
    }
}

/// What a shell prints, and how long it takes.
fn run(scratch: &Scratch, script: &str) -> (String, Duration) {
    let begin = Instant::now();
    let mut shell = scratch.spawn_program(Path::new("/bin/sh"), &["-c", script], Stdio::null(), |_| {});
    let output = shell.wait(PATIENCE);
    let time = begin.elapsed();
    assert_eq!(output.code(), 0, "{}", output.stderr);
    (output.stdout, time)
}
