//! A daemon and a keeper of other versions, played with the bytes that those would send.
//!
//! covers: A6

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;
use std::os::fd::OwnedFd;

use kennel_keeper::Link;
use kennel_keeper::proto::{
    Event, Follows, Isolation, OLDEST, Privileges, Request, ScopeId, Spawn, Stdio, Successor, VERSION,
};
use kennel_sys::packet::{self, Received};

/// Before each whole message.
const LAST: u8 = 2;

struct Fake(OwnedFd);

impl Fake {
    fn new() -> (Self, Link) {
        let (keeper, daemon) = packet::pair().unwrap();
        (Self(keeper), Link::new(daemon).unwrap())
    }

    fn say(&self, message: &[u8]) {
        packet::send(&self.0, &[&[LAST], message].concat(), &[]).unwrap();
    }

    fn heard(&self) -> Vec<u8> {
        let Received::Message(bytes, _) = packet::recv(&self.0).unwrap() else { panic!("closed") };
        assert_eq!(bytes[0], LAST);
        bytes[1..].to_vec()
    }

    /// Version 3: kind, version, process id, back end, known scopes.
    fn welcome_of_3(&self) {
        let reaper_forced: &[u8] = &[2, 9, 2, 0, 0, 0, b'n', b'o'];
        self.say(&[&[1, 3, 0, 99, 0, 0, 0], reaper_forced, &[0, 0, 0, 0]].concat());
    }
}

fn plan(keep: bool) -> Request {
    Request::Spawn(Box::new(Spawn {
        scope: ScopeId(1),
        name: "web.1".to_owned(),
        argv: vec![c"true".to_owned()],
        env: Vec::new(),
        cwd: c"/".to_owned(),
        user: None,
        umask: None,
        isolation: Isolation::default(),
        privileges: Privileges::default(),
        kill_escaped: true,
        stdio: Stdio::Capture,
        keep,
        note: b"a note".to_vec(),
        bounds: Vec::new(),
        owners: Vec::new(),
    }))
}

fn unsupported(link: &Link, request: &Request) -> String {
    let error = link.try_send(request).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    error.to_string()
}

#[test]
fn a_keeper_of_the_oldest_version_is_served_as_far_as_it_goes() {
    let (keeper, link) = Fake::new();
    assert_eq!((OLDEST, link.version()), (3, VERSION));
    link.try_send(&Request::Hello { version: VERSION }).unwrap();
    assert_eq!(keeper.heard(), [&[1][..], &VERSION.to_le_bytes()].concat());
    keeper.welcome_of_3();
    let welcome = link.try_recv().unwrap().unwrap();
    assert!(
        matches!(&welcome, Event::Welcome { version: 3, pid: 99, follows: Follows::Fresh, known, held: 0, .. } if known.is_empty()),
        "{welcome:?}"
    );
    assert_eq!(link.version(), 3);

    // What it knows is said as it knows it: the last that version 3 writes of a start is where output goes.
    link.try_send(&plan(false)).unwrap();
    let start = keeper.heard();
    assert_eq!((start[0], start.last()), (2, Some(&1)));
    // And what it tells of a start is understood without what version 4 adds: scope 1 runs as process 7 below reaper 6.
    let identity = [&7_u32.to_le_bytes()[..], &[0; 16]].concat();
    let place = [&[2_u8][..], &6_u32.to_le_bytes()].concat();
    let spawned = [&[2_u8][..], &1_u64.to_le_bytes(), &7_u32.to_le_bytes(), &identity, &place, &[0]].concat();
    keeper.say(&spawned);
    let spawned = link.try_recv().unwrap().unwrap();
    assert!(matches!(spawned, Event::Spawned { scope: ScopeId(1), pid: 7, inodes: None, .. }), "{spawned:?}");

    // What it does not know is not said, and named.
    assert!(unsupported(&link, &plan(true)).contains("`on_daemon_loss: keep`"));
    assert!(unsupported(&link, &Request::Settled).contains("adoption"));
    assert!(unsupported(&link, &Request::Succeed { program: None }).contains("hand-over"));
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    assert!(unsupported(&link, &Request::Hold { name: "api".to_owned(), fd: null() }).contains("held descriptors"));
    assert!(unsupported(&link, &Request::Exec { program: null() }).contains("upgrade of the keeper"));
    assert!(unsupported(&link, &Request::Freeze { scope: ScopeId(1), frozen: true }).contains("freezing"));
    link.try_send(&Request::Bye).unwrap();
    assert_eq!(keeper.heard(), [6]);
}

#[test]
fn a_keeper_of_a_version_to_come_is_refused_by_name() {
    for version in [OLDEST - 1, VERSION + 1] {
        let (keeper, link) = Fake::new();
        keeper.say(&[&[1], &version.to_le_bytes()[..], b"whatever it has to say"].concat());
        let error = link.try_recv().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(&format!("version {version}")), "{error}");
    }
}

/// An old keeper that was replaced by a new one is asked for everything from then on.
#[test]
fn a_keeper_that_was_replaced_is_spoken_to_as_what_it_is_now() {
    let (keeper, link) = Fake::new();
    keeper.welcome_of_3();
    link.try_recv().unwrap().unwrap();
    let executed = |version: u16, refused: bool| [&[18_u8][..], &version.to_le_bytes(), &[u8::from(refused)]].concat();
    keeper.say(&[executed(4, true), vec![2, 0, 0, 0, b'n', b'o']].concat());
    assert!(matches!(link.try_recv().unwrap(), Some(Event::Executed { refused: Some(_), .. })));
    assert_eq!(link.version(), 3);
    keeper.say(&executed(4, false));
    link.try_recv().unwrap().unwrap();
    assert_eq!(link.version(), 4);
    link.try_send(&Request::Settled).unwrap();
    // And what it says now is read as such: news of a successor, of which there is none.
    keeper.say(&[&[17_u8, 2][..], &[2, 0, 0, 0], b"no"].concat());
    let news = link.try_recv().unwrap().unwrap();
    assert!(matches!(&news, Event::Successor(Successor::Failed { why }) if why == "no"), "{news:?}");
}
