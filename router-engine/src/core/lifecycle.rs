//! Connections: opening, closing, the tick.

use super::action::{PeerOpen, TransportFacts};
use super::connection::{CONNECTION_TRUNKING, ConnHandle, ConnParams, ConnectionRole, STREAMING_LINKS};
use super::effect::Effect;
use super::ids::ConnId;
use super::objects::{Conn, RouterConn};
use super::streaming::LinkPool;
use super::table::Slot;
use super::{Core, Router};
use crate::Mailbox;
use amqp_core::performative::Error;
use std::sync::Arc;

impl Router {
    /// Closes a connection by request: with a close frame, or (`hard`) by cutting the transport.
    pub fn close_connection(&self, conn: ConnId, error: Option<Error>, hard: bool) {
        self.with(|core| {
            if let Some(slot) = core.conns.find(conn) {
                core.conns[slot].admin_deleted = true;
                core.stage(slot, Effect::Close { error: error.map(Box::new), hard });
            }
        });
    }

    /// Takes out a connection whose owner inside the process is gone without a word, at the time of the last batch. What
    /// it had taken from its mailbox has failed, streams too; the rest is released.
    pub(crate) fn abandon(&self, conn: ConnId) {
        self.with(|core| {
            if let Some(slot) = core.conns.find(conn) {
                core.conclude_streams(slot);
                core.close(slot);
            }
        });
    }

    /// Has every connection but those of routers find out what its peer makes the process hold.
    pub fn weigh_connections(&self) {
        self.with(|core| {
            let slots: Vec<Slot<Conn>> =
                core.conns.entries().filter(|(_, c)| c.may_be_shed()).map(|(slot, _)| slot).collect();
            for slot in slots {
                core.stage(slot, Effect::Weigh);
            }
        });
    }

    /// The connection whose peer makes the process hold the most, as far as [`Self::weigh_connections`] has found out,
    /// and how many octets.
    #[must_use]
    pub fn heaviest_connection(&self) -> Option<(ConnId, usize)> {
        self.with(|core| {
            let loads = core.conns.iter().filter(|c| c.may_be_shed()).map(|c| (c.id, c.mailbox.load()));
            loads.max_by_key(|&(_, octets)| octets)
        })
    }
}

impl Conn {
    /// Routers carry what belongs to others, and tasks of this process are trusted.
    fn may_be_shed(&self) -> bool {
        !self.role.is_router() && !self.is_internal() && !self.admin_deleted
    }
}

impl Core {
    pub(super) fn connect(&mut self, params: ConnParams, mailbox: Arc<Mailbox>) -> ConnHandle {
        let role = params.role;
        let slot = self.conns.insert_with(|id| Conn {
            id,
            params,
            role,
            mailbox: Arc::clone(&mailbox),
            staged: Vec::new(),
            wakes: false,
            peer: None,
            links: Vec::new(),
            opened_at: self.now,
            last_delivery: None,
            streaming_links: false,
            pool: LinkPool::default(),
            admin_deleted: false,
            trace: None,
            router: None,
            edge: None,
            edge_peer: None,
            refusals: None,
        });
        ConnHandle { id: self.conns[slot].id, mailbox }
    }

    pub(super) fn on_opened(&mut self, slot: Slot<Conn>, peer: PeerOpen) {
        let conn = &mut self.conns[slot];
        if conn.peer.is_some() {
            return;
        }
        conn.opened_at = self.now;
        conn.streaming_links = peer.offers(STREAMING_LINKS);
        let trunking = peer.offers(CONNECTION_TRUNKING);
        let property = |key: &str| peer.properties.get(key);
        if conn.role.has_control_links()
            && property("qd.inter-router-role").and_then(amqp_core::Value::as_i64) == Some(4)
        {
            conn.role = ConnectionRole::InterRouterData;
        }
        if conn.role.is_inter_router() {
            let remote_cost = property("qd.inter-router-cost").and_then(amqp_core::Value::as_i64).unwrap_or(1);
            let remote_cost = u32::try_from(remote_cost).unwrap_or(1);
            let own = conn.params.initiator;
            let correlator = if own {
                conn.params.trunk.correlator.clone()
            } else {
                // The group key is 15 octets; more of it is ignored.
                property("qd.group-correlator").and_then(amqp_core::Value::as_str).map(|s| s.chars().take(15).collect())
            };
            let ordinal = if own {
                conn.params.trunk.ordinal.unwrap_or(0)
            } else {
                property("qd.group-ordinal").and_then(amqp_core::Value::as_u64).unwrap_or(0)
            };
            conn.streaming_links = true;
            conn.router = Some(Box::new(RouterConn {
                cost: conn.params.trunk.cost.max(remote_cost),
                correlator,
                ordinal,
                trunking,
                ..RouterConn::default()
            }));
        }
        let role = conn.role;
        conn.peer = Some(peer);
        self.figures.opened(&self.conns[slot]);
        self.tell_peer_opened(slot);
        if role.has_control_links() {
            self.control_connection_opened(slot);
        } else if role.is_data_only() {
            self.data_connection_opened(slot);
        } else if role.is_edge() {
            self.edge_connection_opened(slot);
        } else if role.is_inter_edge() {
            self.peer_opened(slot);
        } else if role.takes_auto_links() {
            self.activate_auto_links(slot);
        }
    }

    pub(super) fn on_transport(&mut self, slot: Slot<Conn>, facts: TransportFacts) {
        let conn = &mut self.conns[slot];
        if facts.local_socket.is_some() {
            conn.params.facts.local_socket = facts.local_socket;
        }
        if let (Some(tls), Some(peer)) = (facts.tls, &mut conn.peer) {
            conn.params.facts.tls_ordinal = Some(tls.ordinal);
            (peer.tls_protocol, peer.tls_cipher) = (Some(tls.protocol), Some(tls.cipher));
            peer.tls_ssf = tls.ssf;
        }
    }

    /// Tears a connection down; also when it never opened.
    pub(super) fn close(&mut self, slot: Slot<Conn>) {
        // First of all nothing is forwarded by this connection any more: what one of its consumers has lost would else go
        // to the next one here, and from there to the next.
        self.router_connection_closed(slot);
        self.edge_connection_closing(slot);
        self.deactivate_auto_links(slot);
        for at in 0..self.conns[slot].links.len() {
            self.unbind(self.conns[slot].links[at]);
        }
        while let Some(link) = self.conns[slot].links.pop() {
            self.drop_link(link, &[], "Link closed due to connection loss");
        }
        if let Some(conn) = self.conns.remove(slot) {
            self.figures.closed(&conn);
            self.edge_connection_closed(&conn);
        }
    }

    pub(super) fn tick(&mut self) {
        self.trim_pools();
        self.credit_lasting_streams();
        self.shrink();
        self.forget_mesh_changes();
        self.drive_mesh(|mesh, now| mesh.tick(now));
    }

    /// Gives back what tables needed when there was more in them. That may cost as much as the table is large, so it is
    /// not done as often as something goes.
    fn shrink(&mut self) {
        self.conns.shrink();
        self.links.shrink();
        self.incoming.shrink();
        self.outgoing.shrink();
        self.addresses.shrink();
    }
}
