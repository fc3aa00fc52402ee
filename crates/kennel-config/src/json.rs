//! JSON text to the tree, and nothing but JSON: no comments, no variables, no aliases.
//!
//! Source: RFC 8259.

use crate::diagnostic::Span;
use crate::tree::{Entry, Node, SyntaxError, Value};

/// Deepest nesting. Readers recurse, so this bounds their stack.
const MAX_DEPTH: usize = 100;

/// Parses one document.
pub(crate) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { source, at: 0 };
    let node = parser.node(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.wrong("the document ends before this")),
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
}

impl Parser<'_> {
    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.source.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.source.as_bytes().get(self.at).copied()
    }

    fn node(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let first = self.peek();
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let value = match first {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z') => self.word()?,
            _ => return Err(self.wrong("a value is expected here")),
        };
        Ok(Node { value, span: Span::new(start, self.at) })
    }

    fn map(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries = Vec::new();
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in double quotes is expected here"));
            }
            let start = self.at;
            let key = self.string()?;
            let key_span = Span::new(start, self.at);
            if self.peek() != Some(b':') {
                return Err(self.wrong("`:` is expected here"));
            }
            self.at += 1;
            let value = self.node(depth + 1)?;
            entries.push(Entry { key, key_span, value, merged: false });
            if self.is_last(b'}')? {
                return Ok(Value::Map(entries));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.node(depth + 1)?);
            if self.is_last(b']')? {
                return Ok(Value::List(items));
            }
        }
    }

    /// Whether a mapping or list ends after one of its members.
    fn is_last(&mut self, end: u8) -> Result<bool, SyntaxError> {
        let next = self.peek();
        if next != Some(b',') && next != Some(end) {
            return Err(self.wrong(&format!("`,` or `{}` is expected here", char::from(end))));
        }
        self.at += 1;
        Ok(next == Some(end))
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        let rest = &self.source[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        match words.into_iter().find(|(word, _)| *word == &rest[..length]) {
            Some((_, value)) => {
                self.at += length;
                Ok(value)
            }
            None => Err(self.wrong("a value is expected here; text stands in double quotes")),
        }
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        let take = |parser: &mut Self, good: fn(&u8) -> bool| {
            let count = parser.source.as_bytes()[parser.at..].iter().take_while(|byte| good(byte)).count();
            parser.at += count;
            count
        };
        let digits = |parser: &mut Self| take(parser, u8::is_ascii_digit);
        self.at += usize::from(self.source.as_bytes()[self.at] == b'-');
        let leading_zero = self.source.as_bytes().get(self.at) == Some(&b'0');
        let whole = digits(self);
        let mut ok = whole > 0 && (whole == 1 || !leading_zero);
        let mut is_integer = true;
        if self.source.as_bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            is_integer = false;
            ok &= digits(self) > 0;
        }
        if matches!(self.source.as_bytes().get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            is_integer = false;
            self.at += usize::from(matches!(self.source.as_bytes().get(self.at), Some(b'+' | b'-')));
            ok &= digits(self) > 0;
        }
        let text = self.source[start..self.at].to_owned();
        if !ok {
            self.at = start;
            return Err(self.wrong("this is no number"));
        }
        Ok(match text.parse() {
            Ok(value) if is_integer => Value::Int(value, text),
            _ => Value::Float(text.parse().unwrap_or(f64::INFINITY), text),
        })
    }

    /// A string, from its opening quote to behind the closing one.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = &self.source[self.at..];
            let Some(c) = rest.chars().next() else {
                self.at = open;
                return Err(self.wrong("this quote is never closed"));
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(text);
                }
                '\\' => text.push(self.escaped()?),
                '\0'..='\u{1f}' => return Err(self.wrong("a control character in a string must be escaped")),
                c => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn escaped(&mut self) -> Result<char, SyntaxError> {
        let c = match self.source.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_unit(),
            _ => return Err(self.wrong("there is no such escape")),
        };
        self.at += 2;
        Ok(c)
    }

    /// `\uXXXX`, or two of them that make up one character.
    fn code_unit(&mut self) -> Result<char, SyntaxError> {
        let unit = |at: usize| {
            let digits = self.source.get(at..at + 6)?.strip_prefix("\\u")?;
            let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            all_hex.then(|| u16::from_str_radix(digits, 16).ok())?
        };
        let units: Vec<u16> = [unit(self.at), unit(self.at + 6)].into_iter().map_while(|unit| unit).collect();
        match char::decode_utf16(units).next() {
            Some(Ok(c)) => {
                self.at += 6 * c.len_utf16();
                Ok(c)
            }
            _ => Err(self.wrong("this is no character")),
        }
    }

    fn wrong(&self, why: &str) -> SyntaxError {
        let at = self.at.min(self.source.len());
        SyntaxError { code: "syntax", message: format!("not valid JSON: {why}"), span: Span::new(at, at), help: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in the words of another reader.
    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null | Value::Broken => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value, _) => (*value).into(),
            Value::Float(value, _) => (*value).into(),
            Value::String(text) | Value::Expanded(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(plain).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect(),
        }
    }

    /// Text that is nearly JSON, with whatever is difficult about it.
    fn nearly_json() -> impl Strategy<Value = String> {
        let bits = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\/\"",
            "null",
            "true",
            "nul",
            "1",
            "-1",
            "01",
            "-",
            "1.5",
            "1.",
            ".5",
            "2e3",
            " ",
            "\n",
            "\t",
            "\u{1}",
            "é",
            "\\",
            "{\"a\":1}",
            "[1,2]",
            "{\"a\":[]}",
            "#",
            "'a'",
        ];
        proptest::collection::vec(proptest::sample::select(bits.to_vec()), 0..12).prop_map(|bits| bits.concat())
    }

    proptest! {
        #[test]
        fn it_takes_what_another_reader_takes_and_as_the_same(text in nearly_json()) {
            match (parse(&text), serde_json::from_str::<serde_json::Value>(&text)) {
                (Ok(node), Ok(value)) => prop_assert_eq!(plain(&node), value),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{text:?}: {ours:?}, {theirs:?}"),
            }
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap_or_default();
            let node = parse(&written).map_err(|error| TestCaseError::fail(error.message))?;
            prop_assert_eq!(node.as_str(), Some(text.as_str()));
            prop_assert_eq!(node.span, Span::new(0, written.len()));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        let error = parse(&nested(100_000)).err().map(|error| error.message).unwrap_or_default();
        assert!(error.contains("deeper"), "{error}");
    }
}
