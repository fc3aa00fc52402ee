//! The database: an elephant never forgets, as long as it lives. A key-value store over TCP, one request a line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::{Life, memory};

type Store = Arc<Mutex<BTreeMap<String, String>>>;

pub(crate) fn live() -> Life {
    let listener = TcpListener::bind(memory::ADDRESS).map_err(|error| format!("{}: {error}", memory::ADDRESS))?;
    println!("the elephant is awake and listens on {}", memory::ADDRESS);
    let store = Store::default();
    for visitor in listener.incoming() {
        let (visitor, store) = (visitor?, Arc::clone(&store));
        // A visitor that hangs up in the middle of a word is no reason to wake the others.
        thread::spawn(move || attend(visitor, &store).unwrap_or_default());
    }
    Ok(())
}

fn attend(visitor: TcpStream, store: &Store) -> std::io::Result<()> {
    let mut answers = visitor.try_clone()?;
    for request in BufReader::new(visitor).lines() {
        let answer = answer(&mut store.lock().unwrap_or_else(PoisonError::into_inner), &request?);
        answers.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

/// `SET key value`, `GET key`, `INCR key`, `PING`; a missing value is empty.
fn answer(store: &mut BTreeMap<String, String>, request: &str) -> String {
    let mut words = request.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("PING"), None, None) => "PONG".to_owned(),
        (Some("GET"), Some(key), None) => store.get(key).cloned().unwrap_or_default(),
        (Some("SET"), Some(key), Some(value)) => {
            println!("noted: {key} is {value}");
            store.insert(key.to_owned(), value.to_owned());
            "OK".to_owned()
        }
        (Some("INCR"), Some(key), None) => {
            let count = store.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0) + 1;
            store.insert(key.to_owned(), count.to_string());
            count.to_string()
        }
        _ => "ERR the elephant looks at you; it knows PING, GET key, SET key value, INCR key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_forgets() {
        let mut store = BTreeMap::new();
        assert_eq!(answer(&mut store, "PING"), "PONG");
        assert_eq!(answer(&mut store, "GET mood"), "");
        assert_eq!(answer(&mut store, "SET mood rather good"), "OK");
        assert_eq!(answer(&mut store, "GET mood"), "rather good");
        assert_eq!(answer(&mut store, "INCR meals"), "1");
        assert_eq!(answer(&mut store, "INCR meals"), "2");
        assert!(answer(&mut store, "DROP TABLE animals").starts_with("ERR"));
    }
}
