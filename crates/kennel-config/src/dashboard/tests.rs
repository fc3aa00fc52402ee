//! covers: B4, E9

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{LoadOptions, load as load_config};

fn read(text: &str) -> Result<Vec<RecordedServer>, Invalid> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.json");
    std::fs::write(&file, text).unwrap();
    read_dashboard(&file)
}

/// `line:column code: message (help)` of each mistake.
fn mistakes(text: &str) -> Vec<String> {
    let invalid = read(text).unwrap_err();
    let line = |it: &crate::Diagnostic| {
        let help = it.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{} {}: {}{help}", it.line, it.column, it.code, it.message)
    };
    invalid.diagnostics.iter().map(line).collect()
}

fn written(servers: &[RecordedServer]) -> String {
    let object = servers.iter().map(|it| {
        let body = json!({
            "id": it.id, "pid": it.pid, "command": it.command, "cwd": it.cwd, "startTime": it.start_time_ms,
            "status": it.status, "ports": it.ports,
        });
        (it.id.clone(), body)
    });
    Json::Object(object.collect()).to_string()
}

const GOOD: &str = r#"{"web": {"id": "web", "pid": 12, "command": "npm run dev", "cwd": "/srv/web", "startTime": 1767323045678,
  "status": "running", "ports": [3000, 3001]},
 "db": {"id": "db", "pid": null, "command": "postgres -D 'my data'", "cwd": "/", "startTime": null, "status": "stopped", "ports": []}}"#;

#[test]
fn a_state_becomes_a_configuration() {
    let servers = read(GOOD).unwrap();
    assert_eq!((servers[0].pid, servers[0].start_time_ms), (Some(12), Some(1_767_323_045_678)));
    insta::assert_snapshot!(dashboard_config(&servers), @r#"
    services:
      web:
        command: [npm, run, dev]
        working_dir: /srv/web
        ports: [3000, 3001]

      db:
        command: [postgres, -D, "my data"]
        working_dir: /
    "#);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"{
  "web": {"id": "wbe", "pid": 0, "comand": "x", "cwd": "rel/ative", "startTime": "now", "status": "runing", "ports": [0, "80", 70000, 90, 90]},
  "a b": {"id": "a b", "pid": -4, "command": "x 'y", "cwd": "/", "startTime": 1.5, "status": 5, "ports": {}},
  "web": 7,
  "w.2": {"id": "w.2", "pid": 99999999, "command": " ", "cwd": "", "status": "stopped", "ports": []}
}"#;
    insta::assert_snapshot!(mistakes(text).join("\n"), @r#"
    2:17 bad_value: `id` is `wbe`, and the server stands under `web` (both must be the same)
    2:31 out_of_range: `pid` must be between 1 and 4194304, not 0
    2:34 unknown_key: unknown key `comand` in the server `web` (did you mean `command`?)
    2:56 bad_value: `cwd` is not absolute: "rel/ative" (a path that begins with `/`: it must not depend on where this is read)
    2:82 wrong_type: `startTime` must be a whole number, not the string "now"
    2:99 unknown_value: `status` has no value `runing` (did you mean `running`?)
    2:119 out_of_range: a port must be between 1 and 65535, not 0
    2:122 wrong_type: a port must be a number, not the string "80"
    2:128 out_of_range: a port must be between 1 and 65535, not 70000
    3:3 bad_name: `a b` cannot be the name of a service (at most 63 letters, digits, `_` and `-`, beginning with a letter or digit; a replica has `.` and its number after that)
    3:31 out_of_range: `pid` must be between 1 and 4194304, not -4
    3:46 bad_value: `command` cannot be split into words as a shell does it (is a quote never closed?)
    3:79 wrong_type: `startTime` must be a whole number, not the number `1.5`
    3:94 wrong_type: `status` must be one of `running`, `stopped`, `crashed`, `unknown`, not the integer `5`
    3:106 wrong_type: `ports` must be an array of numbers, not a mapping
    4:3 duplicate_key: `web` is given twice; first given on line 2
    4:10 wrong_type: the server `web` must be an object, not the integer `7`
    5:31 out_of_range: `pid` must be between 1 and 4194304, not 99999999
    5:52 bad_value: `command` must not be empty
    5:64 bad_value: `cwd` must not be empty
    "#);
}

#[test]
fn what_is_no_state_is_refused() {
    let deep = "[".repeat(100_000);
    let huge = format!("\"{}\"", "x".repeat(2 << 20));
    for (text, said) in [
        ("", "1:1 syntax: not valid JSON: a value is expected here"),
        ("[]", "1:1 wrong_type: the state of a dashboard must be an object of servers by their ids, not a list"),
        ("null", "1:1 wrong_type: the state of a dashboard must be an object of servers by their ids, not nothing"),
        ("{} {}", "1:4 syntax: not valid JSON: the document ends before this"),
        ("{\"a\": }", "1:7 syntax: not valid JSON: a value is expected here"),
        ("services: {}", "1:1 syntax: not valid JSON: a value is expected here; text stands in double quotes"),
        (deep.as_str(), "1:102 syntax: not valid JSON: nested deeper than 100 levels"),
    ] {
        assert_eq!(mistakes(text), [said]);
    }
    let twice = r#"{"a": {"id": "a", "command": "x", "cwd": "/", "status": "stopped", "ports": [80, 81, 80]}}"#;
    assert_eq!(mistakes(twice), ["1:86 duplicate_port: the port 80 is given twice (keep one)"]);
    assert!(
        mistakes(r#"{"a": {"id": "a", "cwd": "/", "status": "stopped", "ports": []}}"#)[0].contains("has no `command`")
    );
    assert!(mistakes(&huge)[0].contains("bigger than 1 MiB"));
    assert_eq!(read("{}"), Ok(Vec::new()));
}

#[test]
fn replicas_are_one_service() {
    let one = |id: &str, command: &str| {
        format!(r#""{id}": {{"id":"{id}","command":"{command}","cwd":"/","status":"stopped","ports":[]}}"#)
    };
    let state = |servers: &[(&str, &str)]| {
        format!("{{{}}}", servers.iter().map(|(id, command)| one(id, command)).collect::<Vec<_>>().join(","))
    };
    let servers = read(&state(&[("w.2", "x"), ("a", "y"), ("w.1", "x")])).unwrap();
    insta::assert_snapshot!(dashboard_config(&servers), @r#"
    services:
      w:
        command: [x]
        working_dir: /
        replicas: 2

      a:
        command: ["y"]
        working_dir: /
    "#);
    for (servers, said) in [
        (&[("w.1", "x"), ("w.2", "y")][..], "not all the same"),
        (&[("w.1", "x")], "not numbered from 1 to 2"),
        (&[("w.1", "x"), ("w.3", "x")], "not numbered from 1 to 2"),
        (&[("w", "x"), ("w.1", "x"), ("w.2", "x")], "there as well"),
        (&[("w.01", "x")], "cannot be the name"),
        (&[("w.0", "x")], "cannot be the name"),
        (&[("w.1.2", "x")], "cannot be the name"),
        (&[(".1", "x")], "cannot be the name"),
    ] {
        let told = mistakes(&state(servers));
        assert!(told[0].contains(said), "{servers:?}: {told:?}");
    }
}

fn load_back(yaml: &str) -> kennel_core::model::Project {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kennel.yaml");
    std::fs::write(&file, yaml).unwrap();
    let environment = BTreeMap::new();
    load_config(&file, &LoadOptions { environment: &environment, profiles: &[] })
        .unwrap_or_else(|invalid| panic!("{invalid}\n{yaml}"))
}

#[test]
fn what_only_a_shell_understands_is_given_to_one() {
    for (command, shell) in [
        ("npm run dev", false),
        ("a 'b | c' \"d; e\" f\\|g", false),
        ("node --port=3000 x=y", false),
        ("a | b", true),
        ("cd x && y", true),
        ("echo $HOME", true),
        ("echo '$HOME'", false),
        ("ls *.js", true),
        ("ls ~/x", true),
        ("PORT=1 node x", true),
        ("x=1", true),
    ] {
        let text =
            json!({"a": {"id": "a", "command": command, "cwd": "/", "status": "stopped", "ports": []}}).to_string();
        let project = load_back(&dashboard_config(&read(&text).unwrap()));
        let loaded = &project.services["a"].command;
        if shell {
            assert_eq!(*loaded, ["/bin/sh", "-c", command]);
        } else {
            assert_eq!(*loaded, shell_words::split(command).unwrap());
        }
    }
}

fn server() -> impl Strategy<Value = RecordedServer> {
    let words = proptest::collection::vec("[a-zA-Z0-9 '\"$|;&*\\\\\u{e9}\u{1f600}\n=~#-]{0,12}", 0..4);
    let ports = proptest::collection::btree_set(1_u16.., 0..4);
    let status = proptest::sample::select(STATUSES.to_vec());
    let cwd = "/[a-z $'\"\u{e9}/-]{0,20}";
    (words, cwd, proptest::option::of(1_u32..=4 << 20), proptest::option::of(0..=MAX_TIME), status, ports).prop_map(
        |(words, cwd, pid, start_time_ms, status, ports)| RecordedServer {
            id: String::new(),
            pid,
            command: shell_words::join(std::iter::once("program".to_owned()).chain(words)),
            cwd: cwd.into(),
            start_time_ms,
            status: status.0,
            ports: ports.into_iter().collect(),
        },
    )
}

proptest! {
    /// What an export writes is read as it was; and the configuration made of it, when its services run, would be exported with the same
    /// commands, directories and ports.
    #[test]
    fn what_was_exported_comes_back(
        servers in proptest::collection::btree_map("[a-z][a-z0-9_-]{0,9}", server(), 1..5),
    ) {
        let mut servers: Vec<RecordedServer> = servers.into_iter().map(|(id, it)| RecordedServer { id, ..it }).collect();
        // No configuration has two services at one port.
        let mut taken = std::collections::BTreeSet::new();
        servers.iter_mut().for_each(|server| server.ports.retain(|port| taken.insert(*port)));
        prop_assert_eq!(&read(&written(&servers)).unwrap(), &servers);
        let project = load_back(&dashboard_config(&servers));
        prop_assert_eq!(project.services.len(), servers.len());
        for server in &servers {
            let service = &project.services[&server.id];
            prop_assert_eq!(shell_words::join(&service.command), server.command.clone());
            prop_assert_eq!(&service.working_dir.components().collect::<PathBuf>(), &server.cwd.components().collect::<PathBuf>());
            prop_assert_eq!(service.ports.values().copied().collect::<Vec<_>>(), server.ports.clone());
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic(at in 0_usize..GOOD.len(), byte in any::<char>()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        let at = at % text.len();
        text[at] = byte;
        let _either = read(&text.into_iter().collect::<String>());
        let _cut = read(&GOOD[..GOOD.floor_char_boundary(at)]);
    }
}
