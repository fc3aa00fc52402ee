//! `schedule`: what it means, and what is wrong with it.

use std::time::Duration;

use insta::assert_snapshot;
use kennel_config::{render, render_yaml};
use kennel_core::model::{Missed, Overlap, RestartMode, ScheduledAction, When};

use crate::{load_text, service, wrong_service, yaml};

// covers: E7
#[test]
fn schedules() {
    let plain = service("schedule: '0 3 * * *'");
    let schedule = plain.schedule.as_ref().unwrap();
    assert_eq!(schedule.when, When::Cron("0 3 * * *".to_owned()));
    assert_eq!((schedule.overlap, schedule.missed), (Overlap::Skip, Missed::Skip));
    assert_eq!((plain.is_timed(), plain.restart), (true, RestartMode::No), "its next time comes");
    let said = service("schedule: { every: 15m, overlap: queue, missed: run }\nrestart: on-failure");
    let schedule = said.schedule.as_ref().unwrap();
    assert_eq!(schedule.when, When::Every(Duration::from_secs(900)));
    assert_eq!((schedule.overlap, schedule.missed), (Overlap::Queue, Missed::Run));
    assert_eq!(said.restart, RestartMode::OnFailure);
    let again = service("schedule: { cron: '@daily', tz: Europe/Berlin, action: restart, overlap: replace }");
    let schedule = again.schedule.as_ref().unwrap();
    assert_eq!((schedule.timezone.as_deref(), schedule.action), (Some("Europe/Berlin"), ScheduledAction::Restart));
    assert_eq!((again.is_timed(), again.restart), (false, RestartMode::OnFailure));
}

#[test]
fn what_is_printed_means_the_same() {
    let forms = [
        "'*/5 * * * *'",
        "{ every: 90s, missed: run }",
        "{ cron: '0 0 * * 7', tz: UTC, overlap: replace, action: restart }",
    ];
    for form in forms {
        let project = yaml(&format!("services: {{ a: {{ command: x, schedule: {form} }} }}"));
        let printed = load_text("kennel.yaml", render_yaml(&project).as_bytes()).unwrap();
        assert_eq!(printed.services, project.services, "{}", render(&project));
    }
}

#[test]
fn mistakes() {
    assert_snapshot!(wrong_service("schedule: { cron: '61 * * * *' }\n"), @r#"
    error[bad_cron]: `61 * * * *` is no cron expression: number out of bounds
      --> [dir]/kennel.yaml:4:23
       |
     4 |     schedule: { cron: '61 * * * *' }
       |                       ^^^^^^^^^^^^
      = help: minute, hour, day of month, month, day of week: `0 3 * * *` is every day at three
    "#);
    assert_snapshot!(wrong_service("schedule: { cron: '0 0 30 2 *' }\n"), @r#"
    error[bad_cron]: `0 0 30 2 *` is no cron expression: no time ever matches it
      --> [dir]/kennel.yaml:4:23
       |
     4 |     schedule: { cron: '0 0 30 2 *' }
       |                       ^^^^^^^^^^^^
      = help: minute, hour, day of month, month, day of week: `0 3 * * *` is every day at three
    "#);
    assert_snapshot!(wrong_service("schedule: { every: 100ms, tz: UTC }\n"), @r#"
    error[out_of_range]: `every` must be at least 1s
      --> [dir]/kennel.yaml:4:24
       |
     4 |     schedule: { every: 100ms, tz: UTC }
       |                        ^^^^^
      = help: what is to run all the time is better started once

    error[conflict]: `tz` means nothing without `cron`
      --> [dir]/kennel.yaml:4:31
       |
     4 |     schedule: { every: 100ms, tz: UTC }
       |                               ^^
      = help: an interval is the same in every time zone
    "#);
    assert_snapshot!(wrong_service("schedule: { cron: '0 3 * * *', every: 1h, overlap: wait, timezone: Mars/Olympus }\n"), @r#"
    error[conflict]: `schedule` has both `cron` and `every`
      --> [dir]/kennel.yaml:4:36
       |
     4 |     schedule: { cron: '0 3 * * *', every: 1h, overlap: wait, timezone: Mars/Olympus }
       |                                    ^^^^^
      = help: keep one of them

    error[unknown_value]: `overlap` has no value `wait`
      --> [dir]/kennel.yaml:4:56
       |
     4 |     schedule: { cron: '0 3 * * *', every: 1h, overlap: wait, timezone: Mars/Olympus }
       |                                                        ^^^^
      = help: expected one of `skip`, `queue`, `replace`

    error[unknown_timezone]: this machine knows no time zone `Mars/Olympus`
      --> [dir]/kennel.yaml:4:72
       |
     4 |     schedule: { cron: '0 3 * * *', every: 1h, overlap: wait, timezone: Mars/Olympus }
       |                                                                        ^^^^^^^^^^^^
      = help: names are those of the time zone database, for example `Europe/Berlin` or `UTC`
    "#);
    assert_snapshot!(wrong_service("schedule: { missed: run }\n"), @r#"
    error[missing_key]: `schedule` does not say when
      --> [dir]/kennel.yaml:4:15
       |
     4 |     schedule: { missed: run }
       |               ^^^^^^^^^^^^^^^
      = help: give `cron: "0 3 * * *"` or `every: 15m`
    "#);
    assert_snapshot!(wrong_service("schedule: 15\n"), @r#"
    error[wrong_type]: `schedule` must be a cron expression or a mapping, not the integer `15`
      --> [dir]/kennel.yaml:4:15
       |
     4 |     schedule: 15
       |               ^^
      = help: for example `schedule: { cron: "0 3 * * *" }` or `schedule: { every: 15m }`
    "#);
}
