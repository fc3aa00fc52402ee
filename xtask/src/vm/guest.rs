//! One run of a guest, and what it says on its console.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
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
    /// The kernel gave up, which is the emulator's fault.
    panicked: bool,
}

struct Cell {
    test: String,
    code: i32,
    seconds: f64,
}

/// Boots a machine with this file system and waits until it powers off.
pub(super) fn run(machine: &Machine, image: &Path, init: &str) -> Result<Outcome> {
    let first = boot(machine, image, init)?;
    if !first.panicked {
        return Ok(first);
    }
    eprintln!("vm: the guest's kernel panicked, which no program of ours can make it do; once more\n{}", first.said);
    boot(machine, image, init)
}

fn boot(machine: &Machine, image: &Path, init: &str) -> Result<Outcome> {
    // To a file, where it can be followed.
    let console = image.with_file_name(format!("console-{}", machine.version));
    eprintln!("vm: booting Linux {}, console: {}", machine.version, console.display());
    let mut call: Vec<OsString> = ["-k", "10", LIMIT, "env"].map(Into::into).into();
    call.push(format!("LD_LIBRARY_PATH={}", machine.libraries()).into());
    call.push(machine.emulator().into());
    for firmware in machine.firmware() {
        call.extend(["-L".into(), firmware.into()]);
    }
    // One processor: with a thread for each of several, this emulator corrupts the guest's kernel now and then.
    let fixed =
        "-machine q35 -accel tcg,thread=single -smp 1 -m 2048 -nodefaults -no-user-config -display none -no-reboot";
    call.extend(fixed.split(' ').map(Into::into));
    call.extend(["-serial".into(), format!("file:{}", console.display()).into()]);
    call.extend(["-kernel".into(), machine.kernel.clone().into(), "-initrd".into(), image.into()]);
    call.extend(["-append".into(), format!("console=ttyS0 quiet panic=-1 cgroup_no_v1=all rdinit={init}").into()]);
    let ended = run::quiet("timeout", call);
    let said = fs::read(&console).map_err(|error| format!("{}: {error}", console.display()))?;
    let mut outcome = Outcome::read(&machine.version, &String::from_utf8_lossy(&said));
    if let Err(why) = ended {
        outcome.said.push_str(&format!("{why}\n"));
        outcome.ended = false;
    }
    Ok(outcome)
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
            panicked: console.contains("Kernel panic"),
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
            let _infallible = writeln!(text, "  {:<60} {mark:<7} {:>6.1} s", cell.test, cell.seconds);
        }
        text
    }

    /// What does not hold, in one line each.
    pub(super) fn failures(&self) -> Vec<String> {
        let at = |what: String| format!("Linux {}: {what}", self.kernel);
        let failed = self.cells.iter().filter(|cell| cell.code != 0);
        let mut failures: Vec<String> =
            failed.map(|cell| at(format!("{} ended with {}", cell.test, cell.code))).collect();
        failures.extend(self.left.iter().map(|what| at(format!("left at the end: {what}"))));
        if !self.ended || self.cells.is_empty() {
            failures.push(at("the guest did not come to its end".to_owned()));
        }
        failures
    }

    /// One JSON object a line: what cells of the matrix wrote.
    pub(super) fn json(&self) -> String {
        self.json.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// `TEST CODE BEGIN END`, the times in seconds since boot.
fn cell(line: &str) -> Option<Cell> {
    let words: Vec<&str> = line.split(' ').collect();
    let [test, code, begin, end] = words[..] else { return None };
    let seconds = end.parse::<f64>().ok()? - begin.parse::<f64>().ok()?;
    Some(Cell { test: test.to_owned(), code: code.parse().ok()?, seconds })
}
