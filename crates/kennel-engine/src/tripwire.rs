//! Told once when something happens in a group, by the kernel.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use kennel_sys::pressure;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::driver::Input;

/// Groups that are listened to until one of them is active. Dropped, nobody is told.
#[derive(Debug)]
pub(crate) struct Tripwire {
    tasks: Vec<JoinHandle<()>>,
}

impl Tripwire {
    /// Has [`Input::Activity`] sent once something happens in one of `groups`. Those that are not there are left out.
    ///
    /// # Errors
    /// The kernel does not tell; then nothing is sent.
    pub(crate) fn set(groups: &[&Path], inbox: &mpsc::UnboundedSender<Input>) -> io::Result<Self> {
        let mut wires = Vec::new();
        for group in groups {
            match pressure::activity(group) {
                Ok(fd) => {
                    #[expect(
                        deprecated,
                        reason = "an `OwnedFd` keeps its descriptor, which the successor wants promised unsafely"
                    )]
                    let wire = AsyncFd::with_interest(fd, Interest::PRIORITY)?;
                    wires.push(wire);
                }
                Err(_) if !group.exists() => {}
                Err(error) => return Err(error),
            }
        }
        if wires.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let listen = |wire: AsyncFd<OwnedFd>| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                // An error is told as well: whoever looks then sees what there is.
                let _told = wire.ready(Interest::PRIORITY).await;
                let _driver_ended = inbox.send(Input::Activity);
            })
        };
        Ok(Self { tasks: wires.into_iter().map(listen).collect() })
    }
}

impl Drop for Tripwire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
