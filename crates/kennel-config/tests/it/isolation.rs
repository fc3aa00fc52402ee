//! `isolation`.

use insta::assert_snapshot;
use kennel_core::model::Isolation;

use crate::{service, wrong_service};

#[test]
fn words_and_lists() {
    let none = Isolation::default();
    let pid = Isolation { pid: true, ..none };
    let proc = Isolation { proc: true, ..pid };
    for (text, meant) in [
        ("none", none),
        ("[]", none),
        ("", none),
        ("pid", pid),
        ("[pid]", pid),
        ("[pid, proc]", proc),
        ("[proc, pid]", proc),
        ("${NO:-pid}", pid),
    ] {
        assert_eq!(service(&format!("isolation: {text}\n")).isolation, meant, "{text}");
    }
}

#[test]
fn what_cannot_be_had_is_refused() {
    assert_snapshot!(wrong_service("isolation: pidd\n"), @r###"
error[unknown_value]: `isolation` has no value `pidd`
  --> [dir]/kennel.yaml:4:16
   |
 4 |     isolation: pidd
   |                ^^^^
  = help: did you mean `pid`?
"###);
    assert_snapshot!(wrong_service("isolation: proc\n"), @r###"
error[bad_value]: `proc` shows a PID namespace, so it needs `pid` beside it
  --> [dir]/kennel.yaml:4:16
   |
 4 |     isolation: proc
   |                ^^^^
  = help: write `isolation: [pid, proc]`
"###);
    assert_snapshot!(wrong_service("isolation: [pid, tmp, network]\n"), @r###"
error[not_supported]: `isolation: tmp` is not supported yet
  --> [dir]/kennel.yaml:4:22
   |
 4 |     isolation: [pid, tmp, network]
   |                      ^^^
  = help: `pid` and `proc` are

error[not_supported]: `isolation: network` is not supported yet
  --> [dir]/kennel.yaml:4:27
   |
 4 |     isolation: [pid, tmp, network]
   |                           ^^^^^^^
  = help: `pid` and `proc` are
"###);
    assert_snapshot!(wrong_service("isolation: true\n"), @r###"
error[wrong_type]: `isolation` must be `none`, `pid` or a list of words, not the boolean `true`
  --> [dir]/kennel.yaml:4:16
   |
 4 |     isolation: true
   |                ^^^^
"###);
    assert_snapshot!(wrong_service("isolation: [pid, 3]\n"), @r###"
error[wrong_type]: an entry of `isolation` must be a string, not the integer `3`
  --> [dir]/kennel.yaml:4:22
   |
 4 |     isolation: [pid, 3]
   |                      ^
"###);
}
