//! Answers that are waited for as long as somebody runs the kennel instance who could give them.
//!
//! A connection can be in a queue that nobody takes it from any more: that of a listening socket whose daemon is lost.

use std::io;
use std::time::Duration;

use hyper::Method;
use kennel_sys::home::Home;
use serde::de::DeserializeOwned;

use crate::connect::is_free;
use crate::http::{self, Answer};
use crate::{CallError, Daemon};

/// Pause between two looks at the lock.
const LOOK: Duration = Duration::from_millis(500);

impl Daemon {
    /// One exchange with whoever serves the instance now.
    ///
    /// # Errors
    /// As [`http::call`]; `Lost` as well once nobody holds the lock.
    pub(crate) async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<T, CallError> {
        let socket = self.home().api_socket();
        attended(self.home(), http::call(&socket, method, target, body)).await
    }

    /// The head of an answer that goes on.
    ///
    /// # Errors
    /// As [`Daemon::exchange`].
    pub(crate) async fn stream(&self, method: Method, target: &str, body: Vec<u8>) -> Result<Answer, CallError> {
        let socket = self.home().api_socket();
        attended(self.home(), http::send(&socket, method, target, body)).await
    }
}

async fn attended<T>(home: &Home, answer: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let abandoned = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if is_free(home) {
                return;
            }
        }
    };
    tokio::select! {
        biased; // What was answered counts, also if it was the last.
        answer = answer => answer,
        () = abandoned => {
            let text = format!("nobody runs the kennel instance `{}` any more", home.name);
            Err(CallError::Lost(io::Error::new(io::ErrorKind::ConnectionAborted, text)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs::File;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn an_answer_that_nobody_can_give_any_more_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let (state_dir, runtime_dir) = (root.path().join("s"), root.path().join("r"));
        let home = Home { name: "left".to_owned(), state_dir, runtime_dir };
        home.create().unwrap();
        // Takes connections into its queue, and nobody takes them from there.
        let _listener = UnixListener::bind(home.api_socket()).unwrap();
        let keeper = File::create(home.lock_file()).unwrap();
        flock(&keeper, FlockOperation::LockExclusive).unwrap();
        let socket = home.api_socket();
        let answer = attended(&home, http::call::<()>(&socket, Method::GET, "/v1/services", Vec::new()));
        tokio::pin!(answer);
        // There may be a daemon again as long as there is a keeper.
        assert!(tokio::time::timeout(LOOK * 3, &mut answer).await.is_err());
        drop(keeper);
        let error = tokio::time::timeout(DEADLINE, answer).await.unwrap().unwrap_err();
        assert!(matches!(&error, CallError::Lost(source) if source.to_string().contains("`left`")), "{error:?}");
    }
}
