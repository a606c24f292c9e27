//! What the flows of one tcpListener or tcpConnector share.

use super::idle::{IdleFlows, IdleLimits, Watch};
use super::limits::{Excess, Limiter, Place, ServiceLimits, Throttle};
use super::peers::{Peer, Peers, Room};
use super::record::FlowRecord;
use super::timing::{Stopwatch, Times};
use crate::clock;
use crate::health::Health;
use crate::http_service::{Counters, HttpVersion};
use crate::tasks::{self, Owner, Seat};
use amqp_core::Instant;
use parking_lot::Mutex;
use router_engine::exchange::{Origin, Role};
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::vanflow::Record;
use router_engine::{Effect, Mailbox};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

/// Octets that a flow has carried, in both directions, until it adds them to those of its service. A flow that ends adds
/// what is left.
const ADD_EVERY: u64 = 64 * 1024;

/// Which tcpListener or tcpConnector it is.
#[derive(Debug, Clone)]
pub struct Label {
    /// Of a listener the requester's, of a connector the responder's.
    pub role: Role,
    /// The entity's name.
    pub name: String,
    /// The service address; empty where there are several.
    pub address: String,
}

/// Counters and live flows of one tcpListener or tcpConnector.
#[derive(Debug)]
pub struct Service {
    label: Label,
    /// It exists, for those who look at all services.
    exists: AtomicBool,
    /// It takes connections.
    up: AtomicBool,
    /// What its flows carry is counted there alone.
    peers: Peers,
    times: Times,
    opened: AtomicU64,
    closed: AtomicU64,
    timed_out: AtomicU64,
    /// Clients that may not use it.
    strangers: AtomicU64,
    owner: Arc<Owner>,
    /// Of a tcpConnector. It lives as long as the last of its flows.
    record: Option<Record>,
    /// Those that may be idle for so long only.
    idle: Option<Arc<IdleFlows>>,
    /// What keeps it within its limits, where it has any.
    limiter: Option<Arc<Limiter>>,
    /// Of a connector whose server is looked at.
    health: OnceLock<Arc<Health>>,
    /// Of an httpListener or httpConnector.
    http: Option<Http>,
}

/// What a service of HTTP has beside others.
#[derive(Debug)]
struct Http {
    version: HttpVersion,
    counters: Arc<Counters>,
}

/// All services of a router.
#[derive(Debug, Default)]
pub(crate) struct Services {
    known: Mutex<Known>,
    room: Arc<Room>,
}

/// Services by ascending numbers.
#[derive(Debug, Default)]
struct Known {
    next: u64,
    services: Vec<(u64, Weak<Service>)>,
}

/// Services that are looked at under one lock.
const SLICE: usize = 256;

/// A flow's membership; ends when dropped.
#[derive(Debug)]
pub(crate) struct Member {
    service: Arc<Service>,
    counted: bool,
    begun: Instant,
    watch: Stopwatch,
    /// The router at its other end, once that is known.
    peer: Option<Arc<Peer>>,
    /// Octets that the flow has read and written.
    octets: (u64, u64),
    /// The part of them that the service has.
    added: (u64, u64),
    idle: Option<Watch>,
    /// What is recorded of the flow.
    pub(crate) record: FlowRecord,
    _place: Option<Place>,
    task: tasks::Member,
}

// === impl Service ===

impl Service {
    fn new(label: Label, owner: Arc<Owner>, record: Option<Record>, limits: IdleLimits, room: Arc<Room>) -> Self {
        let [opened, closed, timed_out, strangers] = [const { AtomicU64::new(0) }; 4];
        let (exists, up, idle) = (AtomicBool::new(true), AtomicBool::new(false), IdleFlows::new(limits));
        let (peers, times, health) = (Peers::new(room), Times::new(), OnceLock::new());
        let (limiter, http) = (None, None);
        Self {
            label,
            exists,
            up,
            peers,
            times,
            opened,
            closed,
            timed_out,
            strangers,
            owner,
            record,
            idle,
            limiter,
            health,
            http,
        }
    }

    /// Which one it is.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// What its clients or servers speak, and what is counted of their requests, where those are carried one by one.
    pub fn http(&self) -> Option<(HttpVersion, &Arc<Counters>)> {
        self.http.as_ref().map(|http| (http.version, &http.counters))
    }

    /// Octets that its clients or servers have sent, but for the last [`ADD_EVERY`] of each flow.
    pub fn read(&self) -> u64 {
        self.peers.sum(Peer::read)
    }

    /// The same of what was sent to them.
    pub fn written(&self) -> u64 {
        self.peers.sum(Peer::written)
    }

    /// The routers that its flows have had their other ends at.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.all()
    }

    /// What its flows have taken.
    pub const fn times(&self) -> &Times {
        &self.times
    }

    /// Whether it takes connections: a listener listens, a connector is there for clients.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    /// Lets flows begin. False: they may already, or may not any more.
    pub(crate) fn activate(&self) -> bool {
        let activated = self.owner.activate();
        if let Some(flows) = self.idle.as_ref().filter(|_| activated) {
            self.owner.spawn("idle flows", Arc::clone(flows).run(Arc::clone(&self.owner)));
        }
        activated
    }

    /// Connections to clients or servers that were opened: flows, without what takes a connector's clients.
    pub fn flows_opened(&self) -> u64 {
        let dispatches = self.label.role == Role::Responder && self.http.is_none();
        self.opened().saturating_sub(u64::from(dispatches))
    }

    /// Flows begun. What takes the clients of a connector counts as one, as it does elsewhere.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Flows ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Flows cut since they had carried nothing for too long.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// Connections that were refused: of clients that may not use it, and those beyond its limits.
    pub fn refused(&self) -> u64 {
        let beyond = self.limiter.as_ref().map_or(0, |limiter| limiter.all_refused());
        self.strangers.load(Ordering::Relaxed) + beyond
    }

    /// A client has come that may not use the service.
    pub(crate) fn count_stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a flow. The record of a connector shows none before the first, and then the dispatcher too.
    pub(crate) fn count_opened(&self) {
        let before = self.opened.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = self.record.as_ref().filter(|_| before > 0) {
            record.meter().add(if before == 1 { 2 } else { 1 }, 0);
        }
    }

    /// How the server of a connector is, where that is looked at.
    pub fn health(&self) -> Option<&Arc<Health>> {
        self.health.get()
    }

    pub(crate) fn show_health(&self, health: &Arc<Health>) {
        let _ = self.health.set(Arc::clone(health));
    }

    /// The record of a tcpConnector.
    pub(crate) const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Whom the flows belong to.
    pub(crate) const fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// Begins a flow that is told through `mailbox` to close. `None` when no flow may begin.
    pub(crate) fn join(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Option<Member> {
        let mut member = self.enter(mailbox)?;
        member.count();
        Some(member)
    }

    /// As [`Self::join`], for what may not come to be a flow: it counts as none yet.
    pub(crate) fn enter(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Option<Member> {
        let place = match &self.limiter {
            Some(limiter) => Some(self.admit(limiter)?),
            None => None,
        };
        // First: whoever watches goes when no flow is left and none may begin.
        let idle = self.idle.as_ref().map(|flows| flows.enter(mailbox));
        let task = self.owner.join("flow", mailbox)?;
        Some(Member {
            service: Arc::clone(self),
            counted: false,
            begun: clock::now(),
            watch: Stopwatch::Ready,
            peer: None,
            octets: (0, 0),
            added: (0, 0),
            idle,
            record: FlowRecord::default(),
            _place: place,
            task,
        })
    }

    /// Takes one more connection. `None` when that is one too many, which is told now and then.
    fn admit(&self, limiter: &Arc<Limiter>) -> Option<Place> {
        let now = clock::now();
        let excess = limiter.admit(now).map_err(|excess| {
            if limiter.is_told(now) {
                let limit = match excess {
                    Excess::Connections => "maxConnections",
                    Excess::Rate => "maxConnectionsPerSecond",
                };
                let (owner, refused) = (self.owner.name(), limiter.refused(excess));
                let text = "connections are refused, as there are more than its";
                log!(LogModule::TcpAdaptor, Level::Warning, "{owner}: {text} {limit} ({refused} so far)");
            }
        });
        excess.ok()
    }

    /// Lets no more flows begin; with `drop_connections` also cuts those that live.
    pub(crate) fn close(&self, drop_connections: bool) {
        self.exists.store(false, Ordering::Relaxed);
        self.owner.drain();
        if drop_connections {
            self.owner.stop();
        }
    }
}

// === impl Services ===

impl Services {
    /// A new service.
    pub(crate) fn begin(
        &self,
        label: Label,
        owner: Arc<Owner>,
        record: Option<Record>,
        idle: IdleLimits,
        limits: ServiceLimits,
    ) -> Arc<Service> {
        let service = Service::new(label, owner, record, idle, Arc::clone(&self.room));
        self.add(Service { limiter: Limiter::new(limits), ..service })
    }

    /// A new service whose requests are carried one by one.
    pub(crate) fn begin_http(
        &self,
        label: Label,
        owner: Arc<Owner>,
        record: Option<Record>,
        version: HttpVersion,
        counters: Arc<Counters>,
    ) -> Arc<Service> {
        let service = Service::new(label, owner, record, IdleLimits::default(), Arc::clone(&self.room));
        self.add(Service { http: Some(Http { version, counters }), ..service })
    }

    fn add(&self, service: Service) -> Arc<Service> {
        let service = Arc::new(service);
        let Known { next, services } = &mut *self.known.lock();
        // Now and then those that are gone make room.
        if services.len() == services.capacity() {
            services.retain(|(_, service)| service.strong_count() > 0);
        }
        services.push((*next, Arc::downgrade(&service)));
        *next += 1;
        service
    }

    /// Those that exist, oldest first. One that was deleted is none, whatever its last flows do. Nobody waits for more
    /// than a slice of them.
    pub(crate) fn all(&self) -> Vec<Arc<Service>> {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let known = self.known.lock();
            let begin = known.services.partition_point(|(number, _)| *number < from);
            let slice = &known.services[begin..known.services.len().min(begin + SLICE)];
            let Some((last, _)) = slice.last() else { return all };
            from = last + 1;
            let live = slice.iter().filter_map(|(_, service)| service.upgrade());
            all.extend(live.filter(|service| service.exists.load(Ordering::Relaxed)));
        }
    }
}

// === impl Member ===

impl Member {
    /// For [`Owner::run`].
    pub(crate) const fn seat(&self) -> Seat {
        self.task.seat()
    }

    /// Keeps the connection to the octets of its service, where those are limited.
    pub(super) fn throttle(&self) -> Option<Box<Throttle>> {
        self.service.limiter.as_ref()?.throttle().map(Box::new)
    }

    /// Notes at which router the other end of the flow is. Where that is told again, another one may have taken its place.
    pub(crate) fn meet(&mut self, origin: &Origin, own: &str) {
        let name = match origin {
            Origin::Here => own,
            Origin::Router(id) => id,
            Origin::Unknown => "",
        };
        if self.peer.as_ref().is_some_and(|peer| peer.name() == name) {
            return;
        }
        self.add_octets();
        let peer = self.service.peers.get(name);
        peer.count_opened();
        if let Some(former) = self.peer.replace(peer) {
            former.count_closed();
        }
    }

    /// Counts how long it took to have a client's server connected.
    pub(crate) fn count_setup(&self) {
        self.service.times.setup.observe(clock::now().since(self.begun));
    }

    /// Whether the other end was told before.
    pub(crate) const fn has_met(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether the time until the first answer is still to be measured.
    pub(super) fn is_timing(&self) -> bool {
        self.watch != Stopwatch::Done
    }

    /// Notes how many octets were read and written before a turn of copying, which began at `at`, and after it.
    pub(super) fn time(&mut self, at: Instant, before: (u64, u64), after: (u64, u64)) {
        if let Some(taken) = self.watch.note(self.service.label.role, at, before, after, clock::now) {
            self.service.times.first_octet.observe(taken);
            self.record.set_latency(taken);
        }
    }

    /// Notes how many octets the flow has read and written, and whether one of its directions has ended.
    pub(crate) fn note(&mut self, octets: (u64, u64), half_closed: bool) {
        self.octets = octets;
        if octets.0 + octets.1 >= self.added.0 + self.added.1 + ADD_EVERY {
            self.add_octets();
        }
        if let Some(watch) = &self.idle {
            watch.note(octets, half_closed);
        }
    }

    fn add_octets(&mut self) {
        let (read, written) = (self.octets.0.saturating_sub(self.added.0), self.octets.1.saturating_sub(self.added.1));
        if read == 0 && written == 0 {
            return;
        }
        self.added = self.octets;
        match &self.peer {
            Some(peer) => peer.add(read, written),
            None => self.service.peers.get("").add(read, written),
        }
    }

    /// Counts a flow that was told to close as it has carried nothing for so many seconds. None: it was not.
    pub(crate) fn count_timeout(&self) -> Option<u64> {
        let seconds = self.idle.as_ref()?.expired()?;
        self.service.timed_out.fetch_add(1, Ordering::Relaxed);
        Some(seconds)
    }

    /// Counts the flow, once.
    pub(crate) fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.service.count_opened();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The record of what is counted as closed has ended.
        self.record = FlowRecord::default();
        if self.counted && self.peer.is_none() {
            self.meet(&Origin::Unknown, "");
        }
        self.add_octets();
        if let Some(peer) = &self.peer {
            peer.count_closed();
        }
        if self.counted {
            self.service.times.duration.observe(clock::now().since(self.begun));
            self.service.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits until a connection that has no flow yet is to be closed. What it is told besides is kept.
pub(super) async fn told_to_close(mailbox: &Mailbox, others: &mut Vec<Effect>) {
    closed_or(mailbox, others, || false).await;
}

/// As [`told_to_close`]; or until `given_up`, which is asked whenever the mailbox was told something.
pub(super) async fn closed_or(mailbox: &Mailbox, others: &mut Vec<Effect>, mut given_up: impl FnMut() -> bool) {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            mailbox.take(&mut effects, &mut ready);
            ready.clear();
            others.append(&mut effects);
            let close = others.iter().any(|e| matches!(e, Effect::Close { .. } | Effect::AbortOut { .. }));
            if close || given_up() {
                return Poll::Ready(());
            }
            if mailbox.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await;
}
