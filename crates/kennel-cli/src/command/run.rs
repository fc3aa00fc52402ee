//! `kennel run` and `kennel exec`: one command on our own descriptors.

use std::ffi::OsString;
use std::time::Duration;

use kennel_client::{CallError, Daemon, Running};
use kennel_wire::{Code, Exit, Problem, RunReport, RunRequest};

use super::action::suggest;
use super::down::timeout_ms;
use crate::args::{Exec, Run};
use crate::context::{Context, environment};
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::paint::RED;
use crate::render::receipt;
use crate::signals::{SIGINT, SIGKILL, Signals};

/// How long a signal that came before the command had begun is kept, and how often it is tried.
const KEEP: (u32, Duration) = (100, Duration::from_millis(20));

pub(super) async fn run(context: &mut Context, args: Run) -> Result<u8, Failure> {
    let request = request(context, args.command, args.timeout, None)?;
    // A daemon that is started for this alone ends by itself afterwards.
    let (daemon, running) = context.insist(async |daemon: &Daemon| hand_over(daemon).await).await?;
    perform(context, &daemon, &running, request).await
}

pub(super) async fn exec(context: &mut Context, args: Exec) -> Result<u8, Failure> {
    let request = request(context, args.command, args.timeout, Some(args.name))?;
    let daemon = context.running().await?;
    let running = hand_over(&daemon).await?;
    perform(context, &daemon, &running, request).await
}

async fn hand_over(daemon: &Daemon) -> Result<Running, CallError> {
    daemon.hand_over([rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]).await
}

fn request(
    context: &Context,
    command: Vec<OsString>,
    timeout: Option<Duration>,
    service: Option<String>,
) -> Result<RunRequest, Failure> {
    let text = |part: OsString| {
        part.into_string().map_err(|part| {
            let part = part.to_string_lossy().into_owned();
            let problem = Problem::new(Code::BadRequest, format!("argument `{part}` is not UTF-8 text"));
            Failure::Call(CallError::Problem(problem))
        })
    };
    Ok(RunRequest {
        token: String::new(),
        command: command.into_iter().map(text).collect::<Result<_, _>>()?,
        directory: context.directory.clone(),
        environment: environment(),
        service,
        timeout_ms: timeout_ms(timeout),
    })
}

async fn perform(
    context: &mut Context,
    daemon: &Daemon,
    running: &Running,
    request: RunRequest,
) -> Result<u8, Failure> {
    let mut signals = Signals::to_forward().map_err(Failure::Own)?;
    let service: Vec<String> = request.service.iter().cloned().collect();
    let answer = tokio::select! {
        answer = running.wait(request) => answer,
        never = forward(running, &mut signals) => match never {},
    };
    let report = suggest(daemon, &service, answer).await?;
    Ok(conclude(context, &report))
}

/// Passes signals on; the third Ctrl-C kills.
async fn forward(running: &Running, signals: &mut Signals) -> std::convert::Infallible {
    let mut interrupts = 0;
    loop {
        let signal = signals.next().await;
        interrupts += u32::from(signal == SIGINT);
        let signal = if signal == SIGINT && interrupts >= 3 { SIGKILL } else { signal };
        let (times, pause) = KEEP;
        for _ in 0..times {
            // Refused where the command has not begun yet, or has just ended.
            match running.signal(signal).await {
                Ok(()) | Err(CallError::Lost(_)) => break,
                Err(_) => tokio::time::sleep(pause).await,
            }
        }
    }
}

/// The command's own code. What is left of it is said, the code stays its own.
fn conclude(context: &mut Context, report: &RunReport) -> u8 {
    if report.receipt.left > 0 {
        let paint = context.screen.remarks;
        let text = receipt::summary(std::slice::from_ref(&report.receipt), false, paint);
        context.screen.error(&text);
    }
    let unknown = |context: &mut Context| {
        let text = context.screen.remarks.paint(RED, "nobody could learn how the command ended\n");
        context.screen.error(&text);
        exit_codes::RUN_FAILED
    };
    match report.exit {
        Exit::Code { code } => u8::try_from(code & 0xff).unwrap_or(exit_codes::RUN_FAILED),
        Exit::Signal { signal } => {
            u8::try_from(signal).map_or(exit_codes::RUN_FAILED, |signal| exit_codes::SIGNAL_BASE.saturating_add(signal))
        }
        Exit::Unknown => unknown(context),
    }
}
