//! How much a service takes: connections at a time, new ones a second, octets a second.

use crate::clock;
use amqp_core::Instant;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What a service that was quiet may take at once: that of a second for connections, of so long for octets.
const OCTETS_AHEAD: Duration = Duration::from_millis(100);

/// How often it is told that connections were refused.
const TELL_EVERY: Duration = Duration::from_secs(10);

const SECOND: u64 = 1_000_000;

/// How much a service takes; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceLimits {
    /// Connections at a time.
    pub connections: Option<u64>,
    /// New connections a second.
    pub connection_rate: Option<u64>,
    /// Octets a second, of all connections and both directions.
    pub octet_rate: Option<u64>,
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// There are as many as there may be.
    Connections,
    /// Too many have come in too short a time.
    Rate,
}

/// Keeps a service within its limits.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: ServiceLimits,
    live: AtomicU64,
    refused: [AtomicU64; 2],
    connections: Option<Mutex<Pace>>,
    octets: Option<Mutex<Pace>>,
    /// When it is told again that connections are refused.
    silent_until: Mutex<Instant>,
}

/// Evenly spaced events, with some ahead: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug)]
struct Pace {
    /// Of one second.
    events: u64,
    /// How far the events may be ahead of their time, in microseconds.
    ahead: u64,
    /// When the next one is due, if all are on time.
    due: Instant,
}

/// A place among the connections of a service, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Limiter>);

/// Keeps one connection to the octets of its service.
#[derive(Debug)]
pub(super) struct Throttle {
    limiter: Arc<Limiter>,
    until: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

// === impl Pace ===

impl Pace {
    const fn new(events: u64, ahead: Duration) -> Self {
        Self { events, ahead: ahead.as_micros() as u64, due: Instant::from_micros(0) }
    }

    /// When the next event may be, if `count` are now.
    fn note(&mut self, count: u64, now: Instant) -> Instant {
        let takes = u64::try_from(u128::from(count) * u128::from(SECOND) / u128::from(self.events)).unwrap_or(u64::MAX);
        self.due = self.due.max(now) + Duration::from_micros(takes);
        Instant::from_micros(self.due.as_micros().saturating_sub(self.ahead))
    }

    /// Whether there is room for an event now.
    fn is_open(&self, now: Instant) -> bool {
        now + Duration::from_micros(self.ahead) >= self.due + Duration::from_micros(SECOND / self.events)
    }
}

// === impl Limiter ===

impl Limiter {
    /// None when there is no limit.
    pub(super) fn new(limits: ServiceLimits) -> Option<Arc<Self>> {
        if limits == ServiceLimits::default() {
            return None;
        }
        let pace = |events: Option<u64>, ahead| events.map(|events| Mutex::new(Pace::new(events.max(1), ahead)));
        Some(Arc::new(Self {
            limits,
            live: AtomicU64::new(0),
            refused: [const { AtomicU64::new(0) }; 2],
            connections: pace(limits.connection_rate, Duration::from_secs(1)),
            octets: pace(limits.octet_rate, OCTETS_AHEAD),
            silent_until: Mutex::new(Instant::from_micros(0)),
        }))
    }

    /// Connections that were refused for that.
    pub(super) fn refused(&self, excess: Excess) -> u64 {
        self.refused[excess as usize].load(Ordering::Relaxed)
    }

    /// Connections that were refused.
    pub(super) fn all_refused(&self) -> u64 {
        self.refused(Excess::Connections) + self.refused(Excess::Rate)
    }

    /// Takes one more connection.
    ///
    /// # Errors
    /// Which limit was reached; that is counted.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Result<Place, Excess> {
        let place = Place(Arc::clone(self));
        let live = self.live.fetch_add(1, Ordering::Relaxed);
        let excess = if self.limits.connections.is_some_and(|most| live >= most) {
            Some(Excess::Connections)
        } else {
            self.connections.as_ref().and_then(|pace| {
                let pace = &mut *pace.lock();
                let open = pace.is_open(now);
                if open {
                    pace.note(1, now);
                }
                (!open).then_some(Excess::Rate)
            })
        };
        match excess {
            None => Ok(place),
            Some(excess) => {
                self.refused[excess as usize].fetch_add(1, Ordering::Relaxed);
                Err(excess)
            }
        }
    }

    /// Whether it is to be told that a connection was refused: now and then, for all that were.
    pub(super) fn is_told(&self, now: Instant) -> bool {
        let silent_until = &mut *self.silent_until.lock();
        let is_told = now >= *silent_until;
        if is_told {
            *silent_until = now + TELL_EVERY;
        }
        is_told
    }

    /// For a connection, where octets are limited.
    pub(super) fn throttle(self: &Arc<Self>) -> Option<Throttle> {
        self.octets.as_ref().map(|_| Throttle {
            limiter: Arc::clone(self),
            until: Instant::from_micros(0),
            sleep: None,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Throttle ===

impl Throttle {
    /// Ready when the connection may go on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        if now >= self.until {
            return Poll::Ready(());
        }
        let left = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.until.since(now))));
        left.as_mut().poll(cx)
    }

    /// So many octets were carried: each connection waits for what it has taken, so that none wakes the others.
    pub(super) fn note(&mut self, octets: usize) {
        if let Some(pace) = &self.limiter.octets {
            self.until = pace.lock().note(octets as u64, clock::now());
            self.sleep = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{active, client, connector, eventually, params, router};
    use super::super::{TcpListener, TcpListenerParams};
    use super::*;
    use crate::tcp::tests::free_port;
    use std::time::Instant as Clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(10 * SECOND + micros)
    }

    fn limiter(limits: ServiceLimits) -> Arc<Limiter> {
        Limiter::new(limits).expect("limited")
    }

    #[test]
    fn without_limits_nothing_is_kept() {
        assert!(Limiter::new(ServiceLimits::default()).is_none());
    }

    #[test]
    fn so_many_connections_at_a_time() {
        let limiter = limiter(ServiceLimits { connections: Some(2), ..ServiceLimits::default() });
        let first = limiter.admit(at(0)).expect("the first");
        let _second = limiter.admit(at(0)).expect("the second");
        for _ in 0..3 {
            assert_eq!(limiter.admit(at(0)).err(), Some(Excess::Connections));
        }
        drop(first);
        let _third = limiter.admit(at(0)).expect("its place is free");
        assert_eq!((limiter.refused(Excess::Connections), limiter.refused(Excess::Rate)), (3, 0));
    }

    #[test]
    fn so_many_new_connections_a_second() {
        let limiter = limiter(ServiceLimits { connection_rate: Some(5), ..ServiceLimits::default() });
        let taken = |from: u64, to| (from..to).filter(|ms| limiter.admit(at(ms * 1000)).is_ok()).count();
        assert_eq!(taken(0, 1), 1);
        // A burst of a second's, and then one every fifth of a second.
        assert_eq!((0..20).filter(|_| limiter.admit(at(1000)).is_ok()).count(), 4);
        assert_eq!(taken(2, 2002), 10);
        assert_eq!(limiter.live.load(Ordering::Relaxed), 0, "those that were refused take no place");
    }

    #[test]
    fn refusals_are_told_now_and_then() {
        let limiter = limiter(ServiceLimits { connections: Some(0), ..ServiceLimits::default() });
        let told = (0..100).filter(|second| limiter.is_told(at(second * SECOND))).count();
        assert_eq!(told, 10);
    }

    #[test]
    fn octets_of_all_connections_are_spaced() {
        let mut pace = Pace::new(1_000_000, OCTETS_AHEAD);
        let mut now = at(0);
        let mut carried = 0;
        while now < at(10 * SECOND) {
            now = now.max(pace.note(64 * 1024, now));
            carried += 64 * 1024;
        }
        let rate = carried / 10;
        assert!((1_000_000..1_130_000).contains(&rate), "{rate}");
    }

    /// A limited listener, its port, and a server.
    async fn service(limits: ServiceLimits) -> (TcpListener, u16, tokio::net::TcpListener, crate::tcp::TcpConnector) {
        let router = router();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let connector = connector(&router, server.local_addr().expect("bound"));
        let port = free_port();
        let listener = active(TcpListenerParams { limits, ..params(port) }, &router);
        (listener, port, server, connector)
    }

    #[tokio::test]
    async fn clients_beyond_the_limit_are_reset_and_counted() {
        let limits = ServiceLimits { connections: Some(1), ..ServiceLimits::default() };
        let (listener, port, server, _connector) = service(limits).await;
        let mut first = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        let refused = || listener.service().refused();
        for n in 1..=3 {
            let mut more = client(port).await;
            assert!(matches!(more.read(&mut [0]).await, Ok(0) | Err(_)));
            assert_eq!(refused(), n);
        }
        far.write_all(b"x").await.expect("sent");
        first.read_exact(&mut [0]).await.expect("the first goes on");
        drop((first, far));
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        let mut next = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        far.write_all(b"y").await.expect("sent");
        next.read_exact(&mut [0]).await.expect("there is room again");
        assert_eq!(refused(), 3);
    }

    #[tokio::test]
    async fn octets_take_the_time_that_the_rate_allows() {
        let limits = ServiceLimits { octet_rate: Some(2_000_000), ..ServiceLimits::default() };
        let (_listener, port, server, _connector) = service(limits).await;
        let mut near = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        let begun = Clock::now();
        let data = vec![7; 600_000];
        let sent = data.clone();
        let sending = tokio::spawn(async move {
            near.write_all(&sent).await.expect("sent");
            let mut back = vec![0; 600_000];
            near.read_exact(&mut back).await.expect("received");
            back
        });
        let mut got = vec![0; 600_000];
        far.read_exact(&mut got).await.expect("received");
        far.write_all(&got).await.expect("sent");
        assert!(sending.await.expect("no panic") == data);
        // 1.2 MB at 2 MB/s, but for what may be ahead.
        assert!(begun.elapsed() >= Duration::from_millis(350), "{:?}", begun.elapsed());
    }
}
