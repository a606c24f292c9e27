//! Flows that carry nothing for too long are cut.
//!
//! ```text
//!  flow --carried, half-closed (atomics)--> Activity <--looks, four times within a limit-- one task per service
//!  flow <----------"give up" in its mailbox, and "close" when it is still there-------------'
//! ```
//!
//! A flow has no timer. Where there is no limit there is no task, and a flow notes nothing.

use crate::tasks::Owner;
use parking_lot::Mutex;
use router_engine::exchange::GIVE_UP;
use router_engine::{Effect, Mailbox};
use slab::Slab;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, interval};

/// The condition of a flow that was cut.
pub(super) const TIMED_OUT: &str = "idle-timeout";

/// Flows looked at under one lock.
const CHUNK: usize = 512;
/// Places for flows that are kept though there are none.
const SPARE: usize = 32;

/// For how long flows may carry nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdleLimits {
    /// No octet is read or written; none is for ever.
    pub idle: Option<Duration>,
    /// The same, of a flow one direction of which has ended.
    pub half_closed: Option<Duration>,
}

/// What a flow notes of itself.
#[derive(Debug, Default)]
struct Activity {
    /// Octets carried so far and one; 0 before the flow has begun.
    carried: AtomicU64,
    half_closed: AtomicBool,
    /// After how many seconds it was told to give up; 0 when it was not.
    expired: AtomicU64,
}

/// The flows of a service that has limits.
#[derive(Debug)]
pub(super) struct IdleFlows {
    limits: IdleLimits,
    flows: Mutex<Slab<Watched>>,
    /// Told when the last flow has left.
    left: Notify,
}

/// A flow as the task sees it.
#[derive(Debug)]
struct Watched {
    activity: Arc<Activity>,
    mailbox: Arc<Mailbox>,
    /// What it had noted when the task looked last.
    seen: (u64, bool),
    /// When that was new.
    since: Instant,
}

/// A flow's place among those that are watched; it ends when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    flows: Arc<IdleFlows>,
    key: usize,
    activity: Arc<Activity>,
}

// === impl IdleLimits ===

impl IdleLimits {
    /// The shorter one; none when nothing is limited.
    fn least(self) -> Option<Duration> {
        self.idle.into_iter().chain(self.half_closed).min()
    }

    fn of(self, half_closed: bool) -> Option<Duration> {
        if half_closed { self.least() } else { self.idle }
    }

    /// How often flows are looked at.
    fn period(self) -> Duration {
        let quarter = self.least().unwrap_or(Duration::MAX) / 4;
        quarter.clamp(Duration::from_secs(1), Duration::from_secs(60))
    }
}

// === impl IdleFlows ===

impl IdleFlows {
    /// None when nothing is limited.
    pub(super) fn new(limits: IdleLimits) -> Option<Arc<Self>> {
        limits.least()?;
        Some(Arc::new(Self { limits, flows: Mutex::default(), left: Notify::new() }))
    }

    /// Watches what may come to be a flow.
    pub(super) fn enter(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Watch {
        let activity = Arc::<Activity>::default();
        let mailbox = Arc::clone(mailbox);
        let watched = Watched { activity: Arc::clone(&activity), mailbox, seen: (0, false), since: Instant::now() };
        let key = self.flows.lock().insert(watched);
        Watch { flows: Arc::clone(self), key, activity }
    }

    /// Cuts idle flows until no flow is left and none may begin.
    pub(super) async fn run(self: Arc<Self>, owner: Arc<Owner>) {
        tokio::select! {
            () = self.keep_looking() => {}
            () = self.abandoned(&owner) => {}
            () = owner.stopped() => {}
        }
    }

    async fn keep_looking(&self) {
        let mut ticks = interval(self.limits.period());
        loop {
            let now = ticks.tick().await;
            self.look(now);
        }
    }

    /// Tells flows to give up that have carried nothing for too long.
    fn look(&self, now: Instant) {
        let places = self.flows.lock().capacity();
        for begin in (0..places).step_by(CHUNK) {
            let wakers: Vec<Waker> = {
                let mut flows = self.flows.lock();
                let keys = begin..begin + CHUNK;
                keys.filter_map(|key| flows.get_mut(key)?.look(self.limits, now)).collect()
            };
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Ready when no flow is left and none may begin.
    async fn abandoned(&self, owner: &Owner) {
        owner.draining().await;
        loop {
            let mut left = pin!(self.left.notified());
            // What is told from here on is not missed.
            left.as_mut().enable();
            if self.flows.lock().is_empty() {
                return;
            }
            left.await;
        }
    }
}

// === impl Watched ===

impl Watched {
    /// Tells the flow to end if that has come. Returns whom to wake.
    fn look(&mut self, limits: IdleLimits, now: Instant) -> Option<Waker> {
        if self.activity.expired().is_some() {
            return self.mailbox.post(Effect::Close { error: None, hard: true });
        }
        let seen = self.activity.seen();
        let is_new = std::mem::replace(&mut self.seen, seen) != seen;
        let (carried, half_closed) = seen;
        if is_new || carried == 0 {
            self.since = now;
            return None;
        }
        let limit = limits.of(half_closed)?;
        if now.saturating_duration_since(self.since) < limit {
            return None;
        }
        self.activity.expired.store(limit.as_secs().max(1), Ordering::Relaxed);
        self.mailbox.ready(GIVE_UP)
    }
}

// === impl Activity ===

impl Activity {
    fn seen(&self) -> (u64, bool) {
        (self.carried.load(Ordering::Relaxed), self.half_closed.load(Ordering::Relaxed))
    }

    fn expired(&self) -> Option<u64> {
        Some(self.expired.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

// === impl Watch ===

impl Watch {
    /// Notes how many octets the flow has carried, and whether one of its directions has ended.
    pub(super) fn note(&self, (read, written): (u64, u64), half_closed: bool) {
        self.activity.carried.store(read + written + 1, Ordering::Relaxed);
        self.activity.half_closed.store(half_closed, Ordering::Relaxed);
    }

    /// After how many seconds the flow was told to give up, if it was.
    pub(super) fn expired(&self) -> Option<u64> {
        self.activity.expired()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut flows = self.flows.flows.lock();
        flows.try_remove(self.key);
        if flows.is_empty() {
            if flows.capacity() > SPARE {
                flows.shrink_to_fit();
            }
            drop(flows);
            self.flows.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::testing::Records;
    use super::super::report::capture;
    use super::super::tests::{
        FarEnd, active, client, connector, eventually, free_port, io, listener, params, read_to_reset, retrying_router,
        router,
    };
    use super::super::{TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
    use super::*;
    use router_engine::Router;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    /// Looks at a flow at these times, which has noted something new at those before it.
    fn looked(limits: IdleLimits, notes: &[(u64, u64, bool)], looks: &[u64]) -> Option<u64> {
        let flows = IdleFlows::new(limits).expect("limited");
        let watch = flows.enter(&Arc::default());
        let begun = Instant::now();
        looks.iter().copied().find(|&at| {
            if let Some((_, octets, half_closed)) = notes.iter().rev().find(|(since, ..)| *since <= at) {
                watch.note((*octets, 0), *half_closed);
            }
            flows.look(begun + Duration::from_secs(at));
            watch.expired().is_some()
        })
    }

    #[tokio::test]
    async fn when_flows_have_carried_nothing_for_too_long() {
        let idle = IdleLimits { idle: seconds(8), half_closed: None };
        let half_closed = IdleLimits { idle: None, half_closed: seconds(8) };
        let both = IdleLimits { idle: seconds(100), half_closed: seconds(8) };
        let odd = IdleLimits { idle: seconds(8), half_closed: seconds(100) };
        let every: Vec<u64> = (0..30).map(|at| at * 2).collect();
        for (what, limits, notes, expected) in [
            ("none has begun", idle, &[][..], None),
            ("never an octet", idle, &[(0, 0, false)], Some(8)),
            ("begun late", idle, &[(20, 0, false)], Some(28)),
            ("the last octet", idle, &[(0, 0, false), (5, 1, false), (11, 2, false)], Some(20)),
            ("open", half_closed, &[(0, 0, false)], None),
            ("half-closed", half_closed, &[(0, 0, false), (20, 0, true)], Some(28)),
            ("half-closed, and an octet", half_closed, &[(0, 0, true), (7, 1, true)], Some(16)),
            ("the shorter one", both, &[(0, 0, true)], Some(8)),
            ("the longer one", both, &[(0, 0, false)], None),
            ("half-closed flows are idle too", odd, &[(0, 0, true)], Some(8)),
        ] {
            assert_eq!(looked(limits, notes, &every), expected, "{what}");
        }
    }

    #[test]
    fn how_often_is_looked() {
        let period = |idle| IdleLimits { idle, half_closed: seconds(9000) }.period().as_secs();
        assert_eq!([seconds(1), seconds(4), seconds(60), seconds(240), None].map(period), [1, 1, 15, 60, 60]);
        assert!(IdleFlows::new(IdleLimits::default()).is_none());
    }

    #[tokio::test]
    async fn every_flow_is_looked_at_and_told() {
        let flows = IdleFlows::new(IdleLimits { idle: seconds(1), half_closed: None }).expect("limited");
        let mailboxes: Vec<Arc<Mailbox>> = (0..2 * CHUNK + 1).map(|_| Arc::default()).collect();
        let watches: Vec<Watch> = mailboxes.iter().map(|mailbox| flows.enter(mailbox)).collect();
        watches.iter().for_each(|watch| watch.note((0, 0), false));
        let begun = Instant::now();
        let mail = |at| {
            flows.look(begun + Duration::from_secs(at));
            let read = |mailbox: &Arc<Mailbox>| {
                let (mut effects, mut ready) = (Vec::new(), Vec::new());
                mailbox.take(&mut effects, &mut ready);
                (ready, effects.iter().filter(|effect| matches!(effect, Effect::Close { hard: true, .. })).count())
            };
            mailboxes.iter().map(read).collect::<Vec<_>>()
        };
        for (at, expected) in [(0, (vec![], 0)), (1, (vec![GIVE_UP], 0)), (2, (vec![], 1))] {
            assert!(mail(at).iter().all(|mail| *mail == expected), "at {at}");
        }
        drop(watches);
        assert!(flows.flows.lock().capacity() <= SPARE);
    }

    fn limited(router: &Arc<Router>, idle: IdleLimits) -> (TcpListener, u16) {
        let port = free_port();
        (active(TcpListenerParams { idle, ..params(port) }, router), port)
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_flow_is_reset_at_both_ends_counted_and_named() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let connector = connector(&router, server.local_addr().expect("bound"));
        let (listener, port) = limited(&router, IdleLimits { idle: seconds(30), half_closed: None });
        let mut near = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        // It lives for as long as something passes, be it one way.
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            far.write_all(b"x").await.expect("sent");
            near.read_exact(&mut [0]).await.expect("received");
        }
        let begun = Instant::now();
        let end = near.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        let idle = begun.elapsed().as_secs();
        assert!((30..=45).contains(&idle), "{idle}");
        far.read(&mut [0]).await.expect_err("a reset");
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        assert_eq!((listener.service().timed_out(), connector.service().timed_out()), (1, 0));
        let ended = records.ended("BIFLOW_TPORT");
        assert!(ended[0].contains("errorListenerSide=idle-timeout (no octets for 30 s)"), "{ended:?}");
        assert_eq!(capture::with("no octets for 30 s").len(), 2, "the record and a line of its own");
        // The task that looks ends with the listener.
        let owner = Arc::clone(listener.service().owner());
        listener.delete(false);
        tokio::time::timeout(Duration::from_millis(100), owner.left()).await.expect("nothing is left");
    }

    /// Nothing was lost with such a flow, and yet it is not sent again.
    #[tokio::test(start_paused = true)]
    async fn a_flow_that_was_always_silent_is_cut_by_its_connector_too() {
        let router = retrying_router(Duration::from_secs(2));
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = server.local_addr().expect("bound");
        let params = TcpConnectorParams {
            address: "svc".into(),
            host: at.ip().to_string(),
            port: at.port().to_string(),
            idle: IdleLimits { idle: seconds(12), half_closed: None },
            ..TcpConnectorParams::default()
        };
        let connector = TcpConnector::create(params, &io(&router)).expect("no TLS");
        connector.activate();
        let (listener, port) = listener(&router);
        let mut near = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        let begun = Instant::now();
        assert_eq!(read_to_reset(&mut far).await, b"");
        assert_eq!(read_to_reset(&mut near).await, b"");
        let idle = begun.elapsed().as_secs();
        assert!((12..=19).contains(&idle), "{idle}");
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        eventually(async || (connector.service().closed() == 1).then_some(())).await;
        // Its dispatcher counts, too.
        assert_eq!((connector.service().timed_out(), connector.service().opened()), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_closed_flow_is_reset() {
        let router = router();
        let far = FarEnd::new(&router);
        let (listener, port) = limited(&router, IdleLimits { idle: None, half_closed: seconds(10) });
        let mut near = client(port).await;
        let mut served = far.serve().await;
        served.say(b"!");
        far.answer(&served);
        near.read_exact(&mut [0]).await.expect("received");
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(listener.service().timed_out(), 0, "open flows may be idle");
        near.shutdown().await.expect("half-closed");
        served.expect(b"").await;
        read_to_reset(&mut near).await;
        eventually(async || (listener.service().timed_out() == 1).then_some(())).await;
        // It goes on for the flows that are left.
        let mut other = client(port).await;
        let mut served = far.serve().await;
        served.say(b"!");
        far.answer(&served);
        listener.delete(false);
        other.read_exact(&mut [0]).await.expect("lives");
        other.shutdown().await.expect("half-closed");
        served.expect(b"").await;
        read_to_reset(&mut other).await;
        eventually(async || (listener.service().timed_out() == 2).then_some(())).await;
    }
}
