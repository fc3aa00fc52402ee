//! What `kennel webhook` shows.

use anstyle::Style;
use kennel_wire::{DeliveryState, DeliveryStatus, WebhookState, WebhookStatus, WebhookTestReport};

use super::paint::{DIM, Paint, RED, YELLOW};
use super::table::{Cell, Column, layout};
use super::units;

const STATUS: [Column; 8] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "WAITING", right: true, spare: 0 },
    Column { title: "DEAD", right: true, spare: 0 },
    Column { title: "DELIVERED", right: true, spare: 2 },
    Column { title: "RECEIVER", right: false, spare: 0 },
    Column { title: "EVENTS", right: false, spare: 1 },
    Column { title: "LAST", right: false, spare: 0 },
];

const LOG: [Column; 7] = [
    Column { title: "TIME", right: false, spare: 1 },
    Column { title: "WEBHOOK", right: false, spare: 0 },
    Column { title: "EVENT", right: false, spare: 0 },
    Column { title: "STATE", right: false, spare: 0 },
    Column { title: "TRIES", right: true, spare: 0 },
    Column { title: "ID", right: false, spare: 0 },
    Column { title: "LAST", right: false, spare: 0 },
];

/// One line for each webhook.
pub(crate) fn status(webhooks: &[WebhookStatus], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = webhooks.iter().map(status_row).collect();
    layout(&STATUS, &rows, width, paint)
}

fn status_row(webhook: &WebhookStatus) -> Vec<Cell> {
    let (state, style) = match webhook.state {
        WebhookState::Ok => ("ok", Style::new()),
        WebhookState::Failing => ("failing", YELLOW),
        WebhookState::Disabled => ("disabled", RED),
    };
    let number = |count: u64, style| Cell::styled(count.to_string(), if count > 0 { style } else { DIM });
    vec![
        Cell::new(&webhook.name),
        Cell::styled(state, style),
        number(webhook.waiting.into(), Style::new()),
        number(webhook.dead.into(), RED),
        number(webhook.delivered, Style::new()),
        Cell::new(&webhook.receiver),
        Cell::new(webhook.events.join(" ")),
        Cell::new(webhook.last.as_ref().map(said).unwrap_or_default()),
    ]
}

/// One line for each message.
pub(crate) fn log(deliveries: &[DeliveryStatus], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = deliveries.iter().map(log_row).collect();
    layout(&LOG, &rows, width, paint)
}

fn log_row(one: &DeliveryStatus) -> Vec<Cell> {
    let (state, style) = match one.state {
        DeliveryState::Waiting => ("waiting", YELLOW),
        DeliveryState::Delivered => ("delivered", Style::new()),
        DeliveryState::Dead => ("dead", RED),
    };
    let about = one.service.as_ref().map_or_else(String::new, |service| format!(" {service}"));
    let last = one.reason.clone().or_else(|| one.last.as_ref().map(said)).unwrap_or_default();
    vec![
        Cell::styled(one.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), DIM),
        Cell::new(&one.webhook),
        Cell::new(format!("{}{about}", one.kind)),
        Cell::styled(state, style),
        Cell::new(one.tries.to_string()),
        Cell::new(&one.id),
        Cell::new(last),
    ]
}

/// What came of a test.
pub(crate) fn test(name: &str, report: &WebhookTestReport) -> String {
    let took = units::duration(report.result.took_ms);
    match (&report.result.error, report.result.status) {
        (Some(error), _) => format!("{name} did not take it, after {took}: {error}\n"),
        (None, status) => format!("{name} took it after {took}: {}\n", status.unwrap_or_default()),
    }
}

fn said(last: &kennel_wire::WebhookTry) -> String {
    last.error.clone().unwrap_or_else(|| last.status.map_or_else(String::new, |status| status.to_string()))
}

#[cfg(test)]
mod tests {
    use kennel_wire::WebhookTry;

    use super::*;
    use crate::render::samples;

    fn tried(status: Option<u16>, error: Option<&str>) -> WebhookTry {
        WebhookTry { at: samples::time(), took_ms: 12, status, error: error.map(str::to_owned) }
    }

    #[test]
    fn one_line_for_each_webhook() {
        let webhook = |name: &str, state, last| WebhookStatus {
            name: name.into(),
            receiver: "https://example.com".into(),
            events: vec!["service.*".into(), "alert.raised".into()],
            services: vec![],
            secret: "generated".into(),
            state,
            waiting: 3,
            dead: 0,
            delivered: 41,
            next_at: None,
            last,
            seen: 7,
            registered: false,
        };
        let failed = tried(Some(503), Some("the answer is 503 Service Unavailable"));
        let webhooks = [
            webhook("ops", WebhookState::Ok, Some(tried(Some(204), None))),
            webhook("chat", WebhookState::Failing, Some(failed)),
            webhook("old", WebhookState::Disabled, None),
        ];
        insta::assert_snapshot!(status(&webhooks, None, Paint::PLAIN), @"
        NAME  STATE     WAITING  DEAD  DELIVERED  RECEIVER             EVENTS                  LAST
        ops   ok              3     0         41  https://example.com  service.* alert.raised  204
        chat  failing         3     0         41  https://example.com  service.* alert.raised  the answer is 503 Service Unavailable
        old   disabled        3     0         41  https://example.com  service.* alert.raised
        ");
    }

    #[test]
    fn one_line_for_each_message() {
        let one = |seq, state, tries, last, reason: Option<&str>| DeliveryStatus {
            id: format!("msg_4f1c_{seq}"),
            webhook: "ops".into(),
            kind: "service.failed".into(),
            seq,
            service: Some("web".into()),
            time: samples::time(),
            state,
            tries,
            next_at: None,
            last,
            reason: reason.map(str::to_owned),
        };
        let messages = [
            one(7, DeliveryState::Delivered, 1, Some(tried(Some(200), None)), None),
            one(8, DeliveryState::Waiting, 0, None, None),
            one(9, DeliveryState::Dead, 3, None, Some("no answer from https://example.com within 10s")),
        ];
        insta::assert_snapshot!(log(&messages, None, Paint::PLAIN), @"
        TIME                      WEBHOOK  EVENT               STATE      TRIES  ID          LAST
        2026-01-02T03:04:05.678Z  ops      service.failed web  delivered      1  msg_4f1c_7  200
        2026-01-02T03:04:05.678Z  ops      service.failed web  waiting        0  msg_4f1c_8
        2026-01-02T03:04:05.678Z  ops      service.failed web  dead           3  msg_4f1c_9  no answer from https://example.com within 10s
        ");
        let report = |result: WebhookTry| WebhookTestReport { ok: result.error.is_none(), id: "msg_1".into(), result };
        assert_eq!(test("ops", &report(tried(Some(204), None))), "ops took it after 12 ms: 204\n");
        let failed = tried(None, Some("cannot connect to http://a:1: Connection refused"));
        assert!(test("ops", &report(failed)).starts_with("ops did not take it, after 12 ms: cannot connect"));
    }
}
