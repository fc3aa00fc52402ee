//! `kennel run` and `kennel exec`: one command on our own descriptors.

use std::ffi::OsString;
use std::time::Duration;

use kennel_client::{CallError, Daemon, Running};
use kennel_sys::identity::Identity;
use kennel_wire::{
    self as wire, Code, DetachRequest, Exit, LeaseRequest, OwnerRequest, Problem, RunReport, RunRequest,
};

use super::action::suggest;
use super::down::timeout_ms;
use super::limits;
use crate::args::{Exec, Lifetime, OwnerOptions, RestartMode, Run};
use crate::context::{Context, environment};
use crate::exit_codes;
use crate::failure::Failure;
use crate::parse::millis;
use crate::render::paint::RED;
use crate::render::{self, receipt};
use crate::signals::{SIGINT, SIGKILL, Signals};

/// How long a signal that came before the command had begun is kept, and how often it is tried.
const KEEP: (u32, Duration) = (100, Duration::from_millis(20));

pub(super) async fn run(context: &mut Context, args: Run) -> Result<u8, Failure> {
    let owner = owner_request(&args.owner)?;
    if args.detach {
        return detach(context, args, owner).await;
    }
    if args.restart != RestartMode::No || !matches!(args.lifetime, None | Some(Lifetime::Call)) {
        return Err(usage("`--restart` and a lifetime other than `call` need `--detach`"));
    }
    let limits = limits::given(&args.limit, false)?;
    let request = RunRequest { owner, limits, ..request(context, args.command, args.max_runtime, None)? };
    // A daemon that is started for this alone ends by itself afterwards.
    let (daemon, running) = context.insist(async |daemon: &Daemon| hand_over(daemon).await).await?;
    perform(context, &daemon, &running, request).await
}

async fn detach(context: &mut Context, args: Run, owner: Option<OwnerRequest>) -> Result<u8, Failure> {
    let RunRequest { command, directory, environment, .. } = request(context, args.command, None, None)?;
    let request = DetachRequest {
        request: None,
        name: args.name,
        command,
        directory,
        environment,
        owner,
        lifetime: args.lifetime.map(|lifetime| match lifetime {
            Lifetime::Call => wire::Lifetime::Call,
            Lifetime::Owner => wire::Lifetime::Owner,
            Lifetime::Daemon => wire::Lifetime::Daemon,
            Lifetime::Keep => wire::Lifetime::Keep,
        }),
        restart: match args.restart {
            RestartMode::No => wire::RestartMode::No,
            RestartMode::OnFailure => wire::RestartMode::OnFailure,
            RestartMode::Always => wire::RestartMode::Always,
        },
        max_runtime_ms: timeout_ms(args.max_runtime),
        idle_timeout_ms: timeout_ms(args.idle_timeout),
        limits: limits::given(&args.limit, false)?,
    };
    let (_daemon, report) = context.insist(async |daemon: &Daemon| daemon.run_detached(&request).await).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else {
        context.screen.out(&format!("{}\n", report.name))?;
    }
    Ok(exit_codes::OK)
}

/// The owner that the options name. A process is looked up here, so that the daemon cannot mistake another one for it that
/// gets its number meanwhile.
fn owner_request(options: &OwnerOptions) -> Result<Option<OwnerRequest>, Failure> {
    let Some(name) = options.owner.clone() else { return Ok(None) };
    let mut leases = Vec::new();
    if let Some(pid) = options.lease_pid {
        let found = kennel_sys::pidfd::open(pid).and_then(|fd| Identity::read(pid, fd));
        let gone = |error| refused(Code::ProcessGone, &format!("cannot take hold of process {pid}: {error}"));
        let Identity { pid, start_ticks, inode } = found.map_err(gone)?;
        let inode = Some(inode).filter(|inode| *inode != 0);
        leases.push(LeaseRequest::Process { pid, start_ticks: Some(start_ticks), inode });
    }
    leases.extend(options.lease_ttl.map(|ttl| LeaseRequest::Heartbeat { ttl_ms: millis(ttl) }));
    let (grace_ms, limits) = (timeout_ms(options.grace), limits::given(&options.owner_limit, true)?);
    Ok(Some(OwnerRequest { name, parent: options.parent.clone(), grace_ms, leases, limits }))
}

fn usage(text: &str) -> Failure {
    refused(Code::BadRequest, text)
}

fn refused(code: Code, text: &str) -> Failure {
    Failure::Call(CallError::Problem(Problem::new(code, text)))
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
        owner: None,
        limits: None,
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
    let out_of_memory = report.receipt.out_of_memory.as_ref().map(render::limits::out_of_memory);
    let beyond = report.receipt.limit.as_ref().filter(|_| out_of_memory.is_none());
    if let Some(why) = out_of_memory.or_else(|| beyond.map(render::limits::beyond)) {
        context.screen.error(&format!("{}\n", context.screen.remarks.paint(RED, &why)));
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
