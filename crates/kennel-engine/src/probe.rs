//! Asks whether an instance can serve. One task an instance; it ends with the instance.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kennel_core::model::{Probe, ProbeKind};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// What a probe task tells the driver.
#[derive(Debug)]
pub(crate) enum Told {
    /// One answer, with the reason of a failure.
    Answer(Result<(), String>),
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

/// Begins to probe; `log_line` and `notify` are not asked but told, so they have no task.
pub(crate) fn start<T: Send + 'static>(
    probe: &Probe,
    tell: mpsc::UnboundedSender<T>,
    wrap: impl Fn(Told) -> T + Send + Sync + 'static,
) -> Option<Task> {
    if matches!(probe.kind, ProbeKind::LogLine(_) | ProbeKind::Notify) {
        return None;
    }
    let probe = probe.clone();
    let task = tokio::spawn(async move {
        sleep(probe.initial_delay).await;
        let mut row = 0;
        loop {
            let answer = ask(&probe, &tell, &wrap).await;
            row = if answer.is_ok() { row + 1 } else { 0 };
            if tell.send(wrap(Told::Answer(answer))).is_err() {
                return;
            }
            let ready = row >= probe.success_threshold.max(1);
            sleep(if ready { probe.ready_interval } else { probe.interval }).await;
        }
    });
    Some(Task(task.abort_handle()))
}

async fn ask<T>(probe: &Probe, tell: &mpsc::UnboundedSender<T>, wrap: &impl Fn(Told) -> T) -> Result<(), String> {
    let late = |_| Err(format!("no answer within {:?}", probe.timeout));
    match &probe.kind {
        ProbeKind::Tcp { host, port } => {
            let connect = async { TcpStream::connect((host.as_str(), *port)).await.map(drop) };
            let answer = timeout(probe.timeout, connect).await.map(|done| done.map_err(|error| error.to_string()));
            answer.unwrap_or_else(late)
        }
        ProbeKind::HttpGet { host, port, path } => {
            timeout(probe.timeout, http_get(host, *port, path)).await.unwrap_or_else(late)
        }
        ProbeKind::File(path) => match std::fs::symlink_metadata(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        ProbeKind::Exec(command) => {
            let (reply, answer) = oneshot::channel();
            let told = Told::Exec { command: command.clone(), limit: probe.timeout, reply };
            if tell.send(wrap(told)).is_err() {
                return Err("kennel is shutting down".into());
            }
            answer.await.unwrap_or_else(|_| Err("kennel is shutting down".into()))
        }
        ProbeKind::LogLine(_) | ProbeKind::Notify => Ok(()),
    }
}

async fn http_get(host: &str, port: u16, path: &str) -> Result<(), String> {
    let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header("host", format!("{host}:{port}"))
        .header("user-agent", "kennel-probe")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string());
    connection.abort();
    let status = response?.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("answered {status}")) }
}
