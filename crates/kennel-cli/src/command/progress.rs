//! Shows events while something is being waited for.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use kennel_client::{Daemon, FROM_NOW, Lines};
use kennel_wire::{Event, ServiceStatus};

use crate::board::{Board, Goal};
use crate::render::names;
use crate::render::paint::DIM;
use crate::screen::Screen;

/// How often what is drawn is drawn again, for the seconds that pass.
const TICK: Duration = Duration::from_millis(100);

/// What takes less than this is not worth a remark.
pub(super) const WORTH_SHOWING: Duration = Duration::from_millis(500);

/// Waits for `work` that no event tells of. On a terminal, what it is and its seconds are said from [`WORTH_SHOWING`] on.
pub(super) async fn waiting<T>(screen: &mut Screen, what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let begin = Instant::now();
    loop {
        tokio::select! {
            biased;
            result = &mut work => {
                screen.clear();
                return result;
            }
            () = tokio::time::sleep(TICK), if screen.is_live() => {}
        }
        let waited = begin.elapsed();
        if waited >= WORTH_SHOWING {
            screen.draw(&[(under_way(what, waited), DIM)]);
        }
    }
}

/// `searching … 3 s`
fn under_way(what: &str, waited: Duration) -> String {
    match waited.as_secs() {
        0 => format!("{what} …"),
        seconds => format!("{what} … {seconds} s"),
    }
}

/// The progress of something under way.
pub(super) struct Progress {
    /// None once it has ended.
    events: Option<Lines<Event>>,
    pub(super) board: Board,
    /// Nothing is shown before.
    begin: Instant,
    /// Lines that came before that.
    held: String,
}

impl Progress {
    /// Begins to listen. Without events there is no progress to be seen, and nothing else is lost.
    pub(super) async fn new(daemon: &Daemon, goal: Goal, after: Duration) -> Self {
        Self::about(daemon, goal, after, &[]).await
    }

    /// The same for what is done to these services: what happens to others meanwhile is not shown. Without names it is about all.
    pub(super) async fn about(daemon: &Daemon, goal: Goal, after: Duration, names: &[String]) -> Self {
        let (events, services) = tokio::join!(daemon.events(FROM_NOW, true), daemon.services());
        let services = services.unwrap_or_default();
        let mut progress = Self::with(events.ok(), goal, after);
        match names {
            [] => progress.board.expect(services.iter().map(|one| one.name.as_str())),
            names => progress.board.only(concerned(&services, names, goal)),
        }
        progress
    }

    /// Goes on with events that somebody else has begun to read.
    pub(super) fn with(events: Option<Lines<Event>>, goal: Goal, after: Duration) -> Self {
        Self { events, board: Board::new(goal), begin: Instant::now() + after, held: String::new() }
    }

    /// Gives the events back.
    pub(super) fn into_events(self) -> Option<Lines<Event>> {
        self.events
    }

    /// Waits for `work` and shows what happens meanwhile.
    pub(super) async fn during<T>(&mut self, screen: &mut Screen, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.step(screen) => {}
                result = &mut work => {
                    screen.clear();
                    return result;
                }
            }
        }
    }

    /// Waits for the next event or tick and shows it. May be dropped while it waits.
    pub(super) async fn step(&mut self, screen: &mut Screen) {
        let next = async {
            match &mut self.events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = next => match event {
                Ok(Some(event)) => self.take(&event, screen),
                Ok(None) | Err(_) => self.events = None,
            },
            () = tokio::time::sleep(TICK), if screen.is_live() || !self.held.is_empty() => {}
        }
        self.show(screen);
    }

    fn take(&mut self, event: &Event, screen: &Screen) {
        if let Some(line) = self.board.apply(event, Instant::now()).filter(|_| !screen.is_live()) {
            self.held.push_str(&line);
        }
    }

    fn show(&mut self, screen: &mut Screen) {
        let now = Instant::now();
        if now < self.begin {
            return;
        }
        if screen.is_live() {
            screen.draw(&self.board.lines(screen.room(), now));
        } else if !self.held.is_empty() {
            screen.remark(&std::mem::take(&mut self.held));
        }
    }
}

/// These services, those that have to be started for them, and those that have to be stopped with them.
fn concerned(services: &[ServiceStatus], names: &[String], goal: Goal) -> HashSet<String> {
    let mut open: Vec<&ServiceStatus> = services.iter().filter(|one| names::mean(names, one)).collect();
    let mut found = HashSet::new();
    let needs =
        |one: &ServiceStatus, other: &ServiceStatus| one.depends_on.iter().any(|it| it.service == other.service);
    while let Some(one) = open.pop() {
        if found.insert(one.name.clone()) {
            open.extend(services.iter().filter(|other| match goal {
                Goal::Up => needs(one, other),
                Goal::Down => needs(other, one),
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use kennel_wire::{Condition, Dependency};

    use super::*;
    use crate::render::samples;

    #[test]
    fn what_is_done_to_some_concerns_whom_they_need_or_who_needs_them() {
        let service = |name: &str, service: &str, needs: &[&str]| ServiceStatus {
            name: name.into(),
            service: service.into(),
            depends_on: needs
                .iter()
                .map(|name| Dependency { service: (*name).into(), condition: Condition::Started })
                .collect(),
            ..samples::ready("x")
        };
        let services = [
            service("db", "db", &[]),
            service("api.1", "api", &["db"]),
            service("api.2", "api", &["db"]),
            service("web", "web", &["api"]),
            service("other", "other", &[]),
        ];
        let of = |name: &str, goal| {
            let mut names: Vec<String> = concerned(&services, &[name.to_owned()], goal).into_iter().collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(of("web", Goal::Up), "api.1 api.2 db web");
        assert_eq!(of("db", Goal::Down), "api.1 api.2 db web");
        assert_eq!(of("api.2", Goal::Up), "api.2 db");
        assert_eq!((of("other", Goal::Down), of("nobody", Goal::Up)), ("other".into(), String::new()));
    }

    #[test]
    fn what_takes_long_has_its_seconds() {
        let told = [700, 1_200, 65_000].map(|ms| under_way("searching", Duration::from_millis(ms)));
        assert_eq!(told, ["searching …", "searching … 1 s", "searching … 65 s"]);
    }
}
