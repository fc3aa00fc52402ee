//! A daemon whose keeper is of an older version, played with the bytes that it would send: whoever asks for what that does not know
//! is answered.
//!
//! covers: A6

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::Duration;

use kennel_config::{LoadOptions, load};
use kennel_engine::{Beginning, Handle, Up};
use kennel_sys::home::Home;
use kennel_sys::packet::{self, Received};
use kennel_wire::{Code, UpReport};
use rustix::event::{PollFd, PollFlags};

const DEADLINE: Duration = Duration::from_secs(30);
/// Before each whole message.
const LAST: u8 = 2;
/// First byte of a request to spawn.
const SPAWN: u8 = 2;

/// Version 3, of process 99, whose back end is a reaper for each scope, with no scope.
const WELCOME_OF_3: [u8; 20] = [LAST, 1, 3, 0, 99, 0, 0, 0, 2, 9, 2, 0, 0, 0, b'n', b'o', 0, 0, 0, 0];

/// Greets, and tells the first byte of whatever it is asked then, until the daemon is gone.
fn keeper(channel: OwnedFd, heard: mpsc::Sender<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let something = || rustix::event::poll(&mut [PollFd::new(&channel, PollFlags::IN)], None).unwrap();
        while something() > 0
            && let Ok(Received::Message(bytes, _)) = packet::recv(&channel)
        {
            // A greeting of any version.
            if bytes.len() == 4 && bytes.starts_with(&[LAST, 1]) {
                packet::send(&channel, &WELCOME_OF_3, &[]).unwrap();
            } else {
                heard.send(bytes[1]).unwrap();
            }
        }
    })
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.unwrap()
}

/// Runs `story` with an engine whose keeper is old; answers with what that was asked for.
async fn with_old_keeper<T>(story: impl AsyncFnOnce(Handle, &Home) -> T) -> (T, Vec<u8>) {
    let root = tempfile::tempdir().unwrap();
    let home = Home { name: "old".to_owned(), state_dir: root.path().join("s"), runtime_dir: root.path().join("r") };
    home.create().unwrap();
    let (theirs, ours) = packet::pair().unwrap();
    let (heard, hearing) = mpsc::channel();
    let keeper = keeper(theirs, heard);
    let beginning = Beginning { home: home.clone(), keeper: ours, successor: false, words: |_| String::new() };
    let (handle, driver, _held) = within(kennel_engine::start(beginning)).await.unwrap();
    let told = {
        // Dropped with the driver in it, which closes the channel.
        let driver = driver.run();
        tokio::pin!(driver);
        tokio::select! {
            told = within(story(handle, &home)) => told,
            _ended = &mut driver => panic!("the driver has ended"),
        }
    };
    keeper.join().unwrap();
    (told, hearing.iter().collect())
}

async fn up(handle: &Handle, home: &Home, service: &str, environment: BTreeMap<String, String>) -> UpReport {
    let config = home.state_dir.join("kennel.yaml");
    write!(std::fs::File::create(&config).unwrap(), "services: {{ web: {service} }}").unwrap();
    let project = load(&config, &LoadOptions { environment: &environment, profiles: &[] }).unwrap();
    handle.up(Up { project, config, environment, profiles: Vec::new(), services: Vec::new() }).await.unwrap()
}

#[tokio::test]
async fn what_is_to_be_kept_is_not_started_and_says_why() {
    let story = async |handle: Handle, home: &Home| {
        up(&handle, home, "{ command: [sleep, '600'], on_daemon_loss: keep, restart: always }", BTreeMap::new()).await
    };
    let (report, asked) = with_old_keeper(story).await;
    let text = format!("{report:?}");
    assert!(!report.ok && text.contains("no `on_daemon_loss: keep`; `kennel down`, then `kennel up`"), "{text}");
    assert!(!asked.contains(&SPAWN), "{asked:?}");
}

#[tokio::test]
async fn what_is_too_long_for_the_keeper_is_not_started_and_says_why() {
    let story = async |handle: Handle, home: &Home| {
        let environment = [("LONG".to_owned(), "x".repeat(packet::MAX))].into();
        up(&handle, home, "{ command: ['true'] }", environment).await
    };
    let (report, asked) = with_old_keeper(story).await;
    let text = format!("{report:?}");
    assert!(!report.ok && text.contains("too much for the keeper"), "{text}");
    assert!(!asked.contains(&SPAWN), "{asked:?}");
}

#[tokio::test]
async fn another_daemon_and_another_keeper_are_refused_at_once() {
    let story = async |handle: Handle, _: &Home| {
        let null = std::fs::File::open("/dev/null").unwrap();
        (handle.succeed(None).await.unwrap_err(), handle.replace_keeper(null.into()).await.unwrap_err())
    };
    let ((daemon, keeper), _) = with_old_keeper(story).await;
    assert_eq!((daemon.code, keeper.code), (Code::HandoverFailed, Code::HandoverFailed));
    assert!(daemon.detail.contains("no hand-over between daemons"), "{daemon:?}");
    assert!(keeper.detail.contains("no upgrade of the keeper"), "{keeper:?}");
}
