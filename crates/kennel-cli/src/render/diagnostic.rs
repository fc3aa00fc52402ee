//! What is wrong with a configuration, with the lines concerned.

use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::paint::Paint;

/// One mistake, wherever it was found: by us or by the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mistake<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) file: &'a Path,
    pub(crate) line: u32,
    pub(crate) span: (usize, usize),
    pub(crate) help: Option<&'a str>,
}

/// The mistake with its snippet; `source` is the text of its file, as far as it is known.
pub(crate) fn one(mistake: &Mistake<'_>, source: Option<&str>, width: Option<usize>, paint: Paint) -> String {
    let renderer = if paint.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(width.unwrap_or(140));
    let path = mistake.file.display().to_string();
    let title = Level::ERROR.primary_title(mistake.message).id(mistake.code);
    let (start, end) = mistake.span;
    let shown = source.filter(|source| mistake.line > 0 && source.get(start..end).is_some());
    let group = match shown {
        Some(source) => {
            let mark = AnnotationKind::Primary.span(start..end);
            title.element(Snippet::source(source).path(&path).annotation(mark))
        }
        None => title.element(annotate_snippets::Origin::path(&path)),
    };
    let group = match mistake.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "services:\n  web:\n    comand: ./serve\n";

    fn mistake() -> Mistake<'static> {
        Mistake {
            code: "unknown_key",
            message: "unknown key `comand`",
            file: Path::new("kennel.yaml"),
            line: 3,
            span: (21, 27),
            help: Some("did you mean `command`?"),
        }
    }

    #[test]
    fn the_line_is_shown() {
        insta::assert_snapshot!(one(&mistake(), Some(SOURCE), None, Paint::PLAIN), @r"
        error[unknown_key]: unknown key `comand`
         --> kennel.yaml:3:5
          |
        3 |     comand: ./serve
          |     ^^^^^^
          |
          = help: did you mean `command`?
        ");
    }

    #[test]
    fn a_mistake_without_a_place() {
        let nowhere = Mistake { line: 0, span: (0, 0), help: None, message: "cannot read it", ..mistake() };
        insta::assert_snapshot!(one(&nowhere, None, None, Paint::PLAIN), @r"
        error[unknown_key]: cannot read it
        --> kennel.yaml
        ");
    }
}
