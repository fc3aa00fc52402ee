//! `kennel logs`: from the daemon, or, where none runs, from the files.

mod daemon;
mod files;

use kennel_wire::LogLine;

use crate::args::Logs;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::log_line::Prefixes;
use crate::screen::Screen;

pub(super) async fn logs(context: &mut Context, args: Logs) -> Result<u8, Failure> {
    let home = context.home()?;
    match context.present(&home).await? {
        Some(daemon) => daemon::logs(context, daemon, args).await,
        None => files::logs(context, &home, args),
    }
}

/// How lines are shown.
enum Form {
    Json,
    /// The bytes as they were written.
    Raw,
    Text(Prefixes),
}

impl Form {
    /// For lines of these names, each with the colour that is declared for it.
    fn new(context: &Context, args: &Logs, names: &[(String, Option<String>)]) -> Self {
        let screen = &context.screen;
        match (context.global.json, args.raw) {
            (true, _) => Self::Json,
            (false, true) => Self::Raw,
            (false, false) => Self::Text(Prefixes::new(names, screen.paint, screen.terminal, !args.no_prefix)),
        }
    }

    fn show(&self, screen: &mut Screen, lines: &[LogLine]) -> Result<(), Failure> {
        match self {
            Self::Json => screen.json_lines(lines),
            Self::Raw => screen.bytes(&lines.iter().flat_map(raw).collect::<Vec<u8>>()),
            Self::Text(prefixes) => screen.out(&lines.iter().map(|line| prefixes.line(line)).collect::<String>()),
        }
    }
}

/// What was written, with the newline if there was one.
fn raw(line: &LogLine) -> Vec<u8> {
    if line.lost.is_some() {
        return Vec::new();
    }
    let mut bytes = line.written();
    if line.complete {
        bytes.push(b'\n');
    }
    bytes
}
