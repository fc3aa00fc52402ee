//! One run of a guest, and what it says on its console.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use super::packages::Machine;
use crate::{Result, run};

/// Longest time from power-on to power-off, seconds.
const LIMIT: &str = "900";

/// What one guest said.
pub(super) struct Outcome {
    kernel: String,
    cells: Vec<Cell>,
    /// Results of cells that write them themselves.
    json: Vec<String>,
    /// What was there at the end and should not have been.
    left: Vec<String>,
    /// Output of tests that failed.
    said: String,
    ended: bool,
}

struct Cell {
    environment: String,
    test: String,
    code: i32,
    seconds: f64,
}

/// Boots a machine with this file system and waits until it powers off.
pub(super) fn run(machine: &Machine, image: &Path) -> Result<Outcome> {
    eprintln!("vm: booting Linux {}", machine.version);
    let mut call: Vec<OsString> = ["-k", "10", LIMIT, "env"].map(Into::into).into();
    call.push(format!("LD_LIBRARY_PATH={}", machine.libraries()).into());
    call.push(machine.emulator().into());
    for firmware in machine.firmware() {
        call.extend(["-L".into(), firmware.into()]);
    }
    let fixed =
        "-machine q35 -accel tcg -smp 2 -m 2048 -nodefaults -no-user-config -display none -serial stdio -no-reboot";
    call.extend(fixed.split(' ').map(Into::into));
    call.extend(["-kernel".into(), machine.kernel.clone().into(), "-initrd".into(), image.into()]);
    call.extend(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init cgroup_no_v1=all"].map(Into::into));
    let console = run::quiet("timeout", call)?;
    Ok(Outcome::read(&machine.version, &console))
}

impl Outcome {
    fn read(kernel: &str, console: &str) -> Self {
        let mut outcome = Self {
            kernel: kernel.to_owned(),
            cells: Vec::new(),
            json: Vec::new(),
            left: Vec::new(),
            said: String::new(),
            ended: false,
        };
        for line in console.lines().map(|line| line.trim_end_matches('\r')) {
            let Some((_, word)) = line.split_once("@@ ") else { continue };
            match word.split_once(' ').unwrap_or((word, "")) {
                ("cell", rest) => outcome.cells.extend(cell(rest)),
                ("json", rest) => outcome.json.push(rest.to_owned()),
                ("left", rest) => outcome.left.push(rest.to_owned()),
                ("|", rest) => outcome.said.push_str(&format!("{rest}\n")),
                ("end", _) => outcome.ended = true,
                _ => {}
            }
        }
        if !outcome.ended {
            let tail: Vec<&str> = console.lines().rev().take(40).collect();
            outcome.said.extend(tail.into_iter().rev().map(|line| format!("{line}\n")));
        }
        outcome
    }

    /// A line for each cell, after what failed ones said.
    pub(super) fn table(&self) -> String {
        let mut text = self.said.clone();
        let _infallible = writeln!(text, "Linux {}", self.kernel);
        for cell in &self.cells {
            let mark = if cell.code == 0 { "ok" } else { "FAILED" };
            let _infallible =
                writeln!(text, "  {:<20} {:<40} {mark:<7} {:>6.1} s", cell.environment, cell.test, cell.seconds);
        }
        text
    }

    /// What does not hold, in one line each.
    pub(super) fn failures(&self) -> Vec<String> {
        let at = |what: String| format!("Linux {}: {what}", self.kernel);
        let failed = self.cells.iter().filter(|cell| cell.code != 0);
        let mut failures: Vec<String> =
            failed.map(|cell| at(format!("{} {} ended with {}", cell.environment, cell.test, cell.code))).collect();
        failures.extend(self.left.iter().map(|what| at(format!("left at the end: {what}"))));
        if !self.ended || self.cells.is_empty() {
            failures.push(at("the guest did not come to its end".to_owned()));
        }
        failures
    }

    /// One JSON object a line, with the kernel in the environment's name.
    pub(super) fn json(&self) -> String {
        let mut text = String::new();
        for line in &self.json {
            text.push_str(&format!("{line}\n"));
        }
        for cell in &self.cells {
            let (exit, _) = cell.test.split_once("::").unwrap_or((&cell.test, ""));
            let note = if cell.code == 0 { String::new() } else { format!("ended with {}", cell.code) };
            let _infallible = writeln!(
                text,
                "{{\"environment\":\"qemu {} {}\",\"exit\":\"{exit}\",\"escape\":\"all\",\"left\":{},\"note\":\"{note}\"}}",
                self.kernel,
                cell.environment,
                i32::from(cell.code != 0)
            );
        }
        text
    }
}

/// `ENVIRONMENT TEST CODE BEGIN END`, the times in seconds since boot.
fn cell(line: &str) -> Option<Cell> {
    let words: Vec<&str> = line.split(' ').collect();
    let [environment, test, code, begin, end] = words[..] else { return None };
    let seconds = end.parse::<f64>().ok()? - begin.parse::<f64>().ok()?;
    Some(Cell { environment: environment.to_owned(), test: test.to_owned(), code: code.parse().ok()?, seconds })
}
