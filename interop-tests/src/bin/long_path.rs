//! Measures a TCP service through two routers whose connection is long:
//!
//! ```text
//! long_path [--delay MS] [--tls] [--seconds S] [--beside MBIT]
//! ```
//!
//! `--delay` is one way; 0, the default, is no relay at all. Tells the rate of one flow in each direction, and how long a
//! request of one octet takes: alone, and beside a flow of so many Mbit/s from the server (0: as fast as it goes).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use interop_tests::scenarios::long_path::{LongPath, flood, receive_for};
use interop_tests::tcp::{Digest, connect, echo};
use interop_tests::topology::{Dialler, LineBuilder, Security};

/// What a client asks of the server with its first octet.
const ECHO: u8 = b'e';
const FLOOD: u8 = b'f';
const SINK: u8 = b's';

/// What is measured.
struct Options {
    delay: Duration,
    security: Security,
    time: Duration,
    /// Octets a second of the flow beside requests; none is as many as go.
    beside: Option<u64>,
}

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let line = LineBuilder::ours(2)?.joined(options.security, Dialler::Right);
    let path = LongPath::start(line, 2, options.delay)?;
    let (time, beside) = (options.time, options.beside);
    path.server().script(move |mut stream| {
        let mut wish = [0];
        stream.read_exact(&mut wish)?;
        match wish[0] {
            ECHO => echo(stream),
            FLOOD => flood(stream, None),
            SINK => receive_for(&mut stream, time).map(|octets| Digest { octets, crc: 0 }),
            _ => flood(stream, beside),
        }
    });
    let address = path.address()?;
    // A window has its size after a few ways there and back.
    let warm = 2 * Duration::from_secs(1) + 20 * options.delay;
    let mut down = wish(address, FLOOD)?;
    receive_for(&mut down, warm)?;
    println!("down {} MB/s", receive_for(&mut down, time)? / 1_000_000);
    drop(down);
    path.server().outcome()?;
    let up = wish(address, SINK)?;
    thread::spawn(move || flood(up, None));
    println!("up {} MB/s, beginning included", path.server().outcome()?.octets / 1_000_000);
    println!("requests alone: {}", latency(address, time)?);
    let mut bulk = wish(address, b'-')?;
    receive_for(&mut bulk, warm)?;
    let reading = thread::spawn(move || receive_for(&mut bulk, time));
    println!("requests beside: {}", latency(address, time)?);
    let rate = reading.join().map_err(|_| anyhow::anyhow!("reader panicked"))??;
    println!("beside which {} Mbit/s", rate * 8 / 1_000_000);
    Ok(())
}

fn wish(address: SocketAddr, wish: u8) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(&[wish])?;
    Ok(stream)
}

/// Times of requests, one after the other, with a pause in between.
fn latency(address: SocketAddr, time: Duration) -> Result<String> {
    let (mut stream, begun, mut taken) = (wish(address, ECHO)?, Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let at = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0]).context("an answer")?;
        taken.push(at.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    taken.sort_unstable();
    let part = |percent: usize| taken[(taken.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    Ok(format!("p50 {:.2} ms, p99 {:.2} ms, of {}", part(50), part(99), taken.len()))
}

// === impl Options ===

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (delay, time) = (Duration::ZERO, Duration::from_secs(5));
        let mut options = Self { delay, security: Security::Plain, time, beside: Some(15_000_000) };
        while let Some(name) = arguments.next() {
            let mut number = || -> Result<u64> {
                let text = arguments.next().with_context(|| format!("{name} needs a number"))?;
                text.parse().with_context(|| format!("{name} {text}"))
            };
            match name.as_str() {
                "--tls" => options.security = Security::MutualTls,
                "--delay" => options.delay = Duration::from_millis(number()?),
                "--seconds" => options.time = Duration::from_secs(number()?),
                "--beside" => options.beside = Some(number()? * 1_000_000 / 8).filter(|&rate| rate > 0),
                _ => bail!("unknown argument {name}"),
            }
        }
        Ok(options)
    }
}
