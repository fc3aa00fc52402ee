//! The ends of a daemon: all down, the keeper lost, or another daemon in its place.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;

use kennel_core::model::Service;
use kennel_keeper::proto::Backend;
use kennel_store::Change;
use kennel_sys::home::Home;

use super::closing::enter_outside;
use super::runs::Run;
use super::slots::Slot;
use super::{Driver, End};

/// After [`End::Orphaned`]: turns this process, which has no thread left but this one, into the keeper of what runs on.
/// `lock` is the one that the lost keeper had.
///
/// # Errors
/// What the system says; then the next command finds what runs on.
pub fn become_keeper(home: &Home, lock: &OwnedFd) -> io::Result<Infallible> {
    kennel_keeper::inherit(&home.name, &home.state_dir, &home.runtime_dir, lock)
}

impl Driver {
    pub(super) fn is_finished(&self) -> bool {
        if self.handover.is_over() || self.given_up {
            return true;
        }
        let ending = if self.keeper_lost { self.swept } else { self.down_since.is_some() };
        let ended = |run: &Run| self.keeper_lost && self.outlives_keeper(run);
        ending
            && self.runs.values().all(ended)
            && self.inherited.is_empty()
            && self.queue.is_empty()
            && self.slots.values().all(|slot| slot.is_at_rest() || (self.keeper_lost && self.is_kept(slot)))
    }

    /// Whether a run goes on without a keeper: it is in a cgroup of its own that nobody empties.
    pub(super) fn outlives_keeper(&self, run: &Run) -> bool {
        run.is_kept() && self.can_outlive_keeper(&run.service)
    }

    /// Whether what is kept of a service is so without a keeper as well.
    pub(super) fn can_outlive_keeper(&self, service: &Service) -> bool {
        service.is_kept() && !service.isolation.pid && self.is_held_by_kernel()
    }

    /// Whether the next daemon goes on with it.
    fn is_kept(&self, slot: &Slot) -> bool {
        slot.service.is_kept() && !slot.is_at_rest()
    }

    /// How it ends, after the last turn.
    pub(super) fn end(&self) -> End {
        if self.handover.is_over() {
            End::HandedOver
        } else if self.keeper_lost && self.slots.values().any(|slot| self.is_kept(slot)) {
            End::Orphaned
        } else if self.keeper_lost {
            End::WithoutKeeper
        } else {
            End::Said
        }
    }

    /// Records what the next daemon is to find: all of it where services run on, else that nothing is wanted.
    pub(super) async fn leave_kept(&mut self) {
        match self.end() {
            // Recorded before, and not ours to write to any more.
            End::HandedOver => {}
            End::Orphaned => {
                self.recorder.stop().await;
                self.commit();
                self.events.close();
                self.leave_place();
                self.finished.send_replace(Some(End::Orphaned));
            }
            End::WithoutKeeper | End::Said => {
                // Whoever is passed output on has the last of it.
                self.recorder.stop().await;
                self.forget_wanted();
                self.commit();
            }
        }
    }

    /// Whoever becomes the keeper makes a place of its own, and must not begin in a part of the one before.
    fn leave_place(&self) {
        let Backend::Cgroup { root } = &self.backend else { return };
        if let Err(error) = enter_outside(root) {
            tracing::warn!(%error, "cannot leave the cgroup of the lost keeper");
        }
    }

    /// Everything was asked down: nothing is wanted of the next daemon.
    fn forget_wanted(&mut self) {
        self.events.change(Change::Project(None));
        for key in &self.facts {
            self.events.change(Change::Meta { key: (*key).to_owned(), body: None });
        }
        for name in self.slots.keys().chain(&self.leaving) {
            self.events.change(Change::Slot { name: name.clone(), body: None });
        }
        for (name, _) in self.slots.iter().filter(|(_, slot)| slot.ad_hoc.is_some()) {
            self.events.change(Change::Service { name: name.clone(), body: None });
        }
        self.forget_owners();
    }
}
