//! Which kennel instance, which configuration, which daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_client::{CallError, Daemon, Home};
use kennel_config::{FindError, LoadOptions};
use kennel_orphans::{Error, Whom, Wish};
pub(crate) use kennel_sys::process::environment;
use kennel_wire::{Code, InstanceOrphans, Registry};
use tokio::time::Instant;

use crate::args::Global;
use crate::failure::Failure;
use crate::render::orphans;
use crate::screen::Screen;

/// How long a daemon that is shutting down may take before another `up` gives up waiting for it.
const LEAVES_WITHIN: Duration = Duration::from_secs(60);

/// How often a daemon that vanished is asked for again, and the pause before that.
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// What every command knows.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) directory: PathBuf,
    pub(crate) screen: Screen,
    /// Whether it was said what a daemon cannot record.
    told: AtomicBool,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let directory = std::env::current_dir().map_err(Failure::Own)?;
        let screen = Screen::new(&global);
        Ok(Self { global, directory, screen, told: AtomicBool::new(false) })
    }

    /// The configuration file, absolute: the named one, else the one found here or above.
    pub(crate) fn config_file(&self) -> Result<PathBuf, FindError> {
        match &self.global.file {
            Some(file) => Ok(self.directory.join(file)),
            None => kennel_config::find(&self.directory),
        }
    }

    /// The directories of the kennel instance: those of the project, or of the current directory without one.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        let project = match self.config_file() {
            Ok(file) => parent(&file),
            Err(FindError::Two { directory, .. }) => directory,
            Err(_) => self.directory.clone(),
        };
        // A typo there must not lead to an instance that nobody has ever meant.
        if let Some(file) = &self.global.file
            && !self.directory.join(file).exists()
        {
            return Err(Failure::NoFile(self.directory.join(file)));
        }
        Home::locate(self.global.instance.as_deref(), &project).map_err(Failure::Home)
    }

    /// Checks the configuration here, so that its errors are seen before anything is started.
    pub(crate) fn load(&self, profiles: &[String]) -> Result<Loaded, Failure> {
        let environment = environment();
        let registered = self.registered()?;
        let file = match self.config_file() {
            Err(FindError::None { .. }) if !registered.is_empty() => None,
            file => Some(file?),
        };
        let options = LoadOptions { environment: &environment, profiles };
        let mut services = match &file {
            Some(file) => kennel_config::load(file, &options)?.services.into_keys().collect(),
            None => Vec::new(),
        };
        services.extend(registered);
        Ok(Loaded { file, environment, services })
    }

    /// The configuration here, as it is understood.
    pub(crate) fn project(&self) -> Result<kennel_core::model::Project, Failure> {
        let environment = environment();
        let options = LoadOptions { environment: &environment, profiles: &[] };
        Ok(kennel_config::load(&self.config_file()?, &options)?)
    }

    /// Names of services that were registered. Whether they are well declared the daemon says.
    fn registered(&self) -> Result<Vec<String>, Failure> {
        let path = self.home()?.registered_file();
        let source = match std::fs::read(&path) {
            Ok(text) => return Ok(serde_json::from_slice(&text).map(names).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => error,
        };
        Err(Failure::File { doing: "read", path, source })
    }

    /// The daemon, if one runs. Where keeper and daemon were both lost, a new pair is started first, which ends what
    /// they left: nobody is told that nothing runs while something does.
    pub(crate) async fn connect(&self) -> Result<Option<Daemon>, Failure> {
        let home = self.home()?;
        match Daemon::connect(&home).await? {
            Some(daemon) => Ok(Some(self.with_trouble(daemon))),
            None if Daemon::may_have_left_something(&home)? => self.start(&home).await.map(Some),
            None => Ok(None),
        }
    }

    /// The daemon, if one runs. Nothing is started and nothing cleared away, so what a lost one has left may still run.
    pub(crate) async fn present(&self, home: &Home) -> Result<Option<Daemon>, Failure> {
        Ok(Daemon::connect(home).await?.map(|daemon| self.with_trouble(daemon)))
    }

    /// The daemon that runs, or, for what outlives a stack, a new one that ends by itself afterwards.
    pub(crate) async fn historian(&self) -> Result<Daemon, Failure> {
        match self.connect().await? {
            Some(daemon) => Ok(daemon),
            None if has_history(&self.home()?) => self.ensure().await,
            None => Err(Failure::NoDaemon),
        }
    }

    /// The daemon; that none runs is a failure.
    pub(crate) async fn running(&self) -> Result<Daemon, Failure> {
        self.connect().await?.ok_or(Failure::NoDaemon)
    }

    /// The daemon that runs, or a new one.
    pub(crate) async fn ensure(&self) -> Result<Daemon, Failure> {
        let home = self.home()?;
        match Daemon::connect(&home).await? {
            Some(daemon) => Ok(self.with_trouble(daemon)),
            None => self.start(&home).await,
        }
    }

    /// Says once what a daemon cannot record: that is not seen in what it answers.
    fn with_trouble(&self, daemon: Daemon) -> Daemon {
        if let Some(trouble) = daemon.known().trouble.as_deref().filter(|_| !self.global.quiet)
            && !self.told.swap(true, Ordering::Relaxed)
        {
            self.screen.aside(&format!("warning: {trouble}\n"));
        }
        daemon
    }

    /// Starts a daemon, and says what had to be cleared away before.
    pub(crate) async fn start(&self, home: &Home) -> Result<Daemon, Failure> {
        let (daemon, cleared) = start(home).await?;
        if let Some(cleared) = cleared.filter(|_| !self.global.quiet) {
            self.screen.aside(&orphans::remark(&cleared, self.screen.remarks));
        }
        Ok(daemon)
    }

    /// Asks the daemon that runs, if one does. One that ends meanwhile is waited for: what comes after it is the truth.
    pub(crate) async fn look<T, F>(&self, ask: F) -> Result<Option<T>, Failure>
    where
        F: AsyncFn(&Daemon) -> Result<T, CallError>,
    {
        let deadline = Instant::now() + LEAVES_WITHIN;
        loop {
            let Some(daemon) = self.connect().await? else { return Ok(None) };
            match ask(&daemon).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if !is_leaving(&error) || Instant::now() >= deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Asks a daemon for something, starting one if necessary; a daemon that is just going is waited for first.
    pub(crate) async fn insist<T, F>(&mut self, ask: F) -> Result<(Daemon, T), Failure>
    where
        F: AsyncFn(&Daemon) -> Result<T, CallError>,
    {
        let deadline = Instant::now() + LEAVES_WITHIN;
        let mut lost = 0;
        let mut said = false;
        loop {
            let daemon = self.ensure().await?;
            match ask(&daemon).await {
                Ok(answer) => return Ok((daemon, answer)),
                // It ended between two questions, and the next one is asked of another.
                Err(CallError::Lost(_)) if lost < RETRIES => {
                    lost += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(CallError::Problem(problem)) if problem.code == Code::ShuttingDown && Instant::now() < deadline => {
                    if !said {
                        self.screen.remark("waiting for the stack that is just being stopped\n");
                        said = true;
                    }
                    // It may be gone already, and then there is nothing to wait for.
                    match daemon.departure().await {
                        Ok(departure) => departure.wait(deadline.saturating_duration_since(Instant::now())).await?,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether anything ever ran. What wrote nothing has no log, and its events are in the store all the same.
fn has_history(home: &Home) -> bool {
    home.logs_dir().is_dir() || home.state_dir.join("store.db").is_file()
}

fn is_leaving(error: &CallError) -> bool {
    match error {
        CallError::Lost(_) => true,
        CallError::Problem(problem) => problem.code == Code::ShuttingDown,
        _ => false,
    }
}

/// Starts a daemon with the environment of this process. Where the last one was lost, what it left is ended first, but
/// for what the new one adopts; answers with that, if it was anything.
pub(crate) async fn start(home: &Home) -> Result<(Daemon, Option<InstanceOrphans>), Failure> {
    let exe = std::env::current_exe().map_err(Failure::Own)?;
    let mut cleared = None;
    if Daemon::may_have_left_something(home)? {
        cleared =
            match kennel_orphans::stop(home, &Wish { whom: Whom::NotKept, grace: Duration::ZERO, for_a_start: true }) {
                Ok(told) => Some(told),
                // Somebody else starts it, and has done that; or it is for the keeper, which leaves the scope it is in.
                Err(Error::Held { .. } | Error::Inside { .. }) => None,
                Err(error) => return Err(error.into()),
            };
    }
    let cleared = cleared.filter(|told| !told.ended.is_empty() || told.left > 0 || told.note.is_some());
    Ok((Daemon::start(home, &exe, std::env::vars_os()).await?, cleared))
}

/// A configuration that has no errors.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// None: there is none, and some are registered.
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Declared names, in the file's order, then those that are registered.
    pub(crate) services: Vec<String>,
}

fn names(registry: Registry) -> Vec<String> {
    registry.services.into_keys().collect()
}

fn parent(file: &Path) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}
