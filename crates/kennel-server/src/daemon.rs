//! `kennel __daemon`: from the keeper's descriptors to a served API, and to the exit.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kennel_engine::panics::{self, Panic};
use kennel_engine::{Beginning, End, Words, shutdown};
use kennel_sys::home::Home;
use kennel_sys::process;
use kennel_wire::EventKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::Access;
use crate::aside::Aside;
use crate::ending::{Ending, Over};
use crate::followers::Followers;
use crate::leases::Leases;
use crate::listener::{Connections, Door};
use crate::operations::Operations;
use crate::record::Record;
use crate::refusals::Refusals;
use crate::registry::Registered;
use crate::repeats::Repeats;
use crate::routes::{self, Doors};
use crate::sockets::Sockets;
use crate::tcp::Serve;
use crate::web::{self, Web};
use crate::{descriptors, idle, load, rest};

/// How long answers under way may take once the engine has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves one kennel instance until it is down. `args` are those after the verb:
/// `--name NAME --state-dir DIR --runtime-dir DIR [--recovered | --successor]`; descriptor 3 is the keeper's channel,
/// 4 takes `ready` or `error: …`, 5 is the locked file, held by being open. `words` is how events are told to people.
#[must_use]
pub fn daemon_main(args: Vec<OsString>, words: Words) -> ExitCode {
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
    // A connection is a descriptor, and so is much of each service.
    let before = process::raise_nofile();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
    let beginning = Beginning { home: home.clone(), keeper, successor, words };
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(serve(beginning, &mut ready));
        // Whoever still waits for a disk is not waited for.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok((_, Some(End::HandedOver))) => ExitCode::SUCCESS,
        Ok((_, Some(End::Orphaned))) => {
            // What a keeper starts has the limits that it was started with itself.
            if let Err(error) = before.and_then(process::lower_nofile) {
                tracing::warn!(%error, "services may open more descriptors than before");
            }
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
    let web_socket = held.remove(web::HELD);
    let sockets = Sockets::open(&home, &mut held)?;
    sockets.leave_with(&engine)?;
    kennel_sys::crash_point!("daemon.listening");
    let record = Record::begin(&home, &kennel_sys::identity::boot_id()?, &engine, successor);
    let connections = Connections::new();
    let ending = Ending::of(driver, engine.clone(), &home).map_err(io::Error::other)?;
    tokio::spawn(shutdown::on_signals(ending.coordinator().clone())?);
    let registered = Registered::new(home.registered_file());
    if let Err(problem) = registered.begin(&engine).await {
        tracing::error!(error = %problem, "what is registered is not known");
    }
    tokio::spawn(load::on_hangup(engine.clone(), registered.clone(), signal(SignalKind::hangup())?));
    let (refusals, aside) = (Refusals::new(engine.clone()), Aside::default());
    tokio::spawn(descriptors::serve(sockets.stdio, engine.clone(), connections.clone(), refusals.clone()));
    let web = Web::new(&home.state_dir, engine.clone());
    tokio::spawn(idle::watch(engine.clone(), ending.clone(), web.clone(), connections.watch()));
    tokio::spawn(rest::watch(engine.clone(), connections.watch()));
    let door = Door {
        listener: sockets.api,
        connections: connections.clone(),
        near: Connections::new(),
        refusals: refusals.clone(),
        aside: aside.clone(),
    };
    let serving = engine.clone();
    let doors = Doors {
        leases: Leases::new(engine.clone(), ending.clone()),
        access: Access::new(&home.state_dir),
        web: web.clone(),
        registered,
        operations: Operations::default(),
        repeats: Repeats::default(),
        followers: Followers::default(),
        refusals: refusals.clone(),
        engine,
        ending: ending.clone(),
    };
    let tcp =
        Serve { router: routes::tcp_router(doors.clone()), connections, engine: serving.clone(), refusals, aside };
    web.ready(tcp, web_socket);
    let server = tokio::spawn(door.serve(routes::router(doors), serving.clone()));
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
    let _late = tokio::time::timeout(LAST_WORDS, web.is_over()).await;
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
    // The next stack is another one.
    if let Err(problem) = web.close() {
        tracing::warn!(%problem, "cannot forget where the page was served");
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
