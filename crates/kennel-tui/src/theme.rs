//! Colours, or none; signs for states.

use kennel_wire::{Activity, Health, ServiceStatus, State};
use ratatui::style::{Color, Modifier, Style};

/// Which styles are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) color: bool,
}

impl Theme {
    fn fg(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// What matters less.
    pub(crate) fn dim(self) -> Style {
        // Not "bright black": some palettes give that the colour of the background.
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) fn good(self) -> Style {
        self.fg(Color::Green)
    }

    pub(crate) fn busy(self) -> Style {
        self.fg(Color::Cyan)
    }

    /// May become worse.
    pub(crate) fn warn(self) -> Style {
        self.fg(Color::Yellow)
    }

    pub(crate) fn bad(self) -> Style {
        self.fg(Color::Red)
    }

    pub(crate) fn cold(self) -> Style {
        self.fg(Color::Blue)
    }

    pub(crate) fn name(self, color: Color) -> Style {
        self.fg(color).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The heading that the order follows.
    pub(crate) fn sorted(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A question that waits for its answer.
    pub(crate) fn question(self) -> Style {
        self.fg(Color::Yellow).add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What was looked for, among others that have it.
    pub(crate) fn hit(self) -> Style {
        self.fg(Color::Yellow).add_modifier(Modifier::UNDERLINED)
    }

    /// What was looked for, where it was found last.
    pub(crate) fn found(self) -> Style {
        self.fg(Color::Yellow).add_modifier(Modifier::REVERSED)
    }

    /// What is written to standard error.
    pub(crate) fn aside(self) -> Style {
        self.fg(Color::Yellow)
    }

    /// Which of several is shown.
    pub(crate) fn chosen(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::REVERSED)
    }

    /// A key among its words.
    pub(crate) fn key(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// By percent of one CPU.
    pub(crate) fn load(self, percent: f64) -> Style {
        match percent {
            _ if percent < 0.05 => self.dim(),
            _ if percent < 50.0 => self.good(),
            _ if percent < 100.0 => self.warn(),
            _ => self.bad(),
        }
    }

    /// By the share that is used of what there is.
    pub(crate) fn fill(self, used: u64, of: u64) -> Style {
        let percent = used.saturating_mul(100).checked_div(of).unwrap_or(0);
        match percent {
            0..80 => Style::new(),
            80..95 => self.warn(),
            _ => self.bad(),
        }
    }

    /// A state: its sign, its word and its style. Green is good, red is bad, yellow may become either, cyan is under way.
    pub(crate) fn state(self, state: State, frozen: bool) -> (&'static str, &'static str, Style) {
        if frozen {
            return ("■", "frozen", self.cold());
        }
        match state {
            State::Ready => ("●", "ready", self.good()),
            State::Up => ("●", "up", self.busy()),
            State::Pending => ("○", "pending", self.busy()),
            State::Starting => ("◌", "starting", self.busy()),
            State::Unhealthy => ("▲", "unhealthy", self.warn()),
            State::Stopping => ("◆", "stopping", self.busy()),
            State::Waiting => ("↻", "waiting", self.warn()),
            State::Stuck => ("✗", "stuck", self.bad()),
            State::Failed => ("✗", "failed", self.bad()),
            State::GivenUp => ("✗", "given up", self.bad()),
            State::Completed => ("✓", "completed", self.good()),
            State::Scheduled => ("◷", "scheduled", self.dim()),
            State::Stopped => ("·", "stopped", self.dim()),
        }
    }

    /// How a service is: by its state, and where that says no more than that it runs, by what else is known of it.
    pub(crate) fn service(self, one: &ServiceStatus) -> (&'static str, &'static str, Style) {
        let runs = matches!(one.state, State::Ready | State::Up) && !one.frozen;
        match (one.health, one.activity) {
            (Health::Zombie, _) if runs => ("▲", "zombie", self.bad()),
            (Health::Unhealthy, _) if runs => ("▲", "unhealthy", self.warn()),
            (_, Some(Activity::Stalled)) if runs => ("▲", "stalled", self.warn()),
            (_, Some(Activity::Spinning)) if runs => ("▲", "spinning", self.warn()),
            _ => self.state(one.state, one.frozen),
        }
    }

    /// The state letter of a process: `R` runs, `D` cannot be interrupted, `Z` is a zombie, `T` and `t` are stopped.
    pub(crate) fn process(self, letter: char) -> Style {
        match letter {
            'R' => self.good(),
            'D' => self.warn(),
            'Z' | 'X' => self.bad(),
            'T' | 't' => self.cold(),
            _ => self.dim(),
        }
    }
}
