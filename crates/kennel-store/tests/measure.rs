//! Figures for the documents, by hand: `cargo test --release -p kennel-store --test measure -- --ignored --nocapture --test-threads 1`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "it prints, keeps to a rate, and fails by a panic"
)]

mod rig;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use kennel_store::{Change, History, Records};
use kennel_wire::EventKind;
use serde_json::json;
use tempfile::TempDir;

/// On the disk that has the build, for `/tmp` may be in memory.
fn dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[times.len() * share / 10_000];
    let worst = times.last().unwrap();
    println!("{what}: p50 {:?} p99 {:?} p99.9 {:?} worst {worst:?}", at(5000), at(9900), at(9990));
}

fn started(pid: u32) -> EventKind {
    EventKind::Started { pid, identity: None }
}

/// As large as what is known of a run.
fn run(id: u64) -> Change {
    let identity = json!({"boot_id": "0".repeat(36), "pid": id, "start_ticks": id, "inode": id, "scope": "web.17"});
    let body = json!({"service": "web.1", "identity": identity, "state": {"up": {"since_ms": id}}, "restarts": [1, 2]});
    Change::Run { id: id % 100, body: Some(body) }
}

#[test]
#[ignore = "prints figures"]
fn commits() {
    let dir = dir();
    println!("before: {} kB", resident_kb());
    let mut store = rig::open(dir.path());
    println!("open: {} kB", resident_kb());
    let mut events = Vec::new();
    let mut both = Vec::new();
    let mut silent = Vec::new();
    for pid in 0..30_000 {
        let timed = |times: &mut Vec<Duration>, store: &mut kennel_store::Store| {
            let begin = Instant::now();
            store.flush();
            times.push(begin.elapsed());
        };
        store.number(Some("web.1"), Some(17), started(pid));
        timed(&mut events, &mut store);
        store.number(Some("web.1"), Some(17), started(pid));
        store.change(run(u64::from(pid)));
        timed(&mut both, &mut store);
        store.change(run(u64::from(pid)));
        timed(&mut silent, &mut store);
    }
    tell("commit of an event", events);
    tell("commit of an event and a run", both);
    tell("commit of a run", silent);
    println!("afterwards: {} kB", resident_kb());
}

/// Commits come all the time, and each asks to be told when it is on the disk.
#[test]
#[ignore = "prints figures"]
fn group_commit() {
    for pause in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(10)] {
        let dir = dir();
        let mut store = rig::open(dir.path());
        let (done, is_done) = mpsc::channel();
        let begin = Instant::now();
        let mut count = 0_u32;
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < Duration::from_secs(3) {
            store.number(Some("web.1"), Some(17), started(count));
            store.change(run(u64::from(count)));
            let asked = Instant::now();
            store.flush();
            let done = done.clone();
            store.when_durable(Box::new(move || done.send(asked.elapsed()).unwrap()));
            slowest = slowest.max(asked.elapsed());
            count += 1;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        let times: Vec<Duration> = (0..count).map(|_| is_done.recv().unwrap()).collect();
        tell(&format!("{count} in 3 s, one each {pause:?}: on the disk after"), times);
        println!("  the writer waited {slowest:?} at most");
    }
}

/// 10,000 events a second for 20 seconds, while a reader takes 2,000 a second.
#[test]
#[ignore = "prints figures"]
fn a_slow_reader_beside_a_fast_writer() {
    let dir = dir();
    let mut store = rig::open(dir.path());
    let history = History::of(dir.path());
    let ends = Arc::new(AtomicBool::new(false));
    let newest = Arc::new(AtomicU64::new(0));
    let (reader_ends, known) = (Arc::clone(&ends), Arc::clone(&newest));
    let reader = std::thread::spawn(move || {
        let (mut since, mut read, mut gaps) = (0, 0, 0);
        while !reader_ends.load(Ordering::Relaxed) {
            let page = history.page(since, known.load(Ordering::Relaxed) + 1, 512).unwrap();
            gaps += page.first().map_or(0, |first| first.seq - since - 1);
            gaps += page.windows(2).map(|pair| pair[1].seq - pair[0].seq - 1).sum::<u64>();
            read += page.len();
            since = page.last().map_or(since, |event| event.seq);
            std::thread::sleep(Duration::from_millis(256));
        }
        (read, since, gaps)
    });
    let before = resident_kb();
    let mut most = 0;
    let mut times = Vec::new();
    let begin = Instant::now();
    for batch in 1..=2000 {
        for pid in 0..100 {
            store.number(Some("web.1"), Some(17), started(pid));
        }
        store.change(run(1));
        let at = Instant::now();
        newest.store(store.flush().unwrap(), Ordering::Relaxed);
        times.push(at.elapsed());
        if batch % 100 == 0 {
            most = most.max(resident_kb());
        }
        std::thread::sleep((begin + batch * Duration::from_millis(10)).saturating_duration_since(Instant::now()));
    }
    let took = begin.elapsed();
    ends.store(true, Ordering::Relaxed);
    let (read, since, gaps) = reader.join().unwrap();
    println!(
        "{} events in {took:?}; a reader had {read}, up to {since}, {gaps} were removed before it came",
        store.newest()
    );
    tell("  a commit of 100 events and a run", times);
    println!("  memory: {before} kB before, {most} kB at most");
    let log = std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    println!("  the log has {log} bytes");
}

#[test]
#[ignore = "prints figures"]
fn a_million_events() {
    let dir = dir();
    let mut store = rig::open(dir.path());
    let begin = Instant::now();
    for _ in 0..10_000 {
        rig::say(&mut store, 100);
    }
    println!("1,000,000 in batches of 100: {:?}", begin.elapsed());
    store.close();
    let size = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |meta| meta.len());
    println!("store.db {} bytes, {} events kept", size("store.db"), rig::numbers(&rig::open(dir.path())).len());
    let begin = Instant::now();
    drop(rig::open(dir.path()));
    println!("open of that: {:?}", begin.elapsed());
}

#[test]
#[ignore = "prints figures"]
fn a_thousand_services() {
    let dir = dir();
    let mut store = rig::open(dir.path());
    let begin = Instant::now();
    for id in 0..1000_u64 {
        let name = format!("service-{id}");
        let body = json!({"command": ["sleep", "60"], "environment": {"A": "x".repeat(300)}, "restart": "always"});
        store.change(Change::Service { name: name.clone(), body: Some(body) });
        store.change(Change::Slot { name: name.clone(), body: Some(json!({"desired": "up", "restarts": []})) });
        let Change::Run { body, .. } = run(id) else { unreachable!() };
        store.change(Change::Run { id, body });
        store.change(rig::receipt(&name, id, 3));
    }
    rig::say(&mut store, 1000);
    println!("commit of 1,000 services, slots, runs, receipts and events: {:?}", begin.elapsed());
    // As a killed process leaves its files: nobody closes them.
    std::mem::forget(store);
    let killed = rig::image(dir.path());
    let begin = Instant::now();
    assert_eq!(Records::read(killed.path()).unwrap().runs.len(), 1000);
    println!("read by a tool: {:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(rig::restored(killed.path()).runs.len(), 1000);
    println!("opened after a kill: {:?}", begin.elapsed());
}
