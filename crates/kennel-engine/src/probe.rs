//! Asks whether an instance can serve, and whether it is alive. One task for each question; it ends with the instance.
//!
//! Attempts never pile up: the next one begins when the one before has ended, with all that it started, and the pause after that has
//! passed. Pauses vary by a tenth, so that services that were started together are not asked together for ever.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kennel_core::liveness::{Check, Liveness};
use kennel_core::model::{Probe, ProbeKind};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// A command that is killed at its limit has ended so much later at the latest, or cannot be ended.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// What a probe task tells the driver.
#[derive(Debug)]
pub(crate) enum Told {
    /// One answer.
    Answer {
        /// With the reason of a failure.
        answer: Result<(), String>,
        /// How long it took.
        took: Duration,
    },
    /// Run this command in a scope of its own; the answer is whether it ended with 0 in time.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// Longest run.
        limit: Duration,
        /// The answer.
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// Ends the task when dropped.
#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is asked, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    question: Question,
    initial_delay: Duration,
    /// Pause while it has not passed so often in a row.
    interval: Duration,
    /// Pause once it has.
    passed_interval: Duration,
    passes_needed: u32,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Question {
    Kind(ProbeKind),
    /// Whether this file was modified within this time, or the question is younger than that.
    Heartbeat {
        file: PathBuf,
        max_age: Duration,
    },
}

impl Plan {
    /// `None` for `log_line` and `notify`, which are not asked but told.
    pub(crate) fn readiness(probe: &Probe) -> Option<Self> {
        if matches!(probe.kind, ProbeKind::LogLine(_) | ProbeKind::Notify) {
            return None;
        }
        Some(Self {
            question: Question::Kind(probe.kind.clone()),
            initial_delay: probe.initial_delay,
            interval: probe.interval,
            passed_interval: probe.ready_interval,
            passes_needed: probe.success_threshold.max(1),
            timeout: probe.timeout,
        })
    }

    /// `None` for what is not asked but waited for.
    pub(crate) fn liveness(liveness: &Liveness) -> Option<Self> {
        let question = match &liveness.check {
            Check::Ask(kind) => Question::Kind(kind.clone()),
            Check::Heartbeat { file, max_age } => Question::Heartbeat { file: file.clone(), max_age: *max_age },
            Check::Watchdog(_) | Check::LogSilence(_) => return None,
        };
        Some(Self {
            question,
            initial_delay: liveness.initial_delay,
            interval: liveness.interval,
            passed_interval: liveness.interval,
            passes_needed: 1,
            timeout: liveness.timeout,
        })
    }
}

/// Begins to ask.
pub(crate) fn start<T: Send + 'static>(
    plan: Plan,
    tell: mpsc::UnboundedSender<T>,
    wrap: impl Fn(Told) -> T + Send + Sync + 'static,
) -> Task {
    let task = tokio::spawn(async move {
        let begun = Instant::now();
        sleep(plan.initial_delay).await;
        let mut row = 0;
        loop {
            let asked = Instant::now();
            let mut unended = None;
            let answer = ask(&plan, begun, &tell, &wrap, &mut unended).await;
            row = if answer.is_ok() { row + 1 } else { 0 };
            if tell.send(wrap(Told::Answer { answer, took: asked.elapsed() })).is_err() {
                return;
            }
            if let Some(unended) = unended {
                // However that ends: no second one beside it.
                let _ended = unended.await;
            }
            let pause = if row >= plan.passes_needed { plan.passed_interval } else { plan.interval };
            sleep(pause.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        }
    });
    Task(task.abort_handle())
}

async fn ask<T>(
    plan: &Plan,
    begun: Instant,
    tell: &mpsc::UnboundedSender<T>,
    wrap: &impl Fn(Told) -> T,
    unended: &mut Option<oneshot::Receiver<Result<(), String>>>,
) -> Result<(), String> {
    let late = |_| Err(format!("no answer within {:?}", plan.timeout));
    let kind = match &plan.question {
        Question::Heartbeat { file, max_age } => return heartbeat(file, *max_age, begun),
        Question::Kind(kind) => kind,
    };
    match kind {
        ProbeKind::Tcp { host, port, .. } => {
            let connect = async { TcpStream::connect((host.as_str(), *port)).await.map(drop) };
            let answer = timeout(plan.timeout, connect).await.map(|done| done.map_err(|error| error.to_string()));
            answer.unwrap_or_else(late)
        }
        ProbeKind::HttpGet { host, port, path, .. } => {
            timeout(plan.timeout, http_get(host, *port, path)).await.unwrap_or_else(late)
        }
        ProbeKind::File(path) => match std::fs::symlink_metadata(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        ProbeKind::Exec(command) => {
            let (reply, mut answer) = oneshot::channel();
            let told = Told::Exec { command: command.clone(), limit: plan.timeout, reply };
            if tell.send(wrap(told)).is_err() {
                return Err("kennel is shutting down".into());
            }
            match timeout(plan.timeout + KILLED_WITHIN, &mut answer).await {
                Ok(answer) => answer.unwrap_or_else(|_| Err("kennel is shutting down".into())),
                Err(_) => {
                    *unended = Some(answer);
                    Err("the probe ran too long and has not ended yet".into())
                }
            }
        }
        ProbeKind::LogLine(_) | ProbeKind::Notify => Ok(()),
    }
}

fn heartbeat(file: &Path, max_age: Duration, begun: Instant) -> Result<(), String> {
    let modified = std::fs::metadata(file).and_then(|meta| meta.modified());
    // A time that is yet to come is of a clock that was set back.
    let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
    match age {
        Ok(age) if age <= max_age => Ok(()),
        // What is there may be of a run before.
        _ if begun.elapsed() <= max_age => Ok(()),
        Ok(age) => Err(format!("{} was not modified for {:.1?}", file.display(), age)),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

async fn http_get(host: &str, port: u16, path: &str) -> Result<(), String> {
    let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ended with the question, also one that is out of time.
    let connection = Task(tokio::spawn(connection).abort_handle());
    let request = hyper::Request::get(path)
        .header("host", format!("{host}:{port}"))
        .header("user-agent", "kennel-probe")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string());
    drop(connection);
    let status = response?.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("answered {status}")) }
}
