//! The moody one: three tantrums, then it stays. And the diva, who never does.

use std::thread;
use std::time::Duration;

use crate::{Life, memory};

/// After this many crashes the llama has made its point.
const TANTRUMS: u64 = 3;

const COMPLAINTS: [&str; 3] =
    ["the hay is from yesterday", "the goat looked at me", "somebody took my picture, from the wrong side"];

pub(crate) fn live() -> Life {
    let day = memory::count("llama:days")?;
    println!("day {day}: the llama is led into its enclosure");
    if let Some(complaint) = COMPLAINTS.into_iter().cycle().nth(day.saturating_sub(1) as usize)
        && day <= TANTRUMS
    {
        thread::sleep(Duration::from_millis(1200));
        memory::ask("SET llama:mood offended")?;
        return Err(format!("{complaint}; I resign").into());
    }
    memory::ask("SET llama:mood content")?;
    println!("the llama has made its point and stays");
    loop {
        thread::sleep(Duration::from_secs(20));
        println!("hum");
    }
}

/// Fails at once, whatever is done: the one that kennel gives up.
pub(crate) fn sulk() -> Life {
    println!("I will not perform under these lamps");
    Err("the lamps".into())
}
