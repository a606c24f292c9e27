//! Where records begin, change and end: whoever has something to tell has a [`Record`].
//!
//! What a record's owner counts is kept in its [`Meter`], with relaxed stores, and read when it is time to send; begins,
//! ends and the rest go through one queue that is drained five times in a second. What becomes of a record that still
//! waits there is noted in its own entry, and a flow whose whole life is over before nobody was told of it is no more.

use super::attribute::{Attribute, Value};
use super::identity::{Identity, SourceId};
use super::source::Channel;
use crate::log::{Level, LogModule, enabled};
use amqp_core::Instant;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

/// Records of flows and requests at a time; beyond that new ones go without.
const FLOWS_MAX: usize = 100_000;
/// How many of them must be gone before there are new ones again.
const FLOWS_SLACK: usize = 10;
/// Log records that wait to be taken; beyond that they are lost.
const LOGS_MAX: usize = 1000;

/// What a record is about (spec `vanflow.md` section 5). The number is its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordType {
    /// The site that routers belong to.
    Site = 0,
    /// The router.
    Router = 1,
    /// A connector to another router.
    Link = 2,
    /// A tcpListener, or one of its addresses.
    Listener = 4,
    /// A tcpConnector.
    Connector = 5,
    /// A line of the log.
    Log = 14,
    /// A listener for other routers.
    RouterAccess = 15,
    /// A connection of a client.
    BiflowTport = 16,
    /// A request on a client's connection.
    BiflowApp = 17,
}

/// What is told of a record at once.
pub type Attributes = SmallVec<[(Attribute, Value); 4]>;

/// Numbers of a record that change often. What they mean: [`RecordType::meters`].
#[derive(Debug, Default)]
pub struct Meter([AtomicU64; Self::COUNT]);

/// The owner's end of a record. Dropped, the record ends.
#[derive(Debug)]
pub struct Record {
    registry: Arc<Registry>,
    number: u64,
    meter: Arc<Meter>,
    place: Place,
    ended: bool,
}

/// Where in the queue a record begins, until that round of it is taken.
#[derive(Debug, Clone, Copy)]
struct Place {
    round: u64,
    index: usize,
}

/// A flow that is seen to carry HTTP/1, and counts as such.
#[derive(Debug)]
pub struct Http1Flow(Arc<Registry>);

/// All records of a router. See the module documentation.
#[derive(Debug)]
pub struct Registry {
    source: SourceId,
    next: AtomicU64,
    limit: usize,
    flows: AtomicUsize,
    /// There were too many flows.
    full: AtomicBool,
    /// Flows that went without a record since that was told.
    suppressed: AtomicU64,
    /// Flows that are seen to carry HTTP/1.
    http1: AtomicUsize,
    /// Somebody collects records of flows.
    collects_flows: AtomicBool,
    /// Somebody is told of every flow that is over.
    follows_ends: AtomicBool,
    /// Somebody collects records of log lines.
    collects_logs: AtomicBool,
    /// There were so many lines about records that there are no more of them for now.
    is_terse: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Nobody takes what is told.
    is_closed: bool,
    /// How often it was taken.
    round: u64,
    changes: Vec<Change>,
    logs: usize,
    /// Flows of which nobody is told.
    untold: u32,
    waker: Option<Waker>,
}

/// What was told since that was asked, in order.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) changes: Vec<Change>,
    /// Flows that are over, and of which nobody is told.
    pub(super) untold: u32,
}

/// Something that became of a record.
#[derive(Debug)]
pub(super) enum Change {
    Begin(Begin),
    Set {
        number: u64,
        attributes: Attributes,
    },
    End {
        number: u64,
        at: End,
        attributes: Attributes,
    },
    /// The record of a flow has begun and ended, and nobody wants to know.
    Untold,
}

/// The beginning of a record, and what became of it before that was taken.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) number: u64,
    pub(super) kind: RecordType,
    /// In the place of a number.
    pub(super) name: Option<Arc<str>>,
    /// Whose record goes on here, if it is that of another one: of another router, or of the other side.
    pub(super) base: Option<Identity>,
    pub(super) at: Instant,
    pub(super) attributes: Attributes,
    pub(super) meter: Arc<Meter>,
    pub(super) end: Option<End>,
}

/// When a record has ended. None: at no known time before now.
pub(super) type End = Option<Instant>;

// === impl RecordType ===

impl RecordType {
    const ALL: [Self; 9] = [
        Self::Site,
        Self::Router,
        Self::Link,
        Self::Listener,
        Self::Connector,
        Self::Log,
        Self::RouterAccess,
        Self::BiflowTport,
        Self::BiflowApp,
    ];

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.code()) == code)
    }

    /// The name in log lines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Site => "SITE",
            Self::Router => "ROUTER",
            Self::Link => "LINK",
            Self::Listener => "LISTENER",
            Self::Connector => "CONNECTOR",
            Self::Log => "LOG",
            Self::RouterAccess => "ROUTER_ACCESS",
            Self::BiflowTport => "BIFLOW_TPORT",
            Self::BiflowApp => "BIFLOW_APP",
        }
    }

    /// Whether there may be so many that there is a limit.
    pub(super) const fn is_flow(self) -> bool {
        matches!(self, Self::BiflowTport | Self::BiflowApp)
    }

    /// What the numbers of its meter are.
    #[must_use]
    pub const fn meters(self) -> [Option<Attribute>; Meter::COUNT] {
        match self {
            Self::Link => [Some(Attribute::Octets), Some(Attribute::OctetsReverse), None],
            Self::BiflowTport | Self::BiflowApp => {
                [Some(Attribute::Octets), Some(Attribute::OctetsReverse), Some(Attribute::Latency)]
            }
            Self::Listener | Self::Connector => [Some(Attribute::FlowCountL4), None, None],
            Self::RouterAccess => [Some(Attribute::LinkCount), None, None],
            Self::Site | Self::Router | Self::Log => [None; Meter::COUNT],
        }
    }
}

// === impl Meter ===

impl Meter {
    /// Numbers of a meter.
    pub const COUNT: usize = 3;

    /// The numbers.
    #[must_use]
    pub fn get(&self) -> [u64; Self::COUNT] {
        std::array::from_fn(|place| self.0[place].load(Ordering::Relaxed))
    }

    /// Octets of a flow that were read from its transport. There is one writer.
    pub fn set_read(&self, octets: u64) {
        self.0[0].store(octets, Ordering::Relaxed);
    }

    /// Octets of a flow that were written to its transport. There is one writer.
    pub fn set_written(&self, octets: u64) {
        self.0[1].store(octets, Ordering::Relaxed);
    }

    /// Microseconds until something was answered; at least one, as 0 stands for none.
    pub fn set_latency(&self, micros: u64) {
        self.0[2].store(micros.max(1), Ordering::Relaxed);
    }

    /// One more of what is counted.
    pub fn count(&self) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    /// One less of what is counted, which was counted before.
    pub fn discount(&self) {
        self.0[0].fetch_sub(1, Ordering::Relaxed);
    }

    /// Octets in each direction, from several connections.
    pub fn add(&self, out: u64, back: u64) {
        self.0[0].fetch_add(out, Ordering::Relaxed);
        self.0[1].fetch_add(back, Ordering::Relaxed);
    }
}

// === impl Registry ===

impl Registry {
    /// A registry with nothing but the record of the router itself.
    #[must_use]
    pub fn new(source: SourceId, router: Attributes, now: Instant) -> Arc<Self> {
        Self::with_limit(source, router, FLOWS_MAX, now)
    }

    pub(super) fn with_limit(source: SourceId, router: Attributes, limit: usize, now: Instant) -> Arc<Self> {
        let registry = Self {
            source,
            next: AtomicU64::new(1),
            limit,
            flows: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            suppressed: AtomicU64::new(0),
            http1: AtomicUsize::new(0),
            collects_flows: AtomicBool::new(false),
            follows_ends: AtomicBool::new(false),
            collects_logs: AtomicBool::new(false),
            is_terse: AtomicBool::new(false),
            queue: Mutex::default(),
        };
        let registry = Arc::new(registry);
        registry.tell_begin(0, RecordType::Router, router, now);
        registry
    }

    /// Whose records these are.
    #[must_use]
    pub const fn source(&self) -> SourceId {
        self.source
    }

    /// The router's own record.
    #[must_use]
    pub const fn router(&self) -> Identity {
        Identity { source: self.source, number: 0 }
    }

    /// Whether somebody collects records of flows now, or is told of each that is over.
    #[must_use]
    pub fn collects_flows(&self) -> bool {
        self.collects_flows.load(Ordering::Relaxed) || self.follows_ends.load(Ordering::Relaxed)
    }

    /// Flows that are seen to carry HTTP/1 now.
    #[must_use]
    pub fn http1_flows(&self) -> usize {
        self.http1.load(Ordering::Relaxed)
    }

    /// A flow is seen to carry HTTP/1, for as long as what is returned lives.
    #[must_use]
    pub fn count_http1(self: &Arc<Self>) -> Http1Flow {
        self.http1.fetch_add(1, Ordering::Relaxed);
        Http1Flow(Arc::clone(self))
    }

    /// Begins a record. Its parent is the router, unless the attributes name another one.
    pub fn begin(self: &Arc<Self>, kind: RecordType, mut attributes: Attributes, now: Instant) -> Record {
        if !attributes.iter().any(|(attribute, _)| *attribute == Attribute::Parent) {
            attributes.push((Attribute::Parent, self.router().into()));
        }
        self.start(kind, None, None, attributes, now)
    }

    /// Begins the record of the site, which has no parent; `name` is its identity, if it has one.
    pub fn begin_site(self: &Arc<Self>, name: Option<&str>, attributes: Attributes, now: Instant) -> Record {
        self.start(RecordType::Site, name.map(Arc::from), None, attributes, now)
    }

    /// Begins the record of a flow. None when there are too many.
    pub fn begin_flow(self: &Arc<Self>, kind: RecordType, attributes: Attributes, now: Instant) -> Option<Record> {
        self.admit().then(|| self.start(kind, None, None, attributes, now))
    }

    /// Begins this router's part of the record of a flow that another router has begun, or the other side of this one.
    /// None when there are too many.
    pub fn join_flow(self: &Arc<Self>, base: Identity, attributes: Attributes, now: Instant) -> Option<Record> {
        self.admit().then(|| self.start(RecordType::BiflowTport, None, Some(base), attributes, now))
    }

    /// Records a line of the log, if somebody collects such records now.
    pub fn log(&self, attributes: impl FnOnce() -> Attributes, now: Instant) {
        if !self.collects_logs.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.logs == LOGS_MAX {
            return;
        }
        queue.logs += 1;
        drop(queue);
        let mut attributes = attributes();
        attributes.push((Attribute::Parent, self.router().into()));
        self.tell_begin(self.next_number(), RecordType::Log, attributes, now);
    }

    /// Tells of a record that has no owner.
    fn tell_begin(&self, number: u64, kind: RecordType, attributes: Attributes, at: Instant) {
        let meter = Arc::default();
        self.tell(Change::Begin(Begin { number, kind, name: None, base: None, at, attributes, meter, end: None }));
    }

    fn start(
        self: &Arc<Self>,
        kind: RecordType,
        name: Option<Arc<str>>,
        base: Option<Identity>,
        attributes: Attributes,
        at: Instant,
    ) -> Record {
        let number = self.next_number();
        let meter = Arc::<Meter>::default();
        let begin = Begin { number, kind, name, base, at, attributes, meter: Arc::clone(&meter), end: None };
        let place = self.tell(Change::Begin(begin));
        Record { registry: Arc::clone(self), number, meter, place, ended: false }
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there may be another flow; if so it is counted.
    fn admit(&self) -> bool {
        let limit = if self.full.load(Ordering::Relaxed) { self.limit - FLOWS_SLACK } else { self.limit };
        let counted =
            self.flows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |flows| (flows < limit).then_some(flows + 1));
        self.full.store(counted.is_err(), Ordering::Relaxed);
        if counted.is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        counted.is_ok()
    }

    /// Returns where it waits.
    fn tell(&self, change: Change) -> Place {
        let (place, waker) = {
            let mut queue = self.queue.lock();
            let place = Place { round: queue.round, index: queue.changes.len() };
            if queue.is_closed {
                return place;
            }
            queue.changes.push(change);
            (place, queue.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        place
    }

    /// Tells attributes of a record, and maybe its end.
    fn tell_more(&self, number: u64, place: Place, attributes: Attributes, end: Option<End>) {
        let mut queue = self.queue.lock();
        let Some(begin) = queue.begin(place) else {
            drop(queue);
            self.tell(match end {
                None => Change::Set { number, attributes },
                Some(at) => Change::End { number, at, attributes },
            });
            return;
        };
        if end.is_some() && begin.kind.is_flow() && begin.base.is_none() && !self.tells_ends() {
            let untold = std::mem::replace(&mut queue.changes[place.index], Change::Untold);
            queue.untold += 1;
            drop(queue);
            drop(untold);
            return self.release_flow();
        }
        begin.attributes.extend(attributes);
        begin.end = end;
    }

    /// Whether anybody is told of a flow that is over.
    fn tells_ends(&self) -> bool {
        self.collects_flows() || (enabled(LogModule::FlowLog, Level::Info) && !self.is_terse.load(Ordering::Relaxed))
    }
}

impl Queue {
    /// The beginning of a record that was not taken yet.
    fn begin(&mut self, place: Place) -> Option<&mut Begin> {
        match self.changes.get_mut(place.index).filter(|_| place.round == self.round) {
            Some(Change::Begin(begin)) => Some(begin),
            _ => None,
        }
    }
}

// === impl Registry: for the source ===

impl Registry {
    /// Takes what was told, and leaves room for more.
    pub(super) fn take(&self, room: Vec<Change>) -> Told {
        debug_assert!(room.is_empty(), "nothing is lost");
        let mut queue = self.queue.lock();
        queue.logs = 0;
        queue.round += 1;
        let untold = std::mem::take(&mut queue.untold);
        Told { changes: std::mem::replace(&mut queue.changes, room), untold }
    }

    /// Whether there are lines about records now was told anew.
    pub(super) fn set_terse(&self, terse: bool) {
        self.is_terse.store(terse, Ordering::Relaxed);
    }

    /// From now on somebody is told of every flow that is over.
    pub(super) fn follow_ends(&self) {
        self.follows_ends.store(true, Ordering::Relaxed);
    }

    /// Goes to sleep until something is told. False: something was.
    pub fn park(&self, waker: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let empty = queue.changes.is_empty();
        if empty {
            queue.waker = Some(waker.clone());
        }
        empty
    }

    /// Nobody will take any more what is told.
    pub(super) fn close(&self) {
        // No record is in that round of it.
        let closed = Queue { is_closed: true, round: u64::MAX, ..Queue::default() };
        let queue = std::mem::replace(&mut *self.queue.lock(), closed);
        drop(queue);
        [Channel::Flows, Channel::Logs].into_iter().for_each(|channel| self.set_collected(channel, false));
    }

    /// Whether somebody collects at a channel was told anew.
    pub(super) fn set_collected(&self, channel: Channel, collected: bool) {
        match channel {
            Channel::Flows => self.collects_flows.store(collected, Ordering::Relaxed),
            Channel::Logs => self.collects_logs.store(collected, Ordering::Relaxed),
            Channel::Beacons | Channel::Events => {}
        }
    }

    /// A record of a flow is gone.
    pub(super) fn release_flow(&self) {
        self.flows.fetch_sub(1, Ordering::Relaxed);
    }

    /// Flows that went without a record since this was asked.
    pub(super) fn take_suppressed(&self) -> u64 {
        self.suppressed.swap(0, Ordering::Relaxed)
    }
}

// === impl Http1Flow ===

impl Drop for Http1Flow {
    fn drop(&mut self) {
        self.0.http1.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Record ===

impl Record {
    /// Who it is. The identity of a site with a name is that name, and this one is not used.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { source: self.registry.source, number: self.number }
    }

    /// Where it belongs.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Its numbers.
    #[must_use]
    pub const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Sets attributes.
    pub fn set(&self, attributes: Attributes) {
        self.registry.tell_more(self.number, self.place, attributes, None);
    }

    /// Ends it, with last attributes. Nothing comes after that.
    pub fn end(&mut self, attributes: Attributes, now: Instant) {
        self.finish(attributes, Some(now));
    }

    fn finish(&mut self, attributes: Attributes, at: Option<Instant>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.registry.tell_more(self.number, self.place, attributes, Some(at));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish(Attributes::new(), None);
    }
}
