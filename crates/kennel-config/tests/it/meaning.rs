//! What files that are right mean.

use std::path::Path;
use std::time::Duration;

use kennel_config::{LoadOptions, load, template};
use kennel_core::liveness::{Check, Hang, Liveness, Remedy};
use kennel_core::model::{
    Condition, ProbeKind, RestartMode, RestartPolicy, StopStage, StopStep, Target, default_stop_sequence,
};

use crate::{environment, load_text, service, yaml};

fn command(keys: &str) -> Vec<String> {
    yaml(&format!("services: {{ a: {{ {keys} }} }}")).services["a"].command.clone()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_template_loads() {
    let project = load_text("kennel.yaml", template().as_bytes()).unwrap();
    assert_eq!(project.services["hello"].command[..2], ["/bin/sh", "-c"]);
    assert!(project.services["hello"].command[2].contains("from $(hostname)"));
    // So does every example in its comments.
    let text: String = template()
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) if rest.starts_with(' ') || rest.ends_with(':') => format!("  {rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let text = text.replace("  env_file: .env", "  env_file: { path: .env, required: false }");
    let project = load_text("kennel.yaml", text.as_bytes()).unwrap_or_else(|bad| panic!("{bad}"));
    let names: Vec<_> = project.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["hello", "web", "db", "migrate", "worker"]);
    assert_eq!(project.services["migrate"].restart, RestartMode::No);
}

#[test]
fn commands() {
    assert_eq!(command("command: run 'a b' \"c\\\"d\" e\\ f"), ["run", "a b", "c\"d", "e f"]);
    assert_eq!(command("command: [run, a b, 1.10, true]"), ["run", "a b", "1.10", "true"]);
    assert_eq!(command("command: 'a | b', shell: true"), ["/bin/sh", "-c", "a | b"]);
    assert_eq!(command("command: a $$X, shell: bash -e"), ["bash", "-e", "-c", "a $X"]);
    assert_eq!(command("command: a, shell: no"), ["a"]);
    assert_eq!(command("command: 'grep a|b$', shell: on")[2], "grep a|b$");
}

#[test]
fn variables_never_change_the_structure() {
    let one = service("environment: { A: \"${TRICKY}\" }\nlabels: [\"x=${TRICKY}\"]");
    assert_eq!(one.environment["A"], "a: b # c\n- d");
    assert_eq!(one.labels["x"], "a: b # c\n- d");
    let one = service(
        "environment:\n  A: ${NO:-${NOPE-d}}\n  B: ${PORT:+x$PORT}${NO:+y}\n  C: ${EMPTY-a}${EMPTY:-b}\n  D: $$PORT $1 a$\n  E:\n  PORT:\nreplicas: ${NO:-3}\nports: { http: $PORT }\nshell: ${NO:-false}",
    );
    let environment: Vec<_> = one.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["A=d", "B=x8080", "C=b", "D=$PORT $1 a$", "PORT=8080"]);
    assert_eq!((one.replicas, one.ports["http"]), (3, 8080));
}

#[test]
fn environment_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kennel.yaml");
    std::fs::write(directory.path().join("a.env"), "A=1\nB=1\nC=1\nexport P='$x'\n").unwrap();
    std::fs::write(directory.path().join("b.env"), "B=2\nC=2\n").unwrap();
    std::fs::write(
        &file,
        "services: { a: { command: x, env_file: [a.env, {path: b.env}, /dev/null], environment: [C=3, D, HOME] } }",
    )
    .unwrap();
    let options = LoadOptions { environment: &environment(), profiles: &[] };
    let project = load(&file, &options).unwrap();
    let found: Vec<_> = project.services["a"].environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(found, ["A=1", "B=2", "C=3", "HOME=/home/ada", "P=$x"]);
}

#[test]
fn anchors_and_merge_keys() {
    let project = yaml(
        "x-base: &base\n  restart: no\n  cwd: base\n  environment: &env { A: 1 }\nx-other: &other { user: ada, restart: always }\nservices:\n  a:\n    <<: [*base, *other]\n    command: x\n    working_dir: own\n  b: { <<: *base, command: x, environment: { <<: *env, B: 2 } }\n",
    );
    let (a, b) = (&project.services["a"], &project.services["b"]);
    assert_eq!(a.restart, RestartMode::No);
    assert_eq!(a.user.as_deref(), Some("ada"));
    assert_eq!(a.working_dir, project.directory.join("own"));
    assert_eq!(b.environment.len(), 2);
    assert_eq!(b.working_dir, project.directory.join("base"));
}

#[test]
fn restarts() {
    for (text, mode) in [
        ("no", RestartMode::No),
        ("false", RestartMode::No),
        ("\"no\"", RestartMode::No),
        ("on_failure", RestartMode::OnFailure),
        ("always", RestartMode::Always),
        ("unless-stopped", RestartMode::UnlessStopped),
    ] {
        assert_eq!(service(&format!("restart: {text}")).restart, mode, "{text}");
    }
    let one = service("restart: on-failure:7");
    assert_eq!((one.restart, one.restart_policy.max_restarts), (RestartMode::OnFailure, 7));
    let one = service("restart_policy: { delay: 0s, jitter: 0, factor: 1, max_attempts: 0 }");
    let expected =
        RestartPolicy { delay: ms(0), jitter: 0.0, factor: 1.0, max_restarts: 0, ..RestartPolicy::default() };
    assert_eq!(one.restart_policy, expected);
    let one = service("restart_policy: { backoff_seconds: 90 }");
    assert_eq!((one.restart_policy.delay, one.restart_policy.max_delay), (ms(90_000), ms(90_000)));
}

#[test]
fn a_task_is_not_restarted() {
    let project = yaml(
        "services:\n  a: { command: x }\n  b: { command: x }\n  c: { command: x, restart: always }\n  d: { command: x, depends_on: { a: completed, b: { condition: process_completed_successfully }, c: completed, e: service_healthy, f: log_ready } }\n  e: { command: x }\n  f: { command: x, readiness: { log_line: up } }\n",
    );
    let modes: Vec<_> = project.services.values().map(|service| service.restart).collect();
    use RestartMode::{Always, No, OnFailure};
    assert_eq!(modes, [No, No, Always, OnFailure, OnFailure, OnFailure]);
    let conditions: Vec<_> = project.services["d"].depends_on.iter().map(|edge| edge.condition).collect();
    use Condition::{Completed, CompletedSuccessfully, Healthy};
    assert_eq!(conditions, [Completed, CompletedSuccessfully, Completed, Healthy, Healthy]);
}

#[test]
fn probes() {
    let kind = |keys: &str| service(&format!("ports: {{ http: 80 }}\nreadiness: {{ {keys} }}")).readiness.unwrap().kind;
    let tcp = |host: &str, port| ProbeKind::Tcp { host: host.to_owned(), port, auto: None };
    let http = |host: &str, port, path: &str| ProbeKind::HttpGet {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        auto: None,
    };
    assert_eq!(kind("tcp: 5432"), tcp("127.0.0.1", 5432));
    assert_eq!(kind("tcp: \"5432\""), tcp("127.0.0.1", 5432));
    assert_eq!(kind("tcp: http"), tcp("127.0.0.1", 80));
    assert_eq!(kind("tcp: db.test:5432"), tcp("db.test", 5432));
    assert_eq!(kind("tcp: \"[::1]:http\""), tcp("::1", 80));
    assert_eq!(kind("tcp: { port: http, host: h }"), tcp("h", 80));
    assert_eq!(kind("http_get: { port: http, path: /h?a=b }"), http("127.0.0.1", 80, "/h?a=b"));
    assert_eq!(kind("http: http://h:http/x"), http("h", 80, "/x"));
    assert_eq!(kind("http_get: \"http://[::1]?q\""), http("::1", 80, "/?q"));
    assert_eq!(kind("exec: pg_isready -q"), ProbeKind::Exec(vec!["pg_isready".into(), "-q".into()]));
    assert_eq!(
        kind("exec: { command: a && b, shell: true }"),
        ProbeKind::Exec(["/bin/sh", "-c", "a && b"].map(String::from).to_vec())
    );
    assert_eq!(kind("log_line: ready$"), ProbeKind::LogLine("ready$".into()));
    assert_eq!(kind("notify: yes"), ProbeKind::Notify);
    let one = service("working_dir: sub\nreadiness: { file: run/x }");
    let file = one.working_dir.join("run/x");
    assert!(file.is_absolute());
    assert_eq!(one.readiness.unwrap().kind, ProbeKind::File(file));
}

#[test]
fn the_pace_of_probes() {
    let probe = service(
        "readiness_probe: { notify: true, period_seconds: 20, timeout_seconds: 1.5, initial_delay: 3s, success_threshold: 2, retries: 7 }",
    )
    .readiness
    .unwrap();
    assert_eq!((probe.interval, probe.ready_interval), (ms(20_000), ms(20_000)));
    assert_eq!((probe.timeout, probe.initial_delay), (ms(1500), ms(3000)));
    assert_eq!((probe.success_threshold, probe.failure_threshold), (2, 7));
    let probe = service("readiness: { notify: true }").readiness.unwrap();
    assert_eq!((probe.interval, probe.ready_interval), (ms(250), ms(10_000)));
}

// covers: B2
#[test]
fn liveness_is_asked_often_and_ends_in_a_restart_unless_said_otherwise() {
    let one = service("working_dir: sub\nports: { http: 80 }\nliveness: { tcp: http }\nhang: 2m");
    let tcp = ProbeKind::Tcp { host: "127.0.0.1".to_owned(), port: 80, auto: None };
    let usual = Liveness {
        check: Check::Ask(tcp),
        interval: ms(3000),
        timeout: ms(1000),
        initial_delay: ms(0),
        success_threshold: 1,
        failure_threshold: 3,
        action: Remedy::Restart,
    };
    assert_eq!(one.liveness, Some(usual));
    assert_eq!(one.hang, Some(Hang { after: ms(120_000), action: Remedy::Warn }));
    let check = |keys: &str| service(&format!("liveness: {{ {keys} }}")).liveness.unwrap().check;
    for (keys, age) in [("heartbeat: run/x", 30_000), ("heartbeat: { file: run/x, max_age: 5s }", 5000)] {
        let one = service(&format!("working_dir: sub\nliveness: {{ {keys} }}"));
        let file = one.working_dir.join("run/x");
        assert_eq!(one.liveness.unwrap().check, Check::Heartbeat { file, max_age: ms(age) });
    }
    assert_eq!(check("watchdog: 1500ms"), Check::Watchdog(ms(1500)));
    assert_eq!(check("log_silence_seconds: 3"), Check::LogSilence(ms(3000)));
    assert_eq!(check("exec: a b"), Check::Ask(ProbeKind::Exec(vec!["a".into(), "b".into()])));
    let one = service("liveness: { file: x, action: warn }\nhang: { after: 3s, action: stop }");
    assert_eq!(one.liveness.unwrap().action, Remedy::Warn);
    assert_eq!(one.hang, Some(Hang { after: ms(3000), action: Remedy::Stop }));
}

#[test]
fn healthchecks_mean_what_compose_says() {
    let one = service("healthcheck: { test: curl -f x || exit 1, start_period: 2m }");
    assert_eq!(one.start_timeout, ms(120_000));
    let probe = one.readiness.unwrap();
    let shell = ["/bin/sh", "-c", "curl -f x || exit 1"].map(String::from).to_vec();
    assert_eq!(probe.kind, ProbeKind::Exec(shell));
    assert_eq!((probe.interval, probe.ready_interval), (ms(250), ms(30_000)));
    assert_eq!((probe.timeout, probe.failure_threshold), (ms(30_000), 3));
    let one = service("healthcheck: { test: [CMD, a, b], interval: 5s, start_interval: 1s }\nstart_timeout: 5s");
    let probe = one.readiness.unwrap();
    assert_eq!(probe.kind, ProbeKind::Exec(vec!["a".into(), "b".into()]));
    assert_eq!((probe.interval, probe.ready_interval, one.start_timeout), (ms(1000), ms(5000), ms(5000)));
    assert_eq!(service("healthcheck: { test: [NONE] }").readiness, None);
    assert_eq!(service("healthcheck: { disable: true }").readiness, None);
}

#[test]
fn stop_sequences() {
    let signal = |signal, target, wait| StopStage { step: StopStep::Signal { signal, target }, wait };
    let (scope, main) = (Target::Scope, Target::Main);
    assert_eq!(service("").stop, default_stop_sequence());
    assert_eq!(service("stop_signal: INT").stop, [signal(2, scope, ms(10_000)), signal(2, scope, ms(5_000))]);
    assert_eq!(service("stop_grace_period: 3s").stop, [signal(15, scope, ms(3_000))]);
    assert_eq!(
        service("stop_grace_period_seconds: 3\nstop_signal: 1\nkill_mode: mixed").stop,
        [signal(1, main, ms(3_000))]
    );
    let stages = service(
        "stop:\n  - { command: drain 1, wait: 1s }\n  - { signal: SIGRTMIN+1, target: main, wait_seconds: 2 }\n  - QUIT\n  - { command: a; b, shell: bash }\n",
    )
    .stop;
    let run = |words: &[&str], wait| StopStage {
        step: StopStep::Command(words.iter().map(|word| (*word).to_owned()).collect()),
        wait,
    };
    let expected = [
        run(&["drain", "1"], ms(1000)),
        signal(35, main, ms(2000)),
        signal(3, scope, ms(10_000)),
        run(&["bash", "-c", "a; b"], ms(10_000)),
    ];
    assert_eq!(stages, expected);
    assert_eq!(service("stop: []").stop, []);
}

#[test]
fn small_keys() {
    let one = service(
        "user: www:adm\numask: \"0027\"\nsuccess_exit_codes: 3\nlabels: { a: 1, b: }\ncolour: Bright_Red\nprofiles: x\nports: [80, 81]\ncwd: ./a/./b/../c",
    );
    assert_eq!((one.user.as_deref(), one.group.as_deref()), (Some("www"), Some("adm")));
    assert_eq!((one.umask, one.success_exit_codes), (Some(0o27), vec![3]));
    assert_eq!((one.labels["a"].as_str(), one.labels["b"].as_str()), ("1", ""));
    assert_eq!((one.color.as_deref(), one.profiles), (Some("bright-red"), vec!["x".to_owned()]));
    assert_eq!(one.ports.into_iter().collect::<Vec<_>>(), [("80".into(), 80), ("81".into(), 81)]);
    assert!(one.working_dir.ends_with(Path::new("a/b/../c")));
    assert_eq!(service("umask: 0o22").umask, Some(0o22));
    assert_eq!(service("user: 1000").user.as_deref(), Some("1000"));
}

#[test]
fn projects() {
    let project =
        yaml("version: '3'\nx-mine: { a: $NOPE }\nprocesses: { b: { command: x }, a: { command: x, x-y: $NOPE } }");
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(Some(project.name.as_str()), project.directory.file_name().and_then(|name| name.to_str()));
    assert_eq!(yaml("name: shop\nservices: { a: { command: x } }").name, "shop");
    // Marks of encoding and line ends of other systems.
    let project = load_text("kennel.yaml", "\u{feff}services:\r\n  a:\r\n    command: x y\r\n".as_bytes());
    assert_eq!(project.unwrap().services["a"].command, ["x", "y"]);
    let project = load_text("kennel.toml", "\u{feff}[services.a]\r\ncommand = 'x'\r\n".as_bytes());
    assert_eq!(project.unwrap().services["a"].command, ["x"]);
}

#[test]
fn profiles_must_exist() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kennel.yaml");
    std::fs::write(&file, "services: { a: { command: x, profiles: [debug] } }").unwrap();
    let try_profile =
        |profile: &str| load(&file, &LoadOptions { environment: &environment(), profiles: &[profile.to_owned()] });
    assert!(try_profile("debug").is_ok());
    let wrong = try_profile("debgu").unwrap_err();
    assert_eq!(wrong.diagnostics[0].message, "no service has the profile `debgu`");
    assert_eq!(wrong.diagnostics[0].help.as_deref(), Some("did you mean `debug`?"));
}
