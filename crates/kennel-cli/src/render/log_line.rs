//! Log lines with the name of who wrote them.

use std::collections::HashMap;

use anstyle::Style;
use kennel_wire::{LogLine, ServiceStatus};

use super::paint::{DIM, Paint, of_service};

/// Longer names push their own lines only.
const WIDEST: usize = 24;

/// Lays out log lines so that they stand one below the other.
#[derive(Debug, Clone)]
pub(crate) struct Prefixes {
    paint: Paint,
    width: usize,
    colors: HashMap<String, Style>,
    shown: bool,
    /// Whether a terminal reads it, which a control sequence could confuse.
    terminal: bool,
}

impl Prefixes {
    /// For these names as in `ps`, each with the colour that is declared for it.
    pub(crate) fn new(names: &[(String, Option<String>)], paint: Paint, terminal: bool, shown: bool) -> Self {
        let width = names.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(WIDEST);
        let color = |(name, color): &(String, Option<String>)| (name.clone(), of_service(name, color.as_deref()));
        Self { paint, width, colors: names.iter().map(color).collect(), shown, terminal }
    }

    /// As [`Prefixes::new`], for these services.
    pub(crate) fn of(services: &[ServiceStatus], paint: Paint, terminal: bool) -> Self {
        let names: Vec<_> = services.iter().map(|one| (one.name.clone(), one.color.clone())).collect();
        Self::new(&names, paint, terminal, true)
    }

    /// `web      | listening on 8080`, with its newline.
    pub(crate) fn line(&self, line: &LogLine) -> String {
        let text = if self.terminal { tame(&line.line, self.paint.color) } else { line.line.clone() };
        if self.shown { format!("{} {text}\n", self.prefix(&line.service, "|")) } else { format!("{text}\n") }
    }

    /// `web      * ready in 1.2 s`: what kennel itself says about a service, between its lines.
    pub(crate) fn note(&self, service: &str, text: &str) -> String {
        format!("{} {}\n", self.prefix(service, "*"), self.paint.paint(DIM, text))
    }

    fn prefix(&self, service: &str, sign: &str) -> String {
        let style = self.colors.get(service).copied().unwrap_or_else(|| of_service(service, None));
        self.paint.paint(style, &format!("{service:<width$} {sign}", width = self.width))
    }
}

/// What is safe to show on a terminal: text, tabs and, with `color`, SGR sequences, which are ended at the end.
///
/// Source: ECMA-48 §5.4 (control sequences), §5.6 (control strings).
pub(crate) fn tame(line: &str, color: bool) -> String {
    let mut tame = String::with_capacity(line.len());
    let mut styled = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    let mut parameters = String::new();
                    let end = chars.by_ref().find(|c| {
                        parameters.push(*c);
                        ('\u{40}'..='\u{7e}').contains(c)
                    });
                    if color && end == Some('m') && parameters.bytes().all(|b| b"0123456789;:m".contains(&b)) {
                        tame.push_str("\u{1b}[");
                        tame.push_str(&parameters);
                        styled = true;
                    }
                }
                // A string (title, hyperlink, image): up to BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || c == '\u{9c}' {
                            break;
                        }
                        if c == '\u{1b}' {
                            chars.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                Some(c) if ('\u{20}'..='\u{2f}').contains(&c) => {
                    chars.find(|c| ('\u{30}'..='\u{7e}').contains(c));
                }
                _ => {}
            },
            '\t' => tame.push(c),
            // Of a line that rewrites itself, what it says last.
            '\r' => {
                if chars.peek().is_some() {
                    tame.clear();
                    styled = false;
                }
            }
            c if c.is_control() => {}
            c => tame.push(c),
        }
    }
    if styled {
        tame.push_str("\u{1b}[0m");
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn lines_stand_below_each_other() {
        let services = [samples::ready("web"), samples::waiting("database")];
        let prefixes = Prefixes::of(&services, Paint::PLAIN, true);
        let text = [
            prefixes.line(&samples::log("web", "listening on \u{1b}[1m8080\u{1b}[0m")),
            prefixes.note("database", "exit 1, restart 2 in 0.4 s"),
            prefixes.line(&samples::log("database", "")),
            prefixes.line(&samples::log("new", "x")),
        ];
        insta::assert_snapshot!(text.concat(), @r"
        web      | listening on 8080
        database * exit 1, restart 2 in 0.4 s
        database | 
        new      | x
        ");
    }

    #[test]
    fn a_terminal_gets_colours_and_no_commands() {
        assert_eq!(tame("a\u{1b}[2Jb\u{1b}[31mc", true), "ab\u{1b}[31mc\u{1b}[0m");
        assert_eq!(tame("a\u{1b}[31mc\u{1b}[0m", false), "ac");
        assert_eq!(tame("\u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y\u{1b}(Bz\u{9b}", true), "xyz");
        assert_eq!(tame("\u{1b}[?25l\u{1b}[>4m", true), "");
        assert_eq!(tame("10%\r20%\r", true), "20%");
        assert_eq!(tame("a\tb\u{7}\u{8}\u{1b}", true), "a\tb");
    }

    #[test]
    fn a_pipe_gets_what_was_written() {
        let prefixes = Prefixes::new(&[], Paint::PLAIN, false, false);
        assert_eq!(prefixes.line(&samples::log("web", "a\u{1b}[2Jb")), "a\u{1b}[2Jb\n");
    }
}
