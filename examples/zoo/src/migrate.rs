//! A one-shot: moves the animals in, then is done. Others wait until it has completed successfully.

use std::thread;
use std::time::Duration;

use crate::{Life, memory};

const MOVES: [(&str, &str); 4] = [
    ("plan", "7 cages, 1 gate, 0 exits"),
    ("llama:mood", "undecided"),
    ("houdini:cage", "locked (three locks)"),
    ("menu", "peanuts, hay, herring"),
];

pub(crate) fn run() -> Life {
    for (step, (key, value)) in MOVES.iter().enumerate() {
        memory::ask(&format!("SET {key} {value}"))?;
        println!("step {} of {}: {key}", step + 1, MOVES.len());
        thread::sleep(Duration::from_millis(150));
    }
    println!("everybody has moved in; nothing left to do here");
    Ok(())
}
