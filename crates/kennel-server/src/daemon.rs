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
use kennel_sys::home::Home;
use kennel_sys::{process, unix};
use tokio::net::UnixListener;

use crate::listener::{Connections, Door};
use crate::{descriptors, idle, routes};

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
    let result = runtime.and_then(|runtime| runtime.block_on(serve(args, keeper, &mut ready)));
    match result {
        Ok(End::Said) => ExitCode::SUCCESS,
        Ok(End::WithoutKeeper) => {
            // All that it held was ended; an empty file tells that nothing can be left.
            if let Err(error) = fs::File::from(lock).set_len(0) {
                tracing::warn!(%error, "cannot clear the lock file");
            }
            ExitCode::SUCCESS
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

async fn serve(args: Vec<OsString>, keeper: OwnedFd, ready: &mut fs::File) -> io::Result<End> {
    let home = parse(args)?;
    home.create()?;
    let (engine, driver) = kennel_engine::start(home.clone(), keeper).await?;
    let listener = listen(&home.api_socket())?;
    let stdio = listen(&home.stdio_socket())?;
    kennel_sys::crash_point!("daemon.listening");
    let connections = Connections::new();
    let driver = tokio::spawn(driver.run());
    tokio::spawn(descriptors::serve(stdio, engine.clone(), connections.clone()));
    tokio::spawn(idle::watch(engine.clone(), connections.watch()));
    tokio::spawn(on_signals(engine.clone()));
    let door = Door { listener, connections };
    let (finishing, finished) = (engine.clone(), engine.clone());
    let server = axum::serve(door, routes::router(engine))
        .with_graceful_shutdown(async move { finishing.finished().await })
        .into_future();
    let server = tokio::spawn(server);
    writeln!(ready, "ready")?;
    kennel_sys::crash_point!("daemon.ready");
    *ready = fs::File::open("/dev/null")?;
    tracing::info!(instance = home.name, "serving");
    finished.finished().await;
    let _late = tokio::time::timeout(LAST_WORDS, server).await;
    for socket in [home.api_socket(), home.stdio_socket()] {
        let _gone_already = fs::remove_file(socket);
    }
    driver.await.map_err(io::Error::other)
}

/// A polite signal to the daemon takes the stack down as `kennel down` does; a second one hastens it.
async fn on_signals(engine: kennel_engine::Handle) {
    use kennel_wire::{DownRequest, Urgency};
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return tracing::warn!("cannot wait for signals");
    };
    let mut urgency = Urgency::Graceful;
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!(?urgency, "asked by a signal to go down");
        let (engine, request) = (engine.clone(), DownRequest { urgency, timeout_ms: None });
        tokio::spawn(async move { engine.down(request).await });
        urgency = if urgency == Urgency::Graceful { Urgency::Hurry } else { Urgency::Kill };
    }
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
