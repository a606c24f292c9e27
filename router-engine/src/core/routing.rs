//! What forwarding knows of the network: the other routers, and the ways to them
//! (spec `inter-router-protocol.md` section 10.2).

use crate::annotations::{Annotations, Trace};
use crate::index::{NeighbourIndex, NeighbourSet, NodeIndex, NodeSet};
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;

/// What forwarding needs to know of the network.
#[derive(Debug)]
pub(super) struct RoutingTable {
    /// By index.
    nodes: Vec<Option<RemoteRouter>>,
    /// Routers choose their ids, but nobody else does.
    by_id: HashMap<Box<[u8]>, NodeIndex, FxBuildHasher>,
    /// Routers to and from which flows can be carried.
    pub(super) reachable: NodeSet,
    /// Largest hop count to a reachable router.
    pub(super) radius: u32,
}

/// The routing table of a router that is in no network.
pub(super) static NO_ROUTES: RoutingTable = RoutingTable::EMPTY;

/// A remote router.
#[derive(Debug, Clone, Default)]
struct RemoteRouter {
    id: String,
    route: Route,
}

/// The way to a remote router, as in [`crate::mesh::MeshOutput::Route`].
#[derive(Debug, Clone, Default)]
pub(super) struct Route {
    /// The first router on the way.
    pub(super) next_hop: Option<NodeIndex>,
    /// Its own link, when it is a neighbour.
    pub(super) link: Option<NeighbourIndex>,
    pub(super) cost: u32,
    pub(super) valid_origins: NodeSet,
}

// === impl RoutingTable ===

impl RoutingTable {
    /// Of no network.
    pub(super) const EMPTY: Self =
        Self { nodes: Vec::new(), by_id: HashMap::with_hasher(FxBuildHasher), reachable: NodeSet::EMPTY, radius: 0 };

    fn node(&self, node: NodeIndex) -> Option<&RemoteRouter> {
        self.nodes.get(node.get()).and_then(Option::as_ref)
    }

    /// The way to a known router has changed.
    pub(super) fn set_route(&mut self, node: NodeIndex, route: Route) {
        if let Some(known) = self.nodes.get_mut(node.get()).and_then(Option::as_mut) {
            known.route = route;
        }
    }

    pub(super) fn add_node(&mut self, node: NodeIndex, id: &str) {
        if self.nodes.len() <= node.get() {
            self.nodes.resize_with(node.get() + 1, || None);
        }
        self.nodes[node.get()] = Some(RemoteRouter { id: id.to_owned(), route: Route::default() });
        self.by_id.insert(id.as_bytes().into(), node);
    }

    pub(super) fn remove_node(&mut self, node: NodeIndex) -> Option<String> {
        let known = self.nodes.get_mut(node.get())?.take()?;
        self.by_id.remove(known.id.as_bytes());
        self.reachable.remove(node);
        Some(known.id)
    }

    /// All known remote routers.
    pub(super) fn known(&self) -> NodeSet {
        self.by_id.values().copied().collect()
    }

    /// The id of a remote router.
    pub(super) fn name(&self, node: NodeIndex) -> Option<String> {
        self.node(node).map(|n| n.id.clone())
    }

    /// Number of known remote routers.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// A router as named in annotations (`0/<id>`), if it is a known remote one.
    pub(super) fn origin(&self, node_id: &[u8]) -> Option<NodeIndex> {
        let slash = node_id.iter().position(|b| *b == b'/')?;
        self.by_id.get(&node_id[slash + 1..]).copied()
    }

    /// Origin for anycast: an absent or unknown ingress counts as this router (10.2).
    pub(super) fn anycast_origin(&self, annotations: &Annotations) -> NodeIndex {
        annotations.ingress.as_deref().and_then(|i| self.origin(i)).unwrap_or(NodeIndex::OWN)
    }

    /// Neighbours that are named in the trace.
    pub(super) fn excluded(&self, trace: &Trace) -> NeighbourSet {
        let named = trace.iter().filter_map(|entry| self.origin(entry));
        named.filter_map(|node| self.link(node)).collect()
    }

    /// The link of a router that is a neighbour.
    pub(super) fn link(&self, node: NodeIndex) -> Option<NeighbourIndex> {
        self.node(node)?.route.link
    }

    /// The neighbour on the way to a router.
    pub(super) fn neighbour_towards(&self, node: NodeIndex) -> Option<NeighbourIndex> {
        let route = &self.node(node)?.route;
        match route.next_hop {
            Some(hop) => self.node(hop).and_then(|h| h.route.link),
            None => route.link,
        }
    }

    pub(super) fn is_valid_origin(&self, node: NodeIndex, origin: NodeIndex) -> bool {
        self.node(node).is_some_and(|n| n.route.valid_origins.contains(origin))
    }

    pub(super) fn cost(&self, node: NodeIndex) -> u32 {
        self.node(node).map_or(u32::MAX, |n| n.route.cost)
    }
}
