//! `notify`.

use kennel_config::{render, render_yaml};
use kennel_core::model::{Chosen, Project, Webhook};
use serde_json::json;

use crate::{wrong, yaml};

#[track_caller]
fn project(keys: &str) -> Project {
    yaml(&format!("{keys}\nservices: {{ web: {{ command: run }}, worker: {{ command: run }} }}"))
}

#[test]
fn nobody_is_told_unless_it_is_asked_for() {
    for keys in [
        "",
        "notify:",
        "notify: {}",
        "notify: { desktop: }",
        "notify: { desktop: false }",
        "notify: { desktop: 'off' }",
    ] {
        let project = project(keys);
        assert_eq!((project.notify.desktop.clone(), render(&project).get("notify")), (None, None), "{keys}");
    }
}

#[test]
fn a_word_is_enough_and_events_can_be_chosen() {
    for keys in ["notify: { desktop: true }", "notify: { desktop: '${NO:-yes}' }", "notify: { desktop: {} }"] {
        let desktop = project(keys).notify.desktop.unwrap();
        assert_eq!(
            (&desktop.events[..], &desktop.services[..]),
            (&Webhook::USUAL.map(str::to_owned)[..], &[][..]),
            "{keys}"
        );
    }
    let project = project("notify: { desktop: { events: [instance.*, alert.raised], services: web } }");
    let chosen = Chosen { events: vec!["instance.*".into(), "alert.raised".into()], services: vec!["web".into()] };
    assert_eq!(project.notify.desktop.as_ref(), Some(&chosen));
    assert!(chosen.takes("instance.oom", Some("web.2")) && !chosen.takes("instance.oom", Some("worker")));
    assert_eq!(
        render(&project)["notify"],
        json!({ "desktop": { "events": ["instance.*", "alert.raised"], "services": ["web"] } })
    );
    let directory = project.directory.clone();
    assert_eq!(Project { directory, ..yaml(&render_yaml(&project)) }, project, "what is printed is read back");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (keys, said) in [
        ("notify: true", "`notify`"),
        ("notify: { destkop: true }", "did you mean `desktop`?"),
        ("notify: { desktop: maybe }", "`desktop`"),
        ("notify: { desktop: [web] }", "`desktop`"),
        ("notify: { desktop: { events: service.fialed } }", "did you mean `service.failed`?"),
        ("notify: { desktop: { services: wbe } }", "did you mean `web`?"),
    ] {
        let text = format!("{keys}\nservices: {{ web: {{ command: run }} }}");
        let told = wrong(&text);
        assert!(told.contains(said), "{keys}: {told}");
    }
}
