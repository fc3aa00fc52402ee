//! Which figures there is room for.

use crate::order::Order;

/// A column of figures. Names, trees and commands stand before them and take what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Pid,
    Cpu,
    History,
    Memory,
    Processes,
    Threads,
    Files,
    Read,
    Written,
    Output,
    Pressure,
    Age,
}

/// A figure with its place, in columns from the left of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) figure: Figure,
    pub(crate) from: u16,
    pub(crate) width: u16,
}

/// Figures from left to right.
const SHOWN: [Figure; 12] = [
    Figure::Pid,
    Figure::Cpu,
    Figure::History,
    Figure::Memory,
    Figure::Processes,
    Figure::Threads,
    Figure::Files,
    Figure::Read,
    Figure::Written,
    Figure::Output,
    Figure::Pressure,
    Figure::Age,
];

/// Who gets room first.
const WANTED: [Figure; 12] = [
    Figure::Cpu,
    Figure::Memory,
    Figure::History,
    Figure::Threads,
    Figure::Read,
    Figure::Written,
    Figure::Age,
    Figure::Pid,
    Figure::Processes,
    Figure::Output,
    Figure::Files,
    Figure::Pressure,
];

/// Between two columns.
const GAP: u16 = 2;
/// Columns that names and commands have at least, and that they have before figures of little interest are shown.
const NAMES: u16 = 28;
/// Columns of a history where there is room.
const LONG: u16 = 20;

impl Figure {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Pid => "PID",
            Self::Cpu => "CPU%",
            Self::History => "TREND",
            Self::Memory => "MEM",
            Self::Processes => "PROC",
            Self::Threads => "THR",
            Self::Files => "FILES",
            Self::Read => "READ/s",
            Self::Written => "WRIT/s",
            Self::Output => "LOG/s",
            Self::Pressure => "WAIT%",
            Self::Age => "TIME",
        }
    }

    fn width(self) -> u16 {
        match self {
            Self::Pid => 7,
            Self::Cpu | Self::Memory | Self::Files | Self::Output | Self::Pressure => 5,
            Self::Processes | Self::Threads => 4,
            Self::Read | Self::Written | Self::Age => 6,
            Self::History => 8,
        }
    }

    /// The order that has the most of it first.
    pub(crate) fn order(self) -> Option<Order> {
        Order::ALL.into_iter().find(|order| self.orders(*order))
    }

    /// Whether lines are ordered by it.
    pub(crate) fn orders(self, order: Order) -> bool {
        match order {
            Order::Cpu => self == Self::Cpu,
            Order::Memory => self == Self::Memory,
            Order::Io => matches!(self, Self::Read | Self::Written),
            Order::Threads => self == Self::Threads,
            Order::Declared | Order::Name => false,
        }
    }
}

/// The columns of a table of this width, and how wide its names are.
pub(crate) fn columns(width: u16) -> (u16, Vec<Column>) {
    let mut left = width;
    let mut chosen = Vec::new();
    for (rank, figure) in WANTED.into_iter().enumerate() {
        // Commands are longer than names: more than the first figures are worth less than a part of a command.
        let least = if rank < 6 { NAMES } else { NAMES + 8 + 4 * u16::try_from(rank - 6).unwrap_or(0) };
        let takes = figure.width() + GAP;
        if left >= takes + least {
            left -= takes;
            chosen.push(figure);
        }
    }
    let grown = if chosen.contains(&Figure::History) { left.saturating_sub(64).min(LONG - 8) } else { 0 };
    let names = left - grown;
    let mut from = names;
    let mut columns = Vec::new();
    for figure in SHOWN.into_iter().filter(|figure| chosen.contains(figure)) {
        let width = figure.width() + if figure == Figure::History { grown } else { 0 };
        columns.push(Column { figure, from: from + GAP, width });
        from += GAP + width;
    }
    (names, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_with_room() {
        let shown = |width| {
            let (names, columns) = columns(width);
            let titles: Vec<&str> = columns.iter().map(|column| column.figure.title()).collect();
            format!("{names} {}", titles.join(" "))
        };
        insta::assert_snapshot!([20, 40, 60, 78, 100, 130, 200].map(shown).join("\n"), @r"
        20 
        33 CPU%
        30 CPU% TREND MEM THR
        32 CPU% TREND MEM THR READ/s WRIT/s
        46 CPU% TREND MEM THR READ/s WRIT/s TIME
        54 PID CPU% TREND MEM PROC THR READ/s WRIT/s LOG/s TIME
        98 PID CPU% TREND MEM PROC THR FILES READ/s WRIT/s LOG/s WAIT% TIME
        ");
    }

    #[test]
    fn every_column_is_within_the_table() {
        for width in 0..400 {
            let (names, columns) = columns(width);
            let end = columns.last().map_or(names, |column| column.from + column.width);
            assert!(end <= width && names <= width, "{width}: {names}, {columns:?}");
            assert!(columns.windows(2).all(|two| two[0].from + two[0].width + GAP == two[1].from), "{columns:?}");
        }
    }
}
