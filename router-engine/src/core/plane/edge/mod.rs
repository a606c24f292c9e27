//! The plane of an edge router: what it does for its network is to have its clients' links attached again, at the
//! interior router that it is connected to and at the edge routers that it is connected to
//! (spec `inter-router-protocol.md` section 9).
//!
//! ```text
//!  client --> edge router =====uplink, what has no address here=====> interior router
//!                  |      <====downlink, what is for this router====
//!                  |      ----proxy of the producers of an address-->  in use while somebody consumes it there,
//!                  |      <---proxy of the consumers of an address---  which the interior tells ("tracking")
//!                  |
//!                  +===========anonymous============================> another edge router of the mesh
//!                  <-----------proxy of the consumers of an address--
//! ```

mod mesh_id;
mod negotiation;
mod peers;
mod proxies;
mod uplink;

use super::super::Core;
use super::super::addresses::AddressTable;
use super::super::objects::{Address, Conn, Link};
use super::super::table::{Slot, Table};
use super::Plane;
use super::messages::{Bid, MeshId};
use crate::address::name::{self, DISCRIMINATOR_LEN};
use crate::rng::SecretRng;
use bytes::Bytes;
use mesh_id::MeshIdentity;
use std::collections::HashMap;
use uplink::Uplink;

pub(in crate::core) use peers::{CAP_INTER_EDGE, EdgePeer};
pub(in crate::core) use uplink::CAP_EDGE_DOWNLINK;

/// What an edge router knows of its network.
#[derive(Debug)]
pub(in crate::core) struct Edge {
    /// Open connections to interior routers, in the order in which they opened.
    candidates: Vec<Slot<Conn>>,
    /// The one of them that is used.
    uplink: Option<Uplink>,
    /// Its address, whose only consumer it is. There is a record for the life of the router.
    uplink_address: Slot<Address>,
    /// It is closing.
    uplink_lost: bool,
    /// Links on the uplink's connection that stand for links of clients, by their address. It has a record for as long.
    proxies: HashMap<Slot<Address>, Proxies>,
    /// Connected edge routers.
    peers: Table<EdgePeer>,
    mesh: MeshIdentity,
    /// Microseconds since the Unix epoch at which the router started.
    started: i64,
}

/// Links of an edge router that stand for those of its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Proxies {
    /// Stands for consumers.
    incoming: Proxy,
    /// Stands for producers.
    outgoing: Proxy,
}

/// A link that stands for clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Proxy {
    #[default]
    None,
    Link(Slot<Link>),
    /// The peer has detached it. There is no other one until those that it stood for are gone and others come.
    Refused,
}

// === impl Proxy ===

impl Proxy {
    const fn link(self) -> Option<Slot<Link>> {
        match self {
            Self::Link(link) => Some(link),
            Self::None | Self::Refused => None,
        }
    }
}

// === impl Edge ===

impl Edge {
    /// `instance` is the boot time in seconds since the Unix epoch.
    pub(super) fn new(instance: i64, rng: &mut SecretRng, addresses: &mut AddressTable) -> Self {
        let started = instance.saturating_mul(1_000_000);
        Self {
            candidates: Vec::new(),
            uplink: None,
            uplink_address: uplink::create_address(addresses),
            uplink_lost: false,
            proxies: HashMap::new(),
            peers: Table::default(),
            mesh: MeshIdentity::new(draw(started, rng)),
            started,
        }
    }

    /// The identifier of the mesh of edge routers that this one is in.
    const fn mesh_id(&self) -> MeshId {
        self.mesh.id()
    }

    /// The same, as messages on their way to an interior router carry it.
    pub(in crate::core) fn mesh_text(&self) -> Bytes {
        self.mesh.text()
    }
}

// === impl Plane ===

impl Plane {
    /// What an edge router knows of its network.
    pub(in crate::core) const fn edge(&self) -> Option<&Edge> {
        match self {
            Self::Edge(edge) => Some(edge),
            Self::Standalone | Self::Interior(_) => None,
        }
    }

    const fn edge_mut(&mut self) -> Option<&mut Edge> {
        match self {
            Self::Edge(edge) => Some(edge),
            Self::Standalone | Self::Interior(_) => None,
        }
    }
}

fn draw(started: i64, rng: &mut SecretRng) -> Bid {
    let chance = i64::try_from(rng.next_u64() % 1_000_000).unwrap_or(0);
    let text = name::discriminator(rng);
    let mut id = [b'0'; DISCRIMINATOR_LEN];
    id.copy_from_slice(&text.as_bytes()[..DISCRIMINATOR_LEN]);
    Bid { ordinal: started.saturating_add(chance), id }
}

// === impl Core ===

impl Core {
    /// A connection of role edge is open: towards the network at an edge router, towards an edge router at others.
    pub(in crate::core) fn edge_connection_opened(&mut self, conn: Slot<Conn>) {
        match self.plane {
            Plane::Edge(_) => self.uplink_opened(conn),
            Plane::Interior(_) => self.conns[conn].edge = Some(Box::default()),
            Plane::Standalone => {}
        }
    }

    /// An edge router that withdraws has nothing stand for its clients any more.
    pub(in crate::core) fn proxies_of_withdrawn(&mut self, address: Slot<Address>) {
        if self.plane.edge().is_some() {
            self.reconcile_proxies(address);
        }
    }

    /// A connection is about to go, with its links.
    pub(in crate::core) fn edge_connection_closing(&mut self, conn: Slot<Conn>) {
        if self.plane.edge().is_some() {
            self.uplink_closing(conn);
            self.peer_closing(conn);
        }
    }

    /// A link is about to go that may stand for clients here, or lead to another edge router.
    pub(in crate::core) fn edge_link_lost(&mut self, link: Slot<Link>) {
        if self.plane.edge().is_some() && self.conns[self.links[link].conn].role.attaches_for_others() {
            self.uplink_link_lost(link);
            self.proxy_lost(link);
            self.peer_link_lost(link);
        }
    }

    /// A connection is gone.
    pub(in crate::core) fn edge_connection_closed(&mut self, conn: &Conn) {
        if self.plane.edge().is_none() || conn.peer.is_none() {
            return;
        }
        if conn.role.is_edge() {
            self.uplink_closed(conn);
        } else if conn.role.is_inter_edge() {
            self.peer_closed(conn);
        }
    }
}
