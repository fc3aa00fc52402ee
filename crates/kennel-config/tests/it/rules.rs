//! `rules` and `storm_brake`.
//!
//! covers: C5, E7

use std::time::Duration;

use kennel_config::{render, render_yaml};
use kennel_core::brake;
use kennel_core::model::Project;
use kennel_core::rules::{Act, Extent, Measure, Rule, Rung, defaults, of_limits};

use crate::{service, wrong, wrong_service, yaml};

fn project(keys: &str) -> Project {
    yaml(&format!("{keys}\nservices:\n  one:\n    command: run\n"))
}

fn rung(act: Act, seconds: u64) -> Rung {
    Rung { act, after: Duration::from_secs(seconds) }
}

#[test]
fn every_stack_has_the_usual_rules_unless_it_says_otherwise() {
    assert_eq!(project("").rules, defaults());
    assert_eq!(project("rules:\n").rules, defaults());
    let names = |project: &Project| project.rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&project("rules: { stack-memory: off }")), ["stack-processes"]);
    let changed = project("rules: { stack-processes: { action: freeze }, stack-memory: { memory: 16GiB } }");
    assert_eq!(changed.rules[0], Rule { ladder: vec![rung(Act::Freeze, 0)], ..defaults()[0].clone() });
    assert_eq!(changed.rules[1], Rule { above: 17_179_869_184.0, ..defaults()[1].clone() });
}

#[test]
fn a_limit_of_memory_comes_with_a_rule() {
    let rules = |text: &str| service(text).rules;
    assert_eq!(rules("limits: { pids: 5 }"), []);
    let usual = rules("limits: { memory: 512m }");
    assert_eq!(usual, of_limits(&service("mem_limit: 512m").limits));
    assert_eq!((usual[0].name.as_str(), usual[0].above), ("limit-memory", 536_870_912.0));
    assert_eq!(rules("limits: { memory: 512m }\nrules: { limit-memory: off }"), []);
    let changed = rules("limits: { memory: 512m }\nrules: { limit-memory: { action: freeze }, mine: { memory: 1m } }");
    assert_eq!(changed[0], Rule { ladder: vec![rung(Act::Freeze, 0)], ..usual[0].clone() });
    assert_eq!((changed.len(), changed[1].name.as_str()), (2, "mine"));
    for text in ["", "rules: { limit-memory: off }", "rules: { limit-memory: { memory: 400m, predict: off } }"] {
        let project =
            yaml(&format!("services:\n  one:\n    command: run\n    limits: {{ memory: 512m }}\n    {text}\n"));
        assert_eq!(yaml(&render_yaml(&project)).services, project.services, "{}", render(&project));
    }
    let told = wrong_service("rules: { limit-memory: off }\n");
    assert!(told.contains("no built-in rule `limit-memory`") && told.contains("with a limit of its memory"), "{told}");
}

#[test]
fn a_rule_watches_one_figure() {
    let above = |text: &str| {
        let rule = service(&format!("rules: {{ mine: {{ {text} }} }}")).rules[0].clone();
        assert_eq!((rule.name.as_str(), rule.extent), ("mine", Extent::Service));
        (rule.measure, rule.above)
    };
    assert_eq!(above("processes: 80"), (Measure::Processes, 80.0));
    assert_eq!(above("pids: 80"), (Measure::Processes, 80.0));
    assert_eq!(above("memory: 1.5GiB"), (Measure::Memory, 1_610_612_736.0));
    assert_eq!(above("memory: 512 MiB"), (Measure::Memory, 536_870_912.0));
    assert_eq!(above("cpu: 150%"), (Measure::Cpu, 150.0));
    assert_eq!(above("cpu: 1.5"), (Measure::Cpu, 150.0));
    assert_eq!(above("forks: 20.5"), (Measure::Forks, 20.5));
    assert_eq!(above("open_files: \"${NO:-1000}\""), (Measure::OpenFiles, 1000.0));
    assert_eq!(above("log_rate: 10MB/s"), (Measure::LogRate, 10_000_000.0));
    assert_eq!(above("write_rate: 1MiB/s"), (Measure::WriteRate, 1_048_576.0));
    assert_eq!(above("written: 1TiB"), (Measure::Written, 1_099_511_627_776.0));
    assert_eq!(above("restarts: 3"), (Measure::Restarts, 3.0));
}

#[test]
fn a_ladder_has_rungs_with_their_times() {
    let text = "rules:\n  spin:\n    cpu: 90%\n    for: 1m\n    cooldown: 5m\n    ladder: [warn, { action: throttle, after: 30s }, { action: kill, after: 10m }]";
    let rule = &service(text).rules[0];
    assert_eq!((rule.lasting, rule.cooldown), (Duration::from_secs(60), Duration::from_secs(300)));
    assert_eq!(rule.ladder, [rung(Act::Warn, 0), rung(Act::Throttle, 30), rung(Act::Kill, 600)]);
    assert_eq!(rule.predict, Duration::ZERO);
    let memory = &project("rules: { hog: { memory: 4GiB, predict: off, scope: service } }").rules[2];
    assert_eq!((memory.predict, memory.extent), (Duration::ZERO, Extent::Service));
    assert_eq!(project("rules: { hog: { memory: 4GiB } }").rules[2].extent, Extent::Stack);
}

#[test]
fn what_is_printed_is_read_back() {
    let text = "rules:\n  stack-memory: off\n  stack-processes: { processes: 300, ladder: [warn, { action: freeze, after: 1m }] }\n  spin: { cpu: 12.5%, scope: service }\n  chatty: { log_rate: 1MiB/s, for: 3s, cooldown: 1s }\nstorm_brake: { restarts: 5, window: 10s }";
    let before = project(text);
    let directory = before.directory.clone();
    let again = Project { directory, ..yaml(&render_yaml(&before)) };
    assert_eq!(again.rules, before.rules);
    assert_eq!(again.storm_brake, before.storm_brake);
    assert_eq!(render(&before)["rules"]["stack-memory"], "off");
    let off = project("storm_brake: off");
    assert_eq!(yaml(&render_yaml(&off)).storm_brake.restarts, 0);
}

#[test]
fn the_storm_brake_has_a_bound_and_a_window() {
    assert_eq!(project("").storm_brake, brake::Policy::default());
    assert_eq!(project("storm_brake: on").storm_brake, brake::Policy::default());
    assert_eq!(project("storm_brake: { restarts: 3 }").storm_brake.restarts, 3);
    assert_eq!(project("storm_brake: { window: 5s }").storm_brake.window, Duration::from_secs(5));
}

#[test]
fn mistakes_are_told() {
    for (rules, said) in [
        ("rules: { a: { memory: 512 } }", "`memory` must be a size with its unit"),
        ("rules: { a: { memory: 5XB } }", "`memory` must be a size, not"),
        ("rules: { a: { log_rate: 5MiB } }", "`log_rate` must be a rate, not"),
        ("rules: { a: { cpu: 0% } }", "`cpu` must be a share of CPU time, not"),
        ("rules: { a: { for: 1s } }", "the rule `a` watches nothing"),
        ("rules: { a: { memory: 1GiB, cpu: 1 } }", "the rule `a` watches `memory` and `cpu`"),
        ("rules: { a: { procesess: 3 } }", "did you mean `processes`?"),
        ("rules: { a: { processes: 3, action: freez } }", "did you mean `freeze`?"),
        ("rules: { a: { processes: 3, ladder: [] } }", "`ladder` has no rung"),
        ("rules: { a: { processes: 3, ladder: [{ after: 1s }] } }", "a rung of `ladder` has no `action`"),
        ("rules: { a: { processes: 3, action: warn, ladder: [warn] } }", "keep `ladder`"),
        (
            "rules: { a: { processes: 3, ladder: [{ action: stop, after: 2s }, warn] } }",
            "the rungs of `ladder` stand in the order of their times",
        ),
        ("rules: { a: { cpu: 3, predict: 10s } }", "`cpu` cannot be foreseen: it is what is spent a second"),
        ("rules: { a: { processes: 3, scope: stack } }", "a rule of a service is over that service alone"),
        ("rules: { stack-memory: off }", "there is no built-in rule `stack-memory` to switch off"),
        ("rules: { \"a b\": { processes: 3 } }", "`a b` cannot be the name of a rule"),
    ] {
        let text = wrong_service(rules);
        assert!(text.contains(said), "{rules}: {text}");
    }
    let text = wrong("storm_brake: { restart: 3 }\nservices: { one: { command: run } }");
    assert!(text.contains("did you mean `restarts`?"), "{text}");
    let text = wrong("rules: { nobody: off }\nservices: { one: { command: run } }");
    assert!(text.contains("those are `stack-processes` and `stack-memory`"), "{text}");
}
