//! Looks for a line in what is on its way to its file, until it is found.

use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::Regex;

use super::recorder::Found;

/// More than this of one line is not kept for the look at its end, bytes.
const LONGEST: usize = 64 << 10;

/// What is looked for in both streams, until one line matches.
struct Pattern {
    regex: Regex,
    found: Mutex<Option<Found>>,
}

/// One stream's look for it.
#[derive(Clone)]
pub(super) struct Looker {
    pattern: Arc<Pattern>,
    /// The begin of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Looker {
    pub(super) fn new(regex: Regex, found: Found) -> Self {
        Self { pattern: Arc::new(Pattern { regex, found: Mutex::new(Some(found)) }), partial: Vec::new() }
    }

    /// Looks through what came next; `true` when there is nothing to be looked for any more.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> bool {
        if self.is_found() {
            return true;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            let matches = if self.partial.is_empty() {
                self.pattern.regex.is_match(line)
            } else {
                self.partial.extend_from_slice(line);
                let line = std::mem::take(&mut self.partial);
                self.pattern.regex.is_match(&line)
            };
            if matches {
                self.tell();
                return true;
            }
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > LONGEST {
            if self.pattern.regex.is_match(&self.partial) {
                self.tell();
                return true;
            }
            self.partial.clear();
        }
        false
    }

    fn is_found(&self) -> bool {
        self.pattern.found.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn tell(&self) {
        if let Some(found) = self.pattern.found.lock().unwrap_or_else(PoisonError::into_inner).take() {
            found();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_line_is_found_however_it_comes_and_told_once() {
        let told = Arc::new(AtomicU32::new(0));
        let counts = Arc::clone(&told);
        let found = move || {
            counts.fetch_add(1, Ordering::Relaxed);
        };
        let mut out = Looker::new(Regex::new("listening on [0-9]+$").unwrap(), Box::new(found));
        let mut err = out.clone();
        assert!(!out.look(b"starting\nlisten"));
        assert!(!err.look(b"listening on nothing\n"));
        assert!(out.look(b"ing on 80\nmore\n"));
        assert!(err.look(b"listening on 81\n"));
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
