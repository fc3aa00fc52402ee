//! Adoption of an orphan on request: found and gathered by a thread of its own, held by the engine.

use std::path::PathBuf;

use kennel_keeper::proto;
use kennel_orphans::{AdoptError, Meant, Target, pick};
use kennel_sys::identity::Identity;
use kennel_sys::{pipe, proc};
use kennel_wire::{AdoptReport, Code, OrphanAdoptRequest, Problem};

use crate::driver::{Adoption, Input, WantsAdoption};
use crate::handle::Handle;
use crate::orphans::{blocking, problem as no_search};

impl Handle {
    /// Has the scope of an orphan held again, as a run of its service or on its own; answers when the keeper holds it.
    ///
    /// # Errors
    /// `process_gone`, `process_not_ours`, `not_certain`, `cannot_adopt`, `unknown_service`, `conflict`, `shutting_down`.
    pub async fn adopt_orphan(&self, request: OrphanAdoptRequest) -> Result<AdoptReport, Problem> {
        // Whoever asked may go away; what was begun is not left half done for that.
        let this = self.clone();
        let work = tokio::spawn(async move { this.adopt(request).await });
        work.await.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
    }

    async fn adopt(&self, request: OrphanAdoptRequest) -> Result<AdoptReport, Problem> {
        // Two at once would take the processes out of each other's hands.
        let _alone = self.adoptions.lock().await;
        let OrphanAdoptRequest { pid, start_ticks, service, likely } = request;
        let (home, ask) = (self.home.clone(), self.tracking());
        let found = run(move || pick(&home, ask, Meant { pid, start_ticks, likely })).await?;
        let wants = WantsAdoption {
            service,
            was: found.orphan.service.clone(),
            pid,
            group: found.group.clone(),
            outlives: found.outlives,
        };
        let plan = self.ask(|reply| Input::PlanAdoption(wants, reply)).await??;
        let (root, leaf, kept, gathers) = (plan.root.clone(), plan.leaf.clone(), plan.kept, plan.gathers);
        let adoption = run(move || {
            let processes = if gathers { found.gather(&root, &leaf, kept)? } else { found.members.clone() };
            Ok(described(&found, &processes))
        });
        let adoption = Adoption { plan, ..adoption.await? };
        self.ask(|reply| Input::Adopt(Box::new(adoption), reply)).await?
    }
}

/// What can be seen of it, for whoever holds it from now on.
fn described(found: &Target, processes: &[Identity]) -> Adoption {
    let pid = found.main.pid;
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd"));
    let Identity { pid, start_ticks, inode } = found.main;
    Adoption {
        plan: crate::driver::AdoptionPlan::default(),
        main: proto::Identity { pid, start_ticks, inode },
        command: proc::command(pid, 200).unwrap_or_else(|| found.orphan.command.clone()),
        directory: cwd.unwrap_or_else(|_| PathBuf::from("/")),
        since: found.orphan.since,
        pipes: pipe::outliving(pid),
        processes: processes.iter().map(|it| it.pid).collect(),
    }
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, AdoptError> + Send + 'static) -> Result<T, Problem> {
    blocking(work, problem).await
}

fn problem(error: &AdoptError) -> Problem {
    let text = match std::error::Error::source(error) {
        Some(source) if matches!(error, AdoptError::Move { .. }) => format!("{error}: {source}"),
        _ => error.to_string(),
    };
    match error {
        AdoptError::Search(error) => no_search(error),
        AdoptError::Gone { .. } => {
            Problem::new(Code::ProcessGone, text).hint("`kennel ps --orphans` lists who is there")
        }
        AdoptError::Uncertain { .. } => {
            Problem::new(Code::NotCertain, text).hint("`--likely` (`likely` in the API) adopts it all the same")
        }
        AdoptError::NoRight { .. } => {
            Problem::new(Code::CannotAdopt, text).hint("a kennel of that user, or root's, can")
        }
        AdoptError::Restless { .. } => {
            Problem::new(Code::CannotAdopt, text).hint("they go on as before; `kennel sweep --stop` ends them")
        }
        AdoptError::OtherKennel { .. } => {
            Problem::new(Code::CannotAdopt, text).hint("end that kennel with `kennel down` of its own first")
        }
        AdoptError::Move { .. } => Problem::new(Code::CannotAdopt, text)
            .hint("`kennel sweep --stop` ends it; started under kennel it is held from the start"),
    }
}
