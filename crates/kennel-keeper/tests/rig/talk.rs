//! The channel to a keeper, and waiting.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Request};
use kennel_sys::unix;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::PATIENCE;

pub fn send(link: &Link, request: &Request) {
    loop {
        match link.try_send(request) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(link, PollFlags::OUT, Instant::now() + PATIENCE);
            }
            result => return result.unwrap(),
        }
    }
}

pub fn receive(link: &Link, deadline: Instant) -> Result<Event, String> {
    loop {
        match link.try_recv() {
            Ok(event) => return event.ok_or_else(|| "the keeper is gone".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !poll(link, PollFlags::IN, deadline) {
                    return Err("nothing came".to_owned());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// A daemon whose part the test plays.
pub struct Peer {
    pub link: Link,
    /// What lets it go when it is dropped.
    pub leash: Option<UnixStream>,
    pub pid: u32,
    /// As what it was started: `first one`, `recovered` or `successor`.
    pub manner: String,
}

impl Peer {
    /// The next event, which has to come.
    pub fn receive(&self) -> Event {
        receive(&self.link, Instant::now() + PATIENCE).unwrap()
    }

    /// What has come until now.
    pub fn received(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.try_recv().ok().flatten()).collect()
    }
}

/// Takes the connection of a daemon that was started, and its end of the channel.
pub(super) fn meet(listener: &UnixListener) -> Peer {
    assert!(poll(listener, PollFlags::IN, Instant::now() + PATIENCE), "no daemon came");
    let (stream, _) = listener.accept().unwrap();
    let pid = unix::peer(&stream).unwrap().pid;
    let mut greeting = [0; 9];
    let (length, mut fds) = unix::recv_fds(&stream, &mut greeting).unwrap();
    assert_eq!(length, greeting.len());
    let manner = String::from_utf8(greeting.to_vec()).unwrap();
    Peer { link: Link::new(fds.remove(0)).unwrap(), leash: Some(stream), pid, manner }
}

pub fn poll(fd: &impl AsFd, flags: PollFlags, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    assert!(fd.as_fd().as_raw_fd() >= 0);
    rustix::event::poll(&mut [PollFd::new(fd, flags)], Some(&left)).unwrap_or(1) > 0
}

/// Looks again and again, with a deadline.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: {}", state());
        kennel_sys::process::pause(Duration::from_millis(2));
    }
}
