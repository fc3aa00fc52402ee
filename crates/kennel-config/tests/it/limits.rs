//! `limits`: what they mean, compose's words for them, and what is wrong with them.

use insta::assert_snapshot;
use kennel_config::{render, render_yaml};
use kennel_core::limit::{LimitAction, Limits};

use crate::{load_text, service, wrong_service, yaml};

const ALL: &str = "{ memory: 512MiB, memory_high: 400MiB, swap: 0, pids: 200, cpus: 1.5, cpu_weight: 50, io_weight: 20, \
                   io_read: 10MiB/s, io_write: 5MB/s, open_files: 1024, log_rate: 1MiB/s, action: freeze }";

// covers: C4
#[test]
fn limits() {
    let given = service(&format!("limits: {ALL}")).limits;
    let wanted = Limits {
        memory: Some(512 << 20),
        memory_high: Some(400 << 20),
        swap: Some(0),
        pids: Some(200),
        cpus: Some(1500),
        cpu_weight: Some(50),
        io_weight: Some(20),
        io_read: Some(10 << 20),
        io_write: Some(5_000_000),
        open_files: Some(1024),
        log_rate: Some(1 << 20),
        action: LimitAction::Freeze,
    };
    assert_eq!(given, wanted);
    assert!(service("").limits.is_empty());
}

#[test]
fn composes_words() {
    let limits = service("mem_limit: 512m\ncpus: '0.50'\npids_limit: 100").limits;
    assert_eq!((limits.memory, limits.cpus, limits.pids), (Some(512 << 20), Some(500), Some(100)));
    let limits = service("deploy: { resources: { limits: { memory: 1GB, cpus: '2', pids: 0 } } }").limits;
    assert_eq!((limits.memory, limits.cpus, limits.pids), (Some(1 << 30), Some(2000), None));
}

#[test]
fn what_is_printed_means_the_same() {
    let project =
        yaml(&format!("services: {{ a: {{ command: x, limits: {ALL} }}, b: {{ command: x, mem_limit: 1g }} }}"));
    let printed = load_text("kennel.yaml", render_yaml(&project).as_bytes()).unwrap();
    assert_eq!(printed.services, project.services, "{}", render(&project));
}

#[test]
fn mistakes() {
    assert_snapshot!(wrong_service("limits: { memory: 512 }\n"), @r"
    error[wrong_type]: `memory` must be a size with its unit, not the integer `512`
      --> [dir]/kennel.yaml:4:23
       |
     4 |     limits: { memory: 512 }
       |                       ^^^
      = help: say what it counts: `512MiB` or `512B`
    ");
    assert_snapshot!(wrong_service("limits: { memory: 512Mi }\n"), @r#"
    error[wrong_type]: `memory` must be a size, not the string "512Mi"
      --> [dir]/kennel.yaml:4:23
       |
     4 |     limits: { memory: 512Mi }
       |                       ^^^^^
      = help: sizes are written `512MiB`, `8GiB` or `100MB`, or in short `512m`, `8g`
    "#);
    assert_snapshot!(wrong_service("limits: { memory: 1kB }\n"), @r"
    error[out_of_range]: `memory` must be at least 1MiB
      --> [dir]/kennel.yaml:4:23
       |
     4 |     limits: { memory: 1kB }
       |                       ^^^
    ");
    assert_snapshot!(wrong_service("limits: { log_rate: 1MiB }\n"), @r#"
    error[wrong_type]: `log_rate` must be a rate, not the string "1MiB"
      --> [dir]/kennel.yaml:4:25
       |
     4 |     limits: { log_rate: 1MiB }
       |                         ^^^^
      = help: rates are written `10MiB/s` or `512kB/s`
    "#);
    assert_snapshot!(wrong_service("limits: { cpus: 0 }\n"), @r"
    error[out_of_range]: `cpus` must be between 0.01 and 8192, not 0
      --> [dir]/kennel.yaml:4:21
       |
     4 |     limits: { cpus: 0 }
       |                     ^
    ");
    assert_snapshot!(wrong_service("limits: { memory: 1GiB, memory_high: 2GiB }\n"), @r"
    error[conflict]: `memory_high` is above `memory`, so it is never reached
      --> [dir]/kennel.yaml:4:42
       |
     4 |     limits: { memory: 1GiB, memory_high: 2GiB }
       |                                          ^^^^
      = help: make it smaller than `memory`
    ");
    assert_snapshot!(wrong_service("limits: { memori: 1GiB, action: pause }\n"), @r"
    error[unknown_key]: unknown key `memori` in `limits`
      --> [dir]/kennel.yaml:4:15
       |
     4 |     limits: { memori: 1GiB, action: pause }
       |               ^^^^^^
      = help: did you mean `memory`?

    error[unknown_value]: `action` has no value `pause`
      --> [dir]/kennel.yaml:4:37
       |
     4 |     limits: { memori: 1GiB, action: pause }
       |                                     ^^^^^
      = help: expected one of `warn`, `freeze`, `restart`, `stop`, `kill`
    ");
    assert_snapshot!(wrong_service("limits: { memory: 1GiB }\nmem_limit: 2g\n"), @r"
    error[conflict]: `mem_limit` and `memory` under `limits` say the same thing twice
      --> [dir]/kennel.yaml:5:5
       |
     5 |     mem_limit: 2g
       |     ^^^^^^^^^
      = help: keep the one under `limits`
    ");
    assert_snapshot!(wrong_service("deploy: { replicas: 2 }\n"), @r"
    error[unknown_key]: unknown key `replicas` in `deploy`
      --> [dir]/kennel.yaml:4:15
       |
     4 |     deploy: { replicas: 2 }
       |               ^^^^^^^^
      = help: expected one of `resources`
    ");
}
