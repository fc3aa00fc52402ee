//! Colours, or none.

use anstyle::{AnsiColor, Color, Effects, RgbColor, Style};

pub(crate) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const BLUE: Style = AnsiColor::Blue.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();

/// Colours of names that declare none: well apart, readable on dark and light, none that means a state.
const PALETTE: [AnsiColor; 8] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightGreen,
];

/// Whether to use colours at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    pub(crate) color: bool,
}

impl Paint {
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { color: false };

    /// `text` in `style`.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() && style != Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// The colour of a service's name: the declared one, else always the same of the palette.
pub(crate) fn of_service(name: &str, declared: Option<&str>) -> Style {
    let color = declared.and_then(parse).unwrap_or_else(|| {
        // Replicas share the colour of their service.
        let base = super::names::service_of(name);
        let hash = base.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Color::Ansi(PALETTE[hash as usize % PALETTE.len()])
    });
    Style::new().fg_color(Some(color))
}

/// `cyan`, `bright-cyan` or `#rrggbb`.
fn parse(text: &str) -> Option<Color> {
    if let Some(hex) = text.strip_prefix('#') {
        let channel = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        return (hex.len() == 6).then(|| Some(RgbColor(channel(0)?, channel(2)?, channel(4)?).into()))?;
    }
    let lower = text.to_ascii_lowercase();
    let (bright, name) = match lower.strip_prefix("bright") {
        Some(rest) => (true, rest.trim_start_matches(['-', '_', ' '])),
        None => (false, lower.as_str()),
    };
    let color = match name {
        "black" => AnsiColor::Black,
        "red" => AnsiColor::Red,
        "green" => AnsiColor::Green,
        "yellow" => AnsiColor::Yellow,
        "blue" => AnsiColor::Blue,
        "magenta" => AnsiColor::Magenta,
        "cyan" => AnsiColor::Cyan,
        "white" => AnsiColor::White,
        "gray" | "grey" => AnsiColor::BrightBlack,
        _ => return None,
    };
    Some(Color::Ansi(color.bright(bright)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read() {
        assert_eq!(parse("cyan"), Some(AnsiColor::Cyan.into()));
        assert_eq!(parse("bright-red"), Some(AnsiColor::BrightRed.into()));
        assert_eq!(parse("#0a141e"), Some(RgbColor(10, 20, 30).into()));
        assert_eq!((parse("#0a14"), parse("#ü0141"), parse("mauve")), (None, None, None));
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(of_service("worker.1", None), of_service("worker.2", None));
        assert_eq!(of_service("web", Some("green")), AnsiColor::Green.on_default());
        assert_eq!(of_service("web", Some("nonsense")), of_service("web", None));
    }

    #[test]
    fn without_colours_nothing_is_added() {
        assert_eq!(Paint::PLAIN.paint(RED, "x"), "x");
        assert_eq!(Paint { color: true }.paint(RED, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
