//! Long lines of a terminal, broken between words and indented as what they belong to.

use textwrap::{Options, WordSeparator, WordSplitter};

/// Lines of a block with names at the left, such as `  promise      every descendant …`: what does not fit goes on below
/// its first word. `None` is no terminal, where lines stay whole.
pub(crate) fn fold(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| *width >= 20) else { return text.to_owned() };
    let mut folded = String::new();
    for line in text.lines() {
        let blank = " ".repeat(indent(line, width));
        let options = Options::new(width)
            .subsequent_indent(&blank)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false);
        let lines = textwrap::wrap(line, options);
        folded.push_str(&lines.join("\n"));
        folded.push('\n');
    }
    folded
}

/// Where the last column of a line begins, of those that leave half of the width.
fn indent(line: &str, width: usize) -> usize {
    let mut column = 0;
    let mut indent = 0;
    let mut blanks = 2;
    for (at, letter) in line.char_indices() {
        // Columns that are painted are shorter than their bytes.
        column = textwrap::core::display_width(&line[..at]);
        if column > width / 2 {
            break;
        }
        if letter == ' ' {
            blanks += 1;
            continue;
        }
        if blanks >= 2 {
            indent = column;
        }
        blanks = 0;
    }
    if column == 0 { 0 } else { indent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_below_its_column() {
        let text = "\u{1b}[32m✓\u{1b}[0m limits       each can be held\n  promise      every descendant of a service is found and ended\nerror: short\n";
        insta::assert_snapshot!(fold(text, Some(40)).replace("\u{1b}[32m", "").replace("\u{1b}[0m", ""), @r"
        ✓ limits       each can be held
          promise      every descendant of a
                       service is found and
                       ended
        error: short
        ");
        assert_eq!(fold(text, None), text);
    }
}
