//! `webhooks`.

use std::path::Path;
use std::time::Duration;

use kennel_config::{render, render_yaml, schema};
use kennel_core::model::webhook::{Secret, Text};
use kennel_core::model::{Project, Webhook};

use crate::{wrong, yaml};

#[track_caller]
fn project(keys: &str) -> Project {
    yaml(&format!("{keys}\nservices: {{ web: {{ command: run }}, worker: {{ command: run }} }}"))
}

#[test]
fn an_address_is_enough() {
    let hook = &project("webhooks: { ops: https://example.com/hook }").webhooks["ops"];
    assert_eq!((hook.url.as_str(), &hook.secret), ("https://example.com/hook", &Secret::Generated));
    assert_eq!(hook.events, Webhook::USUAL);
    assert!(hook.takes("service.failed", Some("web")) && !hook.takes("instance.ready", Some("web")));
    assert_eq!((hook.timeout, hook.limits.retries), (Duration::from_secs(10), 100));
}

#[test]
fn everything_can_be_said() {
    let project = project(
        "webhooks:
  ops:
    url: http://[::1]:8080/a?b=c
    events: [service.*, alert.raised]
    services: web
    secret: file:hook.secret
    headers: { Authorization: env:TOKEN, X-Who: me, x-key: file:/etc/key }
    timeout: 3s
    retries: 0
    max_age: 1h
    ca_file: ca.pem",
    );
    let hook = &project.webhooks["ops"];
    assert_eq!(
        (&hook.events[..], &hook.services[..]),
        (&["service.*".to_owned(), "alert.raised".to_owned()][..], &["web".to_owned()][..])
    );
    assert_eq!(hook.secret, Secret::File(project.directory.join("hook.secret")));
    assert_eq!(hook.headers["authorization"], Text::Env("TOKEN".to_owned()));
    assert_eq!(hook.headers["x-key"], Text::File("/etc/key".into()));
    assert_eq!(hook.ca_file.as_deref(), Some(&*project.directory.join("ca.pem")));
    assert_eq!((hook.limits.retries, hook.limits.max_age), (0, Duration::from_secs(3600)));
    let directory = project.directory.clone();
    assert_eq!(Project { directory, ..yaml(&render_yaml(&project)) }, project, "what is printed is read back");
    let printed = render(&project)["webhooks"]["ops"].clone();
    assert_eq!(printed["secret"], format!("file:{}", Path::new(&project.directory).join("hook.secret").display()));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (hook, said) in [
        ("example.com/hook", "`url` does not begin with `https://` or `http://`"),
        ("ftp://example.com", "`url` does not begin with `https://` or `http://`"),
        ("https://me:secret@example.com/", "send them with `headers`"),
        ("https://example.com/a b", "`url` has blanks"),
        ("https://exämple.com/", "`url` has blanks or letters beyond ASCII"),
        ("https://example.com/#a", "`url` has a `#`"),
        ("https://", "`url` names no host"),
        ("https://example.com:99999/", "`url` names no host, or no port that can be"),
        ("{ events: '*' }", "the webhook `ops` has no `url`"),
        ("{ url: http://a, evnts: '*' }", "did you mean `events`?"),
        ("{ url: http://a, events: service.fialed }", "did you mean `service.failed`?"),
        ("{ url: http://a, events: [] }", "`events` names none"),
        ("{ url: http://a, services: [wbe] }", "did you mean `web`?"),
        (
            "{ url: http://a, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }",
            "a secret does not belong into this file",
        ),
        ("{ url: http://a, secret: 'env:' }", "`env:` is followed by the name of a variable"),
        ("{ url: http://a, headers: { 'a b': c } }", "`a b` cannot be the name of a header"),
        ("{ url: http://a, headers: { Webhook-Id: c } }", "the header `webhook-id` cannot be set"),
        ("{ url: http://a, headers: { x: \"a\\r\\nb: c\" } }", "the header `x` is not one line"),
        ("{ url: http://a, timeout: 10 }", "`timeout` must be a duration with its unit"),
        ("{ url: http://a, timeout: 1h }", "`timeout` must be between 100ms and 2m"),
        ("{ url: http://a, retries: 5000 }", "`retries` must be between 0 and 1000"),
    ] {
        let text = wrong(&format!("webhooks:\n  ops: {hook}\nservices: {{ web: {{ command: run }} }}"));
        assert!(text.contains(said) && text.contains(":2:"), "{hook}: {text}");
        assert!(!text.contains("MfKQ9r8") || hook.contains("secret: whsec"), "{text}");
    }
    let text = wrong("webhooks: { 'a/b': http://a }\nservices: { web: { command: run } }");
    assert!(text.contains("`a/b` cannot be the name of a webhook"), "{text}");
    let text = wrong("hooks: { a: b }\nservices: { web: { command: run } }");
    assert!(text.contains("use `webhooks`"), "{text}");
}

#[test]
fn the_schema_knows_them() {
    let schema = schema();
    let keys = schema["definitions"]["Webhook"]["properties"].as_object().unwrap();
    assert_eq!(keys.len(), 9, "{keys:?}");
}
