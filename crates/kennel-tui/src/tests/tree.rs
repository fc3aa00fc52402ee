use super::samples::shown;
use crate::order::Order;
use crate::rows::Row;
use crate::state::State;

fn told(state: &State) -> String {
    let line = |row: Row<'_>| match row {
        Row::Service { status, open, .. } => format!("{} {}\n", if open { "v" } else { ">" }, status.name),
        Row::Process { process, guide, .. } => format!("  {guide}{}\n", process.pid),
    };
    state.rows().into_iter().map(line).collect()
}

#[test]
fn siblings_are_ordered_below_their_parent() {
    let mut state = shown();
    state.order = Order::Memory;
    insta::assert_snapshot!(told(&state), @r"
    v hog
      └─ 5000
    v web
      ├─ 4242
      │  ├─ 4255
      │  └─ 4250
      │     └─ 4251
      │        └─ 4260
      └─ 4299
    v worker.1
      └─ 6001
    v worker.2
      └─ 6002
    > flaky
    > db
    > migrate
    ");
}

#[test]
fn what_is_looked_for_is_shown_with_all_above_it() {
    let mut state = shown();
    state.fold_all();
    state.filter = "ESBUILD".into();
    insta::assert_snapshot!(told(&state), @r"
    v web
      └─ 4242
         └─ 4250
            └─ 4251
               └─ 4260
    ");
    state.filter = "work".into();
    insta::assert_snapshot!(told(&state), @r"
    > worker.1
    > worker.2
    ");
    state.filter = "5000".into();
    insta::assert_snapshot!(told(&state), @r"
    v hog
      └─ 5000
    ");
}

#[test]
fn figures_turn_round() {
    let mut state = shown();
    state.fold_all();
    state.order = Order::Cpu;
    let names = |state: &State| state.rows().iter().map(|row| row.service().name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&state), ["hog", "web", "worker.1", "worker.2", "flaky", "db", "migrate"]);
    state.reverse = true;
    assert_eq!(names(&state), ["worker.1", "worker.2", "web", "hog", "flaky", "db", "migrate"]);
}
