//! Answers without an end: events, logs and leases, one JSON document a line.

use std::convert::Infallible;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use kennel_engine::{Batch, Beside, Handle, Matcher, Query, Reader};
use kennel_wire::{Event, LogLine, LogStream};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::choice::Choice;
use crate::followers::{Followers, Following, Many, alone};
use crate::query::{pairs, unknown};
use crate::reply::{Refusal, bad_request};
use crate::sse;

/// Records in one chunk of an answer at most.
pub(crate) const BATCH: usize = 512;

/// What has happened, and what happens.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(
        ("since" = Option<u64>, Query, description = "number of the last event that is known already"),
        ("follow" = Option<bool>, Query, description = "go on with what comes"),
        ("tail" = Option<u64>, Query, description = "of the past, only so many"),
        ("service" = Option<Vec<String>>, Query, description = "services or replicas, one each; all without"),
        ("kind" = Option<Vec<String>>, Query, description = "what names of events begin with"),
        ("names" = Option<String>, Query, description = "`kennel` or `dashboard`"),
        ("last-event-id" = Option<u64>, Header, description = "number of the last event that a browser knows"),
    ),
    responses(
        (
            status = 200,
            description = "one event a line, or as a server-sent event",
            content((Event = "application/x-ndjson"), (Event = "text/event-stream")),
        ),
        Refusal,
    ),
)]
pub(crate) async fn events(
    State(engine): State<Handle>,
    State(followers): State<Followers>,
    many: Option<Extension<Many>>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let newest = engine.events().newest();
    let choice = Choice::of(raw.as_deref(), &headers, newest)?;
    // Subscribed before the first look, so that nothing falls between the two.
    let watch = engine.events().watch();
    let mut seen = choice.since().min(newest);
    let mut begin = None;
    if let Some(tail) = choice.tail {
        let last = choice.encode(&alone(choice.last(engine.events(), newest, tail).await));
        begin = Some(last).filter(|lines| !lines.is_empty());
        seen = newest;
    }
    let (sse, follow) = (choice.sse, choice.follow);
    let following = followers.begin(many.is_some());
    let more =
        More { engine, watch, choice, following, seen, looked_at: Instant::now(), said_at: Instant::now() }.chunks();
    if sse {
        // A reader learns where it is before anything has happened.
        let begin = begin.unwrap_or_else(|| sse::heartbeat(seen).into());
        let body = Body::from_stream(stream::iter([begin]).chain(more).map(Ok::<_, Infallible>));
        return Ok(([("content-type", "text/event-stream"), ("cache-control", "no-cache")], body).into_response());
    }
    // The head of an answer that goes on is sent at once, so that a client knows that it listens.
    let begin = begin.or_else(|| follow.then(Bytes::new));
    Ok(lines(stream::iter(begin).chain(more)))
}

/// What is still to be answered: all that follows number `seen`.
struct More {
    engine: Handle,
    watch: watch::Receiver<u64>,
    choice: Choice,
    following: Following,
    seen: u64,
    /// When there was something new last, wanted or not.
    looked_at: Instant,
    /// When something was sent last.
    said_at: Instant,
}

impl More {
    fn chunks(self) -> impl futures_util::Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, |mut more| async move {
            let chunk = more.next().await?;
            Some((chunk, more))
        })
    }

    /// The next part of the answer; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let events = self.following.after(&self.engine, self.seen, BATCH).await;
            if let Some(last) = events.last().map(|told| told.event.seq) {
                self.seen = last;
                self.looked_at = Instant::now();
                let chunk = self.choice.encode(&events);
                if chunk.is_empty() {
                    // A long way through what is not wanted must not keep others waiting.
                    tokio::task::yield_now().await;
                    continue;
                }
                self.said_at = self.looked_at;
                return Some(chunk);
            }
            if !self.choice.follow {
                return None;
            }
            tokio::select! {
                changed = self.watch.changed() => {
                    changed.ok()?;
                    // What comes meanwhile is told with it.
                    let pace = self.following.pace();
                    if !pace.is_zero() {
                        tokio::time::sleep_until(self.looked_at + pace).await;
                    }
                }
                () = tokio::time::sleep_until(self.said_at + sse::HEARTBEAT), if self.choice.sse => {
                    self.said_at = Instant::now();
                    return Some(sse::heartbeat(self.seen).into());
                }
                () = self.engine.finished() => {
                    if self.engine.events().newest() == self.seen {
                        return None;
                    }
                }
            }
        }
    }
}

/// What services have written, merged by time.
#[utoipa::path(
    get,
    path = "/v1/logs",
    tag = "logs",
    params(
        ("service" = Option<Vec<String>>, Query, description = "services or replicas, one each; all without"),
        ("tail" = Option<u64>, Query, description = "only the last of each service"),
        ("since" = Option<jiff::Timestamp>, Query, description = "read at this time or later"),
        ("until" = Option<jiff::Timestamp>, Query, description = "read at this time or before"),
        ("grep" = Option<String>, Query, description = "that match this regular expression"),
        ("invert" = Option<bool>, Query, description = "that do not"),
        ("stream" = Option<LogStream>, Query, description = "that were written there"),
        ("raw" = Option<bool>, Query, description = "the bytes as they were written"),
        ("follow" = Option<bool>, Query, description = "go on with what comes"),
    ),
    responses(
        (
            status = 200,
            description = "one line of a log a line, or the bytes as they were written",
            content((LogLine = "application/x-ndjson"), (Vec<u8> = "application/octet-stream")),
        ),
        Refusal,
    ),
)]
pub(crate) async fn logs(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let (query, raw) = log_query(raw.as_deref())?;
    let mut names = Vec::new();
    for name in &query.names {
        match engine.service(name.clone()).await {
            Ok(slots) => names.extend(slots.into_iter().map(|slot| slot.name)),
            // Its log may be there although nothing is loaded now.
            Err(problem) if problem.code == kennel_wire::Code::ConfigMissing => names.push(name.clone()),
            Err(problem) => return Err(problem.into()),
        }
    }
    let follow = query.beside == Beside::Followed;
    let query = Query { names, ..query };
    engine.flush_logs().await;
    let reader = engine.logs(&query);
    let state = Answer { engine, reader, follow, encode: if raw { to_bytes } else { to_lines } };
    let chunks = stream::unfold((state, true), |(state, first)| next_lines(state, first));
    if raw {
        let body = Body::from_stream(chunks.map(Ok::<_, Infallible>));
        return Ok(([("content-type", "application/octet-stream")], body).into_response());
    }
    Ok(lines(chunks))
}

/// An answer with log lines that is being given.
struct Answer {
    engine: Handle,
    reader: Reader,
    follow: bool,
    encode: fn(&[LogLine]) -> Bytes,
}

/// The bytes that were written.
fn to_bytes(lines: &[LogLine]) -> Bytes {
    let mut out = Vec::new();
    for line in lines.iter().filter(|line| line.lost.is_none()) {
        out.extend(line.written());
        if line.complete {
            out.push(b'\n');
        }
    }
    out.into()
}

/// Reads on beside everybody else: it waits for the disk, and a search may take a while.
async fn read(mut reader: Reader) -> Option<(Batch, Reader)> {
    tokio::task::spawn_blocking(move || (reader.batch(BATCH), reader)).await.ok()
}

async fn next_lines(answer: Answer, first: bool) -> Option<(Bytes, (Answer, bool))> {
    let Answer { engine, mut reader, follow, encode } = answer;
    let going_on = |engine, reader| (Answer { engine, reader, follow, encode }, false);
    loop {
        let (batch, read_on) = read(reader).await?;
        reader = read_on;
        if !batch.lines.is_empty() {
            return Some((encode(&batch.lines), going_on(engine, reader)));
        }
        if batch.more {
            continue;
        }
        if !follow {
            return None;
        }
        if first {
            return Some((Bytes::new(), going_on(engine, reader)));
        }
        let more = tokio::select! {
            more = reader.more() => more,
            () = engine.finished() => false,
        };
        if !more {
            // What was written last, before the end was known.
            let (batch, reader) = read(reader).await?;
            return (!batch.lines.is_empty()).then(|| (encode(&batch.lines), going_on(engine, reader)));
        }
    }
}

fn log_query(raw: Option<&str>) -> Result<(Query, bool), Refusal> {
    let mut query = Query::default();
    let (mut follow, mut raw_bytes) = (false, false);
    let (mut grep, mut invert) = (None, false);
    let flag =
        |key: &str, value: &str| value.parse::<bool>().map_err(|_| bad_request(format!("`{key}` is true or false")));
    for (key, value) in pairs(raw)? {
        match key {
            "service" => query.names.push(value),
            "tail" => query.tail = Some(value.parse().map_err(|_| bad_request("`tail` is a number"))?),
            "since" => {
                query.since = Some(value.parse().map_err(|_| bad_request("`since` is an RFC 3339 time"))?);
            }
            "until" => {
                query.until = Some(value.parse().map_err(|_| bad_request("`until` is an RFC 3339 time"))?);
            }
            "stream" => {
                query.stream = Some(match value.as_str() {
                    "stdout" | "out" => LogStream::Stdout,
                    "stderr" | "err" => LogStream::Stderr,
                    _ => return Err(bad_request("`stream` is stdout or stderr")),
                });
            }
            "grep" => grep = Some(value),
            "invert" => invert = flag(key, &value)?,
            "raw" => raw_bytes = flag(key, &value)?,
            "follow" => follow = flag(key, &value)?,
            other => {
                let known = ["service", "tail", "since", "until", "grep", "invert", "stream", "raw", "follow"];
                return Err(unknown(other, &known));
            }
        }
    }
    if let Some(pattern) = grep {
        let matcher = Matcher::new(&pattern, invert);
        query.grep = Some(matcher.map_err(|error| bad_request(format!("`grep`: {error}")))?);
    }
    query.beside = if follow { Beside::Followed } else { Beside::Writer };
    Ok((query, raw_bytes))
}

pub(crate) fn lines(chunks: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(chunks.map(Ok::<_, Infallible>));
    ([("content-type", "application/x-ndjson")], body).into_response()
}

pub(crate) fn to_lines<T: Serialize>(items: &[T]) -> Bytes {
    let mut out = Vec::new();
    for item in items {
        if serde_json::to_writer(&mut out, item).is_ok() {
            out.push(b'\n');
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_queries_are_read_or_refused() {
        let (query, raw) =
            log_query(Some("service=web&service=a%2Eb&tail=5&since=2026-11-21T00:00:00%2B01:00&follow=true"))
                .unwrap_or_else(|_| unreachable!("it is valid"));
        assert_eq!(
            (query.names, query.tail, query.beside, raw),
            (vec!["web".into(), "a.b".into()], Some(5), Beside::Followed, false)
        );
        assert_eq!(query.since.map(|since| since.to_string()).as_deref(), Some("2026-11-20T23:00:00Z"));
        for bad in ["tail=x", "since=now", "follow=maybe", "colour=red", "service=%f", "grep=(", "stream=in", "raw=1"] {
            assert!(log_query(Some(bad)).is_err(), "{bad}");
        }
    }
}
