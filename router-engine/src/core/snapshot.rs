//! Read models for management, built on request.

use super::action::{Direction, PeerOpen};
use super::connection::ConnParams;
use super::objects::{AddressCounters, Conn, Link, LinkCounters, LinkKind};
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
    pub role: super::connection::ConnectionRole,
    /// The peer's open, once it came.
    pub peer: Option<PeerOpen>,
    /// Closed by an administrator.
    pub deleted: bool,
    /// Since the open.
    pub uptime: Duration,
    /// Since the last delivery.
    pub last_delivery: Option<Duration>,
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
    /// `endpoint`, `router-control`, `inter-router`.
    pub link_type: &'static str,
    /// The peer sends.
    pub incoming: bool,
    /// The key of the bound address, else `M` and the terminus address.
    pub owning_address: Option<String>,
    /// Capacity in deliveries.
    pub capacity: u32,
    /// Queued for sending (outgoing) or not yet complete (incoming).
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
    /// Credit known to be available (outgoing).
    pub credit: u32,
    /// Seconds without credit.
    pub zero_credit: Duration,
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
    /// Routers that advertise it.
    pub remotes: Vec<String>,
    /// Watched by an adaptor.
    pub watched: bool,
    /// Counters.
    pub counters: AddressCounters,
}

/// Router-wide figures.
#[derive(Debug, Clone)]
pub struct RouterRow {
    /// Connections, including in-process ones.
    pub connections: usize,
    /// Links.
    pub links: usize,
    /// Address records.
    pub addresses: usize,
    /// Remote routers.
    pub nodes: usize,
    /// Deliveries counted.
    pub totals: Totals,
    /// Since start.
    pub uptime: Duration,
}

// === impl Router ===

impl Router {
    /// All connections, in the order of their numbers.
    #[must_use]
    pub fn connection_rows(&self, now: Instant) -> Vec<ConnectionRow> {
        let core = self.core.lock();
        let mut rows: Vec<_> = core
            .conns
            .iter()
            .filter(|c| !c.is_internal() && c.peer.is_some())
            .map(|c| connection_row(c, now))
            .collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    /// All links, in the order of their numbers.
    #[must_use]
    pub fn link_rows(&self, now: Instant) -> Vec<LinkRow> {
        let core = self.core.lock();
        let mut rows: Vec<_> = core
            .links
            .iter()
            .filter(|l| core.conns.get(l.conn).is_some_and(|c| !c.is_internal()))
            .map(|l| link_row(&core, l, now))
            .collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    /// All address records.
    #[must_use]
    pub fn address_rows(&self) -> Vec<AddressRow> {
        let core = self.core.lock();
        let mut rows: Vec<_> = core
            .addresses
            .iter()
            .map(|a| AddressRow {
                key: a.key.clone(),
                treatment: a.treatment,
                priority: a.priority,
                in_process: a.subscribers.len() as u32 + u32::from(a.control.is_some()),
                subscribers: a.consumers.len(),
                producers: a.producers.len(),
                remotes: super::forwarding::bits_of(a.remotes).filter_map(|b| core.peers.name(b)).collect(),
                watched: !a.watches.is_empty(),
                counters: a.counters,
            })
            .collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Router-wide figures.
    #[must_use]
    pub fn router_row(&self, now: Instant) -> RouterRow {
        let core = self.core.lock();
        RouterRow {
            connections: core.conns.iter().filter(|c| !c.is_internal()).count(),
            links: core.links.len(),
            addresses: core.addresses.len(),
            nodes: core.peers.count(),
            totals: core.totals,
            uptime: now.since(core.started),
        }
    }
}

fn connection_row(conn: &Conn, now: Instant) -> ConnectionRow {
    ConnectionRow {
        number: conn.id.number,
        params: conn.params.clone(),
        role: conn.role,
        peer: conn.peer.clone(),
        deleted: conn.admin_deleted,
        uptime: now.since(conn.opened_at),
        last_delivery: conn.last_delivery.map(|at| now.since(at)),
    }
}

fn link_row(core: &Core, link: &Link, now: Instant) -> LinkRow {
    let owning_address = match link.address.and_then(|a| core.addresses.get(a)) {
        Some(address) => Some(address.key.clone()),
        None => link.terminus.as_ref().map(|t| format!("M{}", String::from_utf8_lossy(t))),
    };
    let (undelivered, unsettled) = core.outstanding_of(link);
    LinkRow {
        number: link.id.number,
        connection: core.conns.get(link.conn).map_or(0, |c| c.id.number),
        name: link.name.clone(),
        link_type: match link.kind {
            LinkKind::Endpoint => "endpoint",
            LinkKind::Control => "router-control",
            LinkKind::Data(_) => "inter-router",
            LinkKind::Streaming
                if core
                    .conns
                    .get(link.conn)
                    .is_some_and(|c| c.role == super::connection::ConnectionRole::InterRouter) =>
            {
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
        counters: link.counters,
        moved_streams: link.moved_streams,
        priority: link.kind.priority(),
        credit: link.peer_credit,
        zero_credit: link.zero_credit_since.map_or(Duration::ZERO, |at| now.since(at)),
    }
}

impl Core {
    /// Deliveries of a link that are (not yet complete, complete but unsettled).
    fn outstanding_of(&self, link: &Link) -> (u32, u32) {
        let mut undelivered = 0;
        let mut next = link.deliveries.head();
        while let Some(slot) = next {
            match link.direction {
                Direction::Out => {
                    let out = &self.outs[slot];
                    undelivered += u32::from((out.stream || out.presettled) && !out.sent);
                    next = out.hook.next();
                }
                Direction::In => {
                    let delivery = &self.ins[slot];
                    undelivered += u32::from(!delivery.complete);
                    next = delivery.hook.next();
                }
            }
        }
        (undelivered, link.deliveries.len() - undelivered)
    }
}
