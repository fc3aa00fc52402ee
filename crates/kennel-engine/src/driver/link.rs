//! The keeper's channel on the async runtime.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net;

use kennel_keeper::Link;
use kennel_keeper::proto::{Event, Request};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// Events taken before the driver has its turn.
const BATCH: usize = 256;

/// Sends without ever blocking the driver; receives in batches.
#[derive(Debug)]
pub(crate) struct AsyncLink {
    link: Link,
    /// A duplicate that only serves to be waited on.
    readiness: UnixDatagram,
    queue: VecDeque<Request>,
    /// What this keeper cannot be asked for.
    unsent: Vec<(Request, io::Error)>,
    lost: bool,
}

impl AsyncLink {
    pub(crate) fn new(link: Link) -> io::Result<Self> {
        let duplicate = net::UnixDatagram::from(link.as_fd().try_clone_to_owned()?);
        let readiness = UnixDatagram::from_std(duplicate)?;
        Ok(Self { link, readiness, queue: VecDeque::new(), unsent: Vec::new(), lost: false })
    }

    /// Queues for [`AsyncLink::flush`], which comes after what the request rests on is recorded.
    pub(crate) fn send(&mut self, request: Request) {
        if !self.lost {
            self.queue.push_back(request);
        }
    }

    /// Sends what is queued, as far as the keeper takes it now; a lost keeper is noticed by the receiving side.
    pub(crate) fn flush(&mut self) {
        while let Some(request) = self.queue.front() {
            match self.link.try_send(request) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Tells the runtime that the descriptor is full, so that it waits for the next change.
                    let full = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _would_block = self.readiness.try_io(Interest::WRITABLE, full);
                    return;
                }
                Ok(()) => drop(self.queue.pop_front()),
                Err(error) if is_lost(&error) => {
                    tracing::error!(%error, "cannot send to the keeper");
                    self.queue.pop_front();
                }
                Err(error) => self.unsent.extend(self.queue.pop_front().map(|request| (request, error))),
            }
        }
    }

    /// What could not be sent to a keeper that is there, and why. Nobody else answers whoever waits for it.
    pub(crate) fn take_unsent(&mut self) -> Vec<(Request, io::Error)> {
        std::mem::take(&mut self.unsent)
    }

    /// Version of the protocol that the keeper speaks.
    pub(crate) fn version(&self) -> u16 {
        self.link.version()
    }

    /// Forgets what is queued for a keeper that is lost, and whatever is sent to it from now on.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.queue.clear();
        self.unsent.clear();
    }

    /// Waits for events, sending what is queued meanwhile; an error means that the keeper is lost. Without any event where
    /// something could not be sent.
    pub(crate) async fn receive(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let unsent = self.unsent.len();
        loop {
            self.flush();
            if self.unsent.len() > unsent {
                return Ok(());
            }
            while events.len() < BATCH {
                match self.readiness.try_io(Interest::READABLE, || self.link.try_recv()) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) if events.is_empty() => {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the keeper closed its channel"));
                    }
                    Ok(None) => break,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if !events.is_empty() {
                return Ok(());
            }
            let interest =
                if self.queue.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            self.readiness.ready(interest).await?;
        }
    }

    /// Sends all that is queued, for the last words before an exit.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        loop {
            self.flush();
            if self.queue.is_empty() {
                return Ok(());
            }
            self.readiness.writable().await?;
        }
    }
}

/// Whether nobody is there to be asked.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}
