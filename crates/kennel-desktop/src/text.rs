//! Text that shows what it says and does nothing else.

/// The longest title and body, characters. What shows them cuts earlier.
const LONGEST: (usize, usize) = (100, 1000);

/// A title, in which nothing is markup.
pub(crate) fn title(text: &str) -> String {
    tame(text, LONGEST.0, false)
}

/// A body; where it may be marked up, nothing of it is.
pub(crate) fn body(text: &str, has_markup: bool) -> String {
    let tame = tame(text, LONGEST.1, true);
    if !has_markup {
        return tame;
    }
    // The rest need not be replaced, for no attribute has it.
    tame.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Without what moves the cursor, colours, turns the direction of reading or cannot be seen.
fn tame(text: &str, longest: usize, lines: bool) -> String {
    let is_hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let seen = |c: char| match c {
        '\n' if lines => '\n',
        c if c.is_control() || is_hidden(c) => ' ',
        c => c,
    };
    let mut tame: String = text.chars().take(longest).map(seen).collect();
    if text.chars().nth(longest).is_some() {
        tame.push('…');
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_marked_up_or_hidden() {
        assert_eq!(
            body("<b>a</b> & \"c\"\n\u{1b}[31mred\u{202e}x\0", true),
            "&lt;b&gt;a&lt;/b&gt; &amp; \"c\"\n [31mred x "
        );
        assert_eq!(body("a < b & c", false), "a < b & c", "who shows it as it is gets it as it is");
        assert_eq!(title("a\nb\u{7}<i>"), "a b <i>");
    }

    #[test]
    fn it_has_an_end() {
        assert_eq!(title(&"ä".repeat(500)).chars().count(), 101);
        assert_eq!(body(&"<".repeat(5000), true).len(), 4000 + '…'.len_utf8(), "cut before it is written out");
    }
}
