//! The end of the daemon: whoever asks for it, one shutdown goes through all that has to be done, in order.
//!
//! | phase | cleanup | what |
//! |---|---|---|
//! | persist | `state` | everything that has happened is recorded |
//! | cleanup | `services` | the stop of every service, with its receipt, until nothing is left |
//! | drain | `logs` | what services have written is in their files |
//! | end | `keeper` | it is told goodbye, and removes what holds scopes |

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_engine::shutdown::{Call, Cleanup, Coordinator, Patience, Phase, RegisterError, Urgency};
use kennel_engine::{Driver, End, Ended, Handle, Reason};
use kennel_sys::home::Home;
use kennel_wire::{self as wire, Code, DownReport, DownRequest, Problem, ShutdownReport};
use tokio::sync::{oneshot, watch};

/// Bounds what the configuration of services does not bound: a process that nobody can end.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The services have their own stop sequences. In a hurry each is killed after a second, forced at once; beyond that a kill needs
/// five seconds until it is clear that it cannot end somebody.
const SERVICES: Patience =
    Patience { graceful: DAY, hurried: Duration::from_secs(30), forced: Duration::from_secs(10) };

/// To be told also when it is forced: a keeper without a goodbye would start another daemon.
const KEEPER: Patience =
    Patience { graceful: Duration::from_secs(5), hurried: Duration::from_secs(5), forced: Duration::from_secs(2) };

/// Both take milliseconds unless the disk hangs, and are worth that also when it is forced.
const STATE: Patience = quick(Duration::from_secs(5));
const LOGS: Patience = quick(Duration::from_secs(10));

const fn quick(graceful: Duration) -> Patience {
    let second = Duration::from_secs(1);
    Patience { graceful, hurried: second, forced: second }
}

/// The way to the end. Clones go the same way.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    engine: Handle,
    coordinator: Coordinator,
    gate: Arc<Mutex<Gate>>,
    driver: watch::Receiver<Option<Arc<Mutex<Option<Ended>>>>>,
}

/// How it came to an end.
pub(crate) enum Over {
    /// Everything is down; how the engine ended, if it did.
    Down(ShutdownReport, Option<End>),
    /// Another daemon goes on.
    Replaced(End),
}

/// Requests wait here for the services' turn, so that the first one's answer has every receipt.
#[derive(Debug)]
enum Gate {
    Closed(Vec<Asked>),
    Open,
}

#[derive(Debug)]
struct Asked {
    request: DownRequest,
    reason: Reason,
    /// Nobody may wait for the answer.
    reply: Option<oneshot::Sender<Result<DownReport, Problem>>>,
}

impl Ending {
    /// Lets the driver run, and prepares its end.
    pub(crate) fn of(driver: Driver, engine: Handle, home: &Home) -> Result<Self, RegisterError> {
        let coordinator = Coordinator::new(DAY).saved_in(&home.state_dir);
        let (driver_ended, ended) = watch::channel(None);
        let ending = Self { engine, coordinator, gate: Arc::new(Mutex::new(Gate::Closed(Vec::new()))), driver: ended };
        ending.register()?;
        let coordinator = ending.coordinator.clone();
        tokio::spawn(async move {
            let ended = driver.run().await;
            let end = ended.end();
            driver_ended.send_replace(Some(Arc::new(Mutex::new(Some(ended)))));
            if !is_replaced(end) {
                // Unless it was asked to end, it has lost its keeper.
                coordinator.begin("keeper_lost", Urgency::Graceful);
            }
        });
        Ok(ending)
    }

    fn register(&self) -> Result<(), RegisterError> {
        let (engine, state) = (self.engine.clone(), self.clone());
        let (logs, keeper) = (self.engine.clone(), self.clone());
        self.coordinator.register_all(vec![
            Cleanup::new("state", Phase::Persist, |_| async move {
                // One that has ended has recorded everything before.
                let _ended = engine.persist().await;
                Ok(())
            })
            .patience(STATE),
            Cleanup::new("services", Phase::Cleanup, |call| state.stop_services(call)).patience(SERVICES),
            Cleanup::new("logs", Phase::Drain, |_| async move {
                logs.flush_logs().await;
                Ok(())
            })
            .patience(LOGS),
            Cleanup::new("keeper", Phase::End, |call| async move {
                keeper.goodbye(&call).await.map_err(|error| error.to_string())
            })
            .patience(KEEPER),
        ])
    }

    /// Signals to the daemon mean the same as requests.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// `POST /v1/down`: stops everything; a later, more urgent request hastens it.
    pub(crate) async fn down(&self, request: DownRequest) -> Result<DownReport, Problem> {
        let urgency = match request.urgency {
            wire::Urgency::Graceful => Urgency::Graceful,
            wire::Urgency::Hurry => Urgency::Hurry,
            wire::Urgency::Kill => Urgency::Force,
        };
        let (reply, answer) = oneshot::channel();
        self.ask(Asked { request, reason: Reason::Down, reply: Some(reply) });
        self.coordinator.begin("requested", urgency);
        let gone = |_| Problem::new(Code::ShuttingDown, "the daemon is shutting down");
        let mut report = answer.await.map_err(gone)??;
        if report.left == 0 {
            let shutdown = self.coordinator.report().await;
            report.ok &= shutdown.ok;
            report.shutdown = Some(shutdown);
        }
        Ok(report)
    }

    /// The client that held the stack went away.
    pub(crate) fn client_gone(&self) {
        // Whoever is sent on to another daemon closes its connection to this one as well.
        if !self.coordinator.has_begun() && !self.engine.has_ended() {
            self.ask(Asked { request: DownRequest::default(), reason: Reason::ClientGone, reply: None });
            self.coordinator.begin("client_gone", Urgency::Graceful);
        }
    }

    /// Nobody would miss the daemon.
    pub(crate) fn idle(&self) {
        self.coordinator.begin("idle", Urgency::Graceful);
    }

    /// Waits for the end of the shutdown, of which whoever follows the engine hears, or until another daemon goes on.
    pub(crate) async fn over(&self) -> Over {
        let report = tokio::select! {
            report = self.coordinator.report() => report,
            end = self.replaced() => return Over::Replaced(end),
        };
        let ended = self.driver.borrow().as_ref().and_then(|ended| lock(ended).take());
        let end = ended.as_ref().map(Ended::end);
        if let Some(ended) = ended {
            ended.complete(report.clone());
        }
        Over::Down(report, end)
    }

    async fn replaced(&self) -> End {
        let ended = self.ended().await;
        let end = lock(&ended).as_ref().map(Ended::end);
        match end {
            Some(end) if is_replaced(end) => end,
            _ => std::future::pending().await,
        }
    }

    /// Asks the driver, once it is its turn.
    fn ask(&self, asked: Asked) {
        match &mut *lock(&self.gate) {
            Gate::Closed(waiting) => waiting.push(asked),
            Gate::Open => self.pass(asked),
        }
    }

    fn pass(&self, asked: Asked) {
        let answer = self.engine.down(asked.request, asked.reason);
        if let Some(reply) = asked.reply {
            tokio::spawn(async move {
                // Whoever asked may have gone.
                let _unheard = reply.send(answer.await);
            });
        }
    }

    async fn stop_services(self, mut call: Call) -> Result<(), String> {
        let waiting = match std::mem::replace(&mut *lock(&self.gate), Gate::Open) {
            Gate::Closed(waiting) => waiting,
            Gate::Open => Vec::new(),
        };
        if waiting.is_empty() {
            self.hasten(call.urgency());
        }
        waiting.into_iter().for_each(|asked| self.pass(asked));
        let ended = loop {
            tokio::select! {
                biased; // One that has ended needs no haste any more.
                ended = self.ended() => break ended,
                urgency = call.hastened() => self.hasten(urgency),
            }
        };
        let left = lock(&ended).as_ref().map_or(0, Ended::left);
        if left == 0 { Ok(()) } else { Err(format!("{left} processes are left that cannot be ended")) }
    }

    fn hasten(&self, urgency: Urgency) {
        let urgency = match urgency {
            Urgency::Graceful => wire::Urgency::Graceful,
            Urgency::Hurry => wire::Urgency::Hurry,
            Urgency::Force => wire::Urgency::Kill,
        };
        self.pass(Asked { request: DownRequest { urgency, timeout_ms: None }, reason: Reason::Down, reply: None });
    }

    /// The driver after its last turn.
    async fn ended(&self) -> Arc<Mutex<Option<Ended>>> {
        let mut driver = self.driver.clone();
        loop {
            if let Some(ended) = &*driver.borrow_and_update() {
                return Arc::clone(ended);
            }
            // The driver's task tells it in any case.
            if driver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Counts who is left as well: also where the services took too long, this comes to its end.
    async fn goodbye(&self, call: &Call) -> io::Result<()> {
        // Nothing to one that has ended.
        self.engine.give_up();
        let shared = self.ended().await;
        let Some(mut ended) = lock(&shared).take() else { return Ok(()) };
        call.leave(ended.left());
        let said = ended.goodbye().await;
        *lock(&shared) = Some(ended);
        said
    }
}

/// Whether services run on, and somebody else sees to them.
fn is_replaced(end: End) -> bool {
    match end {
        End::HandedOver | End::Orphaned => true,
        End::Said | End::WithoutKeeper => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
