//! The small flow: requests at fixed times, answers timed one by one.

use crate::{Failure, Kind, Plan};
use hdrhistogram::Histogram;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Microseconds.
pub(crate) struct Latency {
    pub(crate) intended: Histogram<u64>,
    pub(crate) sent: Histogram<u64>,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Request {
    intended: Instant,
    sent: Instant,
    counts: bool,
}

/// Sends what the plan says; `begin` is called after the warm-up.
pub(crate) fn run(plan: &Plan, begin: impl FnOnce()) -> Result<Latency, Failure> {
    let mut socket = TcpStream::connect(plan.probe)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&[Kind::Echo as u8])?;
    let answers = socket.try_clone()?;
    let (requests, pending) = channel();
    let size = plan.size;
    let reader = std::thread::spawn(move || receive(answers, size, &pending));
    let interval = Duration::from_secs(1) / plan.rate;
    let warm_up = count(plan.warm_up, plan.rate);
    let total = warm_up + count(plan.duration, plan.rate);
    let (request, start, mut begin) = (vec![7; size], Instant::now(), Some(begin));
    for at in 0..total {
        if at == warm_up
            && let Some(begin) = begin.take()
        {
            begin();
        }
        let intended = start + interval * at;
        if let Some(wait) = intended.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        let request_at = Request { intended, sent: Instant::now(), counts: at >= warm_up };
        requests.send(request_at).map_err(|_| "the flow has ended early")?;
        socket.write_all(&request)?;
    }
    drop(requests);
    reader.join().map_err(|_| "the reader has failed")?
}

fn count(duration: Duration, rate: u32) -> u32 {
    (duration.as_secs_f64() * f64::from(rate)).round() as u32
}

fn receive(mut socket: TcpStream, size: usize, pending: &Receiver<Request>) -> Result<Latency, Failure> {
    let new = || Histogram::new_with_bounds(1, 60_000_000, 3);
    let mut latency = Latency { intended: new()?, sent: new()? };
    let mut answer = vec![0; size];
    for request in pending {
        socket.read_exact(&mut answer)?;
        let now = Instant::now();
        if request.counts {
            let micros = |since: Instant| now.duration_since(since).as_micros() as u64;
            latency.intended.record(micros(request.intended).max(1))?;
            latency.sent.record(micros(request.sent).max(1))?;
        }
    }
    Ok(latency)
}

/// As JSON, in milliseconds.
pub(crate) fn quantiles(histogram: &Histogram<u64>) -> String {
    let millis = |q: f64| histogram.value_at_quantile(q) as f64 / 1000.0;
    format!(
        "{{\"p50\": {:.3}, \"p90\": {:.3}, \"p99\": {:.3}, \"p99.9\": {:.3}, \"p99.99\": {:.3}, \"max\": {:.3}}}",
        millis(0.5),
        millis(0.9),
        millis(0.99),
        millis(0.999),
        millis(0.9999),
        histogram.max() as f64 / 1000.0
    )
}
