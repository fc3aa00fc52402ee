//! Leases: how they are taken, watched and lost.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_core::lease::{Kind, Lease, Loss};
use kennel_sys::identity::Identity;
use kennel_sys::pidfd;
use kennel_wire::{Code, LeaseRequest, OwnerEnd, OwnerRequest, OwnerStatus, Problem};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::owners::refused;
use super::{Driver, Input, Reply};
use crate::clock;

/// Shortest time between two calls of a heartbeat; less would be a load of its own.
const SHORTEST: Duration = Duration::from_millis(100);

/// A lease that may be taken.
#[derive(Debug)]
pub(super) struct NewLease {
    id: String,
    lease: Lease,
    process: Option<AsyncFd<OwnedFd>>,
}

/// The task that waits for the end of a process. It ends with this value.
#[derive(Debug)]
pub(super) struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A lease for as long as this lives.
#[derive(Debug)]
pub struct Grant {
    /// Its id.
    pub lease: String,
    /// Resolves when the owner has ended; closed when the daemon goes away.
    pub ended: oneshot::Receiver<OwnerEnd>,
    _guard: Guard,
}

#[derive(Debug)]
struct Guard {
    lease: String,
    inbox: mpsc::UnboundedSender<Input>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ended_already = self.inbox.send(Input::LeaseLost(std::mem::take(&mut self.lease), Loss::Closed));
    }
}

impl Driver {
    /// Makes sure that the leases which are asked for can be taken; takes none.
    pub(super) fn new_leases(&self, request: &OwnerRequest) -> Result<Vec<NewLease>, Problem> {
        let owner = &request.name;
        let leases = request.leases.iter().map(|lease| match lease {
            LeaseRequest::Process { pid, start_ticks, inode } => {
                let (kind, process) = open_process(*pid, *start_ticks, *inode)?;
                let start = match kind {
                    Kind::Process { start_ticks, .. } => start_ticks,
                    Kind::Held | Kind::Heartbeat { .. } => 0,
                };
                let lease = Lease { owner: owner.clone(), kind };
                Ok(NewLease { id: format!("{owner}/process.{pid}.{start}"), lease, process: Some(process) })
            }
            LeaseRequest::Heartbeat { ttl_ms } => {
                let ttl = Duration::from_millis(*ttl_ms);
                if ttl < SHORTEST {
                    let text = format!("a heartbeat of {ttl_ms} ms is too short");
                    return Err(Problem::new(Code::BadRequest, text).hint("100 ms are the least"));
                }
                let kind = Kind::Heartbeat { ttl, until: Some(clock::now().saturating_add(ttl)) };
                let lease = Lease { owner: owner.clone(), kind };
                Ok(NewLease { id: format!("{owner}/heartbeat"), lease, process: None })
            }
        });
        leases.collect()
    }

    pub(super) fn take_lease(&mut self, new: NewLease) {
        let NewLease { id, lease, process } = new;
        let owner = lease.owner.clone();
        match self.owners.all.take(&id, lease) {
            Ok(actions) => {
                self.obey(actions);
                if let Some(process) = process {
                    self.watch(&id, process);
                }
            }
            // It ended between the request and the start.
            Err(refusal) => tracing::info!(owner, lease = id, %refusal, "the lease comes too late"),
        }
    }

    /// Waits for the end of a process, without looking at it again and again.
    pub(super) fn watch(&mut self, id: &str, process: AsyncFd<OwnedFd>) {
        let (inbox, lease) = (self.inbox_sender.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            ended(&process).await;
            let _driver_ended = inbox.send(Input::LeaseLost(lease, Loss::Ended));
        });
        self.owners.watches.insert(id.to_owned(), Watch(task.abort_handle()));
    }

    pub(super) fn lease_lost(&mut self, id: &str, loss: Loss) {
        let actions = self.owners.all.lose(id, loss, clock::now());
        self.obey(actions);
    }

    /// `POST /v1/owners/{name}/hold`.
    pub(super) fn hold_owner(&mut self, request: &OwnerRequest, reply: Reply<Result<Grant, Problem>>) {
        let opened = self.refuse_while_ending().map_or_else(|| self.prepare_owner(request), Err);
        let granted = opened.and_then(|opened| {
            self.settle(opened);
            self.owners.held += 1;
            let id = format!("{}/held.{}", request.name, self.owners.held);
            let lease = Lease { owner: request.name.clone(), kind: Kind::Held };
            let actions = self.owners.all.take(&id, lease).map_err(refused)?;
            let (holder, ended) = oneshot::channel();
            self.owners.holders.insert(id.clone(), (request.name.clone(), holder));
            self.obey(actions);
            let guard = Guard { lease: id.clone(), inbox: self.inbox_sender.clone() };
            Ok(Grant { lease: id, ended, _guard: guard })
        });
        self.answer_when_durable(reply, granted);
    }

    /// `POST /v1/owners/{name}/renew`.
    pub(super) fn renew_owner(&mut self, name: &str, reply: Reply<Result<OwnerStatus, Problem>>) {
        let renewed = self.owners.all.renew(name, clock::now()).map_err(refused);
        let status = renewed.and_then(|actions| {
            self.obey(actions);
            self.owner_status(name).ok_or_else(|| refused(kennel_core::lease::Refusal::Unknown(name.to_owned())))
        });
        self.answer_when_durable(reply, status);
    }
}

/// Takes hold of a process, if it is the one that is meant and has not ended.
pub(super) fn open_process(
    pid: u32,
    start_ticks: Option<u64>,
    inode: Option<u64>,
) -> Result<(Kind, AsyncFd<OwnedFd>), Problem> {
    let gone =
        || Problem::new(Code::ProcessGone, format!("process {pid} has ended, or another one has its number now"));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => gone(),
        _ => Problem::new(Code::BadRequest, format!("cannot watch process {pid}: {error}")),
    };
    let fd = pidfd::open(pid).map_err(|error| match error.raw_os_error() {
        Some(errno) if errno == rustix::io::Errno::SRCH.raw_os_error() => gone(),
        _ => failed(error),
    })?;
    let found = Identity::read(pid, &fd).map_err(failed)?;
    let is_meant = start_ticks.is_none_or(|ticks| ticks == found.start_ticks)
        && inode.is_none_or(|inode| inode == 0 || inode == found.inode);
    if !is_meant || pidfd::has_exited(&fd).map_err(failed)? {
        return Err(gone());
    }
    let kind = Kind::Process { pid, start_ticks: found.start_ticks, inode: found.inode };
    #[expect(deprecated, reason = "an `OwnedFd` keeps its descriptor, which the successor wants promised unsafely")]
    let fd = AsyncFd::with_interest(fd, Interest::READABLE).map_err(failed)?;
    Ok((kind, fd))
}

async fn ended(process: &AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = process.readable().await else { return };
        if pidfd::has_exited(process.get_ref()).unwrap_or(true) {
            return;
        }
        ready.clear_ready();
    }
}
