//! Read models for management, built on request.

use super::action::{Action, Direction, PeerOpen};
use super::connection::{ConnParams, ConnectionRole};
use super::deliveries::{IncomingDelivery, OutgoingDelivery};
use super::ingress::by_number;
use super::objects::{Address, AddressCounters, Conn, Link, LinkCounters, LinkKind};
use super::table::{Entry, Table};
use super::{Core, Router, Totals};
use crate::forward::Treatment;
use amqp_core::Instant;
use std::time::Duration;

/// A connection.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    /// The connection number.
    pub number: u32,
    /// How it came to be.
    pub params: ConnParams,
    /// The role, as the peer's open made it.
    pub role: ConnectionRole,
    /// The peer's open, once it came.
    pub peer: Option<PeerOpen>,
    /// Closed by an administrator.
    pub deleted: bool,
    /// Since the open.
    pub uptime: Duration,
    /// Since the last delivery.
    pub last_delivery: Option<Duration>,
    /// Its frames are traced.
    pub traced: bool,
    /// In use: not one that stands by until another to the network is lost.
    pub active: bool,
    /// The mesh of edge routers that the peer is in.
    pub mesh: Option<String>,
}

/// A link.
#[derive(Debug, Clone)]
pub struct LinkRow {
    /// The link number.
    pub number: u32,
    /// The connection number.
    pub connection: u32,
    /// The link name.
    pub name: String,
    /// `endpoint`, `router-control`, `inter-router`, `edge-downlink`, `inter-edge`.
    pub link_type: &'static str,
    /// The peer sends.
    pub incoming: bool,
    /// The key of the bound address, else `M` and the terminus address.
    pub owning_address: Option<String>,
    /// Capacity in deliveries.
    pub capacity: u32,
    /// Queued for sending, or on their way out; none of incoming links.
    pub undelivered: u32,
    /// Unsettled.
    pub unsettled: u32,
    /// Attached on both sides.
    pub up: bool,
    /// Counters.
    pub counters: LinkCounters,
    /// Streams moved to other links.
    pub moved_streams: u32,
    /// Priority for scheduling.
    pub priority: u8,
    /// Credit that the receiving side has given and the sending side has not used.
    pub credit: u32,
    /// Seconds without credit.
    pub zero_credit: Duration,
    /// Settlements per second in the last few seconds.
    pub settle_rate: u32,
    /// Deliveries by the router where they entered the network, where they leave it.
    pub ingress: Option<Vec<u64>>,
}

/// An address.
#[derive(Debug, Clone)]
pub struct AddressRow {
    /// The key, with its class character.
    pub key: String,
    /// Its treatment.
    pub treatment: Treatment,
    /// Configured priority.
    pub priority: Option<u8>,
    /// In-process consumers.
    pub in_process: u32,
    /// Consumer links.
    pub subscribers: u32,
    /// Producer links.
    pub producers: u32,
    /// Routers that advertise it, or all others.
    pub remotes: Vec<String>,
    /// Watched by an adaptor.
    pub watched: bool,
    /// Counters.
    pub counters: AddressCounters,
    /// Unsettled deliveries at neighbours, where the treatment counts them.
    pub tracked: u32,
    /// The same by neighbour, if there ever were any: a list for each of many addresses is more than some clients read.
    pub outstanding: Option<Vec<u64>>,
}

/// Router-wide figures.
#[derive(Debug, Clone, Default)]
pub struct RouterRow {
    /// Peers of the core, those inside the process and those that have not opened yet included.
    pub peers: usize,
    /// Connections whose open came, as in [`Router::connection_rows`].
    pub connections: usize,
    /// Of these, those of role normal by protocol.
    pub services: Vec<(&'static str, u64)>,
    /// Links, as in [`Router::link_rows`].
    pub links: usize,
    /// Address records.
    pub addresses: usize,
    /// Remote routers.
    pub nodes: usize,
    /// Deliveries that came in and are not settled.
    pub incoming: usize,
    /// Copies of them that went out, or wait to, and are not settled.
    pub outgoing: usize,
    /// Deliveries counted.
    pub totals: Totals,
    /// Since start.
    pub uptime: Duration,
    /// Since the topology changed, if it ever did.
    pub since_topology_change: Option<Duration>,
}

/// Octets of the objects in the core's tables, without what they refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSizes {
    /// An address record.
    pub address: usize,
    /// A link.
    pub link: usize,
    /// A connection.
    pub connection: usize,
    /// A delivery that came in.
    pub incoming: usize,
    /// A copy of one that goes out.
    pub outgoing: usize,
    /// Something that a peer asks of the core.
    pub action: usize,
}

/// Part of a table: rows are numbered from zero, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The first row.
    pub offset: usize,
    /// How many rows.
    pub count: usize,
}

/// What a link is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKey<'a> {
    /// Its number.
    Number(u32),
    /// Its name; of several with that name the one that is found first.
    Name(&'a str),
}

/// Rows that are made without releasing the lock.
const BATCH: usize = 256;

// === impl Page ===

impl Page {
    /// All rows.
    pub const ALL: Self = Self { offset: 0, count: usize::MAX };

    /// The items of this page in ascending order.
    fn of<T: Ord>(self, mut items: Vec<T>) -> Vec<T> {
        if self.offset >= items.len() || self.count == 0 {
            return Vec::new();
        }
        if self.offset > 0 {
            items.select_nth_unstable(self.offset);
            items.drain(..self.offset);
        }
        if self.count < items.len() {
            items.select_nth_unstable(self.count);
            items.truncate(self.count);
        }
        items.sort_unstable();
        items
    }
}

// === impl Router ===

// === impl ObjectSizes ===

impl ObjectSizes {
    /// Those of this build.
    pub const OURS: Self = Self {
        address: size_of::<Address>(),
        link: size_of::<Link>(),
        connection: size_of::<Conn>(),
        incoming: size_of::<IncomingDelivery>(),
        outgoing: size_of::<OutgoingDelivery>(),
        action: size_of::<Action>(),
    };
}

impl Router {
    /// All connections whose open came, oldest first.
    #[must_use]
    pub fn connection_rows(&self, now: Instant) -> Vec<ConnectionRow> {
        self.connection_page(Page::ALL, now)
    }

    /// As [`Self::connection_rows`], a part of it.
    #[must_use]
    pub fn connection_page(&self, page: Page, now: Instant) -> Vec<ConnectionRow> {
        self.rows(page, |core| &core.conns, |_, c| c.is_shown(), |core, c| connection_row(core, c, now))
    }

    /// The connection with that number.
    #[must_use]
    pub fn connection_row(&self, number: u32, now: Instant) -> Option<ConnectionRow> {
        let core = self.core.lock();
        core.conns.iter().find(|c| c.id.number == number && c.is_shown()).map(|c| connection_row(&core, c, now))
    }

    /// All links of these connections, oldest first.
    #[must_use]
    pub fn link_rows(&self, now: Instant) -> Vec<LinkRow> {
        self.link_page(Page::ALL, now)
    }

    /// As [`Self::link_rows`], a part of it.
    #[must_use]
    pub fn link_page(&self, page: Page, now: Instant) -> Vec<LinkRow> {
        self.rows(page, |core| &core.links, Core::shows_link, |core, l| link_row(core, l, now))
    }

    /// One link.
    #[must_use]
    pub fn link_row(&self, key: LinkKey<'_>, now: Instant) -> Option<LinkRow> {
        let core = self.core.lock();
        let is_meant = |l: &&Link| match key {
            LinkKey::Number(number) => l.id.number == number,
            LinkKey::Name(name) => l.name == name,
        };
        core.links.iter().filter(is_meant).find(|l| core.shows_link(l)).map(|l| link_row(&core, l, now))
    }

    /// All address records, oldest first.
    #[must_use]
    pub fn address_rows(&self) -> Vec<AddressRow> {
        self.address_page(Page::ALL)
    }

    /// As [`Self::address_rows`], a part of it.
    #[must_use]
    pub fn address_page(&self, page: Page) -> Vec<AddressRow> {
        self.rows(page, |core| core.addresses.records(), |_, _| true, address_row)
    }

    /// The address record with that key.
    #[must_use]
    pub fn address_row(&self, key: &str) -> Option<AddressRow> {
        let core = self.core.lock();
        core.addresses.with_key(key).map(|slot| address_row(&core, &core.addresses[slot]))
    }

    /// Router-wide figures. What this costs does not depend on how many objects there are.
    #[must_use]
    pub fn router_row(&self, now: Instant) -> RouterRow {
        let http1 = self.records().map_or(0, |records| records.http1_flows());
        let core = self.core.lock();
        RouterRow {
            peers: core.conns.len(),
            connections: core.figures.connections,
            services: core.figures.services(http1),
            links: core.figures.links,
            addresses: core.addresses.records().len(),
            nodes: core.plane.routing().count(),
            incoming: core.incoming.len(),
            outgoing: core.outgoing.len(),
            totals: core.figures.totals,
            uptime: now.since(core.timers.started),
            since_topology_change: core.plane.since_change(now),
        }
    }

    /// Rows of the shown objects of a table. Routing waits for a batch of rows at most: which ones there are is
    /// noted first, and what is gone by the time of its batch is left out.
    fn rows<T: Entry<Id: Ord>, R>(
        &self,
        page: Page,
        table: fn(&Core) -> &Table<T>,
        shows: impl Fn(&Core, &T) -> bool,
        row: impl Fn(&Core, &T) -> R,
    ) -> Vec<R> {
        let ids = {
            let core = self.core.lock();
            table(&core).entries().filter(|(_, t)| shows(&core, t)).map(|(_, t)| t.id()).collect()
        };
        let ids = page.of(ids);
        let mut rows = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let core = self.core.lock();
            let table = table(&core);
            let live = batch.iter().filter_map(|&id| table.find(id));
            rows.extend(live.map(|slot| row(&core, &table[slot])));
        }
        rows
    }
}

fn address_row(core: &Core, a: &Address) -> AddressRow {
    let remotes = if a.class() == b'T' { core.plane.routing().known() } else { a.remotes.clone() };
    AddressRow {
        key: a.key.clone(),
        treatment: a.treatment,
        priority: a.priority,
        in_process: a.subscribers.len() as u32 + u32::from(a.control.is_some()),
        subscribers: a.consumers.len(),
        producers: a.producers.len(),
        remotes: remotes.iter().filter_map(|node| core.plane.routing().name(node)).collect(),
        watched: !a.watches.is_empty(),
        counters: a.counters,
        tracked: a.outstanding.iter().map(|(_, count)| count).sum(),
        outstanding: (a.treatment == Treatment::Balanced && a.counters.transit > 0).then(|| by_neighbour(a)),
    }
}

fn by_neighbour(address: &Address) -> Vec<u64> {
    by_number(address.outstanding.iter().map(|(neighbour, count)| (neighbour.get(), u64::from(*count))))
}

fn connection_row(core: &Core, conn: &Conn, now: Instant) -> ConnectionRow {
    ConnectionRow {
        number: conn.id.number,
        params: conn.params.clone(),
        role: conn.role,
        peer: conn.peer.clone(),
        deleted: conn.admin_deleted,
        uptime: now.since(conn.opened_at),
        last_delivery: conn.last_delivery.map(|at| now.since(at)),
        traced: conn.is_traced(),
        active: core.is_in_use(conn),
        mesh: conn.edge.as_ref().and_then(|edge| edge.mesh).map(|mesh| String::from_utf8_lossy(&mesh).into_owned()),
    }
}

fn link_row(core: &Core, link: &Link, now: Instant) -> LinkRow {
    let owning_address = match (link.address.and_then(|a| core.addresses.get(a)), link.kind) {
        (Some(address), _) => Some(address.key.clone()),
        (None, LinkKind::Service(service)) => {
            (service.served() == link.direction).then(|| format!("M{}", service.address()))
        }
        (None, _) => link.terminus.as_ref().map(|t| format!("M{}", String::from_utf8_lossy(t))),
    };
    let (undelivered, unsettled) = link.pending();
    let in_process = core.conns.get(link.conn).is_some_and(|c| c.params.kind.is_of_service());
    let zero_credit = link.zero_credit_since.filter(|_| !in_process);
    LinkRow {
        number: link.id.number,
        connection: core.conns.get(link.conn).map_or(0, |c| c.id.number),
        name: link.name.clone(),
        link_type: match link.kind {
            LinkKind::Endpoint | LinkKind::Service(_) => "endpoint",
            LinkKind::EdgeDownlink => "edge-downlink",
            LinkKind::InterEdge => "inter-edge",
            LinkKind::Control => "router-control",
            LinkKind::Data(_) => "inter-router",
            LinkKind::Streaming if core.conns.get(link.conn).is_some_and(|c| c.role.has_control_links()) => {
                "inter-router"
            }
            LinkKind::Streaming => "endpoint",
        },
        incoming: link.direction == Direction::In,
        owning_address,
        capacity: link.capacity,
        undelivered,
        unsettled,
        up: link.up,
        counters: LinkCounters { deliveries: link.counters.deliveries + link.left_whole(), ..link.counters },
        moved_streams: link.moved_streams,
        priority: link.kind.priority(),
        // Flows take and give octets without credit for messages: always one.
        credit: if in_process { 1 } else { link.peer_credit },
        zero_credit: zero_credit.map_or(Duration::ZERO, |at| now.since(at)),
        settle_rate: link.settle_rate.per_second(now),
        ingress: core.has_histogram(link).then(|| link.ingress.counts()),
    }
}

impl Core {
    fn shows_link(&self, link: &Link) -> bool {
        self.conns.get(link.conn).is_some_and(|c| !c.is_internal())
    }
}
