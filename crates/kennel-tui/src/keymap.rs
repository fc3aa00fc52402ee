//! Every key with its words, for the help.

/// In the order of the help.
pub(crate) const KEYS: [(&str, &str); 17] = [
    ("↑ ↓ j k PgUp PgDn", "choose a line; scroll what Tab has chosen"),
    ("Home End g G", "the first, the last; End of a log follows it"),
    ("Space ← → e", "open or close the processes of a service, of all"),
    ("Enter", "the logs of the service; Esc comes back"),
    ("1 2 3 4", "overview, logs, events, receipt of the last stop"),
    ("Tab", "move among the lines, or in the pane"),
    ("d z", "show or hide the pane; give it all the room"),
    ("a w", "logs and events of all; wrap long lines"),
    ("/ n N", "find a name or command; in a log: text, next, back"),
    ("o O P M", "next order, turn it round; order by CPU, by memory"),
    ("t", "charts of the looks, 15 minutes, 1 hour, 6, a day"),
    ("s x", "stop, kill the service; SIGTERM, SIGKILL to a process"),
    ("r u f", "restart, start, freeze or thaw the service"),
    ("m", "the mouse is for clicks here, or for marking text"),
    ("Ctrl-L", "look again, and draw everything anew"),
    ("Ctrl-Z", "leave for a while: `fg` comes back"),
    ("q Ctrl-C", "leave; what runs is not touched"),
];

/// The last of them where what runs ends with us.
pub(crate) const LEAVE_AND_STOP: &str = "stop everything and leave; Ctrl-C does not ask";

pub(crate) const LEGEND: [&str; 4] = [
    "CPU% is of one CPU. K M G are KiB MiB GiB. READ WRIT LOG are bytes a second.",
    "TREND is CPU over time: the full height is one CPU, or 2, 4, 8 of them.",
    "TIME of a service is since its start; of a process, the CPU time it used.",
    "WAIT% is how long somebody waited for CPU, memory or a disk.",
];
