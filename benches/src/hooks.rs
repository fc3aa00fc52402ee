//! What a death notices of webhooks: of a receiver that says nothing, and of one that takes a hundred messages a second.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kennel_sys::process::pause;
use kennel_testkit::{Scratch, User};

use crate::followers::{RATE, deaths, happen, tenth};
use crate::watch::cpu;
use crate::{Row, bare, median, ms, times};

const BEFORE: Duration = Duration::from_secs(5);
const ROUNDS: usize = 100;

/// A receiver; how many messages it has taken. It says nothing, or 204 to each.
fn receiver(says_nothing: bool) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            match says_nothing {
                true => kept.push(stream),
                false if take(stream).is_some() => drop(count.fetch_add(1, Ordering::Relaxed)),
                false => {}
            }
        }
    });
    (port, taken)
}

/// Reads one message and says that it is taken.
fn take(mut stream: TcpStream) -> Option<()> {
    let (mut got, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&got);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if body.len() >= length.parse().ok()? {
                break;
            }
        }
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        got.extend_from_slice(&part[..count]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").ok()
}

fn stack(kennel: &Path, port: u16) -> Scratch {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config(&format!(
        "webhooks:\n  ops: {{ url: 'http://127.0.0.1:{port}/', events: [instance.frozen, instance.thawed, instance.exited], timeout: 2m }}\n{}",
        crate::followers::STACK
    ));
    scratch.ok(&["up", "-d", "-q"]);
    scratch
}

/// Deaths with nothing to send, beside a receiver that hangs, and beside one that takes what [`RATE`] events a second make.
pub(crate) fn hooks(kennel: &Path) -> Vec<Row> {
    let bare = median((0..ROUNDS).map(|_| bare::death_notice()).collect());
    let (port, _) = receiver(true);
    let scratch = stack(kennel, port);
    // The first of them is what it hangs with.
    let hanging = deaths(&scratch);
    scratch.down();

    let (port, taken) = receiver(false);
    let scratch = stack(kennel, port);
    let (stop, made, daemon) = (AtomicBool::new(false), AtomicU64::new(0), scratch.daemon().pid);
    let (spent, rate, busy) = std::thread::scope(|scope| {
        scope.spawn(|| happen(&scratch, &stop, &made));
        pause(Duration::from_secs(2));
        let (begin, before, first) = (Instant::now(), cpu(daemon), taken.load(Ordering::Relaxed));
        pause(BEFORE);
        let lasted = begin.elapsed().as_secs_f64();
        let spent = cpu(daemon).saturating_sub(before).as_secs_f64() / lasted;
        let rate = (taken.load(Ordering::Relaxed) - first) as f64 / lasted;
        let busy = deaths(&scratch);
        stop.store(true, Ordering::Relaxed);
        (spent, rate, busy)
    });
    scratch.down();
    let row = |what: String, values: Vec<Duration>| {
        let (slow, middle) = (ms(tenth(&values)), median(values));
        let what = format!("death → event beside a webhook {what}; the slowest tenth above {slow}");
        Row::new(what, ms(bare), ms(middle), times(middle, bare), "≤ 1 ms")
    };
    vec![
        row("whose receiver says nothing".to_owned(), hanging),
        row(format!("whose receiver took {rate:.0} messages a second of {RATE} events"), busy),
        Row::new(
            format!("{rate:.0} webhook messages a second: share of a core, daemon"),
            "–".to_owned(),
            format!("{:.0} %", 100.0 * spent),
            "–".to_owned(),
            "≤ 100 %",
        ),
    ]
}
