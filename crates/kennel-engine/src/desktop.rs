//! Tells whoever loaded the configuration of events on the desktop, for as long as the configuration asks for it.
//!
//! One more reader of the stream. What it gathers is in no store: a notification is for whoever sits there now, and what happened is in
//! the stream in any case. Nothing is held while nothing is shown (`kennel-desktop`); how much becomes one notification is decided by
//! `core::notice`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_core::model::{Chosen, Project};
use kennel_core::notice::{Notice, Notices, Summary};
use kennel_desktop::{Bus, Failure};
use kennel_wire::{Code, Event, NotifyTestReport, Problem};
use tokio::sync::watch;

use crate::clock;
use crate::events::Events;
use crate::handle::Handle;

/// Events that are read at a time.
const PAGE: usize = 100;
/// What names a bus.
const VARIABLES: [&str; 2] = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"];

/// What happened, in one line.
pub type Words = fn(&Event) -> String;

/// Who tells of them. Clones speak for the same one.
#[derive(Debug, Clone)]
pub(crate) struct Desktop {
    events: Events,
    words: Words,
    /// None while no configuration is loaded.
    wish: watch::Sender<Option<Wish>>,
    /// Whether there is a task: there is none until somebody wishes for it.
    begun: Arc<AtomicBool>,
}

/// What the configuration asks for, and what it was loaded with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    chosen: Option<Chosen>,
    /// Name of the stack.
    stack: String,
    /// Those of [`VARIABLES`] that were set.
    variables: BTreeMap<String, String>,
}

impl Desktop {
    pub(crate) fn new(events: Events, words: Words) -> Self {
        Self { events, words, wish: watch::Sender::default(), begun: Arc::default() }
    }

    /// What is wanted from now on: of a configuration, and of the environment that it was loaded with.
    pub(crate) fn wish(&self, loaded: Option<(&Project, &BTreeMap<String, String>)>) {
        let wish = loaded.map(|(project, environment)| Wish::of(project, environment));
        let is_wanted = wish.as_ref().is_some_and(|wish| wish.chosen.is_some());
        self.wish.send_if_modified(|old| {
            let is_new = *old != wish;
            *old = wish;
            is_new
        });
        if is_wanted && !self.begun.swap(true, Ordering::Relaxed) {
            // Before this there is nothing that anybody was to be told of.
            tokio::spawn(self.clone().serve(self.events.newest()));
        }
    }

    /// Ends with the stream.
    async fn serve(self, mut seen: u64) {
        let (mut wish, mut published) = (self.wish.subscribe(), self.events.watch());
        let (mut notices, mut is_failing) = (Notices::default(), false);
        loop {
            let wanted = wish.borrow_and_update().clone();
            let Some((wanted, chosen)) = wanted.as_ref().and_then(|wish| Some((wish, wish.chosen.as_ref()?))) else {
                notices = Notices::default();
                if wish.changed().await.is_err() {
                    return;
                }
                // Whoever wishes for it again begins with what is new then.
                seen = self.events.newest();
                continue;
            };
            published.borrow_and_update();
            let page = self.events.after(seen, PAGE).await;
            for event in &page {
                seen = event.seq;
                if chosen.takes(event.kind.name(), event.service.as_deref()) {
                    let (kind, about) = (event.kind.name().to_owned(), event.service.clone());
                    notices.add(Notice { kind, about, words: (self.words)(event) }, now());
                }
            }
            if let Some(summary) = notices.take(&wanted.stack, now()) {
                let shown = wanted.show(summary).await;
                match &shown {
                    Err(failure) if !is_failing => {
                        tracing::warn!(%failure, "notifications cannot be shown on the desktop");
                    }
                    Ok(()) if is_failing => tracing::info!("notifications are shown on the desktop again"),
                    _ => {}
                }
                is_failing = shown.is_err();
            }
            if !page.is_empty() {
                continue;
            }
            let due = notices.due().map(|due| clock::instant(Duration::from_millis(due)));
            tokio::select! {
                changed = wish.changed() => if changed.is_err() {
                    return;
                },
                changed = published.changed() => if changed.is_err() {
                    return;
                },
                () = clock::until(due) => {}
            }
        }
    }
}

impl Wish {
    fn of(project: &Project, environment: &BTreeMap<String, String>) -> Self {
        let named = VARIABLES.into_iter().filter_map(|name| environment.get_key_value(name));
        Self {
            chosen: project.notify.desktop.clone(),
            stack: project.name.clone(),
            variables: named.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Shows it; takes a while.
    async fn show(&self, Summary { title, body }: Summary) -> Result<(), Failure> {
        let bus = Bus::of(|name| self.variables.get(name).map(String::as_str))?;
        // A death is told of before a notification about it is written, also on one processor.
        let begin = || drop(kennel_sys::process::never_interrupts());
        kennel_desktop::in_background(bus, kennel_desktop::Notice { title, body }, begin).await
    }
}

impl Handle {
    /// Shows a notification that says that it is a test; answers with what came of it.
    ///
    /// # Errors
    /// `config_missing`: there is nobody's desktop to show it on. That it cannot be shown is no error.
    pub async fn test_notification(&self) -> Result<NotifyTestReport, Problem> {
        let Some(wish) = self.desktop.wish.borrow().clone() else {
            let problem = Problem::new(Code::ConfigMissing, "no configuration is loaded");
            return Err(problem.hint("notifications are shown on the desktop of whoever loads one: `kennel up`"));
        };
        let body = "This is a test: nothing has happened.".to_owned();
        let shown = wish.show(Summary { title: format!("kennel – {}", wish.stack), body }).await;
        let error = shown.err().map(|failure| failure.to_string());
        Ok(NotifyTestReport { ok: error.is_none(), enabled: wish.chosen.is_some(), error })
    }
}

/// Milliseconds since boot.
fn now() -> u64 {
    u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX)
}
