//! The socket on which clients hand over the descriptors of a coming `run`.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_engine::Handle;
use kennel_sys::unix;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};

use crate::listener::{Connections, is_ours};
use crate::refusals::Refusals;

/// Length of a token: 32 hexadecimal digits.
const TOKEN: usize = 32;
/// How long a client may take to send its message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Accepts until the engine has ended.
pub(crate) async fn serve(listener: UnixListener, engine: Handle, connections: Connections, refusals: Refusals) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = engine.finished() => return,
        };
        match accepted {
            Ok((stream, _)) if is_ours(&stream, &refusals) => {
                let (engine, counted) = (engine.clone(), connections.count());
                tokio::spawn(async move {
                    if let Err(error) = hold(stream, &engine).await {
                        tracing::warn!(%error, "cannot take over descriptors");
                    }
                    drop(counted);
                });
            }
            // It was written down.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Takes over one set and holds it until the client closes.
async fn hold(mut stream: UnixStream, engine: &Handle) -> io::Result<()> {
    let (token, stdio) = tokio::time::timeout(PATIENCE, receive(&stream)).await??;
    let guard = match stdio {
        Some(stdio) => engine.stdio(token, stdio),
        // Closed without a word, it asks again: the socket is that of the daemon that follows as well.
        None => match engine.hold_again(token).await {
            Ok(guard) => guard,
            Err(_) => return Ok(()),
        },
    };
    stream.write_all(b"k").await?;
    let mut rest = [0; 16];
    // Anything else that comes is ignored; only the end matters.
    while tokio::select! { read = stream.read(&mut rest) => read? > 0, () = engine.finished() => false } {}
    drop(guard);
    Ok(())
}

/// Without descriptors it is a run that goes on and whose client comes from another daemon.
async fn receive(stream: &UnixStream) -> io::Result<(String, Option<[OwnedFd; 3]>)> {
    let mut buffer = [0; TOKEN];
    let (count, fds) = stream.async_io(Interest::READABLE, || unix::recv_fds(stream, &mut buffer)).await?;
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let token = buffer.get(..count).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let token = token.filter(|token| token.len() == TOKEN && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let token = token.ok_or_else(|| invalid("a token is 32 hexadecimal digits"))?;
    if fds.is_empty() {
        return Ok((token.to_owned(), None));
    }
    let stdio = <[OwnedFd; 3]>::try_from(fds).map_err(|_| invalid("three descriptors are needed"))?;
    Ok((token.to_owned(), Some(stdio)))
}
