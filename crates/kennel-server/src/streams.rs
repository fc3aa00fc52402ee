//! Answers without an end: events, logs and leases, one JSON document a line.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kennel_engine::{Handle, Query, Reader};
use serde::{Deserialize, Serialize};

use crate::reply::{Refusal, bad_request};
use crate::routes;

/// Records in one chunk of an answer at most.
const BATCH: usize = 512;

#[derive(Deserialize)]
pub(crate) struct EventQuery {
    /// Number of the last event already known; beyond the newest means "from now".
    #[serde(default)]
    since: u64,
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/events?since=SEQ&follow=BOOL`.
pub(crate) async fn events(State(engine): State<Handle>, routes::Query(query): routes::Query<EventQuery>) -> Response {
    let seen = query.since.min(engine.events().newest());
    // Subscribed before the first look, so that nothing falls between the two.
    let watch = engine.events().watch();
    lines(stream::unfold((engine, watch, seen, true), move |(engine, mut watch, seen, first)| async move {
        loop {
            let events = engine.events().after(seen, BATCH).await;
            if let Some(last) = events.last().map(|event| event.seq) {
                return Some((to_lines(&events), (engine, watch, last, false)));
            }
            if first && query.follow {
                // Sends the head of the answer at once, so that a client knows that it listens.
                return Some((Bytes::new(), (engine, watch, seen, false)));
            }
            if !query.follow {
                return None;
            }
            tokio::select! {
                changed = watch.changed() => changed.ok()?,
                () = engine.finished() => {
                    if engine.events().newest() == seen {
                        return None;
                    }
                }
            }
        }
    }))
}

/// `GET /v1/logs?service=a&service=b&tail=N&since=T&follow=true`.
pub(crate) async fn logs(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let (query, follow) = log_query(raw.as_deref().unwrap_or_default())?;
    let mut names = Vec::new();
    for name in &query.names {
        match engine.service(name.clone()).await {
            Ok(slots) => names.extend(slots.into_iter().map(|slot| slot.name)),
            // Its log may be there although nothing is loaded now.
            Err(problem) if problem.code == kennel_wire::Code::ConfigMissing => names.push(name.clone()),
            Err(problem) => return Err(problem.into()),
        }
    }
    let query = Query { names, ..query };
    engine.flush_logs().await;
    let reader = engine.logs(query);
    Ok(lines(stream::unfold((engine, reader, true), move |state| next_lines(state, follow))))
}

async fn next_lines(
    (engine, mut reader, first): (Handle, Reader, bool),
    follow: bool,
) -> Option<(Bytes, (Handle, Reader, bool))> {
    loop {
        let batch = reader.batch(BATCH);
        if !batch.is_empty() {
            return Some((to_lines(&batch), (engine, reader, false)));
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
            let batch = reader.batch(BATCH);
            return (!batch.is_empty()).then(|| (to_lines(&batch), (engine, reader, false)));
        }
    }
}

fn log_query(raw: &str) -> Result<(Query, bool), Refusal> {
    let mut query = Query::default();
    let mut follow = false;
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode(value).ok_or_else(|| bad_request(format!("`{pair}` is not valid")))?;
        match key {
            "service" => query.names.push(value),
            "tail" => query.tail = Some(value.parse().map_err(|_| bad_request("`tail` is a number"))?),
            "since" => {
                query.since = Some(value.parse().map_err(|_| bad_request("`since` is an RFC 3339 time"))?);
            }
            "follow" => follow = value.parse().map_err(|_| bad_request("`follow` is true or false"))?,
            other => return Err(bad_request(format!("unknown parameter `{other}`"))),
        }
    }
    Ok((query, follow))
}

/// RFC 3986; `+` stays itself, as it does in a time zone.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

pub(crate) fn lines(chunks: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
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
            log_query("service=web&service=a%2Eb&tail=5&since=2026-11-21T00:00:00%2B01:00&follow=true")
                .unwrap_or_else(|_| unreachable!("it is valid"));
        assert_eq!((query.names, query.tail, follow), (vec!["web".into(), "a.b".into()], Some(5), true));
        assert_eq!(query.since.map(|since| since.to_string()).as_deref(), Some("2026-11-20T23:00:00Z"));
        for bad in ["tail=x", "since=now", "follow=maybe", "colour=red", "service=%f"] {
            assert!(log_query(bad).is_err(), "{bad}");
        }
    }
}
