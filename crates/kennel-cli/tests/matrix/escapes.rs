//! The ways to escape: badly behaved programs, each a service.

use crate::environment::Environment;

/// Which escapes run in one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// A few processes each.
    Trees,
    /// Hundreds of processes each.
    Storms,
    /// Held by somebody outside, and so not kennel's to end.
    Held,
}

/// A row of the matrix.
#[derive(Debug)]
pub(crate) struct Escape {
    /// Of the service and in the generated table.
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// Shape of the bad child with its arguments, or how it is started; `@…@` is replaced, see `Stack`.
    command: Command,
    only: fn(Environment) -> bool,
    /// Further keys of the service.
    pub(crate) keys: &'static str,
}

#[derive(Debug)]
enum Command {
    Shape(&'static str),
    /// A program with a script, in the cell from its beginning.
    Script(&'static str, &'static str),
}

const fn shape(name: &'static str, group: Group, shape: &'static str) -> Escape {
    Escape { name, group, command: Command::Shape(shape), only: |_| true, keys: "" }
}

use Group::{Held, Storms, Trees};

/// All of them. The cell of each is its position from 1.
pub(crate) const ESCAPES: [Escape; 31] = [
    shape("plain", Trees, "plain"),
    // As wrappers are met in the wild: the signal goes to the main process and no further.
    Escape { keys: "    kill_mode: mixed\n", ..shape("wrapper", Trees, "eats-signal") },
    shape("stubborn", Trees, "ignores-term"),
    shape("own-group", Trees, "own-group"),
    shape("daemonised", Trees, "daemon"),
    shape("forking", Trees, "forks"),
    shape("holds-stdout", Trees, "holds-stdout"),
    shape("stopped", Trees, "stopped"),
    shape("empty-env", Trees, "empty-env"),
    // The kill of a cgroup misses this one on some kernels.
    shape("lost-leader", Trees, "lost-leader"),
    shape("double-fork-race", Trees, "double-forks"),
    shape("stop-storm", Trees, "stop-storm"),
    shape("killer", Trees, "killer"),
    shape("kills-reaper", Trees, "kills-reaper"),
    shape("stops-reaper", Trees, "stops-reaper"),
    shape("vfork", Trees, "vfork"),
    shape("pid-namespace", Trees, "pid-namespace"),
    shape("subreaper", Trees, "subreaper"),
    shape("cloak", Trees, "cloak"),
    Escape {
        // Where a scope is a cgroup; elsewhere these would be cgroups of the machine's.
        only: |environment| environment.cgroups(),
        ..shape("sub-cgroups", Trees, "sub-cgroups")
    },
    Escape {
        only: |environment| environment.cgroups() && environment.root(),
        ..shape("other-cgroup", Trees, "other-cgroup @elsewhere@")
    },
    Escape {
        // A copy that belongs to root; the service is an ordinary user's.
        only: |environment| environment != Environment::Pidns,
        keys: "@user@    working_dir: /\n",
        ..shape("setuid", Trees, "setuid @setuid@")
    },
    Escape {
        command: Command::Script(
            "bash",
            "nohup @badchild@ ignores-term >/dev/null 2>&1 & disown; exec @badchild@ plain",
        ),
        ..shape("disown", Trees, "")
    },
    Escape {
        command: Command::Script(
            "sh",
            "TMUX_TMPDIR=@run@ tmux -L kt -f /dev/null new-session -d @badchild@ ignores-term && exec @badchild@ plain",
        ),
        ..shape("tmux", Trees, "")
    },
    shape("bomb", Storms, "bomb 200"),
    // Every process counts twice.
    shape("leaderless-bomb", Storms, "leaderless 400"),
    shape("spray", Storms, "spray 10000 400"),
    shape("cont-storm", Storms, "cont-storm"),
    shape("traced", Held, "traced"),
    shape("traced-exit", Held, "traced"),
    shape("hung-files", Held, "asks @hung@/file"),
];

impl Escape {
    /// Whether there is such a cell.
    pub(crate) fn exists(&self, environment: Environment) -> bool {
        (self.only)(environment)
    }

    /// Whether it can be in that environment at all, on this machine, and is not left out.
    pub(crate) fn applies(&self, environment: Environment) -> bool {
        self.exists(environment) && chosen(self.name) && self.program().is_none_or(have)
    }

    /// A program that is not ours.
    fn program(&self) -> Option<&'static str> {
        match self.name {
            "disown" => Some("bash"),
            "tmux" => Some("tmux"),
            _ => None,
        }
    }

    /// Arguments of a service's `command`, in YAML.
    pub(crate) fn command(&self, cell: usize) -> String {
        let fixed = format!("'@badchild@', --cell, '{cell}'");
        match self.command {
            Command::Shape(shape) => {
                let words: Vec<String> = shape.split(' ').map(|word| format!("'{word}'")).collect();
                format!("[{fixed}, {}]", words.join(", "))
            }
            Command::Script(shell, script) => format!("[{fixed}, exec, --, {shell}, -c, '{script}']"),
        }
    }
}

fn chosen(name: &str) -> bool {
    let chosen = std::env::var("KENNEL_MATRIX_ESCAPES").unwrap_or_default();
    chosen.is_empty() || chosen.split(',').any(|one| one == name)
}

fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(found || std::env::var_os("KENNEL_TEST_NO_SKIP").is_none(), "`{program}` is missing: `cargo xtask setup`");
    if !found {
        eprintln!("SKIPPED: `{program}` is missing");
    }
    found
}
