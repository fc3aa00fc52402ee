//! Words that the command line has as well: given to us, so that one thing is said in one way.

use kennel_wire::{
    ActionReport, Alert, Event, FreezeReport, LimitStatus, Receipt, ServiceStatus, SignalReport, UpReport,
};
use ratatui::style::Color;

/// How the command line says things. Each text is one line without its end, or several of them.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Why a service is where it is, and what comes next.
    pub note: fn(&ServiceStatus) -> Option<String>,
    /// What happened.
    pub event: fn(&Event) -> String,
    /// The colour of a name: of the service, as declared.
    pub color: fn(&str, Option<&str>) -> Color,
    /// A limit, and who sees to it.
    pub limit: fn(&LimitStatus) -> String,
    /// What is too much, or will be, and what was done.
    pub alert: fn(&Alert) -> String,
    /// What became of a start: of this service, or of what it depends on if that has failed.
    pub started: fn(&UpReport, &str) -> String,
    /// What became of a stop, a restart or a kill.
    pub ended: fn(&ActionReport) -> String,
    /// What became of a freeze or a thaw.
    pub frozen: fn(&FreezeReport) -> String,
    /// Who got a signal.
    pub signalled: fn(&SignalReport) -> String,
    /// How a stop went: every stage, and every process with its end.
    pub receipt: fn(&Receipt) -> Vec<String>,
    /// Of what a service wrote, what is safe to show: text, tabs and, if colours are wanted, SGR sequences.
    pub tame: fn(&str, bool) -> String,
}
