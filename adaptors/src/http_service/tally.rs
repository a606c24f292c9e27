//! What is counted of requests.

use crate::histogram::{Histogram, WAITS};
use hyper::{Method, StatusCode};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
    hosts: Mutex<Hosts>,
    /// Of all hosts beyond the bound.
    others: Counts,
}

/// Hosts by name.
#[derive(Debug, Default)]
struct Hosts {
    hosts: HashMap<Arc<str>, Arc<Host>>,
    /// Pairs of host and site.
    pairs: usize,
}

/// What was counted of one host, by the site at the other end; of those that tell none, by an empty name.
type Host = RwLock<HashMap<Box<str>, Counts>>;

/// What was counted of one host and site. Whoever counts takes no lock that others of its kind wait for.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// In nanoseconds.
    max_latency: AtomicU64,
    /// By index of the method, and status.
    details: RwLock<BTreeMap<(u8, u16), AtomicU64>>,
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
    name: Arc<str>,
    /// Looked up once; none beyond the bound.
    host: Arc<OnceLock<Option<Arc<Host>>>>,
}

/// A request of a client that is under way. Dropped before its end is told, its client has left.
#[derive(Debug)]
pub(super) struct Open {
    tally: Tally,
    told: bool,
    _under_way: UnderWay,
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
            others: Counts::default(),
        }
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// One row for each host and site.
    #[must_use]
    pub fn rows(&self) -> Vec<RequestInfo> {
        let mut rows = Vec::new();
        self.each(|host, site, counts| rows.push(self.row(host, site, counts)));
        rows
    }

    fn row(&self, host: &str, site: &str, counts: &Counts) -> RequestInfo {
        RequestInfo {
            address: self.address.clone(),
            host: host.to_owned(),
            site: (!site.is_empty()).then(|| site.to_owned()),
            direction: self.direction,
            requests: counts.requests.load(Ordering::Relaxed),
            bytes_in: counts.bytes_in.load(Ordering::Relaxed),
            bytes_out: counts.bytes_out.load(Ordering::Relaxed),
            max_latency: Duration::from_nanos(counts.max_latency.load(Ordering::Relaxed)),
            details: details(counts),
        }
    }

    /// Answers by method and status, of all hosts.
    #[must_use]
    pub fn answers(&self) -> Vec<(&'static str, u16, u64)> {
        let mut sums = BTreeMap::<(u8, u16), u64>::new();
        self.each(|_, _, counts| {
            for (key, count) in &*counts.details.read() {
                *sums.entry(*key).or_default() += count.load(Ordering::Relaxed);
            }
        });
        sums.into_iter().map(|((method, status), count)| (METHODS[usize::from(method)], status, count)).collect()
    }

    /// What was counted, by host and site.
    fn each(&self, mut tell: impl FnMut(&str, &str, &Counts)) {
        // Nobody who counts waits for this.
        let hosts: Vec<_> =
            self.hosts.lock().hosts.iter().map(|(name, host)| (Arc::clone(name), Arc::clone(host))).collect();
        for (name, host) in hosts {
            for (site, counts) in &*host.read() {
                tell(&name, site, counts);
            }
        }
        if self.others.requests.load(Ordering::Relaxed) > 0 {
            tell(OTHERS, "", &self.others);
        }
    }

    /// What is counted of a host; none when there are too many.
    fn host(&self, name: &Arc<str>) -> Option<Arc<Host>> {
        let Hosts { hosts, .. } = &mut *self.hosts.lock();
        match hosts.get(name) {
            Some(host) => Some(Arc::clone(host)),
            None if hosts.len() >= HOSTS_MAX => None,
            None => Some(Arc::clone(hosts.entry(Arc::clone(name)).or_default())),
        }
    }

    /// Whether one more pair of host and site is told apart.
    fn takes_pair(&self) -> bool {
        let pairs = &mut self.hosts.lock().pairs;
        let takes = *pairs < HOSTS_MAX;
        *pairs += usize::from(takes);
        takes
    }
}

// === impl RequestInfo ===

impl RequestInfo {
    /// Adds what was counted elsewhere of the same host, site and address.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.max_latency = self.max_latency.max(other.max_latency);
        let details = mem::take(&mut self.details).into_iter().chain(other.details);
        let mut sums = BTreeMap::new();
        details.for_each(|(name, count)| *sums.entry(name).or_default() += count);
        self.details = sums.into_iter().collect();
    }
}

// === impl Counts ===

impl Counts {
    fn add(&self, answered: &Answered<'_>) {
        let latency = u64::try_from(answered.latency.as_nanos()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(answered.bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(answered.bytes_out, Ordering::Relaxed);
        self.max_latency.fetch_max(latency, Ordering::Relaxed);
        // Other numbers are as good as this one, and there are many.
        let status = match answered.status.as_u16() {
            status @ 100..600 => status,
            _ => 500,
        };
        let key = (method_index(answered.method), status);
        if let Some(count) = self.details.read().get(&key) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let details = &mut *self.details.write();
        let fits = details.len() < DETAILS_MAX || details.contains_key(&key);
        let key = if fits { key } else { (UNKNOWN, status) };
        *details.entry(key).or_default().get_mut() += 1;
    }
}

/// The place of the rest.
const UNKNOWN: u8 = METHODS.len() as u8 - 1;

fn details(counts: &Counts) -> Vec<(String, u64)> {
    let mut details = BTreeMap::new();
    for ((method, status), count) in &*counts.details.read() {
        let name = match *method {
            UNKNOWN => METHODS[usize::from(UNKNOWN)].to_owned(),
            method => format!("{}:{status}", METHODS[usize::from(method)]),
        };
        *details.entry(name).or_default() += count.load(Ordering::Relaxed);
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
        Self { counters: Arc::clone(counters), name: host.into(), host: Arc::default() }
    }

    /// A request of a client begins.
    pub(super) fn open(&self) -> Open {
        Open { tally: self.clone(), told: false, _under_way: self.begin() }
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.counters.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.counters))
    }

    pub(super) fn answered(&self, answered: &Answered<'_>) {
        let site = answered.site.unwrap_or_default();
        let Some(host) = self.host.get_or_init(|| self.counters.host(&self.name)) else {
            return self.counters.others.add(answered);
        };
        if let Some(counts) = host.read().get(site) {
            return counts.add(answered);
        }
        let sites = &mut *host.write();
        match sites.get(site) {
            Some(counts) => counts.add(answered),
            None if self.counters.takes_pair() => sites.entry(site.into()).or_default().add(answered),
            None => self.counters.others.add(answered),
        }
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

// === impl Open ===

impl Open {
    pub(super) fn answered(&mut self, answered: &Answered<'_>) {
        self.told = true;
        self.tally.answered(answered);
    }

    pub(super) fn failed(&mut self, outcome: Outcome) {
        self.told = true;
        self.tally.failed(outcome);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.told {
            self.tally.failed(Outcome::Cancelled);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
