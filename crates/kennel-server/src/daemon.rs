//! `kennel __daemon`: from the keeper's descriptors to a served API, and to the exit.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kennel_engine::panics::{self, Panic};
use kennel_engine::{Beginning, End, shutdown};
use kennel_sys::home::Home;
use kennel_sys::process;
use kennel_wire::EventKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::audit::Who;
use crate::ending::{Ending, Over};
use crate::leases::Leases;
use crate::listener::{Connections, Door};
use crate::record::Record;
use crate::routes::{self, Doors};
use crate::sockets::Sockets;
use crate::{descriptors, idle, load, rest};

/// How long answers under way may take once the engine has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves one kennel instance until it is down. `args` are those after the verb:
/// `--name NAME --state-dir DIR --runtime-dir DIR [--recovered | --successor]`; descriptor 3 is the keeper's channel,
/// 4 takes `ready` or `error: …`, 5 is the locked file, held by being open.
#[must_use]
pub fn daemon_main(args: Vec<OsString>) -> ExitCode {
    // Executed as `/proc/self/exe`, it would be called `exe` in every process list.
    let _only_for_eyes = rustix::thread::set_name(c"kennel-daemon");
    let filter = tracing_subscriber::EnvFilter::try_from_env("KENNEL_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "info".into()))
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let Some((keeper, mut ready, lock)) = inherited() else {
        tracing::error!("the daemon is started by the keeper, not by hand");
        return ExitCode::FAILURE;
    };
    let Arguments { home, successor } = match parse(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            tracing::error!(%error, "the daemon is not started like this");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
    let beginning = Beginning { home: home.clone(), keeper, successor };
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(serve(beginning, &mut ready));
        // Whoever still waits for a disk is not waited for.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok((_, Some(End::HandedOver))) => ExitCode::SUCCESS,
        Ok((_, Some(End::Orphaned))) => {
            let error = kennel_engine::become_keeper(&home, &lock);
            tracing::error!(?error, "cannot become the keeper of what runs on; the next command does");
            ExitCode::FAILURE
        }
        Ok((ok, end)) => {
            // All that it held was ended; an empty file tells that nothing can be left.
            if ok
                && end == Some(End::WithoutKeeper)
                && let Err(error) = fs::File::from(lock).set_len(0)
            {
                tracing::warn!(%error, "cannot clear the lock file");
            }
            if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            tracing::error!(%error, "the daemon cannot go on");
            // Nobody reads it on a restart; then the log has it.
            let _unread = writeln!(ready, "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn inherited() -> Option<(OwnedFd, fs::File, OwnedFd)> {
    let take = |number| process::inherited(number).ok();
    Some((take(3)?, fs::File::from(take(4)?), take(5)?))
}

/// Answers with whether every cleanup succeeded, and how the engine ended, if it did.
async fn serve(beginning: Beginning, ready: &mut fs::File) -> io::Result<(bool, Option<End>)> {
    let (home, successor) = (beginning.home.clone(), beginning.successor);
    home.create()?;
    let (engine, driver, mut held) = kennel_engine::start(beginning).await?;
    let events = engine.events().clone();
    panics::persist_first(move |panic| {
        let Panic { message, place } = panic.clone();
        tracing::error!(message, place, "the daemon panicked");
        events.last_word(EventKind::DaemonPanicked { message, place });
    });
    let sockets = Sockets::open(&home, &mut held)?;
    sockets.leave_with(&engine)?;
    kennel_sys::crash_point!("daemon.listening");
    let record = Record::begin(&home, &kennel_sys::identity::boot_id()?, &engine, successor);
    let connections = Connections::new();
    let ending = Ending::of(driver, engine.clone(), &home).map_err(io::Error::other)?;
    tokio::spawn(shutdown::on_signals(ending.coordinator().clone())?);
    tokio::spawn(load::on_hangup(engine.clone(), signal(SignalKind::hangup())?));
    tokio::spawn(descriptors::serve(sockets.stdio, engine.clone(), connections.clone()));
    tokio::spawn(idle::watch(engine.clone(), ending.clone(), connections.watch()));
    tokio::spawn(rest::watch(engine.clone(), connections.watch()));
    let door = Door { listener: sockets.api, connections };
    let (finishing, serving) = (engine.clone(), engine.clone());
    let server = axum::serve(
        door,
        routes::router(Doors { leases: Leases::new(engine.clone(), ending.clone()), engine, ending: ending.clone() })
            .into_make_service_with_connect_info::<Who>(),
    )
    .with_graceful_shutdown(async move { finishing.finished().await })
    .into_future();
    let server = tokio::spawn(server);
    serving.serving();
    writeln!(ready, "ready")?;
    kennel_sys::crash_point!("daemon.ready");
    *ready = fs::File::open("/dev/null")?;
    tracing::info!(instance = home.name, "serving");
    #[cfg(feature = "otel")]
    let exports = crate::otel::begin(&serving, &home.name);
    let over = ending.over().await;
    let _late = tokio::time::timeout(LAST_WORDS, serving.announced()).await;
    #[cfg(feature = "otel")]
    if let Some(exports) = exports {
        let _late = tokio::time::timeout(LAST_WORDS, exports).await;
    }
    let _late = tokio::time::timeout(LAST_WORDS, server).await;
    let (report, end) = match over {
        Over::Down(report, end) => (report, end),
        // Another daemon listens there, or will.
        Over::Replaced(end) => {
            record.end();
            return Ok((true, Some(end)));
        }
    };
    for socket in [home.api_socket(), home.stdio_socket()] {
        let _gone_already = fs::remove_file(socket);
    }
    if report.left == 0 && end.is_some() {
        record.end();
    }
    Ok((report.ok, end))
}

struct Arguments {
    home: Home,
    successor: bool,
}

fn parse(args: Vec<OsString>) -> io::Result<Arguments> {
    let (mut name, mut state_dir, mut runtime_dir, mut successor) = (None, None, None, false);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--name") => name = args.next().and_then(|name| name.into_string().ok()),
            Some("--state-dir") => state_dir = args.next().map(PathBuf::from),
            Some("--runtime-dir") => runtime_dir = args.next().map(PathBuf::from),
            Some("--recovered") => {}
            Some("--successor") => successor = true,
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown argument {}", arg.display())));
            }
        }
    }
    match (name, state_dir, runtime_dir) {
        (Some(name), Some(state_dir), Some(runtime_dir)) => {
            Ok(Arguments { home: Home { name, state_dir, runtime_dir }, successor })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "name, state and runtime directory are needed")),
    }
}
