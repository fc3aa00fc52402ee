//! Why a command did not do what was asked, and how that is said.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use kennel_client::{CallError, ConnectError, GoneError, StartError};
use kennel_wire::{Code, Problem};

use crate::exit_codes;
use crate::render::diagnostic::{self, Mistake};
use crate::render::fold::fold;
use crate::render::paint::{BOLD, GREEN, Paint, RED};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration has errors.
    Config(kennel_config::Invalid),
    /// There is no configuration, or more than one.
    Find(kennel_config::FindError),
    /// The configuration that was named is not there.
    NoFile(PathBuf),
    /// The directories of the kennel instance cannot be worked out.
    Home(io::Error),
    /// The command needs a running daemon.
    NoDaemon,
    Connect(ConnectError),
    Start(StartError),
    Call(CallError),
    Gone(GoneError),
    Orphans(kennel_orphans::Error),
    /// A file could not be read or written.
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Standard output is closed: nobody wants more, which is no failure.
    BrokenPipe,
    /// Standard output cannot be written.
    Output(io::Error),
    /// The terminal cannot be drawn on.
    Top(kennel_tui::LiveError),
    /// Not everything was ready in time.
    Late {
        waiting: Vec<String>,
        after: std::time::Duration,
    },
    /// The program was given no usable environment.
    Own(io::Error),
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::BrokenPipe => exit_codes::OK,
            Self::Config(_) | Self::Find(_) | Self::NoFile(_) => exit_codes::CONFIG,
            // The one thing about it that a command line can get wrong is the name.
            Self::Home(error) if error.kind() == io::ErrorKind::InvalidInput => exit_codes::USAGE,
            Self::Late { .. } => exit_codes::FAILED,
            Self::Call(CallError::Problem(problem)) => of_problem(problem.code),
            Self::Home(_)
            | Self::NoDaemon
            | Self::Connect(_)
            | Self::Start(_)
            | Self::Call(_)
            | Self::Gone(_)
            | Self::Orphans(_)
            | Self::Own(_) => exit_codes::DAEMON,
            Self::File { .. } | Self::Output(_) | Self::Top(_) => exit_codes::FAILED,
        }
    }

    /// The exit code of `run` and `exec`, which must not be taken for that of the command.
    pub(crate) fn run_code(&self) -> u8 {
        match self {
            Self::Call(CallError::Problem(problem)) => match problem.code {
                Code::NotFound => exit_codes::NOT_FOUND,
                Code::NotExecutable => exit_codes::NOT_EXECUTABLE,
                _ => exit_codes::RUN_FAILED,
            },
            _ => exit_codes::RUN_FAILED,
        }
    }

    /// As a problem of the protocol, for `--json`.
    pub(crate) fn problem(&self) -> Problem {
        let code = match self {
            Self::Call(CallError::Problem(problem)) => return problem.clone(),
            Self::Config(_) => Code::ConfigInvalid,
            Self::Find(_) | Self::NoFile(_) => Code::ConfigMissing,
            Self::Late { .. } => Code::Conflict,
            _ => Code::Internal,
        };
        let mut problem = Problem::new(code, chain(self.message(), self.source()));
        problem.hint = self.hint();
        if let Self::Config(invalid) = self {
            let wire = |one: &kennel_config::Diagnostic| kennel_wire::Diagnostic {
                code: one.code.clone(),
                message: one.message.clone(),
                file: one.file.clone(),
                line: one.line,
                column: one.column,
                span: one.span,
                help: one.help.clone(),
            };
            problem.diagnostics = invalid.diagnostics.iter().map(wire).collect();
        }
        problem
    }

    /// For people: what failed, why, and what to do. Empty where nothing is to be said.
    pub(crate) fn render(&self, width: Option<usize>, paint: Paint) -> String {
        let mut text = String::new();
        match self {
            Self::BrokenPipe => return text,
            Self::Config(invalid) => {
                for one in invalid.diagnostics.iter().take(MOST_SHOWN) {
                    text.push_str(&own(one, &invalid.source, width, paint));
                }
                if invalid.diagnostics.len() <= MOST_SHOWN {
                    return text;
                }
            }
            Self::Call(CallError::Problem(problem)) => {
                for one in problem.diagnostics.iter().take(MOST_SHOWN) {
                    text.push_str(&theirs(one, width, paint));
                }
            }
            _ => {}
        }
        let error = paint.paint(RED.effects(anstyle::Effects::BOLD), "error");
        text.push_str(&format!("{error}{} {}\n", paint.paint(BOLD, ":"), chain(self.message(), self.source())));
        if let Some(hint) = self.hint() {
            text.push_str(&fold(&format!("{}: {hint}\n", paint.paint(GREEN, "help")), width));
        }
        text
    }

    fn message(&self) -> String {
        match self {
            Self::Config(invalid) => match invalid.diagnostics.len() {
                1 => "the configuration has an error".to_owned(),
                count => {
                    let all = if count < kennel_config::MAX_DIAGNOSTICS { "" } else { "at least " };
                    format!("the configuration has {all}{count} errors")
                }
            },
            Self::Find(error) => error.to_string(),
            Self::NoFile(path) => format!("there is no configuration `{}`", path.display()),
            Self::Home(_) => "cannot work out the directories of the kennel instance".to_owned(),
            Self::NoDaemon => "nothing runs here".to_owned(),
            Self::Connect(error) => error.to_string(),
            Self::Start(error) => error.to_string(),
            Self::Call(error) => error.to_string(),
            Self::Gone(error) => error.to_string(),
            Self::Orphans(error) => error.to_string(),
            Self::File { doing, path, .. } => format!("cannot {doing} `{}`", path.display()),
            Self::BrokenPipe => String::new(),
            Self::Output(_) => "cannot write to standard output".to_owned(),
            Self::Top(error) => error.to_string(),
            Self::Late { waiting, after } => {
                let after = crate::render::units::duration(crate::parse::millis(*after));
                format!("not ready after {after}: {}", waiting.join(", "))
            }
            Self::Own(_) => "cannot begin".to_owned(),
        }
    }

    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Home(source) | Self::File { source, .. } | Self::Output(source) | Self::Own(source) => Some(source),
            Self::Connect(error) => error.source(),
            Self::Start(error) => error.source(),
            Self::Call(error) => error.source(),
            Self::Orphans(error) => error.source(),
            Self::Top(error) => error.source(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(invalid) if invalid.diagnostics.len() > MOST_SHOWN => {
                Some(format!("the first {MOST_SHOWN} are shown; `--json` has them all"))
            }
            Self::NoFile(_) => Some("`kennel init` writes one".to_owned()),
            Self::Orphans(kennel_orphans::Error::Inside { .. }) => {
                Some("run it from a shell that the service has not started".to_owned())
            }
            Self::NoDaemon => Some("`kennel up` starts the stack".to_owned()),
            Self::Call(CallError::Problem(problem)) => problem.hint.clone(),
            Self::Call(CallError::Lost(_)) => {
                Some("everything it ran is being stopped; `kennel ps` tells when another one has taken over".to_owned())
            }
            Self::Connect(ConnectError::NoAnswer { keeper_pid: Some(pid), .. }) => {
                Some(format!("its keeper is process {pid}; if it is stopped, `kill -CONT {pid}` lets it go on"))
            }
            _ => None,
        }
    }
}

/// Mistakes of a configuration that are shown to people: what is wrong a thousand times has often one cause.
const MOST_SHOWN: usize = 10;

/// The exit code for a problem that the daemon reports.
fn of_problem(code: Code) -> u8 {
    match code {
        Code::ConfigInvalid | Code::ConfigMissing => exit_codes::CONFIG,
        Code::UnknownService | Code::UnknownOwner | Code::UnknownRun | Code::UnknownWebhook | Code::ProcessGone => {
            exit_codes::UNKNOWN_SERVICE
        }
        Code::ProcessNotOurs | Code::ProcessIsKennel | Code::ProcessIsZombie | Code::NotCertain => exit_codes::NOT_OURS,
        Code::ContainmentTooWeak => exit_codes::CONTAINMENT,
        Code::BadRequest => exit_codes::USAGE,
        Code::Conflict
        | Code::PreconditionFailed
        | Code::OwnerEnded
        | Code::NotFound
        | Code::NotExecutable
        | Code::CannotAdopt
        | Code::SpawnFailed => exit_codes::FAILED,
        Code::ShuttingDown
        | Code::HandedOver
        | Code::HandoverFailed
        | Code::Unauthorized
        | Code::Forbidden
        | Code::RateLimited
        | Code::Internal => exit_codes::DAEMON,
    }
}

/// A message with its causes, each once.
fn chain(mut message: String, mut source: Option<&(dyn Error + 'static)>) -> String {
    while let Some(cause) = source {
        let words = cause.to_string();
        if !message.contains(&words) {
            message = format!("{message}: {words}");
        }
        source = cause.source();
    }
    message
}

fn own(one: &kennel_config::Diagnostic, source: &str, width: Option<usize>, paint: Paint) -> String {
    let mistake = Mistake {
        code: &one.code,
        message: &one.message,
        file: &one.file,
        line: one.line,
        span: one.span,
        help: one.help.as_deref(),
    };
    // Mistakes in an environment file have a place in that one.
    let other = std::fs::read_to_string(&one.file).ok();
    let fits = |text: &&str| text.lines().count() >= one.line as usize;
    diagnostic::one(&mistake, other.as_deref().or(Some(source)).filter(fits), width, paint)
}

fn theirs(one: &kennel_wire::Diagnostic, width: Option<usize>, paint: Paint) -> String {
    let mistake = Mistake {
        code: &one.code,
        message: &one.message,
        file: &one.file,
        line: one.line,
        span: one.span,
        help: one.help.as_deref(),
    };
    diagnostic::one(&mistake, std::fs::read_to_string(&one.file).ok().as_deref(), width, paint)
}

impl From<kennel_tui::LiveError> for Failure {
    fn from(error: kennel_tui::LiveError) -> Self {
        Self::Top(error)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<GoneError> for Failure {
    fn from(error: GoneError) -> Self {
        Self::Gone(error)
    }
}

impl From<kennel_orphans::Error> for Failure {
    fn from(error: kennel_orphans::Error) -> Self {
        Self::Orphans(error)
    }
}

impl From<kennel_config::Invalid> for Failure {
    fn from(invalid: kennel_config::Invalid) -> Self {
        Self::Config(invalid)
    }
}

impl From<kennel_config::FindError> for Failure {
    fn from(error: kennel_config::FindError) -> Self {
        Self::Find(error)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn said(failure: &Failure) -> String {
        format!("{}exit code {}", failure.render(Some(100), Paint::PLAIN), failure.exit_code())
    }

    #[test]
    fn what_failed_and_what_to_do() {
        let unknown = Problem::new(Code::UnknownService, "no service is called `wbe`").hint("did you mean `web`?");
        insta::assert_snapshot!(said(&Failure::Call(unknown.into())), @r"
        error: no service is called `wbe`
        help: did you mean `web`?
        exit code 4
        ");
        insta::assert_snapshot!(said(&Failure::NoFile("/x/kennel.yaml".into())), @r"
        error: there is no configuration `/x/kennel.yaml`
        help: `kennel init` writes one
        exit code 3
        ");
        insta::assert_snapshot!(said(&Failure::NoDaemon), @r"
        error: nothing runs here
        help: `kennel up` starts the stack
        exit code 5
        ");
        let lost = CallError::Lost(io::Error::other("connection closed"));
        insta::assert_snapshot!(said(&Failure::Call(lost)), @r"
        error: lost the daemon: connection closed
        help: everything it ran is being stopped; `kennel ps` tells when another one has taken over
        exit code 5
        ");
        let silent =
            ConnectError::NoAnswer { lock: "/s/lock".into(), socket: "/r/api.sock".into(), keeper_pid: Some(7) };
        insta::assert_snapshot!(said(&Failure::Connect(silent)), @r"
        error: a daemon holds `/s/lock` and does not answer at `/r/api.sock`
        help: its keeper is process 7; if it is stopped, `kill -CONT 7` lets it go on
        exit code 5
        ");
        let late = Failure::Late { waiting: vec!["db".into()], after: std::time::Duration::from_secs(3) };
        insta::assert_snapshot!(said(&late), @r"
        error: not ready after 3.0 s: db
        exit code 1
        ");
        insta::assert_snapshot!(said(&Failure::BrokenPipe), @"exit code 0");
    }

    #[test]
    fn of_many_mistakes_the_first_are_shown() {
        let with = |count: usize| {
            let names: Vec<String> = (0..count).map(|at| format!("  s.{at}: {{ command: x }}\n")).collect();
            let source = format!("services:\n{}", names.concat());
            let options = kennel_config::LoadOptions { environment: &BTreeMap::new(), profiles: &[] };
            let load = kennel_config::load_text(std::path::Path::new("kennel.yaml"), &source, &options);
            Failure::from(load.expect_err("a name may have no dot"))
        };
        let count = |failure: &Failure| said(failure).matches("error[bad_name]").count();
        assert_eq!(count(&with(10)), 10);
        assert!(!said(&with(10)).contains("configuration has"));
        assert_eq!(count(&with(11)), 10);
        assert!(said(&with(11)).ends_with(
            "error: the configuration has 11 errors\nhelp: the first 10 are shown; `--json` has them all\nexit code 3"
        ));
        assert!(said(&with(1000)).contains("error: the configuration has at least 500 errors\n"));
    }

    #[test]
    fn a_run_has_codes_of_its_own() {
        let code = |code| Failure::Call(Problem::new(code, "x").into()).run_code();
        assert_eq!([Code::NotFound, Code::NotExecutable, Code::UnknownService].map(code), [127, 126, 125]);
        assert_eq!(Failure::NoDaemon.run_code(), 125);
    }
}
