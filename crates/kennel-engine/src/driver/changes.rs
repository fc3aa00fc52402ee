//! What changed files do: which services are watched for, and what becomes of changes once it is quiet.
//!
//! When is decided by `core::watch`; the looking is done by a thread for each service (`crate::watch`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_core::instance::{End, State as RunState};
use kennel_core::model::{Exit, Watch, WatchAction};
use kennel_core::slot::{Event, Failure, Rest, State};
use kennel_core::watch::{Brake, Changes};
use kennel_keeper::proto::{Request, ScopeId};
use kennel_wire::{EventKind, WatchAct};

use super::oneoff::Purpose;
use super::slots::Slot;
use super::{Driver, Input, TimerKey, Work};
use crate::clock;
use crate::watch::{News, Watcher};

/// How long a command may run that a change has started.
const RUN_TIME: Duration = Duration::from_secs(600);

/// The files of one service, watched.
#[derive(Debug)]
pub(super) struct Watching {
    /// As it was when it began.
    watch: Watch,
    /// Held for its end; none if nothing can be watched.
    _watcher: Option<Watcher>,
    pending: Option<Pending>,
    brake: Brake,
    /// Something changed while its command ran.
    again: bool,
}

/// Changes that have not been acted upon.
#[derive(Debug)]
struct Pending {
    changes: Changes,
    paths: Vec<PathBuf>,
    count: u64,
    /// It was said that they have to wait.
    held: bool,
}

/// Whether changes mean anything to a slot: it is to be up, and did not end with a lost daemon.
fn is_watched_for(slot: &Slot) -> bool {
    let lost = matches!(slot.state, State::Rest(Rest::Failed(Failure::DaemonLost | Failure::KeeperLost)));
    slot.wanted && !lost
}

impl Driver {
    /// Watches the files of a service as long as any of its slots is to be up.
    pub(super) fn sync_watch(&mut self, service: &str) {
        let mut slots = self.slots.values().filter(|slot| slot.service_name == service && slot.ad_hoc.is_none());
        let declared =
            slots.find(|slot| slot.service.watch.is_some() && is_watched_for(slot)).map(|slot| &slot.service);
        let wanted = declared.and_then(|declared| Some((declared.watch.as_ref()?, &declared.working_dir)));
        let before = self.watching.get(service).map(|watching| &watching.watch);
        let Some((watch, base)) = wanted else {
            if before.is_some() {
                self.watching.remove(service);
                self.timers.disarm(&TimerKey::Watch(service.to_owned()));
            }
            return;
        };
        if before == Some(watch) {
            return;
        }
        let (inbox, name) = (self.inbox_sender.clone(), service.to_owned());
        let tell = move |news| drop(inbox.send(Input::Files(name.clone(), news)));
        let (watch, base) = (watch.clone(), base.clone());
        let watcher = match Watcher::start(&watch, base, tell) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let reason = match rustix::io::Errno::from_io_error(&error) {
                    Some(rustix::io::Errno::MFILE) => {
                        format!("{error}; raise fs.inotify.max_user_instances, or the limit of open files")
                    }
                    _ => error.to_string(),
                };
                self.events.publish(Some(service), None, EventKind::WatchBlind { reason });
                None
            }
        };
        let watching = Watching { watch, _watcher: watcher, pending: None, brake: Brake::default(), again: false };
        self.watching.insert(service.to_owned(), watching);
    }

    pub(super) fn sync_watches(&mut self) {
        let declared = self.slots.values().filter(|slot| slot.service.watch.is_some()).map(|slot| &slot.service_name);
        let mut names: Vec<String> = declared.chain(self.watching.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names.iter().for_each(|name| self.sync_watch(name));
    }

    /// Something was seen by a watcher, perhaps by one that has ended since.
    pub(super) fn files(&mut self, service: &str, news: News) {
        let Some(watching) = self.watching.get_mut(service) else { return };
        match news {
            News::Blind(reason) => {
                self.events.publish(Some(service), None, EventKind::WatchBlind { reason });
            }
            News::Changed { count: 0, .. } => {
                self.events.publish(Some(service), None, EventKind::WatchBegun {});
            }
            News::Changed { paths, count } => {
                let now = clock::now();
                let pending = watching.pending.get_or_insert_with(|| Pending {
                    changes: Changes::begin(now),
                    paths: Vec::new(),
                    count: 0,
                    held: false,
                });
                pending.changes.add(now);
                pending.count += count;
                for path in paths {
                    if pending.paths.len() < 10 && !pending.paths.contains(&path) {
                        pending.paths.push(path);
                    }
                }
                // What is held back stays so.
                if !pending.held {
                    let due = pending.changes.due(watching.watch.debounce);
                    self.timers.arm(TimerKey::Watch(service.to_owned()), clock::instant(due));
                }
            }
        }
    }

    /// It has been quiet for long enough, or too long not.
    pub(super) fn changes_are_due(&mut self, service: &str) {
        let Some(watching) = self.watching.get_mut(service) else { return };
        let Some(mut pending) = watching.pending.take() else { return };
        if let Err(at) = watching.brake.allow(clock::now()) {
            let for_ms = crate::receipt::millis(at.saturating_sub(clock::now()));
            let was_held = std::mem::replace(&mut pending.held, true);
            watching.pending = Some(pending);
            self.timers.arm(TimerKey::Watch(service.to_owned()), clock::instant(at));
            if !was_held {
                self.events.publish(Some(service), None, EventKind::WatchHeld { for_ms });
            }
            return;
        }
        let action = watching.watch.action.clone();
        let places = self.slots.iter().filter(|(_, slot)| slot.service_name == service && is_watched_for(slot));
        let places: Vec<(String, Option<u64>)> = places.map(|(name, slot)| (name.clone(), slot.run)).collect();
        let Some(base) =
            places.first().and_then(|(name, _)| self.slots.get(name)).map(|slot| &slot.service.working_dir)
        else {
            return;
        };
        let paths: Vec<String> = pending.paths.iter().map(|path| shown(path, base)).collect();
        for (name, run) in places {
            let act = match action {
                WatchAction::Restart => WatchAct::Restart,
                WatchAction::Signal(_) => WatchAct::Signal,
                WatchAction::Run(_) => WatchAct::Run,
            };
            let kind = EventKind::WatchChanged { paths: paths.clone(), count: pending.count, action: act };
            self.events.publish(Some(&name), run, kind);
            self.act_on_changes(service, &name, run, &action);
        }
    }

    fn act_on_changes(&mut self, service: &str, name: &str, run: Option<u64>, action: &WatchAction) {
        let running = run.filter(|id| {
            self.runs.get(id).is_some_and(|run| matches!(run.state, RunState::Running { .. }) && run.pid.is_some())
        });
        match (action, running) {
            (WatchAction::Restart, _) => {
                self.queue.push_back(Work::Slot(name.to_owned(), Event::Restart { limit: None }));
            }
            (WatchAction::Signal(signal), Some(id)) => {
                self.link.send(Request::Signal { scope: ScopeId(id), signal: *signal, everyone: false });
            }
            (WatchAction::Run(command), Some(id)) => {
                // Never two at a time; what changes while it runs has it run once more.
                let runs = self.runs.values().any(|run| run.is_for_changes_of(id));
                if runs && let Some(watching) = self.watching.get_mut(service) {
                    watching.again = true;
                } else {
                    let purpose = Purpose::Changed { of: id, service: service.to_owned() };
                    self.run_helper(id, command.clone(), RUN_TIME, purpose);
                }
            }
            // It is not there to be told; what starts later reads the files as they are.
            (WatchAction::Signal(_) | WatchAction::Run(_), None) => {}
        }
    }

    /// The command that a change has started has ended.
    pub(super) fn change_command_ended(&mut self, of: u64, service: &str, end: &End) {
        let name = self.runs.get(&of).map(|run| run.name.clone());
        let reason = match end {
            End::Ran { exit: Exit::Code(0), .. } => None,
            End::Ran { exit, .. } => Some(super::view::wire_exit(*exit).to_string()),
            End::NotSpawned { error, .. } => Some(error.clone()),
        };
        if let (Some(name), Some(reason)) = (&name, reason) {
            self.events.publish(Some(name), Some(of), EventKind::WatchFailed { reason });
        }
        let Some(watching) = self.watching.get_mut(service) else { return };
        if let (true, Some(name), WatchAction::Run(_)) =
            (std::mem::take(&mut watching.again), name, &watching.watch.action)
        {
            let action = watching.watch.action.clone();
            self.act_on_changes(service, &name, Some(of), &action);
        }
    }
}

/// Relative to the working directory, if it lies there.
fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned()
}
