//! The acceptance matrix: every way to end × every way to escape × every back end, and nothing is left.
//!
//! One test is one way to end in one environment, with all escapes of a group as services of one stack. Who is left
//! is found without asking kennel: every process carries the test's mark, every service a second one, its cell.
//!
//! `cargo nextest run` takes a part of it; `cargo xtask matrix` takes all and writes `docs/matrix.md` from the line
//! that each cell appends to the file named by `KENNEL_MATRIX_OUT`. `KENNEL_MATRIX_ESCAPES=daemon,bomb` leaves out
//! all other escapes.
//!
//! covers: C2, C3, D4, E3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "what was seen, for the reader of a failure")]

mod environment;
mod escapes;
mod exits;
mod held;
mod record;
mod stack;

use self::environment::Environment;
use self::escapes::Group;
use self::stack::Stack;

fn run(name: &str, group: Group, exit: fn(&Stack)) {
    if let Some(stack) = Stack::new(Environment::of_test(name), group) {
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
            crate::run(stringify!($part), crate::Group::$group, crate::$how::$exit);
        })*

        $(#[test]
        #[ignore = "with `cargo xtask matrix`"]
        fn $rest() {
            crate::run(stringify!($rest), crate::Group::$group, crate::$how::$exit);
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
        held: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
    }
    client_killed {
        trees: matrix_cgroup matrix_reaper; matrix_delegated matrix_reaper_root matrix_pidns matrix_pidns_user,
        storms: ; matrix_cgroup matrix_delegated matrix_reaper matrix_reaper_root matrix_pidns matrix_pidns_user,
        held: ; ,
    }
}
