//! Answers without an end: events, logs and leases, one JSON document a line.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use kennel_engine::{Batch, Handle, Query, Reader};
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

/// `GET /v1/logs?service=a&service=b&tail=N&since=T&follow=true`.
pub(crate) async fn logs(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let (query, follow) = log_query(raw.as_deref())?;
    let mut names = Vec::new();
    for name in &query.names {
        match engine.service(name.clone()).await {
            Ok(slots) => names.extend(slots.into_iter().map(|slot| slot.name)),
            // Its log may be there although nothing is loaded now.
            Err(problem) if problem.code == kennel_wire::Code::ConfigMissing => names.push(name.clone()),
            Err(problem) => return Err(problem.into()),
        }
    }
    let query = Query { names, follow, ..query };
    engine.flush_logs().await;
    let reader = engine.logs(&query);
    Ok(lines(stream::unfold((engine, reader, true), move |state| next_lines(state, follow))))
}

/// Reads on beside everybody else: it waits for the disk, and a search may take a while.
async fn read(mut reader: Reader) -> Option<(Batch, Reader)> {
    tokio::task::spawn_blocking(move || (reader.batch(BATCH), reader)).await.ok()
}

async fn next_lines(
    (engine, mut reader, first): (Handle, Reader, bool),
    follow: bool,
) -> Option<(Bytes, (Handle, Reader, bool))> {
    loop {
        let (batch, read_on) = read(reader).await?;
        reader = read_on;
        if !batch.lines.is_empty() {
            return Some((to_lines(&batch.lines), (engine, reader, false)));
        }
        if batch.more {
            continue;
        }
        if !follow {
            return None;
        }
        if first {
            return Some((Bytes::new(), (engine, reader, false)));
        }
        let more = tokio::select! {
            more = reader.more() => more,
            () = engine.finished() => false,
        };
        if !more {
            // What was written last, before the end was known.
            let (batch, reader) = read(reader).await?;
            return (!batch.lines.is_empty()).then(|| (to_lines(&batch.lines), (engine, reader, false)));
        }
    }
}

fn log_query(raw: Option<&str>) -> Result<(Query, bool), Refusal> {
    let mut query = Query::default();
    let mut follow = false;
    for (key, value) in pairs(raw)? {
        match key {
            "service" => query.names.push(value),
            "tail" => query.tail = Some(value.parse().map_err(|_| bad_request("`tail` is a number"))?),
            "since" => {
                query.since = Some(value.parse().map_err(|_| bad_request("`since` is an RFC 3339 time"))?);
            }
            "follow" => follow = value.parse().map_err(|_| bad_request("`follow` is true or false"))?,
            other => return Err(unknown(other, &["service", "tail", "since", "follow"])),
        }
    }
    Ok((query, follow))
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
        let (query, follow) =
            log_query(Some("service=web&service=a%2Eb&tail=5&since=2026-11-21T00:00:00%2B01:00&follow=true"))
                .unwrap_or_else(|_| unreachable!("it is valid"));
        assert_eq!((query.names, query.tail, follow), (vec!["web".into(), "a.b".into()], Some(5), true));
        assert_eq!(query.since.map(|since| since.to_string()).as_deref(), Some("2026-11-20T23:00:00Z"));
        for bad in ["tail=x", "since=now", "follow=maybe", "colour=red", "service=%f"] {
            assert!(log_query(Some(bad)).is_err(), "{bad}");
        }
    }
}
