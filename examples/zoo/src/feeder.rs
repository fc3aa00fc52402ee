//! A worker pool: one master that plans, and keepers that carry the buckets, each a process.

use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Life, memory};

const KEEPERS: [&str; 2] = ["Ada", "Bo"];
const ROUND: [(&str, &str); 4] =
    [("elephant", "peanuts"), ("llama", "hay"), ("penguins", "herring"), ("houdini", "lock oil")];

struct Keeper {
    name: &'static str,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    _process: Child,
}

pub(crate) fn live() -> Life {
    let mut keepers = KEEPERS.into_iter().map(hire).collect::<Result<Vec<_>, _>>()?;
    for keeper in &mut keepers {
        println!("{}", keeper.reply()?);
    }
    notify("READY=1")?;
    println!("{} keepers on duty, the first round begins", keepers.len());
    for (turn, (animal, food)) in ROUND.into_iter().cycle().enumerate() {
        let on_duty = turn % keepers.len();
        if let Some(keeper) = keepers.get_mut(on_duty) {
            writeln!(keeper.orders, "{food} for {animal}")?;
            println!("{}", keeper.reply()?);
        }
        thread::sleep(Duration::from_millis(1500));
    }
    Ok(())
}

fn hire(name: &'static str) -> Result<Keeper, Box<dyn std::error::Error>> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["keeper", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot hire {name}: {error}"))?;
    let (Some(orders), Some(replies)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(format!("{name} came without a bucket").into());
    };
    Ok(Keeper { name, orders, replies: BufReader::new(replies), _process: process })
}

impl Keeper {
    fn reply(&mut self) -> Result<String, Box<dyn std::error::Error>> {
        let mut line = String::new();
        if self.replies.read_line(&mut line)? == 0 {
            return Err(format!("{} has left without a word", self.name).into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One keeper: carries what it is told to, line by line, until nobody tells it any more.
pub(crate) fn keeper(name: &str) -> Life {
    println!("{name} reports for work");
    for order in std::io::stdin().lines() {
        let meals = memory::count("meals")?;
        println!("{name} carries {} (meal {meals} today)", order?);
    }
    Ok(())
}

/// Tells whoever supervises us, over the socket named in `NOTIFY_SOCKET`; without one there is nobody to tell.
///
/// Source: `sd_notify(3)`: a datagram of `KEY=value` lines; a leading `@` is an abstract address.
fn notify(message: &str) -> Life {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
