//! What a stop left: nothing, or who.

use std::fmt::Write;

use kennel_wire::{EndedProcess, Receipt, Stage, Survivor};

use super::paint::{BOLD, DIM, GREEN, Paint, RED};
use super::table::cut;
use super::{limits, units};

/// Longest command that is listed, characters.
const COMMAND: usize = 60;

/// One line for each receipt, and one for each process that is left; with `verbose` for every process.
pub(crate) fn summary(receipts: &[Receipt], verbose: bool, paint: Paint) -> String {
    let width = receipts.iter().map(|receipt| receipt.service.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for receipt in receipts {
        let line = one_line(receipt);
        let (mark, style) = if receipt.left == 0 { ("✓", GREEN) } else { ("✗", RED) };
        let name = format!("{:<width$}", receipt.service);
        let _infallible = writeln!(text, "{} {}  {line}", paint.paint(style, mark), paint.paint(BOLD, &name));
        if verbose {
            text.push_str(&processes(receipt, paint));
        }
        text.push_str(&survivors(&receipt.survivors, paint));
    }
    text
}

/// `stopped in 0.3 s  TERM · 3 processes · left 0`
pub(crate) fn one_line(receipt: &Receipt) -> String {
    let duration = units::duration(receipt.duration_ms);
    let begin = if receipt.left == 0 { format!("stopped in {duration}") } else { format!("not down after {duration}") };
    let stages: Vec<&str> = receipt.stages.iter().map(|stage| stage.name.as_str()).collect();
    let stages = if stages.is_empty() { "by itself".to_owned() } else { stages.join(" → ") };
    let why = receipt.out_of_memory.as_ref().map(|what| format!("{} · ", limits::out_of_memory(what)));
    let why = why.unwrap_or_default();
    format!("{begin}  {why}{stages} · {} · left {}", units::processes(receipt.processes.len()), receipt.left)
}

/// How long each stage took and how many ended in it: `TERM 0.3 s, 3 ended → KILL 0.1 s, 1 ended`; none if there was none.
pub(crate) fn stages(receipt: &Receipt) -> Option<String> {
    let stage = |stage: &Stage| format!("{} {}, {} ended", stage.name, units::duration(stage.duration_ms), stage.ended);
    let stages: Vec<String> = receipt.stages.iter().map(stage).collect();
    (!stages.is_empty()).then(|| stages.join(" → "))
}

/// Every process of a receipt, one a line.
pub(crate) fn processes(receipt: &Receipt, paint: Paint) -> String {
    let mut text = String::new();
    let ends: Vec<String> = receipt.processes.iter().map(end).collect();
    let width = ends.iter().map(|end| end.chars().count()).max().unwrap_or(0);
    for (process, end) in receipt.processes.iter().zip(ends) {
        let command = process.command.as_deref().unwrap_or("(gone before it could be read)");
        let main = if process.main { "*" } else { " " };
        let line = format!("{:>9} {main} {end:<width$}  {}", process.pid, cut(command, COMMAND));
        text.push_str(&paint.paint(DIM, line.trim_end()));
        text.push('\n');
    }
    text
}

/// `SIGTERM at TERM`
fn end(process: &EndedProcess) -> String {
    let exit = process.exit.map_or_else(|| "still lives".to_owned(), |exit| exit.to_string());
    let end = match &process.stage {
        Some(stage) => format!("{exit} at {stage}"),
        None => exit,
    };
    match &process.escaped_to {
        Some(cgroup) => format!("{end}, had left for {cgroup}"),
        None => end,
    }
}

/// Who is left and what holds it.
pub(crate) fn survivors(survivors: &[Survivor], paint: Paint) -> String {
    let mut text = String::new();
    for one in survivors {
        let state = match one.state {
            'D' => "in uninterruptible sleep".to_owned(),
            't' => "held by a tracer".to_owned(),
            state => format!("state {state}"),
        };
        let mut line = format!("{:>9}   left, {state}", one.pid);
        if !one.wchan.is_empty() && one.wchan != "0" {
            let _infallible = write!(line, ", waits in {}", one.wchan);
        }
        if one.tracer != 0 {
            let by = one.tracer_command.as_deref().unwrap_or("gone");
            let _infallible = write!(line, ", traced by {} ({})", one.tracer, cut(by, COMMAND));
        }
        let _infallible = write!(line, "  {}", cut(&one.command, COMMAND));
        text.push_str(&paint.paint(RED, &line));
        text.push('\n');
        // The innermost function stands above already.
        if one.stack.len() > 1 {
            let line = format!("{:>9}   {}", "", one.stack.join(" < "));
            text.push_str(&paint.paint(DIM, &line));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn one_line_each() {
        let receipts = [samples::receipt("web"), samples::stuck("database")];
        insta::assert_snapshot!(summary(&receipts, false, Paint::PLAIN), @r"
        ✓ web       stopped in 0.3 s  TERM · 3 processes · left 0
        ✗ database  not down after 20 s  TERM → KILL → KILL sweep → stuck · 1 process · left 1
             4711   left, in uninterruptible sleep, waits in nfs_wait_bit_killable, traced by 99 (gdb -p 4711)  dd of=/mnt/x
                    nfs_wait_bit_killable < nfs_file_fsync < do_exit
        ");
    }

    #[test]
    fn every_process_on_request() {
        insta::assert_snapshot!(summary(&[samples::receipt("web")], true, Paint::PLAIN), @r"
        ✓ web  stopped in 0.3 s  TERM · 3 processes · left 0
              100 * exit 0 at TERM   npm run dev
              101   SIGTERM at TERM  node server.js
              102   SIGKILL at KILL  (gone before it could be read)
        ");
    }

    #[test]
    fn who_left_its_cgroup_is_said() {
        let mut receipt = samples::receipt("web");
        receipt.processes.truncate(1);
        receipt.processes.iter_mut().for_each(|process| process.escaped_to = Some("/".to_owned()));
        insta::assert_snapshot!(processes(&receipt, Paint::PLAIN), @"      100 * exit 0 at TERM, had left for /  npm run dev");
    }
}
