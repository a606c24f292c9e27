//! What management reads and does by number or name: routers of the network, single connections.

use super::Router;
use super::effect::Effect;
use super::ids::ConnId;
use crate::index::{NeighbourIndex, NodeIndex};
use crate::mesh::{LINK_STATE_VERSION, Mesh, MeshNode};
use amqp_core::Instant;
use std::time::Duration;

/// A router of the network as this one knows it.
#[derive(Debug, Clone)]
pub struct NodeRow {
    /// Its index; [`NodeIndex::OWN`] is this router.
    pub index: NodeIndex,
    /// Router id.
    pub id: String,
    /// Version of its routing protocol.
    pub version: i64,
    /// Its boot time in seconds since the Unix epoch.
    pub instance: Option<i64>,
    /// Its neighbours.
    pub peers: Vec<String>,
    /// The first router on the way to it; none when the way is the direct connection.
    pub next_hop: Option<String>,
    /// The direct connection.
    pub link: Option<NeighbourIndex>,
    /// Path cost.
    pub cost: u32,
    /// Routers whose messages for it come through here.
    pub valid_origins: Vec<String>,
    /// Since the last topology change (this router only).
    pub since_change: Option<Duration>,
}

// === impl Router ===

impl Router {
    /// The routers of the network, this one first; empty unless this router is an interior one.
    #[must_use]
    pub fn node_rows(&self, now: Instant) -> Vec<NodeRow> {
        let core = self.core.lock();
        let Some(mesh) = core.plane.mesh() else { return Vec::new() };
        let own = NodeRow {
            index: NodeIndex::OWN,
            id: mesh.id().to_owned(),
            version: LINK_STATE_VERSION,
            instance: Some(mesh.instance()),
            peers: mesh.peers().keys().cloned().collect(),
            next_hop: None,
            link: None,
            cost: 0,
            valid_origins: Vec::new(),
            since_change: core.plane.since_change(now),
        };
        std::iter::once(own).chain(mesh.nodes().map(|node| node_row(mesh, node))).collect()
    }

    /// How many connections the core knows, opened or not.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.core.lock().conns.len()
    }

    /// The id of the connection with that number.
    #[must_use]
    pub fn connection_id(&self, number: u32) -> Option<ConnId> {
        self.core.lock().conns.iter().find(|c| c.id.number == number).map(|c| c.id)
    }

    /// Switches the frame trace of a connection.
    pub fn trace_connection(&self, conn: ConnId, on: bool) {
        self.with(|core| {
            if let Some(slot) = core.conns.find(conn) {
                core.conns[slot].trace = Some((crate::log::protocol_epoch(), on));
                core.stage(slot, Effect::Trace(on));
            }
        });
    }
}

fn node_row(mesh: &Mesh, node: &MeshNode) -> NodeRow {
    NodeRow {
        index: node.index(),
        id: node.id().to_owned(),
        version: node.version(),
        instance: node.instance(),
        peers: node.peers().keys().cloned().collect(),
        next_hop: node.next_hop().and_then(|hop| mesh.node(hop)).map(|hop| hop.id().to_owned()),
        link: node.link(),
        cost: node.cost(),
        valid_origins: mesh.ids_of(node.valid_origins()).map(str::to_owned).collect(),
        since_change: None,
    }
}
