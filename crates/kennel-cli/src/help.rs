//! What the command says about itself, word by word: a change here is a change of its interface.

use clap::Command;

use crate::args::Cli;

fn find(verb: &str) -> Command {
    let mut command = Cli::whole().term_width(100);
    command.build();
    match verb {
        "" => command,
        verb => command.find_subcommand(verb).cloned().unwrap_or_default().term_width(100),
    }
}

/// Without the global options, which are the same everywhere.
fn help(verb: &str) -> String {
    let text = find(verb).render_help().to_string();
    let (own, global) = text.split_once("\nGlobal options:").unwrap_or((&text, ""));
    global.split_once("\n\n").map_or_else(|| own.to_owned(), |(_, after)| format!("{own}\n{after}"))
}

#[test]
fn the_command() {
    insta::assert_snapshot!(find("").render_long_help(), @"
    Runs a stack of services and leaves no process behind

    Usage: kennel [OPTIONS] <COMMAND>

    Commands:
      up           Start the stack, or some services and what they depend on
      down         Stop everything, then the daemon
      start        Start services of a running stack
      stop         Stop services
      restart      Stop services and start them again
      reload       Load the configuration again, and start, restart and stop what has changed
      register     Make a service known beside those of the configuration file
      unregister   Stop services that were registered, and forget them
      registered   List what is registered
      kill         Kill services or a process of theirs at once, or send a signal
      freeze       Have services stand still, so that they can be looked at
      thaw         Let services go on that were frozen
      ps           List services [aliases: list, ls]
      top          Show what services and their processes use, live
      stats        Show what services use, or used over a time
      status       Show one service with its processes and the receipt of its last stop
      ports        Show who listens on which port, and what kennel keeps for services
      health       Say whether services are well; the exit code tells it to scripts
      summary      Show how many services are in which state, and what they use together
      alerts       Show what was too much, whose it was, and what was done
      logs         Show what services wrote
      run          Run one command in a scope of its own, and end all it started
      exec         Run one command with the environment, directory and user of a service
      owners       Show for whom things run, and what keeps them alive
      lease        Keep an owner and all that runs for it alive
      events       Show what happened
      audit        Show who asked for what
      dashboard    Open the page in a browser, logged in
      token        Give rights away to those who come over TCP
      webhook      Show where events are sent to, test it, and try again what did not arrive
      notify       Try out what tells people of events
      state        Export what runs for other tools, and import what they have recorded
      daemon       Have another daemon take over while every service runs on
      upgrade      Have a daemon of another kennel binary take over while every service runs on
      doctor       Show what kennel can promise on this machine, and what is wrong on it
      sweep        Show what runs of a kennel that was lost; end it or have it adopted
      adopt        Have a process that nobody tracks held again, with all that belongs to it
      clean        Clear away what a lost kennel left; with --all everything of this one, whatever state
                   it is in
      config       Print the configuration as it is understood
      init         Write a commented configuration file
      version      Print the version
      completions  Print a completion script for a shell
      man          Print a manual page, or write all of them

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
      -f, --file <FILE>
              Configuration file [default: kennel.yaml, .yml or .toml here or above]

          --instance <NAME>
              Name of the kennel instance [default: one for each project directory]

          --json
              Print JSON

          --color <WHEN>
              When to use colours; NO_COLOR is respected

              Possible values:
              - auto:   On a terminal
              - always: Also into files and pipes
              - never:  Not at all
              
              [default: auto]

      -q, --quiet
              Print results and errors only, no progress

      -v, --verbose
              List every process in the summary of a stop

    Exit codes:
        0  everything asked for was done
        1  a service failed, was given up, or did not get ready
        2  the command line is wrong
        3  the configuration has errors, or there is none
        4  no service has that name, or no process that number
        5  the daemon is not there, cannot be reached, or failed
        6  processes are left that could not be ended
        7  the machine does not give the containment that the configuration requires
        8  the process belongs to no service of this kennel, and nothing was sent
      `run` and `exec` return the command's own code, and
      125  kennel itself failed
      126  the program cannot be executed
      127  there is no such program
      128+n  signal n ended it
    ");
}

#[test]
fn up_and_down() {
    insta::assert_snapshot!(help("up") + "\n" + &help("down"), @"
    Start the stack, or some services and what they depend on

    Usage: kennel up [OPTIONS] [SERVICE]...

    Arguments:
      [SERVICE]...  Only these and what they depend on

    Options:
      -d, --detach             Return when everything is ready, and leave it running
          --tui                Show the stack as `kennel top` does instead of its log; leaving stops it
          --profile <PROFILE>  Also start services of this profile; may be repeated
          --timeout <TIME>     Give up when not everything is ready after this time, for example 30s
      -h, --help               Print help (see more with '--help')

    In the foreground, the first Ctrl-C stops everything, the second hurries, the third kills; t opens
    the terminal UI.

    Stop everything, then the daemon

    Usage: kennel down [OPTIONS]

    Options:
          --timeout <TIME>  Longest time before the kill, for example 5s [default: as configured]
      -h, --help            Print help (see more with '--help')
    ");
}

#[test]
fn what_is_done_to_services() {
    let verbs = ["start", "stop", "restart", "kill"];
    insta::assert_snapshot!(verbs.map(help).join("\n"), @r"
    Start services of a running stack

    Usage: kennel start [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2

    Options:
          --all             All services
          --timeout <TIME>  Give up when not everything is ready after this time, for example 30s
      -h, --help            Print help (see more with '--help')

    Stop services

    Usage: kennel stop [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2

    Options:
          --all             All services
          --timeout <TIME>  Longest time before the kill, for example 5s [default: as configured]
      -h, --help            Print help (see more with '--help')

    Stop services and start them again

    Usage: kennel restart [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2

    Options:
          --all             All services
          --timeout <TIME>  Longest time before the kill, for example 5s [default: as configured]
      -h, --help            Print help (see more with '--help')

    Kill services or a process of theirs at once, or send a signal

    Usage: kennel kill [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2

    Options:
          --all              All services
          --pid <PID>        One process of any service instead, by its number
      -s, --signal <SIGNAL>  Signal, by name or number; for a service, it goes to every process of it
                             [default: KILL]
          --timeout <TIME>   Longest time to wait for the answer
      -h, --help             Print help (see more with '--help')

    A process that belongs to no service of this kennel is refused: nothing is sent, exit code 8.
    ");
}

#[test]
fn what_is_read() {
    let verbs = ["ps", "top", "status", "logs", "events", "doctor"];
    insta::assert_snapshot!(verbs.map(help).join("\n"), @r"
    List services

    Usage: kennel ps [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2 [default: all that were started]

    Options:
      -a, --all      Also those that were never started
          --tree     Also their processes, each below the one that started it, with what they use
          --orphans  Processes of this kennel that nobody tracks instead
      -h, --help     Print help (see more with '--help')

    Show what services and their processes use, live

    Usage: kennel top [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2 [default: all]

    Options:
          --once          Print one picture as text
      -n, --number <N>    Print so many pictures as text; with --json, one document a line
          --every <TIME>  Time between two looks [default: 1s]
          --sort <ORDER>  What lines are ordered by at first [default: declared] [possible values:
                          declared, cpu, memory, io, threads, name]
      -h, --help          Print help (see more with '--help')

    Keys are explained by `?`. What is done to a service is asked for with one key and agreed to with
    another. Where standard output is no terminal, one picture is printed as text.

    Show one service with its processes and the receipt of its last stop

    Usage: kennel status [OPTIONS] <NAME>

    Arguments:
      <NAME>  A service, or a single replica such as worker.2

    Options:
      -h, --help  Print help (see more with '--help')

    Show what services wrote

    Usage: kennel logs [OPTIONS] [NAME]...

    Arguments:
      [NAME]...  Services, or single replicas such as worker.2 [default: all]

    Options:
      -f, --follow           Go on with new lines
      -n, --tail <N>         Only the last lines of each service
          --since <TIME>     Only lines younger than this, for example 10m, or since a time such as
                             12:00, yesterday or an RFC 3339 one
          --until <TIME>     Only lines up to this, written in the same way
      -g, --grep <RE>        Only lines that match this regular expression
          --invert           With --grep: only those that do not
          --stream <STREAM>  Only what was written there [possible values: out, err]
          --raw              The bytes as they were written, and nothing else
          --no-prefix        Without the names before each line
      -h, --help             Print help (see more with '--help')

    Show what happened

    Usage: kennel events [OPTIONS]

    Options:
      -f, --follow          Go on with new events
          --since <SEQ>     Only those after this number [default: 0]
      -n, --tail <N>        Only the last N of those that are there already
          --service <NAME>  Only those of this service, or of a single replica such as worker.2; may be
                            repeated
          --kind <PREFIX>   Only those whose name begins with this, for example instance. or
                            service.failed; may be repeated
          --names <NAMES>   Under which names [default: kennel] [possible values: kennel, dashboard]
      -h, --help            Print help (see more with '--help')

    Show what kennel can promise on this machine, and what is wrong on it

    Usage: kennel doctor [OPTIONS]

    Options:
      -h, --help  Print help (see more with '--help')

    Exit code 1 if something is wrong that kennel's promises depend on: it stands first.
    ");
}

#[test]
fn what_is_run() {
    insta::assert_snapshot!(help("run") + "\n" + &help("exec"), @r"
    Run one command in a scope of its own, and end all it started

    Usage: kennel run [OPTIONS] <CMD>...

    Arguments:
      <CMD>...  Program and arguments

    Options:
      -d, --detach               Return when it is started, and leave it running; prints its name
          --name <NAME>          Name in `kennel ps` [default: run-N]
          --lifetime <WHEN>      When it ends at the latest [default: owner with --owner, daemon
                                 without, call without --detach] [possible values: call, owner, daemon,
                                 keep]
          --restart <MODE>       Whether it is started again after its end [default: no] [possible
                                 values: no, on-failure, always]
          --max-runtime <TIME>   Longest run time, for example 10m; then it is stopped [alias:
                                 --timeout]
          --idle-timeout <TIME>  Longest time without output; then it is stopped
          --limit <LIMIT>        What it may use, as `limits` of a service: memory=512MiB, pids=100,
                                 cpus=1.5, action=stop; again for another one
      -h, --help                 Print help (see more with '--help')

    Owner:
          --owner <OWNER>        For whom it runs; made if it is not there
          --parent <OWNER>       The owner that it belongs to itself, and with which it ends
          --lease-pid <PID>      Keep the owner alive while this process lives
          --lease-ttl <TIME>     Keep the owner alive while `kennel lease renew` is called at least this
                                 often
          --grace <TIME>         How long the owner lives on without a lease [default: 10s]
          --owner-limit <LIMIT>  What everything of the owner may use together, for example memory=1GiB;
                                 again for another one

    With --owner, the run ends with its owner: when `kennel clean --owner` is called, or when the last
    of the owner's leases is lost and none comes within its grace.

    Run one command with the environment, directory and user of a service

    Usage: kennel exec [OPTIONS] <NAME> <CMD>...

    Arguments:
      <NAME>    The service whose environment, directory and user are taken
      <CMD>...  Program and arguments

    Options:
          --timeout <TIME>  Longest run time, for example 10m; then it is stopped
      -h, --help            Print help (see more with '--help')
    ");
}

#[test]
fn the_rest() {
    let verbs = ["config", "init", "version", "completions"];
    insta::assert_snapshot!(verbs.map(help).join("\n"), @r"
    Print the configuration as it is understood

    Usage: kennel config [OPTIONS] [COMMAND]

    Commands:
      schema  Print the JSON Schema of configuration files, for editors
      check   Check the configuration and print nothing but errors

    Options:
          --profile <PROFILE>  Also services of this profile; may be repeated
      -h, --help               Print help (see more with '--help')

    Write a commented configuration file

    Usage: kennel init [OPTIONS]

    Options:
          --toml   Write kennel.toml instead of kennel.yaml
          --force  Replace an existing file
      -h, --help   Print help (see more with '--help')

    Print the version

    Usage: kennel version [OPTIONS]

    Options:
      -h, --help  Print help (see more with '--help')

    Print a completion script for a shell

    Usage: kennel completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help (see more with '--help')
    ");
}

#[test]
fn the_command_line_is_sound() {
    Cli::whole().debug_assert();
}
