//! The thread that sends: it is there while there is something to send.
//!
//! Of its own, so that neither a handshake nor the resolver, which blocks, makes anybody else wait.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::receiver::Receiver;
use crate::send::{Answer, Failure, Message, send};
use crate::tls::Trust;

/// Most tries at a time; more wait. What they are waiting for does not count as a try.
const AT_ONCE: usize = 8;
/// Most threads in which names are resolved. A resolver that hangs takes one away for as long as it does.
const RESOLVERS: usize = 2;
/// Bytes. Enough for a handshake, which needs most.
const STACK: usize = 512 << 10;

/// One try.
#[derive(Debug)]
pub struct Job {
    /// To whom.
    pub receiver: Receiver,
    /// What.
    pub message: Message,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub answer: Result<Answer, Failure>,
    /// How long it took.
    pub took: Duration,
}

/// A hand on the thread. Without one it ends, with what it is doing.
#[derive(Debug, Clone)]
pub struct Sender {
    jobs: mpsc::UnboundedSender<(Job, oneshot::Sender<Outcome>)>,
}

impl Sender {
    /// Starts the thread, which calls `begin` first.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors.
    pub fn start(begin: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_stack_size(STACK)
            .build()?;
        std::thread::Builder::new().name("kennel-webhook".into()).stack_size(STACK).spawn(move || {
            begin();
            runtime.block_on(serve(inbox));
            // A resolver that hangs is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { jobs })
    }

    /// Makes one try. What comes of it comes to the receiver; nothing, if the thread is gone.
    #[must_use]
    pub fn send(&self, job: Job) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        // Whoever waits sees that its end of the channel is gone.
        let _thread_gone = self.jobs.send((job, reply));
        outcome
    }
}

async fn serve(mut inbox: mpsc::UnboundedReceiver<(Job, oneshot::Sender<Outcome>)>) {
    let trust = Arc::new(Mutex::new(Trust::default()));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    while let Some((job, mut reply)) = inbox.recv().await {
        let (trust, turns) = (Arc::clone(&trust), Arc::clone(&turns));
        tokio::spawn(async move {
            let work = async {
                let _turn = turns.acquire().await;
                let begun = Instant::now();
                let answer = send(&job.receiver, &trust, &job.message).await;
                Outcome { answer, took: begun.elapsed() }
            };
            let outcome = tokio::select! {
                outcome = work => outcome,
                // Nobody waits for it any more.
                () = reply.closed() => return,
            };
            let _nobody_waits = reply.send(outcome);
        });
    }
}
