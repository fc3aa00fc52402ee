//! What happens at a panic: what is known is saved first, then the process ends, so that another takes over.
//!
//! Only the work of a cleanup may panic and nothing more happens than that its report says so.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

thread_local! {
    /// Whether this thread runs work whose panic is caught.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the last caught panic of this thread was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// One panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// File and line; empty where nobody noted it.
    pub place: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.message),
            place => write!(f, "{} ({place})", self.message),
        }
    }
}

/// From now on, whichever thread panics, `persist` is called there, and then the process aborts. It must not wait for a lock
/// that the panicking code may hold. A panic within it aborts at once.
pub fn persist_first(persist: impl Fn(&Panic) + Send + Sync + 'static) {
    static DYING: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            let place = place(info);
            return PLACE.with(|noted| drop(noted.replace(Some(place))));
        }
        if !DYING.swap(true, Ordering::SeqCst) {
            // Message and backtrace, as without us.
            before(info);
            persist(&Panic { message: message(info.payload()), place: place(info) });
        }
        std::process::abort()
    }));
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default()
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Work whose panics are an error of it, and of nobody else. It is not polled again after one.
pub(crate) struct Guarded<F>(Pin<Box<F>>);

impl<F: Future> Guarded<F> {
    pub(crate) fn new(work: F) -> Self {
        Self(Box::pin(work))
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = &mut self.0;
        let outer = GUARDED.replace(true);
        // What the work shares with others is behind locks and channels, which know of panics.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        GUARDED.set(outer);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => {
                let place = PLACE.with(|noted| noted.take()).unwrap_or_default();
                Poll::Ready(Err(Panic { message: message(&*payload), place }))
            }
        }
    }
}
