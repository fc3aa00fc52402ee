//! Figures for the documents, by hand: `cargo test --release -p kennel-store --test measure -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "it prints, and fails by a panic"
)]

mod rig;

use std::time::{Duration, Instant};

use kennel_wire::EventKind;

fn resident_kb() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("RssAnon")).unwrap().to_owned()
}

#[test]
#[ignore = "measures, and takes a minute"]
fn measure() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("before: {}", resident_kb());
    let mut store = rig::open(dir.path());
    println!("open: {}", resident_kb());
    let mut times: Vec<Duration> = Vec::new();
    for pid in 0..50_000 {
        store.number(Some("web.1"), Some(17), EventKind::Started { pid, identity: None });
        let begin = Instant::now();
        store.flush();
        times.push(begin.elapsed());
    }
    times.sort();
    let at = |share: usize| times[times.len() * share / 10_000];
    println!(
        "commit of one: p50 {:?} p99 {:?} p99.9 {:?} worst {:?}",
        at(5000),
        at(9900),
        at(9990),
        at(9999).max(*times.last().unwrap())
    );
    println!("50,000 events: {}", resident_kb());
    let begin = Instant::now();
    for _ in 0..9500 {
        rig::say(&mut store, 100);
    }
    println!("950,000 in batches of 100: {:?}", begin.elapsed());
    store.close();
    let size = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |meta| meta.len());
    println!(
        "after 1,000,000: store.db {} bytes, {} events kept",
        size("store.db"),
        rig::numbers(&rig::open(dir.path())).len()
    );
    let begin = Instant::now();
    drop(rig::open(dir.path()));
    println!("open of that: {:?}", begin.elapsed());
}
