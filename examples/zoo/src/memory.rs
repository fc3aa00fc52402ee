//! Talking to the elephant.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where the elephant listens, also named in `kennel.yaml`.
pub(crate) const ADDRESS: &str = "127.0.0.1:17101";

/// Asks one question and returns the answer, without its newline.
///
/// # Errors
/// If the elephant is not there, or takes longer than a second.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    let patience = Duration::from_secs(1);
    let address: SocketAddr = ADDRESS.parse().map_err(io::Error::other)?;
    let mut elephant = TcpStream::connect_timeout(&address, patience)
        .map_err(|error| io::Error::new(error.kind(), format!("the elephant does not answer: {error}")))?;
    elephant.set_read_timeout(Some(patience))?;
    elephant.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(elephant).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// Adds one to a counter and returns it.
///
/// # Errors
/// As [`ask`].
pub(crate) fn count(key: &str) -> io::Result<u64> {
    ask(&format!("INCR {key}"))?.parse().map_err(io::Error::other)
}
