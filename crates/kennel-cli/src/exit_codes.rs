//! What the command's exit code means. Part of its interface: a code never changes its meaning.

/// Everything asked for was done.
pub(crate) const OK: u8 = 0;
/// A service failed, was given up, or did not get ready.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// The configuration has errors, or there is none.
pub(crate) const CONFIG: u8 = 3;
/// No service has that name, or no process that number.
pub(crate) const UNKNOWN_SERVICE: u8 = 4;
/// The daemon is not there, cannot be reached or failed.
pub(crate) const DAEMON: u8 = 5;
/// Processes are left that could not be ended.
pub(crate) const LEFT: u8 = 6;
/// The machine does not give the containment that the configuration requires.
pub(crate) const CONTAINMENT: u8 = 7;
/// The process belongs to no service of this kennel, and nothing was sent.
pub(crate) const NOT_OURS: u8 = 8;
/// `run`, `exec`: kennel itself failed, whatever the reason.
pub(crate) const RUN_FAILED: u8 = 125;
/// `run`, `exec`: the program cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// `run`, `exec`: there is no such program.
pub(crate) const NOT_FOUND: u8 = 127;
/// `run`, `exec`: added to the number of the signal that ended the program.
pub(crate) const SIGNAL_BASE: u8 = 128;

/// The table at the end of `kennel --help`.
pub(crate) const TABLE: &str = "\
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
  128+n  signal n ended it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_code() {
        let codes = [OK, FAILED, USAGE, CONFIG, UNKNOWN_SERVICE, DAEMON, LEFT, CONTAINMENT, NOT_OURS];
        for code in codes.into_iter().chain([RUN_FAILED, NOT_EXECUTABLE, NOT_FOUND]) {
            let listed = TABLE.lines().any(|line| line.split_whitespace().next() == Some(&code.to_string()));
            assert!(listed, "{code}");
        }
        assert!(TABLE.contains(&format!("{SIGNAL_BASE}+n")));
    }
}
