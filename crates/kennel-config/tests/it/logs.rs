//! `logs`: how much of the output is kept.

use std::time::Duration;

use kennel_config::render_yaml;
use kennel_core::model::{LogSink, Logs, OnFull, ProjectLogs};

use crate::{service, wrong, yaml};

// covers: C4
#[test]
fn what_is_kept_is_as_the_file_says() {
    assert_eq!(service("").logs, Logs::default());
    let logs = service("logs: { max_size: 2GiB, max_age: 7d, segment_size: 1MiB, compress: no, on_full: block }").logs;
    let expected = Logs {
        max_size: 2 << 30,
        max_age: Some(Duration::from_secs(7 * 24 * 3600)),
        segment_size: Some(1 << 20),
        compress: false,
        on_full: OnFull::Block,
        to: Vec::new(),
    };
    assert_eq!(logs, expected);
    let project = yaml("logs: { max_size: 3GiB }\nservices: { a: { command: x, logs: { on_full: stop } } }");
    assert_eq!(project.logs, ProjectLogs { max_size: 3 << 30 });
    // What is printed is read as the same.
    assert_eq!(yaml(&render_yaml(&project)).services, project.services);
    assert_eq!(yaml(&render_yaml(&project)).logs, project.logs);
}

// covers: B9
#[test]
fn output_goes_where_the_file_says() {
    let project = yaml("services: { a: { command: x, logs: { path: ./logs/a.log, to: [journald, journald] } } }");
    let wanted = [LogSink::Path(project.directory.join("logs/a.log")), LogSink::Journald];
    assert_eq!(project.services["a"].logs.to, wanted);
    assert_eq!(yaml(&render_yaml(&project)).services, project.services);
    assert_eq!(service("logs: { to: journald }").logs.to, [LogSink::Journald]);
    assert_eq!(service("logs: { path: /a$$b }").logs.to, [LogSink::Path("/a$b".into())]);
}

#[test]
fn what_makes_no_sense_is_told() {
    let said = |keys: &str| wrong(&format!("services: {{ a: {{ command: x, logs: {{ {keys} }} }} }}"));
    assert!(said("max_size: 1kB").contains("must be at least 1MiB"));
    assert!(said("max_size: 2MiB, segment_size: 2MiB").contains("more than half of `max_size`"));
    assert!(said("max_age: 0s").contains("must be at least 1s"));
    assert!(said("on_full: wait").contains("block"));
    assert!(said("maxsize: 1MiB").contains("max_size"));
    assert!(said("to: [stdout]").contains("`kennel up` without `-d`"));
    assert!(said("to: journal").contains("journald"));
    assert!(said("path: ''").contains("must not be empty"));
    assert!(wrong("services: { a: { command: x, replicas: 2, logs: { path: x } } }").contains("there are 2 replicas"));
}
