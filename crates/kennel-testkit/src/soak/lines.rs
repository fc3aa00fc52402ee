//! Whether every line of the flooding service arrives, once and in order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use super::stack::LINES;
use crate::Background;

/// What a follower of the log has printed so far.
#[derive(Debug)]
pub(super) struct Lines {
    file: PathBuf,
    read: u64,
    rest: String,
    next: Option<u64>,
    /// Lines that came.
    pub(super) count: u64,
    /// Lines that did not come, or came twice.
    pub(super) wrong: u64,
}

impl Lines {
    /// Of a `kennel logs --follow --json`.
    pub(super) fn of(follower: &Background) -> Self {
        Self { file: follower.stdout.clone(), read: 0, rest: String::new(), next: None, count: 0, wrong: 0 }
    }

    /// Takes in what is new.
    pub(super) fn read(&mut self) {
        let mut text = String::new();
        let mut file = File::open(&self.file).expect("the output of a command is there");
        file.seek(SeekFrom::Start(self.read)).expect("a file can be sought in");
        self.read += file.read_to_string(&mut text).expect("JSON is text") as u64;
        let text = std::mem::take(&mut self.rest) + &text;
        let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        whole.lines().for_each(|line| self.line(line));
        self.rest = rest.to_owned();
    }

    fn line(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = line["line"].as_str().unwrap_or_default();
        let is_last = text.starts_with("last words");
        // The one that the run before ended with has no newline.
        let text = text.strip_prefix("last words").unwrap_or(text);
        let number = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number.or(is_last.then_some(LINES)) else { return };
        self.count += 1;
        // The first that is seen may be any.
        self.wrong += u64::from(self.next.is_some_and(|next| next != number));
        self.next = Some(if number < LINES { number + 1 } else { 0 });
    }
}
