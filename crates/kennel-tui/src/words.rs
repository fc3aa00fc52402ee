//! Words that the command line has as well: given to us, so that one thing is said in one way.

use kennel_wire::{ActionReport, Event, FreezeReport, LimitStatus, ServiceStatus, SignalReport, UpReport};
use ratatui::style::Color;

/// How the command line says things. Each text is one line without its end.
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
    /// What became of a start.
    pub started: fn(&UpReport) -> String,
    /// What became of a stop, a restart or a kill.
    pub ended: fn(&ActionReport) -> String,
    /// What became of a freeze or a thaw.
    pub frozen: fn(&FreezeReport) -> String,
    /// Who got a signal.
    pub signalled: fn(&SignalReport) -> String,
}
