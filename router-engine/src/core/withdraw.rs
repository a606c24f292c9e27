//! A router that is about to stop: others are asked to go elsewhere, while what is under way here goes on.
//!
//! ```text
//!  withdraw --+--> other routers: ways through this one cost more than any other (a stub router, as OSPF has them),
//!             |    and the addresses of its clients are advertised no more, or stood for at the uplink of an edge router
//!             '--> edge routers: they use another uplink where they have one
//!      |
//!  what comes until everybody knows is served
//!      v
//!  wind_down ----> links of its clients take nothing new, and give no more credit; routers are served to the end
//!      |
//!      v
//!  release_idle, again and again --> clients that have nothing under way: closed
//!                                --> UnderWay: what is left
//! ```

use super::action::Direction;
use super::action::PeerOpen;
use super::connection::{ConnectionRole, LINK_STATE_SYNC, PeerKind, UPLINK_CHANGE};
use super::effect::Effect;
use super::objects::{Address, Conn, Link, LinkKind};
use super::table::Slot;
use super::{Core, Router};
use amqp_core::Instant;
use amqp_core::performative::Error;
use std::fmt;
use std::time::Duration;

/// The condition by which a router tells an edge router that it is about to stop (see [`UPLINK_CHANGE`]).
pub(super) const WITHDRAWN: &str = "qd:router-withdrawn";

/// How long routers of this implementation may take to know of it, links of a wide area and all.
const NEWS_TIME: Duration = Duration::from_millis(500);

/// The same of C routers, which ask at one of their ticks, and act upon the answer at another.
const TICKING_NEWS_TIME: Duration = Duration::from_secs(4);

/// How long a client has to have been without a delivery to be sent away.
const QUIET: Duration = Duration::from_millis(500);

/// How far a router is that is about to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Withdrawal {
    /// It is not.
    #[default]
    No,
    /// Others are told.
    Announced,
    /// Nothing new begins.
    WindingDown,
}

/// What a router that is about to stop has not done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnderWay {
    /// Streams: a flow of TCP has one each way.
    pub streams: usize,
    /// Messages that are not settled, or not sent.
    pub messages: usize,
    /// Connections of clients that have not closed yet.
    pub connections: usize,
}

// === impl UnderWay ===

impl UnderWay {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.streams == 0 && self.messages == 0 && self.connections == 0
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, messages, connections } = self;
        write!(f, "{streams} streams, {messages} messages and {connections} connections")
    }
}

// === impl Router ===

impl Router {
    /// Has others go elsewhere. It cannot be taken back. Returns how long it may be until all do.
    pub fn withdraw(&self, now: Instant) -> Duration {
        self.with(|core| {
            core.advance(now);
            core.withdraw();
            core.news_time()
        })
    }

    /// After [`Self::withdraw`]: clients get nothing new to do.
    pub fn wind_down(&self, now: Instant) {
        self.with(|core| {
            core.advance(now);
            core.wind_down();
        });
    }

    /// After [`Self::wind_down`]: closes the connections of clients that have nothing under way, and tells
    /// what is left. Looks at every delivery, so this is not for every moment.
    pub fn release_idle(&self, now: Instant) -> UnderWay {
        self.with(|core| {
            core.advance(now);
            core.release_idle();
            core.under_way()
        })
    }
}

// === impl Conn ===

impl Conn {
    /// Whether its peer, behind a socket, has nobody behind itself who would be kept waiting.
    pub(super) fn is_of_client(&self) -> bool {
        self.params.kind == PeerKind::Amqp && !self.role.is_router()
    }
}

// === impl Core ===

impl Core {
    fn withdraw(&mut self) {
        if self.withdrawal != Withdrawal::No {
            return;
        }
        self.withdraw_addresses();
        self.drive_mesh(|mesh, now| mesh.withdraw(now));
        self.withdrawal = Withdrawal::Announced;
        let edges = self.conns.entries().filter(|(_, conn)| conn.edge.is_some());
        for conn in edges.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.ask_to_leave(conn);
        }
        for address in self.addresses.slots() {
            self.proxies_of_withdrawn(address);
        }
    }

    fn wind_down(&mut self) {
        self.withdrawal = Withdrawal::WindingDown;
        let clients = self.conns.entries().filter(|(_, conn)| conn.is_of_client());
        for conn in clients.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.release_consumers(conn);
        }
    }

    fn news_time(&self) -> Duration {
        let tells = |conn: &&Conn| conn.role.has_control_links() || conn.role.attaches_for_others();
        let heard = self.conns.iter().filter(tells).filter_map(|conn| Some((conn.role, conn.peer.as_ref()?)));
        let ticks = |role: ConnectionRole, peer: &PeerOpen| role.has_control_links() && !peer.offers(LINK_STATE_SYNC);
        heard
            .map(|(role, peer)| if ticks(role, peer) { TICKING_NEWS_TIME } else { NEWS_TIME })
            .max()
            .unwrap_or_default()
    }

    /// The links of a client take nothing new from the network. Answers still come: what they go to is the client's alone.
    fn release_consumers(&mut self, conn: Slot<Conn>) {
        for link in self.conns[conn].links.clone() {
            if self.is_mobile_consumer(&self.links[link]) {
                self.unbind(link);
            }
        }
    }

    fn is_mobile_consumer(&self, link: &Link) -> bool {
        let is_one_of_many = |address: &Address| address.class() == b'M' && !address.treatment.is_multicast();
        link.direction == Direction::Out && link.address.is_some_and(|address| is_one_of_many(&self.addresses[address]))
    }

    /// An edge router that can is asked to use another uplink. Others notice once this router is gone.
    pub(super) fn ask_to_leave(&mut self, conn: Slot<Conn>) {
        let Conn { peer: Some(peer), edge: Some(edge), .. } = &mut self.conns[conn] else { return };
        let asks = self.withdrawal != Withdrawal::No && peer.offers(UPLINK_CHANGE);
        if let Some(tracking) = edge.tracking.filter(|_| asks && !edge.asked_to_leave) {
            // Who has no other attaches the link again.
            edge.asked_to_leave = true;
            self.detach_link(tracking, Some(Error::new(WITHDRAWN, "The router is about to stop")));
        }
    }

    fn release_idle(&mut self) {
        // Whoever has just done something may be about to answer it.
        let is_quiet = |conn: &Conn| conn.last_delivery.is_none_or(|at| self.now.since(at) >= QUIET);
        let is_idle =
            |conn: &Conn| is_quiet(conn) && conn.links.iter().all(|&link| self.links[link].delivery_count() == 0);
        let leaving = |conn: &Conn| conn.is_of_client() && conn.peer.is_some() && !conn.admin_deleted && is_idle(conn);
        let idle: Vec<Slot<Conn>> =
            self.conns.entries().filter(|(_, conn)| leaving(conn)).map(|(slot, _)| slot).collect();
        for conn in idle {
            self.conns[conn].admin_deleted = true;
            let error = Error::new("amqp:connection:forced", "The router is about to stop");
            self.stage(conn, Effect::Close { error: Some(Box::new(error)), hard: false });
        }
    }

    fn under_way(&self) -> UnderWay {
        let connections = self.conns.iter().filter(|conn| conn.is_of_client() && conn.peer.is_some()).count();
        let mut under_way = UnderWay { connections, ..UnderWay::default() };
        let counts = |link: Slot<Link>| {
            let link = &self.links[link];
            !matches!(link.kind, LinkKind::Control | LinkKind::Service(_)) && !self.conns[link.conn].is_internal()
        };
        for delivery in self.incoming.iter().filter(|delivery| counts(delivery.link)) {
            match delivery.born {
                None => under_way.streams += 1,
                Some(_) => under_way.messages += 1,
            }
        }
        let alone = self.outgoing.iter().filter(|delivery| delivery.origin.is_none() && delivery.waits());
        under_way.messages += alone.filter(|delivery| counts(delivery.link)).count();
        under_way
    }
}
