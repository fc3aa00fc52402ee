//! Shapes without descendants.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::os;

pub(crate) fn exit(after_ms: u64, code: u64) -> ExitCode {
    os::say_up();
    std::thread::sleep(Duration::from_millis(after_ms));
    ExitCode::from(u8::try_from(code).unwrap_or(70))
}

/// The last bytes before a crash have no newline and no second chance.
pub(crate) fn crash(after_ms: u64, last_words: &str) -> ExitCode {
    std::thread::sleep(Duration::from_millis(after_ms));
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(last_words.as_bytes()).and_then(|()| out.flush()) {
        os::fail("stdout", error);
    }
    kill_self()
}

fn kill_self() -> ! {
    let me = rustix::process::getpid();
    if let Err(error) = rustix::process::kill_process(me, rustix::process::Signal::KILL) {
        os::fail("kill", error);
    }
    os::forever()
}

pub(crate) fn sleep(quiet: bool) -> ExitCode {
    os::exits_on(libc::SIGTERM);
    if !quiet {
        os::say_up();
    }
    os::forever()
}

pub(crate) fn ticks() -> ExitCode {
    for tick in 0_u64.. {
        println!("tick {tick}");
        std::thread::sleep(Duration::from_millis(100));
    }
    ExitCode::SUCCESS
}

/// Numbered lines of varying length, in writes that cut lines, up to the very moment of a SIGKILL.
pub(crate) fn lines(count: u64) -> ExitCode {
    let mut out = std::io::BufWriter::with_capacity(60_000, std::io::stdout().lock());
    for line in 0..count {
        let filler = "x".repeat(usize::try_from(line % 97).unwrap_or(0));
        if let Err(error) = writeln!(out, "{line} {filler}") {
            os::fail("stdout", error);
        }
    }
    if let Err(error) = out.write_all(b"last words").and_then(|()| out.flush()) {
        os::fail("stdout", error);
    }
    kill_self()
}

pub(crate) fn listen(port: u16) -> ExitCode {
    let listener = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    os::say_up();
    for connection in listener.incoming() {
        drop(connection);
    }
    ExitCode::SUCCESS
}

/// What another user's program would try.
pub(crate) fn ask(socket: &str) -> ExitCode {
    let question = b"GET /v1/info HTTP/1.1\r\nHost: kennel\r\nConnection: close\r\n\r\n";
    let answer = UnixStream::connect(socket).and_then(|mut stream| {
        stream.write_all(question)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    });
    match answer {
        Ok(answer) => {
            println!("{}", String::from_utf8_lossy(&answer));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn environ() -> ExitCode {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for (key, value) in variables {
        println!("{}={}", key.to_string_lossy(), value.to_string_lossy());
    }
    ExitCode::SUCCESS
}
