//! `ports: auto` and `${ports.NAME}`: what they mean, and what is wrong with them.

use insta::assert_snapshot;
use kennel_config::render_yaml;
use kennel_core::model::ProbeKind;
use kennel_core::ports::AUTO;

use crate::{load_text, service, wrong, yaml};

// covers: B8
#[test]
fn ports_that_kennel_chooses() {
    let one = service(
        "ports: { http: auto, fixed: 80 }\nreadiness: { http_get: { port: http } }\nenvironment: { A: '${ports.http} $$X ${PORT}' }",
    );
    assert_eq!((one.ports["http"], one.ports["fixed"]), (AUTO, 80));
    assert_eq!(one.environment["A"], "${ports.http} $X 8080");
    let kind =
        |keys: &str| service(&format!("ports: {{ http: auto, fixed: 80 }}\nreadiness: {keys}")).readiness.unwrap().kind;
    let tcp =
        |port, auto: Option<&str>| ProbeKind::Tcp { host: "127.0.0.1".to_owned(), port, auto: auto.map(str::to_owned) };
    assert_eq!(kind("{ tcp: http }"), tcp(AUTO, Some("http")));
    assert_eq!(kind("{ tcp: '127.0.0.1:${ports.http}' }"), tcp(AUTO, Some("http")));
    assert_eq!(kind("{ tcp: fixed }"), tcp(80, None));
    let http =
        ProbeKind::HttpGet { host: "localhost".into(), port: AUTO, path: "/x".into(), auto: Some("http".into()) };
    assert_eq!(kind("{ http_get: 'http://localhost:${ports.http}/x' }"), http);
}

#[test]
fn what_is_printed_means_the_same() {
    let project = yaml(
        "services:\n  a: { command: 'x ${ports.http} ${ports.b.pg} $${HOME}', ports: { http: auto }, readiness: { tcp: http } }\n  b: { command: y, ports: { pg: 5432 }, labels: { l: '$${ports' } }",
    );
    let printed = load_text("kennel.yaml", render_yaml(&project).as_bytes()).unwrap();
    assert_eq!(printed.services, project.services);
    assert!(render_yaml(&project).contains("${ports.http}"), "{}", render_yaml(&project));
}

#[test]
fn mistakes() {
    let file = "services:
  a:
    command: run ${ports.htp} ${ports.c.pg} ${ports.b.x}
    working_dir: /x/${ports.http}
    ports: { http: auto }
  b:
    command: run ${ports.http}
    readiness: { tcp: pg }
  d: { command: 'x ${ports.}' }
";
    assert_snapshot!(wrong(file), @r#"
    error[unknown_port]: `htp` is not in the `ports` of `a`
      --> [dir]/kennel.yaml:3:14
       |
     3 |     command: run ${ports.htp} ${ports.c.pg} ${ports.b.x}
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: did you mean `http`?

    error[unknown_port]: `c` is not a service, so it has no port `pg`
      --> [dir]/kennel.yaml:3:14
       |
     3 |     command: run ${ports.htp} ${ports.c.pg} ${ports.b.x}
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: expected one of `a`, `b`, `d`

    error[unknown_port]: `x` is not in the `ports` of `b`
      --> [dir]/kennel.yaml:3:14
       |
     3 |     command: run ${ports.htp} ${ports.c.pg} ${ports.b.x}
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: it has no `ports`; `ports: { x: auto }` lets kennel choose one

    error[not_supported]: the number of a port cannot stand in `working_dir`
      --> [dir]/kennel.yaml:4:18
       |
     4 |     working_dir: /x/${ports.http}
       |                  ^^^^^^^^^^^^^^^^
      = help: it can in `command`, `environment`, probes, `stop` and `watch`

    error[unknown_port]: `http` is not in the `ports` of `b`
      --> [dir]/kennel.yaml:7:14
       |
     7 |     command: run ${ports.http}
       |              ^^^^^^^^^^^^^^^^^
      = help: it has no `ports`; `ports: { http: auto }` lets kennel choose one

    error[unknown_port]: `pg` is not in `ports`
      --> [dir]/kennel.yaml:8:23
       |
     8 |     readiness: { tcp: pg }
       |                       ^^
      = help: this service has no `ports`; give a number

    error[bad_interpolation]: `ports.` is not the name of a variable
      --> [dir]/kennel.yaml:9:20
       |
     9 |   d: { command: 'x ${ports.}' }
       |                    ^^^^^^^^^
      = help: a `$` that begins no variable is written `$$`
    "#);
}
