//! Does what was agreed to, beside the pictures.

use kennel_client::{CallError, Daemon};
use kennel_wire::{ActionRequest, Code, Problem, UsageRequest};
use tokio::sync::mpsc::UnboundedSender;

use crate::Words;
use crate::action::{Deed, KILL};
use crate::live::Input;
use crate::state::Tone;

impl Deed {
    /// What is said until there is an answer.
    pub(crate) fn under_way(&self) -> String {
        match self {
            Self::Start(name) => format!("starting {name} …"),
            Self::Stop(name) => format!("stopping {name} …"),
            Self::Restart(name) => format!("restarting {name} …"),
            Self::Kill(name) => format!("killing {name} …"),
            Self::Freeze(name) => format!("freezing {name} …"),
            Self::Thaw(name) => format!("thawing {name} …"),
            Self::Signal { pid, .. } => format!("sending a signal to {pid} …"),
        }
    }
}

/// Asks the daemon; the answer comes as an input.
pub(crate) fn spawn(daemon: &Daemon, deed: Deed, words: Words, sender: UnboundedSender<Input>) {
    let daemon = daemon.clone();
    tokio::spawn(async move {
        let (text, tone) = match ask(&daemon, deed, words).await {
            Ok(answer) => answer,
            Err(error) => (error.to_string(), Tone::Bad),
        };
        let _we_left = sender.send(Input::Done(text, tone));
    });
}

async fn ask(daemon: &Daemon, deed: Deed, words: Words) -> Result<(String, Tone), CallError> {
    let tone = |ok| if ok { Tone::Good } else { Tone::Bad };
    let one = |name: String| ActionRequest { services: vec![name], ..ActionRequest::default() };
    let report = match deed {
        Deed::Start(name) => {
            let report = daemon.start_services(&one(name)).await?;
            return Ok(((words.started)(&report), tone(report.ok)));
        }
        Deed::Signal { pid, start_ticks, signal } => {
            still_there(daemon, pid, start_ticks).await?;
            let report = daemon.signal_process(pid, signal).await?;
            return Ok(((words.signalled)(&report), Tone::Good));
        }
        Deed::Freeze(name) => {
            let report = daemon.freeze(&one(name)).await?;
            return Ok(((words.frozen)(&report), tone(report.ok)));
        }
        Deed::Thaw(name) => {
            let report = daemon.thaw(&one(name)).await?;
            return Ok(((words.frozen)(&report), tone(report.ok)));
        }
        Deed::Stop(name) => daemon.stop(&one(name)).await?,
        Deed::Restart(name) => daemon.restart(&one(name)).await?,
        Deed::Kill(name) => daemon.kill(&ActionRequest { signal: Some(KILL), ..one(name) }).await?,
    };
    Ok(((words.ended)(&report), tone(report.ok)))
}

/// Whether the number still is that of the process that was chosen: it may have ended since it was drawn.
///
/// The keeper looks again, with a pidfd, whether it is one of ours; that it is the same one only we can know.
async fn still_there(daemon: &Daemon, pid: u32, start_ticks: u64) -> Result<(), CallError> {
    let usage = daemon.usage(&UsageRequest { processes: true, ..UsageRequest::default() }).await?;
    let mut all = usage.services.iter().flat_map(|one| &one.processes_detail);
    if all.any(|one| one.pid == pid && one.start_ticks == start_ticks) {
        return Ok(());
    }
    Err(CallError::Problem(Problem::new(Code::ProcessGone, format!("process {pid} has ended"))))
}
