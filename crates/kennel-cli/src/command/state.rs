//! `kennel state`: what other tools read and write of an instance.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kennel_client::{ConnectError, Daemon, Home};
use kennel_config::{RecordedServer, dashboard_config, read_dashboard};
use kennel_formats::{Claim, Ours, Server, answered, dashboard, listed, recorded, whose};
use kennel_sys::identity::{Identity, boot_id};
use kennel_wire::{ImportReport, ImportedServer, Orphan};

use crate::args::{Export, ExportFormat, Import, ImportFormat, StateCommand};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::import::block;

pub(super) async fn state(context: &mut Context, command: StateCommand) -> Result<u8, Failure> {
    match command {
        StateCommand::Export(args) => export(context, &args).await,
        StateCommand::Import(args) => import(context, &args).await,
    }
}

async fn export(context: &mut Context, args: &Export) -> Result<u8, Failure> {
    let servers = servers(context, &context.home()?).await?;
    match args.format {
        ExportFormat::DashboardJson => {
            let state = dashboard(&servers);
            match &args.output {
                None => context.screen.json(&state)?,
                Some(path) => {
                    let path = context.directory.join(path);
                    let mut text =
                        serde_json::to_string_pretty(&state).map_err(|error| Failure::Output(error.into()))?;
                    text.push('\n');
                    replace(&path, &text).map_err(|source| Failure::File {
                        doing: "write",
                        path: path.clone(),
                        source,
                    })?;
                    context.screen.remark(&format!("wrote {}\n", path.display()));
                }
            }
        }
        ExportFormat::Pids => {
            let directory = context.directory.join(args.output.as_deref().unwrap_or(Path::new(".")));
            let services = listed(&servers);
            let written = kennel_formats::write(&directory, &services);
            let written =
                written.map_err(|source| Failure::File { doing: "write", path: directory.clone(), source })?;
            if context.global.json {
                context.screen.json(&written)?;
            } else {
                let what =
                    if services.len() == 1 { "1 service".to_owned() } else { format!("{} services", services.len()) };
                context.screen.remark(&format!("wrote {what} to {} in {}\n", names(&written), directory.display()));
            }
        }
    }
    Ok(exit_codes::OK)
}

fn names(paths: &[PathBuf]) -> String {
    let names = paths.iter().filter_map(|path| path.file_name());
    names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

/// From the daemon, or from the store without one. Starts nothing: what a lost kennel has left is shown as it is.
async fn servers(context: &mut Context, home: &Home) -> Result<Vec<Server>, Failure> {
    let boot_id = boot_id().map_err(Failure::Own)?;
    match Daemon::connect(home).await {
        Ok(Some(daemon)) => return Ok(answered(&daemon.services().await?, &boot_id)),
        Ok(None) => {}
        Err(ConnectError::NoAnswer { .. }) => {
            context.screen.aside("warning: the daemon does not answer; this is what it has recorded\n");
        }
        Err(error) => return Err(error.into()),
    }
    let path = home.state_dir.clone();
    let found = recorded(&path, &boot_id).map_err(|error| Failure::File {
        doing: "read the store in",
        path,
        source: io::Error::other(one_line(&error)),
    })?;
    for why in found.incomplete {
        context.screen.aside(&format!("warning: this may not be all: {why}\n"));
    }
    Ok(found.servers)
}

fn one_line(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

async fn import(context: &mut Context, args: &Import) -> Result<u8, Failure> {
    let file = context.directory.join(&args.input);
    let servers = match args.format {
        ImportFormat::DashboardJson => read_dashboard(&file)?,
    };
    let ours = ours(context).await?;
    let config = if servers.is_empty() { String::new() } else { dashboard_config(&servers) };
    let mut report = ImportReport {
        file,
        config,
        written: None,
        servers: servers.iter().map(|server| imported(server, &ours)).collect(),
    };
    let target = args.write.as_ref().map(|path| context.directory.join(path));
    if let Some(path) = target.filter(|_| !args.dry_run && !report.config.is_empty()) {
        create(&path, &report.config, args.force).map_err(|source| Failure::File {
            doing: "write",
            path: path.clone(),
            source,
        })?;
        report.written = Some(path);
    }
    if context.global.json {
        context.screen.json(&report)?;
        return Ok(exit_codes::OK);
    }
    let told = block(&report, context.screen.paint);
    // The configuration is the result where it goes nowhere else.
    if args.dry_run || args.write.is_some() {
        context.screen.out(&told)?;
    } else {
        context.screen.out(&report.config)?;
        context.screen.remark(&told);
    }
    Ok(exit_codes::OK)
}

fn imported(server: &RecordedServer, ours: &[Ours]) -> ImportedServer {
    let claim = Claim { pid: server.pid, command: &server.command, start_time_ms: server.start_time_ms };
    let (process, why, command) = whose(&claim, ours);
    ImportedServer { id: server.id.clone(), pid: server.pid, process, why, command }
}

/// Every process that is known to be of this instance. Without a daemon: by the store, and by what orphans are known by.
async fn ours(context: &mut Context) -> Result<Vec<Ours>, Failure> {
    let home = context.home()?;
    let servers = servers(context, &home).await?;
    let main = |server: &Server| {
        Some(Ours { identity: server.main?.identity, why: format!("the main process of `{}`", server.id) })
    };
    let mut ours: Vec<Ours> = servers.iter().filter_map(main).collect();
    match Daemon::connect(&home).await {
        Ok(Some(daemon)) => {
            for server in &servers {
                // One that was removed meanwhile has none any more.
                let places = daemon.service(&server.id).await.unwrap_or_default();
                for process in places.into_iter().flat_map(|place| place.tree) {
                    let identity = Identity {
                        pid: process.pid,
                        start_ticks: process.start_ticks,
                        inode: process.inode.unwrap_or(0),
                    };
                    ours.push(Ours { identity, why: format!("in the scope of `{}`", server.id) });
                }
            }
            ours.extend(daemon.orphans().await?.orphans.iter().map(orphan));
        }
        Ok(None) => ours.extend(kennel_orphans::find(&home)?.orphans.iter().map(orphan)),
        // What it tracks only it could tell; the records have told what there is.
        Err(ConnectError::NoAnswer { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(ours)
}

fn orphan(orphan: &Orphan) -> Ours {
    let inode = orphan.inode.unwrap_or(0);
    let identity = Identity { pid: orphan.pid, start_ticks: orphan.start_ticks, inode };
    Ours { identity, why: format!("an orphan of this kennel: {}", orphan.why) }
}

/// Writes a file beside the one that it becomes, so that nobody reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let _of_a_lost_process = std::fs::remove_file(&temporary);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// Writes a file that is not there, or with `force` one that is.
fn create(path: &Path, text: &str, force: bool) -> io::Result<()> {
    if force {
        return replace(path, text);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "it is there already; --force replaces it"),
        _ => error,
    })?;
    file.write_all(text.as_bytes())
}
