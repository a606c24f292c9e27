//! Load for TCP services: one small request flow, sent on time whatever the answers do, beside bulk flows.
//!
//! ```text
//! tcp_load serve PORT                        echoes what comes, or sends or takes all it can; until it is killed
//! tcp_load run ADDR [--rate N] [--size N] [--seconds N] [--warm-up N] [--bulk ADDR] [--flows N] [--download]
//! ```
//!
//! `run` prints one line of JSON: octets a second of the bulk flows, and quantiles of the time from when a request was
//! meant to be sent until its answer was complete (`intended`), and from when it was sent (`sent`). The first counts what
//! requests would have waited for behind one that was late, the second leaves out what the generator itself was late.

mod bulk;
mod probe;
mod server;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// The first octet of a connection: what the server is to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Echo = b'e',
    /// The client sends.
    Upload = b'u',
    /// The server sends.
    Download = b'd',
}

/// What a run does.
#[derive(Debug)]
struct Plan {
    probe: SocketAddr,
    /// Requests a second.
    rate: u32,
    /// Octets of a request and of its answer.
    size: usize,
    warm_up: Duration,
    duration: Duration,
    bulk: Option<SocketAddr>,
    flows: usize,
    direction: Kind,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, [port])) if command == "serve" => server::serve(port),
        Some((command, rest)) if command == "run" => parse(rest).and_then(|plan| run(&plan)),
        _ => Err("usage: tcp_load serve PORT | tcp_load run ADDR [OPTION...]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tcp_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Plan, Failure> {
    let (address, options) = arguments.split_first().ok_or("no address")?;
    let mut plan = Plan {
        probe: address.parse()?,
        rate: 1000,
        size: 100,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(5),
        bulk: None,
        flows: 2,
        direction: Kind::Upload,
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || options.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--rate" => plan.rate = value()?.parse()?,
            "--size" => plan.size = value()?.parse()?,
            "--seconds" => plan.duration = Duration::from_secs_f64(value()?.parse()?),
            "--warm-up" => plan.warm_up = Duration::from_secs_f64(value()?.parse()?),
            "--bulk" => plan.bulk = Some(value()?.parse()?),
            "--flows" => plan.flows = value()?.parse()?,
            "--download" => plan.direction = Kind::Download,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    if plan.rate == 0 || plan.size == 0 {
        return Err("rate and size are at least 1".into());
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<(), Failure> {
    let bulk = plan.bulk.map(|to| bulk::Bulk::start(to, plan.flows, plan.direction)).transpose()?;
    let latency = probe::run(plan, || {
        if let Some(bulk) = &bulk {
            bulk.begin();
        }
    })?;
    let (octets, spread) = bulk.map_or(Ok((0, 0.0)), bulk::Bulk::end)?;
    println!(
        "{{\"bulk\": {octets}, \"slowest\": {spread:.3}, \"requests\": {}, \"intended\": {}, \"sent\": {}}}",
        latency.intended.len(),
        probe::quantiles(&latency.intended),
        probe::quantiles(&latency.sent),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server in this process.
    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || server::accept(&listener));
        address
    }

    #[test]
    fn a_run_counts_each_request_and_the_octets_of_both_directions() {
        let address = server();
        for direction in [Kind::Upload, Kind::Download] {
            let plan = Plan {
                probe: address,
                rate: 200,
                size: 100,
                warm_up: Duration::from_millis(50),
                duration: Duration::from_millis(250),
                bulk: Some(address),
                flows: 2,
                direction,
            };
            let bulk = bulk::Bulk::start(address, plan.flows, direction).expect("flows");
            let latency = probe::run(&plan, || bulk.begin()).expect("a run");
            assert_eq!(latency.intended.len(), 50, "each of a quarter of a second");
            assert_eq!(latency.sent.len(), 50);
            let (octets, slowest) = bulk.end().expect("octets");
            assert!(octets > 1_000_000, "{octets}");
            assert!(slowest > 0.0 && slowest <= 1.0, "{slowest}");
        }
    }

    #[test]
    fn what_is_late_counts_from_when_it_was_meant_to_be_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().expect("the probe");
            std::thread::sleep(Duration::from_millis(300));
            server::handle(socket)
        });
        let plan = Plan {
            probe: address,
            rate: 100,
            size: 10,
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(500),
            bulk: None,
            flows: 0,
            direction: Kind::Upload,
        };
        let latency = probe::run(&plan, || {}).expect("a run");
        assert!(latency.intended.max() >= 290_000, "{} us", latency.intended.max());
        assert!(latency.intended.value_at_quantile(0.7) >= 90_000, "those behind it have waited, too");
    }

    #[test]
    fn bad_arguments_are_told() {
        let parse = |text: &str| parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(parse("127.0.0.1:1 --rate 5 --download").is_ok());
        for bad in ["nowhere", "127.0.0.1:1 --rate", "127.0.0.1:1 --rate 0", "127.0.0.1:1 --what 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
