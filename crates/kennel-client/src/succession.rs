//! A daemon that another one follows: what is asked while they change places is asked again.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use kennel_wire::{Code, SuccessionReport, SuccessionRequest};
use tokio::time::Instant;

use crate::{CallError, Daemon, http};

/// How long the change may take, for whoever asks meanwhile.
pub(crate) const CHANGES_WITHIN: Duration = Duration::from_secs(15);
/// Pause between two looks whether the other one answers.
const LOOK: Duration = Duration::from_millis(2);

impl Daemon {
    /// Has another daemon take this one's place: of `program`, or of the one that the keeper runs. Returns when it answers.
    ///
    /// # Errors
    /// `handover_failed`, `not_found` or `not_executable`: nothing has changed, or the one before is back.
    pub async fn restart_daemon(&self, program: Option<&Path>) -> Result<SuccessionReport, CallError> {
        let before = self.info().await?;
        let request = SuccessionRequest { program: program.map(Path::to_path_buf) };
        self.exchange::<()>(Method::POST, "/v1/daemon/restart", http::json(&request)?).await?;
        let begin = Instant::now();
        let (mut asked, mut longest) = (begin, Duration::ZERO);
        loop {
            let left = CHANGES_WITHIN.saturating_sub(begin.elapsed());
            let answer = self.exchange(Method::GET, "/v1/info", Vec::new());
            let late = |_| Err(CallError::Lost(io::ErrorKind::TimedOut.into()));
            let answer = tokio::time::timeout(left, answer).await.unwrap_or_else(late);
            longest = longest.max(asked.elapsed());
            match answer {
                Ok(after) => {
                    let after: kennel_wire::DaemonInfo = after;
                    if (after.pid, after.started_at) != (before.pid, before.started_at) {
                        let pause_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
                        return Ok(SuccessionReport { before, after, pause_ms, keeper: false, keeper_refused: None });
                    }
                    asked = Instant::now();
                }
                Err(error) if !is_changing(&error) => return Err(error),
                Err(error) if begin.elapsed() >= CHANGES_WITHIN => return Err(error),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has the keeper run another program, in the same process and with all that it holds.
    ///
    /// # Errors
    /// `handover_failed`: it goes on as it was.
    pub async fn replace_keeper(&self, program: &Path) -> Result<(), CallError> {
        let request = SuccessionRequest { program: Some(program.to_path_buf()) };
        self.call(Method::POST, "/v1/daemon/keeper", http::json(&request)?).await
    }
}

/// Whether a request that failed so is to be sent again: somebody else will answer it.
pub(crate) fn is_handed_over(error: &CallError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::HandedOver)
}

fn is_changing(error: &CallError) -> bool {
    matches!(error, CallError::Lost(_)) || is_handed_over(error)
}
