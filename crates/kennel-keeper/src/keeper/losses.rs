//! The loss of the daemon: what ends with it, and when it is started again.

use std::time::{Duration, Instant};

use super::{Exec, HandOver, Keeper};
use crate::channel::Incoming;
use crate::codec::{self, Malformed, Reader, Writer};
use crate::daemon::Daemon;
use crate::proto::{Event, Follows, Request};
use crate::saved::{read_time, since, write_elapsed};
use crate::start::note;
use kennel_sys::wait;

/// Pause before a lost daemon is started again, doubled each time as long as it does not live long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A daemon that was welcomed and lived so long can live.
const HEALTHY: Duration = Duration::from_secs(1);
/// So many losses …
const LOSSES: usize = 5;
/// … within this time, and it is given up, unless that would be the end of what is to be kept.
const WINDOW: Duration = Duration::from_secs(60);

impl Keeper {
    /// The daemon that the others are about has ended, and is a zombie.
    pub(super) fn daemon_ended(&mut self, mut daemon: Daemon, out: &mut Vec<Event>) -> std::io::Result<()> {
        let reaped = wait::reap(daemon.pid, false)?;
        // Goodbye may be the last thing that it said.
        while let Ok(Incoming::Message(bytes, fds)) = daemon.channel.receive() {
            if let Ok(Request::Bye) = codec::decode_request(&bytes, fds) {
                self.say_goodbye(out);
            }
        }
        let exit = reaped.map(|reaped| reaped.exit);
        if self.leaving.is_some() {
            self.contain.kill_all(out);
        } else if let HandOver::Settling { .. } = self.handover {
            self.roll_back(&format!("the new daemon ended ({})", described(exit)));
        } else {
            note!("the daemon is lost: {exit:?}");
            let failed_to_start = matches!(exit, Some(wait::Exit::Code(_)));
            if failed_to_start && !daemon.was_welcomed && self.follows == Follows::Fresh {
                // It has said why to whoever waits, and would say so again.
                self.leave(out);
            } else {
                let lived = daemon.begun.elapsed();
                self.lost(daemon.was_welcomed && lived >= HEALTHY, Instant::now(), out);
            }
        }
        Ok(())
    }

    /// The policy for the loss of the daemon: everything that is not to be kept ends at once, then a new one is
    /// started. `healthy`: the one that was lost could live.
    pub(super) fn lost(&mut self, healthy: bool, now: Instant, out: &mut Vec<Event>) {
        self.drop_successor();
        // Nobody is left who has asked for it.
        if matches!(self.exec, Exec::Ready { .. }) {
            self.exec = Exec::None;
        }
        self.follows = Follows::Loss;
        let kept = self.records.kept();
        self.contain.kill_all_but(&kept, out);
        self.records.ending_all_but(&kept);
        // Nobody reads until there is a daemon again.
        self.records.enlarge_pipes();
        kennel_sys::crash_point!("restart.lost");
        match self.losses.note(now, healthy, !kept.is_empty()) {
            Some(next) => self.next_start = Some(next),
            None => {
                note!("the daemon was lost too often");
                self.leave(out);
            }
        }
    }

    /// The daemon ends everything on purpose.
    pub(super) fn say_goodbye(&mut self, out: &mut Vec<Event>) {
        self.said_goodbye = true;
        self.contain.kill_strays();
        self.leave(out);
    }

    /// Nothing is started any more, and everything is ended that this keeper has.
    pub(super) fn leave(&mut self, out: &mut Vec<Event>) {
        self.leaving = Some(Instant::now());
        self.next_start = None;
        // First of all: no daemon will accept what comes to these sockets, and whoever has come is to hear of it now.
        self.held.clear();
        self.drop_successor();
        self.contain.kill_all(out);
    }
}

/// How a process ended, in words.
pub(super) fn described(exit: Option<wait::Exit>) -> String {
    match exit {
        Some(wait::Exit::Code(code)) => format!("exit code {code}"),
        Some(wait::Exit::Signal(signal)) => format!("signal {signal}"),
        None => "somehow".to_owned(),
    }
}

/// When to start a lost daemon again.
#[derive(Debug, Default)]
pub(super) struct Losses {
    recent: Vec<Instant>,
    /// Of daemons that could not live, since the last one that could.
    in_a_row: u32,
}

impl Losses {
    pub(super) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        writer.list(&self.recent, |writer, loss| write_elapsed(writer, *loss));
        writer.u32(self.in_a_row);
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let recent = reader.list(read_time)?.into_iter().map(since).collect();
        Ok(Self { recent, in_a_row: reader.u32()? })
    }

    /// Notes a loss; answers with the time of the next start, or with `None` to give up. `keeps`: something runs that
    /// is to outlive the daemon, so it is never given up.
    pub(super) fn note(&mut self, now: Instant, healthy: bool, keeps: bool) -> Option<Instant> {
        self.recent.retain(|loss| now.duration_since(*loss) < WINDOW);
        if healthy || self.recent.is_empty() {
            self.in_a_row = 0;
        }
        self.recent.push(now);
        if self.recent.len() > LOSSES && !keeps {
            return None;
        }
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(self.in_a_row.min(16))).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Some(now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(healthy: bool, keeps: bool, count: u32) -> Vec<Option<u128>> {
        let mut losses = Losses::default();
        let now = Instant::now();
        (0..count).map(|_| Some(losses.note(now, healthy, keeps)?.duration_since(now).as_millis())).collect()
    }

    #[test]
    fn pauses_grow_until_it_is_given_up() {
        let expected = [Some(100), Some(200), Some(400), Some(800), Some(1600), None];
        assert_eq!(pauses(false, false, 6), expected);
    }

    #[test]
    fn what_is_to_be_kept_is_never_given_up() {
        let found = pauses(false, true, 40);
        assert_eq!(found[..7], [100, 200, 400, 800, 1600, 3200, 5000].map(Some));
        assert!(found[7..].iter().all(|pause| *pause == Some(5000)));
    }

    #[test]
    fn a_daemon_that_can_live_is_back_at_once() {
        assert_eq!(pauses(true, true, 40), [Some(100); 40]);
        let mut losses = Losses::default();
        let now = Instant::now();
        for _ in 0..4 {
            losses.note(now, false, true);
        }
        assert_eq!(losses.note(now, true, true), Some(now + FIRST_PAUSE));
        assert_eq!(losses.note(now, false, true), Some(now + 2 * FIRST_PAUSE));
    }

    #[test]
    fn rare_losses_are_always_made_good() {
        let mut losses = Losses::default();
        let begin = Instant::now();
        for minute in 0..100 {
            let now = begin + Duration::from_secs(61 * minute);
            assert_eq!(losses.note(now, false, false), Some(now + FIRST_PAUSE));
        }
    }
}
