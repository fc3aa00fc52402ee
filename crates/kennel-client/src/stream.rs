//! Answers that go on: one JSON document a line, or nothing at all for as long as it lasts.

use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::CallError;
use crate::http::Answer;

/// A stream of JSON documents, one a line. Dropping it closes its connection.
#[derive(Debug)]
pub struct Lines<T> {
    answer: Answer,
    /// Bytes received and not given out; no newline before `scanned`.
    buffer: BytesMut,
    scanned: usize,
    ended: bool,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer, buffer: BytesMut::new(), scanned: 0, ended: false, item: PhantomData }
    }

    /// The next document; `None` when the daemon has ended the stream on purpose.
    ///
    /// May be dropped while it waits; nothing is lost by that.
    ///
    /// # Errors
    /// `Lost` if the connection broke in the middle, `Protocol` for a line that is no such document.
    pub async fn next(&mut self) -> Result<Option<T>, CallError> {
        loop {
            while let Some(line) = self.take_line() {
                // Blank lines are allowed as signs of life.
                if !line.trim_ascii().is_empty() {
                    let item = serde_json::from_slice(&line).map_err(|e| CallError::Protocol(e.to_string()))?;
                    return Ok(Some(item));
                }
            }
            if self.ended {
                return Ok(None);
            }
            match self.answer.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(CallError::lost(error));
                }
                None => self.ended = true,
            }
        }
    }

    /// The next document and all that have arrived with it, at least one; `None` at the end.
    ///
    /// # Errors
    /// As [`Lines::next`]; what arrived before the error is given out first.
    pub async fn batch(&mut self) -> Result<Option<Vec<T>>, CallError> {
        let Some(first) = self.next().await? else { return Ok(None) };
        let mut batch = vec![first];
        while self.buffer.contains(&b'\n') {
            match self.next().now_or_never() {
                Some(Ok(Some(item))) => batch.push(item),
                // An error shows again, or is that of one bad line, which is skipped in favour of the good ones.
                Some(Ok(None) | Err(_)) | None => break,
            }
        }
        Ok(Some(batch))
    }

    /// The first line of the buffer; at the end of the stream, also one without a newline.
    fn take_line(&mut self) -> Option<Bytes> {
        if let Some(at) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            return Some(line);
        }
        self.scanned = self.buffer.len();
        if self.ended && !self.buffer.is_empty() {
            self.scanned = 0;
            return Some(self.buffer.split().freeze());
        }
        None
    }
}

/// Holds the stack up: when this is dropped, or its process ends in whatever way, everything is stopped.
#[derive(Debug)]
pub struct Lease {
    answer: Answer,
}

impl Lease {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer }
    }

    /// Waits until the daemon ends the lease, which it does only by going away. May be dropped while it waits.
    pub async fn ended(&mut self) {
        while let Some(Ok(_)) = self.answer.body.frame().await {}
    }
}
