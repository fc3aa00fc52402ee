//! Reads the log that is shown: its end as it is written, and what was written before when somebody scrolls there.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kennel_client::{CallError, Daemon, LogQuery};
use kennel_wire::LogLine;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::state::State;
use crate::written::{Older, PAGE, Source};

/// Log lines that are taken between two pictures. What is beyond waits with the daemon, which does not make services wait.
pub(super) const A_FRAME: usize = 4_000;
/// How long a choice is to last before its log is asked for: whoever moves through a list wants only where that ends.
const SETTLED: Duration = Duration::from_millis(120);
/// Before a log that broke off is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// A reader that is so late does not catch up: it goes on at the end.
const TOO_LATE: SignedDuration = SignedDuration::from_secs(3);

/// What was read, for a state of this generation.
pub(super) struct Fed {
    generation: u64,
    what: What,
}

enum What {
    Lines(Vec<LogLine>),
    /// All of the end anew: too much was written meanwhile.
    Anew(Vec<LogLine>),
    Older(Older, Vec<LogLine>),
    /// It cannot be asked for older ones.
    Refused,
    /// It is over, and why if not on purpose.
    Over(Option<String>),
}

/// See the module.
pub(super) struct Feed {
    sender: Sender<Fed>,
    inbox: Receiver<Fed>,
    /// Who reads, for which generation.
    reader: Option<(u64, AbortHandle)>,
    /// When the next reader is due.
    due: Option<Instant>,
}

impl Feed {
    pub(super) fn new() -> Self {
        // Batches: a reader that is ahead waits.
        let (sender, inbox) = channel(4);
        Self { sender, inbox, reader: None, due: None }
    }

    /// Sees to it that what is shown is read, and nothing else.
    pub(super) fn want(&mut self, state: &mut State, shown: bool, daemon: &Daemon) {
        let Some(source) = state.written.source.clone().filter(|_| shown) else { return self.stop() };
        let generation = state.written.generation;
        if self.reader.as_ref().is_some_and(|(of, _)| *of != generation) {
            self.stop();
        }
        let now = Instant::now();
        if self.reader.is_none() && state.gone.is_none() {
            let due = *self.due.get_or_insert(now + if generation > 1 { SETTLED } else { Duration::ZERO });
            if due <= now {
                let task =
                    follow(daemon.clone(), source.clone(), state.written.resume(), generation, self.sender.clone());
                self.reader = Some((generation, tokio::spawn(task).abort_handle()));
                self.due = None;
            }
        }
        if self.reader.is_some()
            && let Some(wish) = state.written.wanted(state.view.room)
        {
            tokio::spawn(older(daemon.clone(), source, wish, generation, self.sender.clone()));
        }
    }

    fn stop(&mut self) {
        if let Some((_, task)) = self.reader.take() {
            task.abort();
        }
        self.due = None;
    }

    /// The next thing that was read; none: it is time to look what is wanted. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Fed> {
        let due = self.due;
        let wait = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            fed = self.inbox.recv() => fed,
            () = wait => None,
        }
    }

    /// Gives it to the state; answers with the number of lines.
    pub(super) fn take(&mut self, state: &mut State, fed: Option<Fed>) -> usize {
        let Some(Fed { generation, what }) = fed else { return 0 };
        // Of a log that is no longer shown.
        if generation != state.written.generation {
            return 0;
        }
        match what {
            What::Lines(lines) => {
                let count = lines.len();
                state.written.take(lines);
                return count;
            }
            What::Anew(lines) => {
                let count = lines.len();
                state.written.restart(lines);
                return count;
            }
            What::Older(wish, lines) => state.written.take_older(lines, wish),
            What::Refused => state.written.refused(),
            What::Over(why) => {
                state.written.broken = why;
                self.reader = None;
                self.due = Some(Instant::now() + AGAIN);
            }
        }
        0
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads the end, after what is there already.
async fn follow(
    daemon: Daemon,
    source: Source,
    after: Option<(Timestamp, usize)>,
    generation: u64,
    sender: Sender<Fed>,
) {
    let why = match read(&daemon, source, after, generation, &sender).await {
        Ok(()) => None,
        Err(CallError::Lost(_)) => Some("not connected".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let _we_left = sender.send(Fed { generation, what: What::Over(why) }).await;
}

async fn read(
    daemon: &Daemon,
    source: Source,
    after: Option<(Timestamp, usize)>,
    generation: u64,
    sender: &Sender<Fed>,
) -> Result<(), CallError> {
    let (since, mut held) = after.map_or((None, 0), |(time, held)| (Some(time), held));
    let tail = since.is_none().then_some(PAGE);
    let mut query = LogQuery {
        services: source.names(),
        tail,
        since: since.map(|time| time.to_string()),
        follow: true,
        ..LogQuery::default()
    };
    let mut anew = false;
    loop {
        let mut lines = daemon.logs(&query).await?;
        let late = loop {
            let Some(mut batch) = lines.batch().await? else { return Ok(()) };
            // What was read before comes first.
            let known = batch.iter().take(held).take_while(|line| Some(line.time) == since).count();
            held = if known == batch.len() { held - known } else { 0 };
            batch.drain(..known);
            let Some(last) = batch.last() else { continue };
            // A tail may be old; what follows it is not.
            let late = batch.len() > 1 && !anew && is_late(last.time) && sender.capacity() == 0;
            if late {
                break true;
            }
            let what = if std::mem::take(&mut anew) { What::Anew(batch) } else { What::Lines(batch) };
            if sender.send(Fed { generation, what }).await.is_err() {
                break false;
            }
        };
        if !late {
            return Ok(());
        }
        (anew, held) = (true, 0);
        query = LogQuery { since: None, tail: Some(PAGE), ..query };
    }
}

fn is_late(time: Timestamp) -> bool {
    Timestamp::now().duration_since(time) > TOO_LATE
}

/// Reads what was written before.
async fn older(daemon: Daemon, source: Source, wish: Older, generation: u64, sender: Sender<Fed>) {
    let held = u64::try_from(wish.held).unwrap_or(u64::MAX);
    let query = LogQuery {
        services: source.names(),
        tail: Some(PAGE.saturating_add(held)),
        until: Some(wish.until.to_string()),
        ..LogQuery::default()
    };
    let what = match all(&daemon, &query).await {
        Ok(lines) => What::Older(wish, lines),
        Err(_) => What::Refused,
    };
    let _we_left = sender.send(Fed { generation, what }).await;
}

async fn all(daemon: &Daemon, query: &LogQuery) -> Result<Vec<LogLine>, CallError> {
    let mut lines = daemon.logs(query).await?;
    let mut all = Vec::new();
    while let Some(batch) = lines.batch().await? {
        all.extend(batch);
    }
    Ok(all)
}
