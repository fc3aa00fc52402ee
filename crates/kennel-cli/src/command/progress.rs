//! Shows events while something is being waited for.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use kennel_client::{Daemon, FROM_NOW, Lines};
use kennel_wire::Event;

use crate::board::{Board, Goal};
use crate::screen::Screen;

/// How often what is drawn is drawn again, for the seconds that pass.
const TICK: Duration = Duration::from_millis(100);

/// What takes less than this is not worth a remark.
pub(super) const WORTH_SHOWING: Duration = Duration::from_millis(500);

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
        let (events, services) = tokio::join!(daemon.events(FROM_NOW, true), daemon.services());
        let mut progress = Self::with(events.ok(), goal, after);
        progress.board.expect(services.unwrap_or_default().iter().map(|one| one.name.as_str()));
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
