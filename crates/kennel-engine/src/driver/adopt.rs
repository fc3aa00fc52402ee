//! What a lost keeper was to keep: taken over by the present one, or ended.

use std::os::fd::OwnedFd;

use kennel_keeper::proto::{AdoptError, Place, Request, Stray, Survivor};
use kennel_store::Change;
use kennel_sys::proc;
use kennel_wire::{EndedProcess, EventKind, Exit, Fate, KnownBy, Orphan, Sure};

use super::Driver;
use crate::events::RECORDS_MISSING;
use crate::receipt;

impl Driver {
    /// The keeper holds it now.
    pub(super) fn adopted(&mut self, id: u64, place: Place, pipes: Option<[OwnedFd; 2]>, main_alive: bool) {
        self.adopting.remove(&id);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.place = Some(place);
        let (name, pid) = (run.name.clone(), run.pid.unwrap_or_default());
        tracing::info!(service = name, instance = id, pid, main_alive, "adopted");
        self.pace_samples(id);
        self.watch_run(id);
        if pipes.is_none() {
            tracing::warn!(service = name, "its output cannot be found again; nobody in it has the pipes open");
        }
        let has_output = pipes.is_some();
        if let Some(pipes) = pipes {
            self.attach_output(id, pipes);
        }
        self.events.publish(Some(&name), Some(id), EventKind::Adopted { pid });
        self.resume_run(id);
        self.orphan_adopted(id, has_output);
    }

    /// It ended meanwhile, or cannot be held.
    pub(super) fn not_adopted(&mut self, id: u64, error: &AdoptError) {
        self.adopting.remove(&id);
        if self.orphan_not_adopted(id, error) {
            return;
        }
        let Some(run) = self.runs.get(&id) else { return };
        let service = &run.name;
        match error {
            AdoptError::Gone => tracing::info!(service, instance = id, "it has ended meanwhile"),
            AdoptError::NoCgroups | AdoptError::Taken | AdoptError::Os(_) => {
                tracing::error!(service, instance = id, ?error, "cannot adopt it");
            }
        }
        self.is_gone(id, true);
    }

    /// Nobody asked for these. A record is written before its process begins, so without damage none of them can be one
    /// that is still wanted.
    pub(super) fn strays(&mut self, strays: Vec<Stray>) {
        for Stray { leaf, processes } in strays {
            let orphans: Vec<Orphan> = processes.into_iter().map(|one| self.orphan(&leaf, one)).collect();
            for orphan in &orphans {
                let orphan = Box::new(orphan.clone());
                self.events.publish(orphan.service.clone().as_deref(), None, EventKind::OrphanFound { orphan });
            }
            if self.damaged {
                tracing::warn!(leaf, "left alone, for records may be missing; `kennel sweep` shows it");
            } else {
                self.link.send(Request::KillStray { leaf: leaf.clone() });
            }
            self.strays.insert(leaf, orphans);
        }
        self.is_clearing &= !self.strays.is_empty() && !self.damaged;
        self.note_damage();
    }

    /// Nothing is left that a lost record may have been about: what is found from now on is what it seems to be.
    pub(super) fn note_damage(&mut self) {
        if self.damaged && self.strays.is_empty() {
            self.damaged = false;
            self.facts.remove(RECORDS_MISSING);
            self.events.change(Change::Meta { key: RECORDS_MISSING.to_owned(), body: None });
        }
    }

    pub(super) fn stray_ended(&mut self, leaf: &str) {
        for orphan in self.strays.remove(leaf).into_iter().flatten() {
            let process = EndedProcess {
                pid: orphan.pid,
                start_ticks: Some(orphan.start_ticks).filter(|ticks| *ticks != 0),
                inode: orphan.inode,
                command: Some(orphan.command),
                // It is nobody's child that could tell.
                exit: Some(Exit::Unknown),
                stage: None,
                main: false,
                escaped_to: None,
            };
            self.events.publish(orphan.service.as_deref(), None, EventKind::OrphanKilled { process });
        }
        self.is_clearing &= !self.strays.is_empty();
        self.note_damage();
    }

    fn orphan(&self, leaf: &str, one: Survivor) -> Orphan {
        let by_tag = leaf.starts_with("tag:");
        let (start_ticks, inode) = receipt::identity(one.pid).unwrap_or_default();
        let service = leaf.rsplit_once('.').map(|(name, _)| name.to_owned()).filter(|_| !by_tag);
        let fate = if self.damaged { Fate::Refused } else { Fate::Ended };
        Orphan {
            pid: one.pid,
            start_ticks,
            inode,
            command: one.command,
            user: proc::owner(one.pid).map_or_else(|| "unknown".to_owned(), |uid| uid.to_string()),
            since: None,
            instance: self.home.name.clone(),
            run: leaf.rsplit_once('.').and_then(|(_, run)| run.parse().ok()).filter(|_| !by_tag),
            service,
            scope: (!by_tag).then(|| leaf.to_owned()),
            known_by: vec![if by_tag { KnownBy::Stamp } else { KnownBy::Scope }],
            sure: if by_tag { Sure::Likely } else { Sure::Certain },
            why: "an earlier keeper kept it, and no record tells what for".to_owned(),
            on_stop: fate,
            on_start: fate,
        }
    }
}
