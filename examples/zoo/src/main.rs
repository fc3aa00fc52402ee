//! The example stack: one program, many animals. `kennel.yaml` beside it says who is who.
//!
//! Written as ordinary programs are, with plain `std`: nothing here knows kennel, except the feeder, which says
//! on `NOTIFY_SOCKET` that it is ready, as any service may.

#![expect(clippy::print_stdout, reason = "these are the services; what they print is their log")]
#![expect(
    clippy::disallowed_methods,
    reason = "these are the services: they sleep, and they start processes that kennel has to find"
)]

mod elephant;
mod feeder;
mod gate;
mod houdini;
mod llama;
mod memory;
mod migrate;

use std::process::ExitCode;

/// What an animal's life ended with, if not well.
type Life = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let life = match role.as_str() {
        "elephant" => elephant::live(),
        "migrate" => migrate::run(),
        "feeder" => feeder::live(),
        "keeper" => feeder::keeper(&arguments.next().unwrap_or_default()),
        "gate" => gate::live(),
        "llama" => llama::live(),
        "diva" => llama::sulk(),
        "houdini" => houdini::live(),
        "houdini-at-large" => houdini::at_large(),
        _ => Err("usage: kennel-zoo elephant|migrate|feeder|gate|llama|diva|houdini".into()),
    };
    match life {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a service's last words")]
            {
                eprintln!("{role}: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
