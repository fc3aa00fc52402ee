//! `kennel __daemon`: from the keeper's descriptors to a served API, and to the exit.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kennel_engine::End;
use kennel_engine::panics::{self, Panic};
use kennel_engine::shutdown;
use kennel_sys::home::Home;
use kennel_sys::{process, unix};
use kennel_wire::EventKind;
use tokio::net::UnixListener;

use crate::ending::Ending;
use crate::listener::{Connections, Door};
use crate::record::Record;
use crate::routes::{self, Doors};
use crate::{descriptors, idle};

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(serve(args, keeper, &mut ready));
        // Whoever still waits for a disk is not waited for.
        runtime.shutdown_background();
        result
    });
    match result {
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
async fn serve(args: Vec<OsString>, keeper: OwnedFd, ready: &mut fs::File) -> io::Result<(bool, Option<End>)> {
    let home = parse(args)?;
    home.create()?;
    let (engine, driver) = kennel_engine::start(home.clone(), keeper).await?;
    let events = engine.events().clone();
    panics::persist_first(move |panic| {
        let Panic { message, place } = panic.clone();
        tracing::error!(message, place, "the daemon panicked");
        events.last_word(EventKind::DaemonPanicked { message, place });
    });
    let listener = listen(&home.api_socket())?;
    let stdio = listen(&home.stdio_socket())?;
    kennel_sys::crash_point!("daemon.listening");
    let record = Record::begin(&home, &kennel_sys::identity::boot_id()?, &engine);
    let connections = Connections::new();
    let ending = Ending::of(driver, engine.clone(), &home).map_err(io::Error::other)?;
    tokio::spawn(shutdown::on_signals(ending.coordinator().clone())?);
    tokio::spawn(descriptors::serve(stdio, engine.clone(), connections.clone()));
    tokio::spawn(idle::watch(engine.clone(), ending.clone(), connections.watch()));
    let door = Door { listener, connections };
    let finishing = engine.clone();
    let server = axum::serve(door, routes::router(Doors { engine, ending: ending.clone() }))
        .with_graceful_shutdown(async move { finishing.finished().await })
        .into_future();
    let server = tokio::spawn(server);
    writeln!(ready, "ready")?;
    kennel_sys::crash_point!("daemon.ready");
    *ready = fs::File::open("/dev/null")?;
    tracing::info!(instance = home.name, "serving");
    let (report, end) = ending.over().await;
    let _late = tokio::time::timeout(LAST_WORDS, server).await;
    for socket in [home.api_socket(), home.stdio_socket()] {
        let _gone_already = fs::remove_file(socket);
    }
    if report.left == 0 && end.is_some() {
        record.end();
    }
    Ok((report.ok, end))
}

/// The lock says that no other daemon of this instance lives, so a socket file that is there is a dead one's.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = unix::bind(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display())))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn parse(args: Vec<OsString>) -> io::Result<Home> {
    let (mut name, mut state_dir, mut runtime_dir) = (None, None, None);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--name") => name = args.next().and_then(|name| name.into_string().ok()),
            Some("--state-dir") => state_dir = args.next().map(PathBuf::from),
            Some("--runtime-dir") => runtime_dir = args.next().map(PathBuf::from),
            Some("--recovered" | "--successor") => {}
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown argument {}", arg.display())));
            }
        }
    }
    match (name, state_dir, runtime_dir) {
        (Some(name), Some(state_dir), Some(runtime_dir)) => Ok(Home { name, state_dir, runtime_dir }),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "name, state and runtime directory are needed")),
    }
}
