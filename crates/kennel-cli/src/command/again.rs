//! Going on with the daemon that follows one which was replaced or lost.

use std::time::Duration;

use jiff::Timestamp;
use kennel_client::{CallError, Daemon};
use kennel_wire::{Event, EventKind, LogLine};

use crate::failure::Failure;

/// How long another daemon may take to answer.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(15);

/// The daemon that goes on where this one stopped; none if it has ended for good.
pub(super) async fn follower(daemon: &Daemon) -> Result<Option<Daemon>, Failure> {
    Ok(Daemon::connect_within(daemon.home(), FOLLOWS_WITHIN).await?)
}

/// Whether a stream that ended so may go on elsewhere: it broke, or ended without a word.
pub(super) fn may_go_on<T>(ended: &Result<Option<T>, CallError>) -> bool {
    match ended {
        Ok(None) | Err(CallError::Lost(_)) => true,
        Err(CallError::Problem(problem)) => problem.code == kennel_wire::Code::HandedOver,
        Ok(Some(_)) | Err(_) => false,
    }
}

/// How far a stream of events was read.
#[derive(Debug, Default)]
pub(super) struct EventCursor {
    /// Number of the last one.
    pub(super) last: u64,
    /// The daemon has said its last word.
    pub(super) over: bool,
}

impl EventCursor {
    pub(super) fn see(&mut self, event: &Event) {
        self.last = event.seq;
        self.over = matches!(event.kind, EventKind::ShutdownCompleted { .. });
    }
}

/// How far logs were read: they are asked for by time, and several lines may have the same one.
#[derive(Debug, Default)]
pub(super) struct LogCursor {
    last: Option<Timestamp>,
    /// So many lines of that time were seen.
    seen: usize,
    /// So many are to be left out, because they are seen a second time.
    skip: usize,
}

impl LogCursor {
    /// From which time on to ask again.
    pub(super) fn resume(&mut self) -> Option<String> {
        self.skip = self.seen;
        self.last.map(|time| time.to_string())
    }

    /// Whether a line is news.
    pub(super) fn is_new(&mut self, line: &LogLine) -> bool {
        if self.last != Some(line.time) {
            (self.last, self.seen, self.skip) = (Some(line.time), 0, 0);
        } else if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.seen += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(nanosecond: i64, text: &str) -> LogLine {
        LogLine {
            time: Timestamp::from_nanosecond(nanosecond.into()).unwrap_or_default(),
            service: "web".to_owned(),
            stream: kennel_wire::LogStream::Stdout,
            line: text.to_owned(),
            bytes: None,
            complete: true,
            lost: None,
        }
    }

    #[test]
    fn lines_of_one_time_come_once() {
        let all = [line(1, "a"), line(2, "b"), line(2, "c"), line(2, "d"), line(3, "e")];
        for cut in 0..=all.len() {
            let mut cursor = LogCursor::default();
            let mut shown: Vec<&str> =
                all[..cut].iter().filter(|line| cursor.is_new(line)).map(|line| line.line.as_str()).collect();
            let since = cursor.resume();
            let again = all.iter().filter(|line| since.as_ref().is_none_or(|since| line.time.to_string() >= *since));
            shown.extend(again.filter(|line| cursor.is_new(line)).map(|line| line.line.as_str()));
            assert_eq!(shown, ["a", "b", "c", "d", "e"], "cut after {cut}");
        }
    }
}
