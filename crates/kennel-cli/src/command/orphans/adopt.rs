//! `kennel adopt`: has an orphan held again, with everybody of its scope.

use kennel_client::{ANSWER_WITHIN, Daemon};
use kennel_wire::{Code, OrphanAdoptRequest, Problem};

use super::{Found, NOT_ANSWERED, daemon};
use crate::args::Adopt;
use crate::command::progress::waiting;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::parse::Began;
use crate::render::orphans;

pub(in crate::command) async fn adopt(context: &mut Context, args: Adopt) -> Result<u8, Failure> {
    let daemon = running(context).await?;
    let Adopt { process: Began { pid, start_ticks }, service, likely } = args;
    let work = async {
        let start_ticks = match start_ticks {
            Some(start_ticks) => start_ticks,
            None => begin_of(&daemon, pid).await?,
        };
        Ok::<_, Failure>(daemon.adopt_orphan(&OrphanAdoptRequest { pid, start_ticks, service, likely }).await?)
    };
    let report = waiting(&mut context.screen, &format!("adopting {pid}"), work).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet {
        let text = orphans::held(&report, context.global.verbose, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

/// The daemon that is to hold it. None is started for it: a start ends what is not kept.
async fn running(context: &Context) -> Result<Daemon, Failure> {
    let problem = match daemon(&context.home()?, ANSWER_WITHIN).await? {
        Found::Daemon(daemon) => return Ok(*daemon),
        Found::Nobody => Problem::new(Code::CannotAdopt, "no daemon runs here that could hold it")
            .hint("`kennel sweep --adopt` starts one, which takes over what is kept and ends the rest"),
        Found::Silent => Problem::new(Code::CannotAdopt, NOT_ANSWERED),
    };
    Err(Failure::Call(kennel_client::CallError::Problem(problem)))
}

/// When the orphan that has this number now began: the daemon compares it once more.
async fn begin_of(daemon: &Daemon, pid: u32) -> Result<u64, Failure> {
    if let Some(orphan) = daemon.orphans().await?.orphans.into_iter().find(|orphan| orphan.pid == pid) {
        return Ok(orphan.start_ticks);
    }
    // Whose it is otherwise, if anybody's, the daemon says.
    Ok(kennel_sys::proc::stat(pid).map_or(0, |stat| stat.start_ticks))
}
