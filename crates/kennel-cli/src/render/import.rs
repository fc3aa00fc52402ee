//! What `kennel state import` says of the processes that a file names.

use kennel_wire::{ImportReport, ImportedServer, RecordedProcess};

use super::paint::{BOLD, DIM, Paint};
use super::table::cut;

/// Longest command that is shown, characters.
const COMMAND: usize = 60;

/// One line for each server, and what was written.
pub(crate) fn block(report: &ImportReport, paint: Paint) -> String {
    let mut text: String = report.servers.iter().map(|server| line(server, paint)).collect();
    match &report.written {
        Some(path) => text.push_str(&format!("wrote {}; `kennel up` starts what it declares\n", path.display())),
        None if report.servers.is_empty() => text.push_str(&format!("no servers in {}\n", report.file.display())),
        None => {}
    }
    text
}

fn line(server: &ImportedServer, paint: Paint) -> String {
    let pid = server.pid.map(|pid| format!("pid {pid}: ")).unwrap_or_default();
    let command = match (&server.command, server.process) {
        (Some(command), RecordedProcess::Foreign | RecordedProcess::NotOurs) => {
            format!(" ({})", cut(command, COMMAND))
        }
        _ => String::new(),
    };
    let why = match server.process {
        RecordedProcess::NotRecorded => String::new(),
        _ => format!(": {}", server.why),
    };
    let words = words(server.process);
    format!("{}  {pid}{words}{command}{}\n", paint.paint(BOLD, &server.id), paint.paint(DIM, &why))
}

fn words(process: RecordedProcess) -> &'static str {
    match process {
        RecordedProcess::NotRecorded => "no process recorded",
        RecordedProcess::Ours => "ours, running",
        RecordedProcess::Foreign => "a foreign process has that pid now",
        RecordedProcess::Gone => "gone",
        RecordedProcess::NotOurs => "alive, not ours: left alone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_server() {
        let server = |id: &str, process, command: Option<&str>| ImportedServer {
            id: id.into(),
            pid: (process != RecordedProcess::NotRecorded).then_some(4711),
            process,
            why: "that is how it is known".into(),
            command: command.map(str::to_owned),
        };
        let report = ImportReport {
            file: "/srv/state.json".into(),
            config: "services: …".into(),
            written: Some("/srv/kennel.yaml".into()),
            servers: vec![
                server("a", RecordedProcess::Ours, Some("npm run dev")),
                server("b", RecordedProcess::Foreign, Some("vim notes")),
                server("c", RecordedProcess::Gone, None),
                server("d", RecordedProcess::NotOurs, Some("npm run dev")),
                server("e", RecordedProcess::NotRecorded, None),
            ],
        };
        insta::assert_snapshot!(block(&report, Paint::PLAIN), @r"
        a  pid 4711: ours, running: that is how it is known
        b  pid 4711: a foreign process has that pid now (vim notes): that is how it is known
        c  pid 4711: gone: that is how it is known
        d  pid 4711: alive, not ours: left alone (npm run dev): that is how it is known
        e  no process recorded
        wrote /srv/kennel.yaml; `kennel up` starts what it declares
        ");
        let none = ImportReport { written: None, servers: Vec::new(), ..report };
        insta::assert_snapshot!(block(&none, Paint::PLAIN), @r"
        no servers in /srv/state.json
        ");
    }
}
