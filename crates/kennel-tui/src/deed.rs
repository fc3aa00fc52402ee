//! Does what was agreed to, beside the pictures.

use kennel_client::{CallError, Daemon};
use kennel_wire::{ActionRequest, Code, Problem, Receipt, UsageRequest};
use tokio::sync::mpsc::UnboundedSender;

use crate::Words;
use crate::action::{Deed, KILL};
use crate::live::{Answer, Input};
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
            Self::Leave => "leaving …".to_owned(),
        }
    }
}

/// Asks the daemon; the answer comes as an input.
pub(crate) fn spawn(daemon: &Daemon, deed: Deed, words: Words, sender: UnboundedSender<Input>) {
    let daemon = daemon.clone();
    tokio::spawn(async move {
        let what = deed.under_way();
        let answer = match ask(&daemon, deed, words).await {
            Ok((text, ok, receipts)) => Answer { what, text, tone: if ok { Tone::Good } else { Tone::Bad }, receipts },
            Err(error) => Answer { what, text: error.to_string(), tone: Tone::Bad, receipts: Vec::new() },
        };
        let _we_left = sender.send(Input::Done(answer));
    });
}

/// What came of it in a line, whether that is what was wanted, and the receipts of what was stopped.
async fn ask(daemon: &Daemon, deed: Deed, words: Words) -> Result<(String, bool, Vec<Receipt>), CallError> {
    let one = |name: String| ActionRequest { services: vec![name], ..ActionRequest::default() };
    let report = match deed {
        Deed::Start(name) => {
            let report = daemon.start_services(&one(name.clone())).await?;
            return Ok(((words.started)(&report, &name), report.ok, Vec::new()));
        }
        Deed::Signal { pid, start_ticks, signal } => {
            still_there(daemon, pid, start_ticks).await?;
            let report = daemon.signal_process(pid, signal).await?;
            return Ok(((words.signalled)(&report), true, Vec::new()));
        }
        Deed::Freeze(name) => {
            let report = daemon.freeze(&one(name)).await?;
            return Ok(((words.frozen)(&report), report.ok, Vec::new()));
        }
        Deed::Thaw(name) => {
            let report = daemon.thaw(&one(name)).await?;
            return Ok(((words.frozen)(&report), report.ok, Vec::new()));
        }
        Deed::Stop(name) => daemon.stop(&one(name)).await?,
        Deed::Restart(name) => daemon.restart(&one(name)).await?,
        Deed::Kill(name) => daemon.kill(&ActionRequest { signal: Some(KILL), ..one(name) }).await?,
        // Whoever shows us sees to that.
        Deed::Leave => return Ok((String::new(), true, Vec::new())),
    };
    Ok(((words.ended)(&report), report.ok, report.receipts))
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
