//! What a router does for the network that it is part of, by its mode.

pub(super) mod edge;
pub(super) mod interior;
pub(super) mod messages;
pub(super) mod network;

use super::Core;
use super::addresses::AddressTable;
use super::reach::ReachChange;
use super::routing::{NO_ROUTES, RoutingTable};
use crate::core::RouterConfig;
use crate::mesh::Mesh;
use crate::mode::Mode;
use crate::rng::SecretRng;
use amqp_core::Instant;
use edge::Edge;
use interior::Interior;
use std::time::Duration;

/// The part that the router plays, with what it knows for that.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and every message asks it")]
pub(super) enum Plane {
    /// There is no network.
    Standalone,
    /// Link-state routing.
    Interior(Interior),
    /// The network is what an interior router and other edge routers make reachable.
    Edge(Edge),
}

// === impl Plane ===

impl Plane {
    /// The plane of a router; `instance` is its boot time in seconds since the Unix epoch.
    pub(super) fn new(config: &RouterConfig, instance: i64, rng: &mut SecretRng, addresses: &mut AddressTable) -> Self {
        match config.mode {
            Mode::Standalone => Self::Standalone,
            Mode::Interior => Self::Interior(Interior::new(Mesh::new(&config.id, instance, config.timing))),
            Mode::Edge => Self::Edge(Edge::new(instance, rng, addresses)),
        }
    }

    /// The ways to other routers; there are none but of interior routers.
    pub(super) const fn routing(&self) -> &RoutingTable {
        match self {
            Self::Interior(interior) => &interior.routing,
            Self::Standalone | Self::Edge(_) => &NO_ROUTES,
        }
    }

    /// The mesh of an interior router.
    pub(super) const fn mesh(&self) -> Option<&Mesh> {
        match self {
            Self::Interior(interior) => Some(&interior.mesh),
            Self::Standalone | Self::Edge(_) => None,
        }
    }

    /// The time since the topology changed, if it ever did.
    pub(super) fn since_change(&self, now: Instant) -> Option<Duration> {
        self.mesh()?.last_topology_change().map(|at| now.since(at))
    }

    pub(super) const fn interior_mut(&mut self) -> Option<&mut Interior> {
        match self {
            Self::Interior(interior) => Some(interior),
            Self::Standalone | Self::Edge(_) => None,
        }
    }
}

// === impl Core ===

impl Core {
    /// Tells the network that who can be reached at an address has changed.
    pub(super) fn reach_changed(&mut self, change: &ReachChange) {
        match self.plane {
            Plane::Standalone => {}
            Plane::Interior(_) => self.tell_network(change),
            Plane::Edge(_) => self.proxies_due(change.address),
        }
    }
}

/// Whether an address of this key is told to other routers (spec `inter-router-protocol.md` 8.1).
fn is_propagated(key: &str) -> bool {
    matches!(key.as_bytes().first(), Some(b'M' | b'N' | b'H')) && key != "M$management" && !key.starts_with("M_$qd.")
}
