//! What is said of variables and environment files that are wrong.

use insta::assert_snapshot;

use crate::{load_file, wrong_file, wrong_service};

#[test]
fn variables_point_at_their_place() {
    assert_snapshot!(wrong_service("environment:\n  A: a ${NOPE} $NOPE2\n  B: |\n    one\n    two ${LATER:?set it in ${HOME}} $$NOPE\n  C: ${unclosed\n  D: ${ports.http}\n  E: ${A!x}\n  F: ${EMPTY:?} ${EMPTY?}\n  G: \"\\x24{ESCAPED}\"\n"), @r###"
error[unset_variable]: the variable `NOPE` is not set
  --> [dir]/kennel.yaml:5:12
   |
 5 |       A: a ${NOPE} $NOPE2
   |            ^^^^^^^
  = help: set it, give a default with `${NOPE:-value}`, or write `$$NOPE` for a variable of the shell

error[unset_variable]: the variable `NOPE2` is not set
  --> [dir]/kennel.yaml:5:20
   |
 5 |       A: a ${NOPE} $NOPE2
   |                    ^^^^^^
  = help: set it, give a default with `${NOPE2:-value}`, or write `$$NOPE2` for a variable of the shell

error[unset_variable]: the variable `LATER` is required: set it in /home/ada
  --> [dir]/kennel.yaml:8:13
   |
 8 |         two ${LATER:?set it in ${HOME}} $$NOPE
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: set `LATER` in the environment of kennel

error[bad_interpolation]: `${` without its `}`
  --> [dir]/kennel.yaml:9:10
   |
 9 |       C: ${unclosed
   |          ^^
  = help: a `$` that begins no variable is written `$$`

error[unknown_port]: `http` is not in the `ports` of `one`
  --> [dir]/kennel.yaml:10:10
    |
 10 |       D: ${ports.http}
    |          ^^^^^^^^^^^^^
  = help: it has no `ports`; `ports: { http: auto }` lets kennel choose one

error[bad_interpolation]: `${A` is followed by something unknown
  --> [dir]/kennel.yaml:11:10
    |
 11 |       E: ${A!x}
    |          ^^^
  = help: `:-`, `-`, `:?`, `?`, `:+` and `+` can follow a name

error[unset_variable]: the variable `EMPTY` is required but not set
  --> [dir]/kennel.yaml:12:10
    |
 12 |       F: ${EMPTY:?} ${EMPTY?}
    |          ^^^^^^^^^^
  = help: set `EMPTY` in the environment of kennel

error[unset_variable]: the variable `ESCAPED` is not set
  --> [dir]/kennel.yaml:13:10
    |
 13 |       G: "\x24{ESCAPED}"
    |          ^^^^^^^^^^^^^^^
  = help: set it, give a default with `${ESCAPED:-value}`, or write `$$ESCAPED` for a variable of the shell
"###);
    assert_snapshot!(wrong_file("kennel.toml", "[services.one]\ncommand = \"run ${NOPE}\"\nlabels.a = '''\nx\n${NOPE}'''\n"), @r###"
error[unset_variable]: the variable `NOPE` is not set
  --> [dir]/kennel.toml:2:16
   |
 2 | command = "run ${NOPE}"
   |                ^^^^^^^
  = help: set it, give a default with `${NOPE:-value}`, or write `$$NOPE` for a variable of the shell

error[unset_variable]: the variable `NOPE` is not set
  --> [dir]/kennel.toml:5:1
   |
 5 | ${NOPE}'''
   | ^^^^^^^
  = help: set it, give a default with `${NOPE:-value}`, or write `$$NOPE` for a variable of the shell
"###);
}

#[test]
fn environment_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kennel.yaml");
    std::fs::write(directory.path().join("bad.env"), "A=1\nkey: value\nB=$NOPE\n").unwrap();
    std::fs::write(&file, "services:\n  a:\n    command: x\n    env_file: [bad.env, none.env, { path: ., required: false }, { path: maybe.env, required: false }]\n").unwrap();
    let text = load_file(&file).unwrap_err().to_string();
    assert_snapshot!(text.replace(&directory.path().display().to_string(), "[dir]"), @r###"
error[env_file]: cannot read the environment file `[dir]/none.env`: No such file or directory (os error 2)
  --> [dir]/kennel.yaml:4:25
   |
 4 |     env_file: [bad.env, none.env, { path: ., required: false }, { path: maybe.env, required: false }]
   |                         ^^^^^^^^
  = help: create it, or allow that it is missing: `{ path: …, required: false }`

error[env_file]: cannot read the environment file `[dir]`: not a regular file
  --> [dir]/kennel.yaml:4:43
   |
 4 |     env_file: [bad.env, none.env, { path: ., required: false }, { path: maybe.env, required: false }]
   |                                           ^
  = help: check that it is a file that kennel's user may read

error[env_file]: `key: value` is not the name of a variable
  --> [dir]/bad.env:2:1
  = help: lines are `NAME=value`

error[unset_variable]: the variable `NOPE` is not set
  --> [dir]/bad.env:3:3
  = help: set it, give a default with `${NOPE:-value}`, or write `$$NOPE` for a variable of the shell; in single quotes `$` means itself
"###);
}
