//! `watch`: what it means, and what is wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use insta::assert_snapshot;
use kennel_config::{render, render_yaml};
use kennel_core::model::{Watch, WatchAction};

use crate::{load_text, service, wrong_service, yaml};

fn watch(keys: &str) -> (Watch, PathBuf) {
    let service = service(keys);
    (service.watch.unwrap(), service.working_dir)
}

/// Roots relative to the working directory, with their patterns.
fn paths(keys: &str) -> Vec<(String, Option<String>)> {
    let (watch, base) = watch(keys);
    let relative = |root: PathBuf| root.strip_prefix(&base).unwrap_or(&root).to_string_lossy().into_owned();
    watch.paths.into_iter().map(|path| (relative(path.root), path.pattern)).collect()
}

// covers: B9
#[test]
fn watches() {
    let plain = |root: &str| (root.to_owned(), None);
    let only = |root: &str, pattern: &str| (root.to_owned(), Some(pattern.to_owned()));
    assert_eq!(paths("watch: true"), [plain("")]);
    assert_eq!(paths("watch: { ignore: '*.md' }"), [plain("")]);
    assert_eq!(paths("watch: ./src"), [plain("src")]);
    assert_eq!(paths("watch: [src, /etc/x.conf]"), [plain("src"), plain("/etc/x.conf")]);
    assert_eq!(
        paths("watch: { paths: ['src/**/*.{ts,tsx}', '*.toml', 'a?/b'] }"),
        [only("src", "/**/*.{ts,tsx}"), only("", "/*.toml"), only("", "/a?/b")]
    );
    assert_eq!(watch("watch: src").0.action, WatchAction::Restart);
    let (said, _) = watch("watch: { path: src, debounce: 1s, signal: HUP }");
    assert_eq!((said.debounce, said.action), (Duration::from_secs(1), WatchAction::Signal(1)));
    let (said, _) = watch("watch: { action: run, command: 'make a', shell: true }");
    assert_eq!(said.action, WatchAction::Run(["/bin/sh", "-c", "make a"].map(str::to_owned).to_vec()));
    assert_eq!(service("watch: false").watch, None);
}

#[test]
fn what_is_printed_means_the_same() {
    for form in ["true", "[src, 'a/*.b']", "{ paths: x, ignore: [a/, '!b'], signal: USR1 }", "{ command: [a, $$b] }"] {
        let project = yaml(&format!("services: {{ a: {{ command: x, watch: {form} }} }}"));
        let printed = load_text("kennel.yaml", render_yaml(&project).as_bytes()).unwrap();
        assert_eq!(printed.services, project.services, "{}", render(&project));
    }
}

#[test]
fn mistakes() {
    assert_snapshot!(wrong_service("watch: { paths: [], ignore: ['a[', ''] }\n"), @r#"
    error[bad_value]: no path is given
      --> [dir]/kennel.yaml:4:21
       |
     4 |     watch: { paths: [], ignore: ['a[', ''] }
       |                     ^^
      = help: leave `paths` out to watch the working directory

    error[bad_pattern]: `a[` is no pattern: its `[` has no end
      --> [dir]/kennel.yaml:4:34
       |
     4 |     watch: { paths: [], ignore: ['a[', ''] }
       |                                  ^^^^
      = help: as in `.gitignore`: `*.log`, `build/`, `src/**/*.snap`, `!keep.log`

    error[bad_value]: `ignore` must not be empty
      --> [dir]/kennel.yaml:4:40
       |
     4 |     watch: { paths: [], ignore: ['a[', ''] }
       |                                        ^^
    "#);
    assert_snapshot!(wrong_service("watch: { action: signal, debounce: 2m }\n"), @r#"
    error[missing_key]: `action: signal` needs a `signal`
      --> [dir]/kennel.yaml:4:12
       |
     4 |     watch: { action: signal, debounce: 2m }
       |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: for example `SIGHUP`

    error[out_of_range]: `debounce` must be between 10ms and 60s
      --> [dir]/kennel.yaml:4:40
       |
     4 |     watch: { action: signal, debounce: 2m }
       |                                        ^^
    "#);
    assert_snapshot!(wrong_service("watch: { signal: HUP, command: x }\n"), @r#"
    error[conflict]: `command` means nothing with this `action`
      --> [dir]/kennel.yaml:4:27
       |
     4 |     watch: { signal: HUP, command: x }
       |                           ^^^^^^^
      = help: a change does one thing: keep one of them
    "#);
    assert_snapshot!(wrong_service("watch: { action: reload }\n"), @r#"
    error[unknown_value]: `action` has no value `reload`
      --> [dir]/kennel.yaml:4:22
       |
     4 |     watch: { action: reload }
       |                      ^^^^^^
      = help: expected one of `restart`, `signal`, `run`
    "#);
    assert_snapshot!(wrong_service("watch: 3\nignore_watch: x\n"), @r#"
    error[wrong_type]: `watch` must be a path, a list of paths or a mapping, not the integer `3`
      --> [dir]/kennel.yaml:4:12
       |
     4 |     watch: 3
       |            ^
      = help: for example `watch: src` or `watch: { paths: [src, "*.toml"], ignore: ["*.md"] }`

    error[unknown_key]: `ignore_watch` has another name in kennel
      --> [dir]/kennel.yaml:5:5
       |
     5 |     ignore_watch: x
       |     ^^^^^^^^^^^^
      = help: it is `ignore` under `watch`
    "#);
}
