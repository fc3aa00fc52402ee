//! The front: an HTTP server whose page shows how everybody is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::{Life, memory};

/// Where the gate listens, also named in `kennel.yaml`.
const ADDRESS: &str = "127.0.0.1:17100";

pub(crate) fn live() -> Life {
    let listener = TcpListener::bind(ADDRESS).map_err(|error| format!("{ADDRESS}: {error}"))?;
    println!("the gate is open: curl http://{ADDRESS}/");
    for visitor in listener.incoming() {
        // One visitor at a time, and one that dawdles is left standing.
        if let Err(error) = visitor.and_then(serve) {
            println!("a visitor left early: {error}");
        }
    }
    Ok(())
}

fn serve(mut visitor: TcpStream) -> std::io::Result<()> {
    visitor.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut lines = BufReader::new(visitor.try_clone()?.take(16 * 1024)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the header is read, so that closing the connection does not cut off our answer.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/healthz") => match memory::ask("PING") {
            Ok(_) => ("200 OK", "well\n".to_owned()),
            Err(error) => ("503 Service Unavailable", format!("{error}\n")),
        },
        Some("/") => {
            println!("a visitor");
            ("200 OK", page(|key| memory::ask(&format!("GET {key}")).unwrap_or_default()))
        }
        _ => ("404 Not Found", "there is no such cage\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    visitor.write_all(head.as_bytes())?;
    visitor.write_all(body.as_bytes())
}

/// The page, from what the elephant knows.
fn page(recall: impl Fn(&str) -> String) -> String {
    let or = |key: &str, otherwise: &str| match recall(key) {
        value if value.is_empty() => otherwise.to_owned(),
        value => value,
    };
    let rows = [
        ("| | | | |", "elephant", or("plan", "does not answer")),
        ("| | | | |", "llama", format!("{}, day {}", or("llama:mood", "not here"), or("llama:days", "0"))),
        ("| | | | |", "feeder", format!("{} meals today", or("meals", "0"))),
        // One bar is missing; nobody has noticed.
        ("| |   | |", "houdini", format!("cage {}", or("houdini:cage", "empty"))),
        ("| |   | |", "", format!("seen outside {} times", or("houdini:sightings", "0"))),
    ];
    let rows: String = rows.iter().map(|(bars, who, how)| format!("   {bars}   {who:<10}{how}\n")).collect();
    format!("\n   THE ZOO: open all day, everybody is where they belong\n\n   .-------.\n{rows}   '-------'\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_everybody_even_when_nobody_answers() {
        let silent = page(|_| String::new());
        for animal in ["elephant", "llama", "feeder", "houdini"] {
            assert!(silent.contains(animal), "{silent}");
        }
        let told = page(|key| if key == "meals" { "12".into() } else { String::new() });
        assert!(told.contains("12 meals"), "{told}");
    }
}
