//! One model, two dialects.

use crate::{load_file, load_text};

const YAML: &str = r##"
name: shop
services:
  db:
    command: [postgres, -D, .data]
    environment: { PGDATA: .data, LEVEL: 3 }
    ports: { sql: 5432 }
    readiness: { tcp: sql, interval: 100ms }
    stop_signal: SIGINT
    umask: "027"
  migrate:
    command: npm run migrate -- --to ${VERSION:-latest}
    depends_on: { db: { condition: healthy } }
  web:
    command: exec ./serve | tee log
    shell: true
    working_dir: services/web
    depends_on:
      migrate: completed_successfully
      db: healthy
    readiness:
      http_get: { port: 8080, path: /healthz }
      failure_threshold: 5
    restart: on-failure:3
    restart_policy: { delay: 0s, factor: 1.5, jitter: 0 }
    stop:
      - { command: drain, wait: 20s }
      - { signal: SIGTERM, target: main, wait: 5s }
    success_exit_codes: [2, 143]
    replicas: 2
    profiles: [full]
    labels: { team: "a: b" }
    color: "#ff8800"
"##;

const TOML: &str = r##"
name = "shop"

[services.db]
command = ["postgres", "-D", ".data"]
environment = { PGDATA = ".data", LEVEL = 3 }
ports.sql = 5432
readiness = { tcp = "sql", interval = "100ms" }
stop_signal = "SIGINT"
umask = 0o027

[services.migrate]
command = "npm run migrate -- --to ${VERSION:-latest}"
depends_on = { db = { condition = "healthy" } }

[services.web]
command = "exec ./serve | tee log"
shell = true
working_dir = "services/web"
restart = "on-failure:3"
success_exit_codes = [2, 143]
replicas = 2
profiles = ["full"]
color = "#ff8800"
labels.team = "a: b"

[services.web.depends_on]
migrate = "completed_successfully"
db = "healthy"

[services.web.readiness]
http_get = { port = 8080, path = "/healthz" }
failure_threshold = 5

[services.web.restart_policy]
delay = "0s"
factor = 1.5
jitter = 0

[[services.web.stop]]
command = "drain"
wait = "20s"

[[services.web.stop]]
signal = "SIGTERM"
target = "main"
wait = "5s"
"##;

#[test]
fn both_give_the_same_project() {
    let directory = tempfile::tempdir().unwrap();
    let (yaml, toml) = (directory.path().join("a.yaml"), directory.path().join("a.toml"));
    std::fs::write(&yaml, YAML).unwrap();
    std::fs::write(&toml, TOML).unwrap();
    let from_yaml = load_file(&yaml).unwrap_or_else(|invalid| panic!("{invalid}"));
    let from_toml = load_file(&toml).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert_eq!(from_yaml, from_toml);
    assert_eq!(from_yaml.services.keys().collect::<Vec<_>>(), ["db", "migrate", "web"]);
}

#[test]
fn json_is_yaml() {
    let text = r#"{ "services": { "a": { "command": ["x", "\u00e9\n"], "replicas": 2 } } }"#;
    let project = load_text("kennel.yaml", text.as_bytes()).unwrap();
    assert_eq!(project.services["a"].command, ["x", "é\n"]);
}

#[test]
fn toml_is_the_extension_alone() {
    assert!(load_text("stack.toml", TOML.as_bytes()).is_ok());
    assert!(load_text("stack.yml", TOML.as_bytes()).is_err());
}
