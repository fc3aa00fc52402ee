//! In which order lines stand.

use std::cmp::Ordering;

use kennel_wire::{ProcessUsage, ServiceStatus, ServiceUsage};

/// What lines are ordered by. Figures begin with the most; what has none comes last, also the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As in the configuration; processes by their begin.
    #[default]
    Declared,
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Read and written.
    Io,
    /// Threads.
    Threads,
    /// Name or command.
    Name,
}

impl Order {
    /// In the order in which they follow each other.
    pub(crate) const ALL: [Self; 6] = [Self::Declared, Self::Cpu, Self::Memory, Self::Io, Self::Threads, Self::Name];

    /// As it is named to people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Declared => "as declared",
            Self::Cpu => "by CPU",
            Self::Memory => "by memory",
            Self::Io => "by I/O",
            Self::Threads => "by threads",
            Self::Name => "by name",
        }
    }

    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).map_or(0, |at| at + 1);
        Self::ALL[at % Self::ALL.len()]
    }

    pub(crate) fn services(self, reverse: bool, a: Service<'_>, b: Service<'_>) -> Ordering {
        let figure = |(_, usage): Service<'_>| {
            let usage = usage?.usage;
            match self {
                Self::Cpu => usage.cpu_percent,
                Self::Memory => usage.memory_bytes.map(number),
                Self::Io => sum(usage.read_rate, usage.write_rate),
                Self::Threads => usage.threads.map(f64::from),
                Self::Declared | Self::Name => None,
            }
        };
        match self {
            Self::Name => turn(reverse, a.0.name.cmp(&b.0.name)),
            _ => most_first(reverse, figure(a), figure(b)),
        }
    }

    pub(crate) fn processes(self, reverse: bool, a: &ProcessUsage, b: &ProcessUsage) -> Ordering {
        match self {
            Self::Declared => turn(reverse, a.start_ticks.cmp(&b.start_ticks)),
            Self::Cpu => most_first(reverse, a.cpu_percent, b.cpu_percent),
            Self::Memory => turn(reverse, b.memory_bytes.cmp(&a.memory_bytes)),
            Self::Io => {
                let figure = |one: &ProcessUsage| sum(one.read_bytes.map(number), one.written_bytes.map(number));
                most_first(reverse, figure(a), figure(b))
            }
            Self::Threads => turn(reverse, b.threads.cmp(&a.threads)),
            Self::Name => turn(reverse, a.command.cmp(&b.command)),
        }
    }
}

/// A service, with what it uses if it runs.
type Service<'a> = (&'a ServiceStatus, Option<&'a ServiceUsage>);

fn most_first(reverse: bool, a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => turn(reverse, b.total_cmp(&a)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn turn(reverse: bool, order: Ordering) -> Ordering {
    if reverse { order.reverse() } else { order }
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    (a.is_some() || b.is_some()).then(|| a.unwrap_or(0.0) + b.unwrap_or(0.0))
}

#[expect(clippy::cast_precision_loss, reason = "for an order")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}
