//! Load for AMQP routers, as cheap as it can be: senders and receivers of one thread, each on a connection of its own.
//!
//! ```text
//! amqp_load --sender HOST:PORT --receiver HOST:PORT [--size OCTETS] [--settled] [--pairs N | --multicast N] [--rate R]
//!           [--credit N] [--warm-up SECONDS] [--seconds SECONDS] [--pid PID]...
//! ```
//!
//! Sends messages of so many octets of body, counts them at the receivers over the given time after the warm-up, stops,
//! and waits for what is on its way. `--settled` sends them settled; else the receiver settles each on arrival, and the
//! sender counts outcomes. `--multicast` is one sender to so many receivers. With `--rate`, so many messages a second are
//! sent at fixed times by all senders together, and latency is told, from these times on; else as many as there is credit
//! for. `--pid` names processes whose use of the processor is told. Prints one object of JSON.

mod batch;
mod client;
mod clock;
mod message;
mod options;
mod peer;
mod receiver;
mod report;
mod run;
mod schedule;
mod sender;
mod socket;
mod tally;
mod usage;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let report = options::Options::parse(std::env::args().skip(1)).and_then(|options| run::run(&options));
    match report {
        Ok(report) => {
            println!("{report:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("amqp_load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
