//! What stands beside or below the lines, and where keys go.

use crate::state::State;
use crate::written::Source;

/// What is shown of the chosen service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pane {
    /// Why it is as it is, charts, figures and the last events.
    #[default]
    Overview,
    /// What it writes.
    Logs,
    /// What happened.
    Events,
    /// How its last stop went.
    Receipt,
}

/// Which part keys that move are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Focus {
    #[default]
    Lines,
    Pane,
}

impl Pane {
    /// In the order of their keys, which are `1` to `4`.
    pub(crate) const ALL: [Self; 4] = [Self::Overview, Self::Logs, Self::Events, Self::Receipt];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Receipt => "receipt",
        }
    }

    /// By its key.
    pub(crate) fn of_key(key: char) -> Option<Self> {
        let number = usize::try_from(key.to_digit(10)?).ok()?;
        Self::ALL.get(number.checked_sub(1)?).copied()
    }
}

/// How the pane is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View {
    pub(crate) pane: Pane,
    pub(crate) focus: Focus,
    /// It has all the room.
    pub(crate) zoomed: bool,
    /// Logs and events of all services instead of the chosen one.
    pub(crate) all: bool,
    /// Whether long lines of a log go on below instead of being cut.
    pub(crate) wrap: bool,
    /// Columns of a log that are scrolled away at the left.
    pub(crate) column: usize,
    /// Lines of the pane that are scrolled away: below for events, above for the others. The log knows its own.
    pub(crate) scrolled: usize,
    /// Lines of the pane that there is room for, as it was drawn last.
    pub(crate) room: usize,
}

impl View {
    /// Shows another one, from its begin.
    pub(crate) fn show(&mut self, pane: Pane) {
        (self.pane, self.scrolled, self.column) = (pane, 0, 0);
    }
}

impl State {
    /// Whether it is shown at all.
    pub(crate) fn pane_shown(&self) -> bool {
        self.look.is_some() && (self.view.zoomed || self.details.unwrap_or(self.details_fit))
    }

    /// Shows a pane, also one that was hidden.
    pub(crate) fn show(&mut self, pane: Pane) {
        self.details = Some(true);
        self.view.show(pane);
    }

    /// Shows it, or hides it.
    pub(crate) fn toggle_pane(&mut self) {
        self.details = Some(!self.pane_shown());
        (self.view.zoomed, self.view.focus) = (false, Focus::Lines);
    }

    /// Gives it all the room, or takes that back.
    pub(crate) fn zoom(&mut self) {
        self.view.zoomed = !self.view.zoomed;
        self.details = Some(true);
        self.view.focus = if self.view.zoomed { Focus::Pane } else { self.view.focus };
    }

    /// Moves in the other part.
    pub(crate) fn turn_focus(&mut self) {
        self.view.focus = match self.view.focus {
            Focus::Lines => Focus::Pane,
            Focus::Pane => Focus::Lines,
        };
        if self.view.focus == Focus::Pane {
            self.details = Some(true);
        } else {
            self.view.zoomed = false;
        }
    }

    /// Scrolls it up, or down if it is negative. Of logs and events the last lines are shown at first, of the others the first.
    pub(crate) fn scroll_pane(&mut self, up: isize) {
        match (self.view.pane, up) {
            (Pane::Logs, isize::MAX) => self.written.rewind(self.view.room),
            (Pane::Logs, isize::MIN) => self.written.follow(),
            (Pane::Logs, _) => self.written.scroll(up, self.view.room),
            (Pane::Events, _) => self.view.scrolled = self.view.scrolled.saturating_add_signed(up),
            (Pane::Overview | Pane::Receipt, _) => {
                self.view.scrolled = self.view.scrolled.saturating_add_signed(up.saturating_neg());
            }
        }
    }

    /// Whether something is looked for in a log that is shown.
    pub(crate) fn searches(&self) -> bool {
        self.pane_shown() && self.view.pane == Pane::Logs && !self.written.pattern().is_empty()
    }

    /// Sees to it that the log is that of what is chosen; whether one is shown.
    pub(crate) fn settle_log(&mut self) -> bool {
        if !self.pane_shown() || self.view.pane != Pane::Logs {
            return false;
        }
        let source = match self.service() {
            Some(one) if !self.view.all => Source::One(one.name.clone()),
            _ => Source::Many(self.services.clone()),
        };
        self.written.of(source);
        true
    }

    /// The service whose events are shown; none: those of all.
    pub(crate) fn events_of(&self) -> Option<String> {
        self.service().filter(|_| !self.view.all).map(|one| one.name.clone())
    }
}
