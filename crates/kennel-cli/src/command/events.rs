//! `kennel events`.

use kennel_client::{CallError, EventQuery, Lines};
use kennel_wire::{DashboardEvent, Event, EventKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::again;
use crate::args::{EventNames, Events};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::event::{dashboard_line, line};
use crate::render::paint::Paint;

pub(super) async fn events(context: &mut Context, args: Events) -> Result<u8, Failure> {
    match args.names {
        EventNames::Kennel => show::<Event>(context, args).await,
        EventNames::Dashboard => show::<DashboardEvent>(context, args).await,
    }
}

/// An event under one of its names.
trait Shown: DeserializeOwned + Serialize {
    async fn ask(daemon: &kennel_client::Daemon, query: &EventQuery) -> Result<Lines<Self>, CallError>;
    fn seq(&self) -> u64;
    /// Another one with the same number follows.
    fn has_more(&self) -> bool;
    /// The daemon says nothing after it.
    fn is_last(&self) -> bool;
    fn line(&self, paint: Paint) -> String;
}

impl Shown for Event {
    async fn ask(daemon: &kennel_client::Daemon, query: &EventQuery) -> Result<Lines<Self>, CallError> {
        daemon.chosen_events(query).await
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn has_more(&self) -> bool {
        false
    }

    fn is_last(&self) -> bool {
        matches!(self.kind, EventKind::ShutdownCompleted { .. })
    }

    fn line(&self, paint: Paint) -> String {
        line(self, paint)
    }
}

impl Shown for DashboardEvent {
    async fn ask(daemon: &kennel_client::Daemon, query: &EventQuery) -> Result<Lines<Self>, CallError> {
        daemon.dashboard_events(query).await
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn is_last(&self) -> bool {
        false
    }

    fn line(&self, paint: Paint) -> String {
        dashboard_line(self, paint)
    }
}

async fn show<T: Shown>(context: &mut Context, args: Events) -> Result<u8, Failure> {
    let mut daemon = context.historian().await?;
    let Events { follow, since, tail, service: services, kind: kinds, names: _ } = args;
    let mut query = EventQuery { since, tail, services, kinds, follow };
    let mut over = false;
    loop {
        let mut events = T::ask(&daemon, &query).await?;
        // Lines of one number are shown together, so that none comes twice where the stream breaks between them.
        let mut open: Vec<T> = Vec::new();
        let ended = loop {
            match events.batch().await {
                Ok(Some(batch)) => open.extend(batch),
                ended => break ended,
            };
            let whole = open.iter().rposition(|event| !event.has_more()).map_or(0, |at| at + 1);
            let rest = open.split_off(whole);
            let batch = std::mem::replace(&mut open, rest);
            let Some(last) = batch.last() else { continue };
            (query.since, query.tail, over) = (last.seq(), None, last.is_last());
            let screen = &mut context.screen;
            if context.global.json {
                screen.json_lines(&batch)?;
            } else {
                let paint = screen.paint;
                screen.out(&batch.iter().map(|event| event.line(paint)).collect::<String>())?;
            }
        };
        let goes_on = follow && !over && again::may_go_on(&ended);
        match if goes_on { again::follower(&daemon).await? } else { None } {
            // It knows every event that was shown, and those that came meanwhile.
            Some(follower) => daemon = follower,
            None => return ended.map(|_| exit_codes::OK).map_err(Failure::from),
        }
    }
}
