//! What is counted of requests.

use crate::histogram::{Histogram, WAITS};
use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Peers that are told apart; the rest is one.
pub const HOSTS_MAX: usize = 1000;

/// Pairs of method and status that are told apart of each; beyond that, statuses only.
const DETAILS_MAX: usize = 64;

/// What peers beyond the bound are called.
const OTHERS: &str = "other";

/// Methods that are told apart (RFC 9110 9.1, RFC 5789), and the rest.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "unknown"];

/// Which side of requests is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// They come from clients.
    In,
    /// They go to servers.
    Out,
}

/// Why a request got no answer of a server, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nobody could take it.
    Unreachable,
    /// Its server has failed.
    ServerFailed,
    /// Its client has left.
    Cancelled,
    /// It was none.
    Refused,
}

/// How often requests got no answer, or not all of it.
#[derive(Debug, Default)]
pub struct Failures {
    /// Nobody could take the request.
    pub unreachable: AtomicU64,
    /// The server has failed, or broken its answer off.
    pub server_failed: AtomicU64,
    /// The client has left before its answer was complete.
    pub cancelled: AtomicU64,
    /// They were no requests.
    pub refused: AtomicU64,
}

/// Counters of one httpListener or httpConnector.
#[derive(Debug)]
pub struct Counters {
    direction: Direction,
    address: String,
    /// Of a listener from the head of a request to that of its answer; of a connector, what the server took for the same.
    pub latency: Histogram,
    /// How requests have failed.
    pub failures: Failures,
    /// Requests that were sent once more, since their server had failed.
    pub retried: AtomicU64,
    under_way: AtomicU64,
    /// By host, and site at the other end.
    hosts: Mutex<HashMap<Ends, HostCounts>>,
}

/// A host, and the site at the other end.
type Ends = (Arc<str>, Option<Box<str>>);

/// What was counted of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct HostCounts {
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
    max_latency: Duration,
    /// By index of the method, and status.
    details: BTreeMap<(u8, u16), u64>,
}

/// A row of httpRequestInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestInfo {
    /// The service address.
    pub address: String,
    /// The client's or server's host.
    pub host: String,
    /// The site at the other end, where it tells its name.
    pub site: Option<String>,
    /// Which side.
    pub direction: Direction,
    /// Requests that were answered.
    pub requests: u64,
    /// Octets of bodies from the host.
    pub bytes_in: u64,
    /// Octets of bodies to the host.
    pub bytes_out: u64,
    /// The longest that a request took.
    pub max_latency: Duration,
    /// `<method>:<status>` and how often.
    pub details: Vec<(String, u64)>,
}

/// Counts for one host.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    counters: Arc<Counters>,
    host: Arc<str>,
}

/// Something that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Counters>);

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) method: &'a Method,
    pub(super) status: StatusCode,
    /// Of the other end.
    pub(super) site: Option<&'a str>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) latency: Duration,
}

// === impl Counters ===

impl Counters {
    /// Nothing yet.
    #[must_use]
    pub fn new(direction: Direction, address: &str) -> Self {
        Self {
            direction,
            address: address.to_owned(),
            latency: Histogram::new(&WAITS),
            failures: Failures::default(),
            retried: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            hosts: Mutex::default(),
        }
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// One row for each host.
    #[must_use]
    pub fn rows(&self) -> Vec<RequestInfo> {
        let hosts = self.hosts.lock();
        let row = |((host, site), counts): (&Ends, &HostCounts)| RequestInfo {
            address: self.address.clone(),
            host: host.to_string(),
            site: site.as_deref().map(str::to_owned),
            direction: self.direction,
            requests: counts.requests,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            max_latency: counts.max_latency,
            details: details(counts),
        };
        hosts.iter().map(row).collect()
    }

    /// Answers by method and status, of all hosts.
    #[must_use]
    pub fn answers(&self) -> Vec<(&'static str, u16, u64)> {
        let mut sums = BTreeMap::<(u8, u16), u64>::new();
        for counts in self.hosts.lock().values() {
            for (key, count) in &counts.details {
                *sums.entry(*key).or_default() += count;
            }
        }
        sums.into_iter().map(|((method, status), count)| (METHODS[usize::from(method)], status, count)).collect()
    }
}

/// The place of the rest.
const UNKNOWN: u8 = METHODS.len() as u8 - 1;

fn details(counts: &HostCounts) -> Vec<(String, u64)> {
    let mut details = BTreeMap::new();
    for ((method, status), count) in &counts.details {
        let name = match *method {
            UNKNOWN => METHODS[usize::from(UNKNOWN)].to_owned(),
            method => format!("{}:{status}", METHODS[usize::from(method)]),
        };
        *details.entry(name).or_default() += count;
    }
    details.into_iter().collect()
}

fn method_index(method: &Method) -> u8 {
    let known = METHODS.iter().position(|name| *name == method.as_str());
    known.map_or(UNKNOWN, |at| at as u8)
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(counters: &Arc<Counters>, host: &str) -> Self {
        Self { counters: Arc::clone(counters), host: host.into() }
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.counters.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.counters))
    }

    pub(super) fn answered(&self, answered: &Answered<'_>) {
        // Other numbers are as good as this one, and there are many.
        let status = match answered.status.as_u16() {
            status @ 100..600 => status,
            _ => 500,
        };
        let mut key = (method_index(answered.method), status);
        let hosts = &mut *self.counters.hosts.lock();
        let mut of = (Arc::clone(&self.host), answered.site.map(Box::from));
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(&of) {
            of = (OTHERS.into(), None);
        }
        let counts = hosts.entry(of).or_default();
        counts.requests += 1;
        counts.bytes_in += answered.bytes_in;
        counts.bytes_out += answered.bytes_out;
        counts.max_latency = counts.max_latency.max(answered.latency);
        if counts.details.len() >= DETAILS_MAX && !counts.details.contains_key(&key) {
            key = (UNKNOWN, status);
        }
        *counts.details.entry(key).or_default() += 1;
    }

    /// The head of an answer was there after so long.
    pub(super) fn waited(&self, latency: Duration) {
        self.counters.latency.observe(latency);
    }

    pub(super) fn failed(&self, outcome: Outcome) {
        let failures = &self.counters.failures;
        let counter = match outcome {
            Outcome::Unreachable => &failures.unreachable,
            Outcome::ServerFailed => &failures.server_failed,
            Outcome::Cancelled => &failures.cancelled,
            Outcome::Refused => &failures.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.counters.retried.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
