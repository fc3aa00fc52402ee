//! What the keeper cannot be asked for, because it is of an older version or the request is too long: whoever would wait for its
//! answer gets one from here.

use std::io;

use kennel_core::instance;
use kennel_keeper::proto::{AdoptError, Applied, HeldBy, Request, SignalRefused, Successor};
use rustix::io::Errno;

use super::{Driver, Work};

impl Driver {
    /// Answers whether there was anything, for it may be followed by more work.
    pub(super) fn answer_unsent(&mut self) -> bool {
        let unsent = self.link.take_unsent();
        let any = !unsent.is_empty();
        for (request, error) in unsent {
            self.not_sent(request, &error);
        }
        any
    }

    fn not_sent(&mut self, request: Request, error: &io::Error) {
        match request {
            Request::Spawn(spawn) => {
                tracing::error!(%error, scope = spawn.name, "cannot ask the keeper for a start");
                // Never there, so the keeper has nothing of it, now or later.
                self.inherited.remove(&spawn.scope.0);
                let failed = instance::Event::SpawnFailed { error: in_words(error), transient: false };
                self.queue.push_back(Work::Run(spawn.scope.0, failed));
            }
            Request::SignalProcess { scope, process, .. } => {
                self.signalled(scope.0, process, Some(SignalRefused::Os(Errno::NOTSUP.raw_os_error())));
            }
            Request::Freeze { scope, .. } => self.not_frozen(scope.0, &in_words(error)),
            Request::Bound { scope, bounds } => {
                tracing::warn!(%error, "limits of a service cannot be changed");
                let by = HeldBy::Nobody { why: in_words(error) };
                let applied = bounds.into_iter().map(|bound| Applied { bound, by: by.clone() });
                self.bounded(scope.0, applied.collect());
            }
            Request::BoundPool { owners, bounds } => {
                let why = in_words(error);
                tracing::warn!(%error, "limits of several services together cannot be held by the kernel");
                self.pool_not_bounded(&owners, &bounds, &why);
            }
            Request::Adopt(adopt) => {
                let refused = AdoptError::Os(error.raw_os_error().unwrap_or(Errno::NOTSUP.raw_os_error()));
                self.not_adopted(adopt.scope.0, &refused);
            }
            Request::Succeed { .. } => self.successor(Successor::Failed { why: in_words(error) }),
            Request::Exec { .. } => self.executed(self.link.version(), Some(in_words(error))),
            // A convenience for the daemon after this one, and nobody waits for an answer.
            Request::Hold { .. } | Request::Release { .. } | Request::Settled => {
                tracing::debug!(%error, "the keeper keeps nothing for the next daemon");
            }
            Request::Hello { .. }
            | Request::Signal { .. }
            | Request::Kill { .. }
            | Request::Forget { .. }
            | Request::KillStray { .. }
            | Request::HandOver
            | Request::Bye => tracing::error!(%error, "cannot send to the keeper"),
        }
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Unsupported => format!("{error}; `kennel down`, then `kennel up`, starts a newer one"),
        io::ErrorKind::InvalidInput => format!("it is too much for the keeper: {error}"),
        _ => format!("the keeper cannot be asked: {error}"),
    }
}
