//! The acceptance matrix: every way to end × every way to escape × every back end, and nothing is left.
//!
//! One test is one way to end in one environment, with all escapes of a group as services of one stack. Who is left
//! is found without asking kennel: every process carries the test's mark, every service a second one, its cell.
//!
//! `cargo nextest run` takes a part of it; `cargo xtask matrix` takes all and writes `docs/matrix.md` from the line
//! that each cell appends to the file named by `KENNEL_MATRIX_OUT`, and from those that `list` and each test that begins
//! write of cells that there should be. `KENNEL_MATRIX_ESCAPES=daemon,bomb` leaves out all other escapes.
//!
//! covers: C2, C3, D4, E3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "what was seen, for the reader of a failure")]

mod environment;
mod escapes;
mod exits;
mod held;
mod list;
mod record;
mod stack;

use self::environment::Environment;
use self::escapes::Group;
use self::stack::Stack;

fn run(name: &str, group: Group, exit_name: &str, exit: fn(&Stack)) {
    let environment = Environment::of_test(name);
    if let Some(stack) = Stack::new(environment, group) {
        record::begun(environment, exit_name, stack.cells.iter().map(|cell| cell.name()));
        exit(&stack);
    }
}

/// Tests of each way to end: first those that always run, then, after a semicolon, the rest.
macro_rules! cells {
    ($($exit:ident {
        trees: $($trees:ident)*; $($more_trees:ident)*,
        storms: $($storms:ident)*; $($more_storms:ident)*,
        held: $($held:ident)*; $($more_held:ident)*,
    })*) => {
        /// Every test: the way to end, the environment and the group of escapes.
        const TESTS: &[(&str, &str, Group)] = &[$(
            $((stringify!($exit), stringify!($trees), Group::Trees),)*
            $((stringify!($exit), stringify!($more_trees), Group::Trees),)*
            $((stringify!($exit), stringify!($storms), Group::Storms),)*
            $((stringify!($exit), stringify!($more_storms), Group::Storms),)*
            $((stringify!($exit), stringify!($held), Group::Held),)*
            $((stringify!($exit), stringify!($more_held), Group::Held),)*
        )*];

        $(mod $exit {
            cells!(@tests Trees $exit exits { $($trees)* } { $($more_trees)* });

            mod storms {
                cells!(@tests Storms $exit exits { $($storms)* } { $($more_storms)* });
            }

            mod held {
                cells!(@tests Held $exit held { $($held)* } { $($more_held)* });
            }
        })*
    };
    (@tests $group:ident $exit:ident $how:ident { $($part:ident)* } { $($rest:ident)* }) => {
        $(#[test]
        fn $part() {
            crate::run(stringify!($part), crate::Group::$group, stringify!($exit), crate::$how::$exit);
        })*

        $(#[test]
        #[ignore = "with `cargo xtask matrix`"]
        fn $rest() {
            crate::run(stringify!($rest), crate::Group::$group, stringify!($exit), crate::$how::$exit);
        })*
    };
}

cells! {
    service_stop {
        trees: matrix_cgroup matrix_reaper; matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    main_exits {
        trees: matrix_cgroup matrix_delegated matrix_reaper; matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; ,
    }
    main_killed {
        trees: matrix_cgroup matrix_reaper matrix_pidns matrix_pidns_user; matrix_delegated matrix_reaper_root,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    down {
        trees: matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user; ,
        storms: ; matrix_cgroup matrix_reaper matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: matrix_cgroup; matrix_reaper matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    ctrl_c {
        trees: matrix_cgroup matrix_reaper; matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; ,
    }
    terminal_closed {
        trees: matrix_cgroup matrix_reaper; matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; ,
    }
    daemon_killed {
        trees: matrix_cgroup matrix_delegated matrix_reaper matrix_pidns; matrix_reaper_root matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    keeper_killed {
        trees: matrix_cgroup matrix_delegated matrix_reaper matrix_pidns_user; matrix_reaper_root matrix_pidns,
        storms: ; matrix_cgroup matrix_reaper matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    both_killed {
        trees: matrix_cgroup matrix_delegated matrix_reaper matrix_pidns matrix_pidns_user; matrix_reaper_root,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: matrix_cgroup; matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    client_killed {
        trees: matrix_cgroup matrix_reaper; matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; ,
    }
}
