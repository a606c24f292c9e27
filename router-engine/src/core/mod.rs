//! The routing core: a plain struct that consumes actions and produces effects.
//!
//! [`Router`] wraps [`Core`] in the one lock that whoever has a batch takes. Effects are staged per
//! connection while a batch is applied, posted to the mailboxes at its end, and the sleeping ports
//! are woken after the lock is released.
//!
//! ```text
//!  port --Action--> submit [ lock: lifecycle | attach | transfer -> forward | settle | credit ]
//!                                                    |
//!  port <--Effect-- Mailbox <---- staged per connection, one post and one wake per batch
//! ```

pub mod action;
mod addresses;
mod attach;
mod auto_link;
mod config;
pub mod connection;
mod credit;
mod deliveries;
pub mod effect;
mod ending;
mod figures;
mod forwarding;
mod gauge;
mod groups;
pub mod ids;
mod ingress;
mod lifecycle;
mod neighbours;
pub mod nodes;
mod objects;
mod plane;
mod population;
mod rate;
mod reach;
mod report;
mod resend;
mod role;
mod routing;
mod send;
mod served;
mod services;
mod settle;
pub mod snapshot;
mod streaming;
mod stuck;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod traffic;
mod transfer;
mod unavailable;
mod watch;
mod withdraw;

pub use crate::mode::Mode;
pub use auto_link::{AutoLinkConfig, AutoLinkPeer, AutoLinkState, AutoLinkStatus};
pub use config::{AddressConfig, RouterConfig};
pub use gauge::LinkGauge;
pub use objects::{AddressCounters, LinkCounters};
pub use population::Population;
pub use served::PeerAttach;
pub use traffic::{OTHERS, PeerTraffic};
pub use watch::WatchId;
pub use withdraw::UnderWay;

use crate::Mailbox;
use crate::mesh::Mesh;
use crate::policy::{self, Admission, Asked, Policy, VhostFigures};
use crate::rng::{SecretRng, Seed};
use crate::vanflow::Registry;
use action::{Action, InToken};
use addresses::AddressTable;
use amqp_core::Instant;
use connection::{ConnHandle, ConnParams};
use deliveries::{IncomingDelivery, OutgoingDelivery};
use effect::Effect;
use ids::{ConnId, InId, LinkId};
use objects::{Address, Conn, Link};
use parking_lot::{Mutex, RwLock};
use plane::Plane;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;
use table::{Slot, Table};

/// Tells a port the core's id of a delivery that it gave with [`Action::Deliver`]. Only deliveries
/// that are unsettled or still arriving get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The port's name of the delivery.
    pub token: InToken,
    /// The core's id.
    pub id: InId,
}

/// The routing core. See the module documentation.
#[derive(Debug)]
pub struct Core {
    config: RouterConfig,
    rng: SecretRng,
    conns: Table<Conn>,
    links: Table<Link>,
    addresses: AddressTable,
    incoming: Table<IncomingDelivery>,
    outgoing: Table<OutgoingDelivery>,
    plane: Plane,
    neighbours: neighbours::Neighbours,
    auto_links: auto_link::AutoLinks,
    figures: figures::Figures,
    served: served::Served,
    timers: Timers,
    withdrawal: withdraw::Withdrawal,
    /// Time of the running batch.
    now: Instant,
    due: Due,
}

/// What the core does by itself, and when.
#[derive(Debug)]
struct Timers {
    /// When the router began.
    started: Instant,
    next_tick: Instant,
    /// Looks for deliveries that are stuck, where that is wanted.
    detection: Option<stuck::Detection>,
    /// Who waits for the next timeout, and until when.
    waiting: Option<(Waker, Instant)>,
    /// Streams from other routers that have begun since the last tick, and whose credit is owed.
    young_streams: Vec<InId>,
}

/// What is to be done at the end of the running batch.
#[derive(Debug, Default)]
struct Due {
    /// Connections with staged effects.
    conns: Vec<Slot<Conn>>,
    /// Incoming links with credit to grant.
    links: Vec<Slot<Link>>,
    /// Addresses of an edge router whose clients have changed; each is held once for each time that it is here.
    proxies: Vec<Slot<Address>>,
    /// Links of earlier uplinks that have sent all that waited on them.
    retired: Vec<LinkId>,
    /// Wakers to call once the lock is released.
    wakers: Vec<Waker>,
}

/// Router-wide counters (spec `amqp-endpoint.md` 18.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Of deliveries that came in; pre-settled ones count where they enter the network.
    pub outcomes: LinkCounters,
    /// Deliveries received on endpoint links.
    pub ingress: u64,
    /// Deliveries sent on endpoint links.
    pub egress: u64,
    /// Deliveries sent to other routers, routing protocol messages excepted.
    pub transit: u64,
    /// Links that have been without credit for too long now.
    pub links_blocked: u32,
    /// Received from route containers.
    pub ingress_route_container: u64,
    /// Sent to route containers.
    pub egress_route_container: u64,
    /// Received from other networks.
    pub ingress_inter_network: u64,
    /// Sent to other networks.
    pub egress_inter_network: u64,
}

/// The core behind its lock.
#[derive(Debug)]
pub struct Router {
    core: Mutex<Core>,
    /// Has a lock of its own: who opens a connection does not hold up routing meanwhile.
    policy: RwLock<Policy>,
    policy_totals: Arc<policy::Totals>,
    records: OnceLock<Arc<Registry>>,
    traffic: traffic::Traffic,
    id: String,
    mode: Mode,
    stream_retry: Duration,
}

/// Period of the core's timer (spec `inter-router-protocol.md`: a tick is one second).
const TICK: Duration = Duration::from_secs(1);

impl Timers {
    fn new(now: Instant) -> Self {
        Self { started: now, next_tick: now + TICK, detection: None, waiting: None, young_streams: Vec::new() }
    }
}

// === impl Router ===

impl Router {
    /// A router. `seed` feeds names and dynamic addresses; `instance` is the boot time in seconds
    /// since the Unix epoch, which peers use to notice a restart.
    #[must_use]
    pub fn new(config: RouterConfig, seed: Seed, instance: i64, now: Instant) -> Self {
        let (id, mode, stream_retry) = (config.id.clone(), config.mode, config.stream_retry);
        Self {
            core: Mutex::new(Core::new(config, seed, instance, now)),
            policy: RwLock::default(),
            policy_totals: Arc::default(),
            records: OnceLock::new(),
            traffic: traffic::Traffic::default(),
            id,
            mode,
            stream_retry,
        }
    }

    /// The router id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The router mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How long a client's stream that failed before it reached a server is sent again; zero is never.
    #[must_use]
    pub const fn stream_retry(&self) -> Duration {
        self.stream_retry
    }

    /// From now on what is and happens here is recorded there. There is one place for the life of the router: false when
    /// there is another already.
    pub fn set_records(&self, records: Arc<Registry>) -> bool {
        self.records.set(records).is_ok()
    }

    /// Where what is and happens here is recorded, if anywhere.
    #[must_use]
    pub fn records(&self) -> Option<&Arc<Registry>> {
        self.records.get()
    }

    /// Changes the rules of policy. Connections that are open keep what was decided.
    pub fn change_policy<T>(&self, change: impl FnOnce(&mut Policy) -> T) -> T {
        change(&mut self.policy.write())
    }

    /// Has policy let a connection in, or not.
    #[must_use]
    pub fn admit(&self, asked: &Asked<'_>, now: Instant) -> Admission {
        let host = asked.remote_host;
        let tells = || host.is_none_or(|host| self.policy_totals.refusals().tells(host, now));
        self.policy.read().admit(asked, tells)
    }

    /// What policy counts of the router as a whole.
    #[must_use]
    pub const fn policy_totals(&self) -> &Arc<policy::Totals> {
        &self.policy_totals
    }

    /// What policy has counted of each vhost that there is or was.
    #[must_use]
    pub fn vhost_figures(&self) -> Vec<VhostFigures> {
        let stats = self.policy.read().stats().to_vec();
        stats.iter().map(|stats| stats.figures()).collect()
    }

    /// Registers a connection before its first byte, and gives it a number.
    pub fn connect(&self, params: ConnParams, now: Instant) -> ConnHandle {
        self.connect_at(params, Arc::default(), now)
    }

    /// As [`Self::connect`], for a port that brings its mailbox.
    pub fn connect_at(&self, params: ConnParams, mailbox: Arc<Mailbox>, now: Instant) -> ConnHandle {
        let mut core = self.core.lock();
        core.advance(now);
        core.connect(params, mailbox)
    }

    /// Applies a batch of actions in order, drains `actions`, appends to `accepted`, and wakes the ports concerned.
    pub fn submit(&self, conn: ConnId, actions: &mut Vec<Action>, accepted: &mut Vec<Accepted>, now: Instant) {
        self.with(|core| core.apply(conn, actions, accepted, now));
    }

    /// As [`Self::submit`] at the time of the last batch, for what happens to those who have no clock.
    pub(crate) fn submit_untimed(&self, conn: ConnId, actions: &mut Vec<Action>) {
        self.with(|core| core.apply(conn, actions, &mut Vec::new(), core.now));
    }

    /// Runs the core's timers; to be called at [`Router::poll_timeout`].
    pub fn handle_timeout(&self, now: Instant) {
        self.with(|core| core.handle_timeout(now));
    }

    /// When [`Router::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.core.lock().next_timeout()
    }

    /// As [`Self::poll_timeout`]; `waker` is woken once it is to be earlier.
    #[must_use]
    pub fn await_timeout(&self, waker: &Waker) -> Instant {
        let mut core = self.core.lock();
        let due = core.next_timeout();
        core.timers.waiting = Some((waker.clone(), due));
        due
    }

    /// Runs `f` on the core, then posts what it staged and wakes the ports concerned.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.core.lock();
        let result = f(&mut core);
        core.flush();
        core.wake_timer();
        // Swapping would lose the buffer's capacity to this call; wakers are few, so they are moved out.
        let wakers = std::mem::take(&mut core.due.wakers);
        drop(core);
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

// === impl Core ===

impl Core {
    fn new(config: RouterConfig, seed: Seed, instance: i64, now: Instant) -> Self {
        let mut rng = SecretRng::new(seed);
        let mut addresses = AddressTable::new(&config);
        let mut core = Self {
            conns: Table::default(),
            links: Table::default(),
            incoming: Table::default(),
            outgoing: Table::default(),
            plane: Plane::new(&config, instance, &mut rng, &mut addresses),
            addresses,
            rng,
            neighbours: neighbours::Neighbours::default(),
            auto_links: auto_link::AutoLinks::default(),
            figures: figures::Figures::default(),
            served: served::Served::default(),
            timers: Timers::new(now),
            withdrawal: withdraw::Withdrawal::default(),
            now,
            due: Due::default(),
            config,
        };
        if core.plane.mesh().is_some() {
            core.create_control_addresses();
        }
        core
    }

    fn apply(&mut self, conn: ConnId, actions: &mut Vec<Action>, accepted: &mut Vec<Accepted>, now: Instant) {
        let Some(conn) = self.conns.find(conn) else {
            actions.clear();
            return;
        };
        self.advance(now);
        if matches!(actions.last(), Some(Action::Closed)) {
            // The links that are detached on the way there are not refused.
            self.deactivate_auto_links(conn);
        }
        let mut unbound = false;
        let mut rest = actions.drain(..);
        while let Some(action) = rest.next() {
            match action {
                Action::Opened(peer) => self.on_opened(conn, *peer),
                Action::Transport(facts) => self.on_transport(conn, *facts),
                Action::Attach(request) => self.on_attach(conn, *request),
                Action::Attached { link, source, target, settle_on_send } => {
                    self.on_attached(link, source, target, settle_on_send);
                }
                Action::Detached { link, error, unsent } => {
                    if !std::mem::replace(&mut unbound, true) {
                        self.unbind_ending(rest.as_slice());
                    }
                    self.on_detached(link, error.as_deref(), &unsent);
                }
                Action::PeerCredit { link, credit, drain } => self.on_peer_credit(link, credit, drain),
                Action::Unbind { link } => self.on_unbind(conn, link),
                Action::Drained { link, skipped } => self.on_drained(link, skipped),
                Action::Deliver(deliver) => self.on_deliver(conn, *deliver, accepted),
                Action::Complete { delivery, aborted } => self.on_complete(delivery, aborted),
                Action::Refused { link } => self.on_refused(link),
                Action::Update { delivery, state, settled } => self.on_update(delivery, state, settled),
                Action::Move { delivery, link } => self.on_move(conn, delivery, link),
                Action::Sent { delivery } => self.on_sent(delivery),
                Action::Dropped { delivery } => self.on_dropped(delivery),
                Action::Closed => {
                    self.close(conn);
                    break;
                }
            }
        }
    }

    /// The time is `now`, or later: who looked at the clock first need not get the lock first.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_timeout() {
            return;
        }
        self.advance(now);
        if self.timers.next_tick <= now {
            // A late tick is not made up for: the next one counts from now.
            self.timers.next_tick = now + TICK;
            self.tick();
        }
        self.retry_auto_links();
        self.detect_stuck();
        if self.mesh_timeout().is_some_and(|due| due <= now) {
            self.drive_mesh(|mesh, now| mesh.handle_timeout(now));
        }
    }

    fn next_timeout(&self) -> Instant {
        let detection = self.timers.detection.as_ref().map(stuck::Detection::due);
        [detection, self.auto_links.next_retry(), self.mesh_timeout()]
            .into_iter()
            .flatten()
            .fold(self.timers.next_tick, Instant::min)
    }

    fn mesh_timeout(&self) -> Option<Instant> {
        self.plane.mesh().and_then(Mesh::poll_timeout)
    }

    /// Whoever waits for the next timeout is woken if it is earlier now.
    fn wake_timer(&mut self) {
        let due = self.next_timeout();
        if let Some((waker, _)) = self.timers.waiting.take_if(|(_, until)| due < *until) {
            self.due.wakers.push(waker);
        }
    }

    /// Stages an effect for the port of a connection.
    fn stage(&mut self, conn: Slot<Conn>, effect: Effect) {
        self.stage_quietly(conn, effect);
        if let Some(c) = self.conns.get_mut(conn) {
            c.wakes = true;
        }
    }

    /// As [`Self::stage`], but the port need not wake for that. Bounded by what the port has done before.
    fn stage_quietly(&mut self, conn: Slot<Conn>, effect: Effect) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        if c.staged.is_empty() {
            self.due.conns.push(conn);
        }
        c.staged.push(effect);
    }

    /// Ends a batch: grants the credit that became due and posts staged effects.
    fn flush(&mut self) {
        self.flush_proxies();
        self.flush_credit();
        // What has a later number has not reached its port.
        let mark = self.outgoing.last_number();
        while let Some(slot) = self.due.conns.pop() {
            if let Some(conn) = self.conns.get_mut(slot) {
                self.due.wakers.extend(conn.mailbox.post_all(&mut conn.staged, mark, std::mem::take(&mut conn.wakes)));
            }
        }
    }
}
