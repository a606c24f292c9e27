//! Work for the routers.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use interop_tests::http::HttpClient;

/// Persistent connections that send requests at the same time.
const CONNECTIONS: usize = 16;
/// How long they do.
const DURATION: Duration = Duration::from_secs(3);
/// Octets of the large download.
const DOWNLOAD: u64 = 512 << 20;

/// What small requests took.
pub(crate) struct Latencies {
    /// Connections used.
    pub(crate) connections: usize,
    /// How long all of them worked.
    pub(crate) elapsed: Duration,
    /// One entry per request, shortest first.
    pub(crate) sorted: Vec<Duration>,
}

// === impl Latencies ===

impl Latencies {
    /// The time within which `share` of the requests were answered.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Sends small requests over persistent connections.
pub(crate) fn requests(to: SocketAddr) -> Result<Latencies> {
    let start = Instant::now();
    let one = || -> Result<Vec<Duration>> {
        let mut client = HttpClient::connect(to)?;
        let mut latencies = Vec::new();
        while start.elapsed() < DURATION {
            let sent = Instant::now();
            client.get("/")?;
            latencies.push(sent.elapsed());
        }
        Ok(latencies)
    };
    let mut sorted = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        clients.into_iter().try_fold(Vec::new(), |mut all, client| {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
            anyhow::Ok(all)
        })
    })?;
    sorted.sort_unstable();
    Ok(Latencies { connections: CONNECTIONS, elapsed: start.elapsed(), sorted })
}

/// Downloads one large body and tells how fast that was.
pub(crate) fn download(from: SocketAddr) -> Result<String> {
    let start = Instant::now();
    let octets = HttpClient::connect(from)?.get(&format!("/bytes/{DOWNLOAD}"))?;
    let rate = octets as f64 / 1e6 / start.elapsed().as_secs_f64();
    Ok(format!("{} MiB in one flow, {rate:.0} MB/s", octets >> 20))
}
