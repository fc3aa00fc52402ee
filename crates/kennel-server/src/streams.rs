//! Answers without an end: events, logs and leases, one JSON document a line.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use kennel_engine::{Batch, Handle, Matcher, Query, Reader};
use kennel_wire::{LogLine, LogStream};
use serde::Serialize;
use tokio::sync::watch;

use crate::choice::Choice;
use crate::query::{pairs, unknown};
use crate::reply::{Refusal, bad_request};

/// Records in one chunk of an answer at most.
pub(crate) const BATCH: usize = 512;

/// `GET /v1/events?since=SEQ&follow=BOOL&tail=N&service=a&kind=PREFIX&names=dashboard`.
pub(crate) async fn events(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let choice = Choice::read(raw.as_deref())?;
    let newest = engine.events().newest();
    // Subscribed before the first look, so that nothing falls between the two.
    let watch = engine.events().watch();
    let mut seen = choice.since.min(newest);
    let mut begin = None;
    if let Some(tail) = choice.tail {
        begin = Some(choice.lines(&choice.last(engine.events(), newest, tail).await)).filter(|lines| !lines.is_empty());
        seen = newest;
    }
    // The head of an answer that goes on is sent at once, so that a client knows that it listens.
    let begin = begin.or_else(|| choice.follow.then(Bytes::new));
    let rest = stream::unfold((engine, watch, choice, seen), |(engine, mut watch, choice, mut seen)| async move {
        let chunk = more_events(&engine, &mut watch, &choice, &mut seen).await?;
        Some((chunk, (engine, watch, choice, seen)))
    });
    Ok(lines(stream::iter(begin).chain(rest)))
}

/// The next lines of a choice; none at the end.
async fn more_events(
    engine: &Handle,
    watch: &mut watch::Receiver<u64>,
    choice: &Choice,
    seen: &mut u64,
) -> Option<Bytes> {
    loop {
        let events = engine.events().after(*seen, BATCH).await;
        if let Some(last) = events.last().map(|event| event.seq) {
            *seen = last;
            let lines = choice.lines(&events);
            if lines.is_empty() {
                // A long way through what is not wanted must not keep others waiting.
                tokio::task::yield_now().await;
                continue;
            }
            return Some(lines);
        }
        if !choice.follow {
            return None;
        }
        tokio::select! {
            changed = watch.changed() => changed.ok()?,
            () = engine.finished() => {
                if engine.events().newest() == *seen {
                    return None;
                }
            }
        }
    }
}

/// `GET /v1/logs?service=a&service=b&tail=N&since=T&until=T&grep=RE&invert=true&stream=stdout&raw=true&follow=true`.
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
    let follow = query.follow;
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
    query.follow = follow;
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
            (query.names, query.tail, query.follow, raw),
            (vec!["web".into(), "a.b".into()], Some(5), true, false)
        );
        assert_eq!(query.since.map(|since| since.to_string()).as_deref(), Some("2026-11-20T23:00:00Z"));
        for bad in ["tail=x", "since=now", "follow=maybe", "colour=red", "service=%f", "grep=(", "stream=in", "raw=1"] {
            assert!(log_query(Some(bad)).is_err(), "{bad}");
        }
    }
}
