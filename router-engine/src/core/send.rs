//! Deliveries that go out: the link that takes one, and its way onto it (spec `inter-router-protocol.md` section 10).

use super::Core;
use super::deliveries::OutgoingDelivery;
use super::effect::{Effect, Push};
use super::forwarding::{Content, Route};
use super::objects::{Address, Conn, Link, LinkKind};
use super::table::{Hook, Slot};
use crate::annotations::Annotations;
use crate::forward::Treatment;
use crate::index::NeighbourIndex;
use crate::stream::Payload;

impl Core {
    /// The link of a neighbour connection for a delivery: control, by priority, or a streaming link.
    pub(super) fn router_link(
        &mut self,
        conn: Slot<Conn>,
        route: &Route,
        address: Slot<Address>,
        payload: &Payload,
    ) -> Option<Slot<Link>> {
        let router = self.conns[conn].router.as_ref()?;
        if route.control {
            return router.control_out;
        }
        if is_incomplete(payload) {
            return self.streaming_link(conn);
        }
        let priority = usize::from(self.addresses[address].priority.unwrap_or(route.priority).min(9));
        router.data_out[..=priority].iter().rev().find_map(|l| *l)
    }

    /// Queues a copy on a link. `neighbour` is the one that was chosen, if it was one out of several destinations.
    pub(super) fn push(
        &mut self,
        route: &Route,
        link: Slot<Link>,
        address: Option<Slot<Address>>,
        neighbour: Option<NeighbourIndex>,
        content: &Content<'_>,
    ) {
        let chosen = self.links[link].id;
        let link = self.stream_moved(link, content.payload);
        let l = &self.links[link];
        let (conn, link_id, settle_on_send) = (l.conn, l.id, l.settle_on_send);
        let settled = route.settled || settle_on_send;
        let counted = address
            .filter(|&a| neighbour.is_some() && !route.settled && self.addresses[a].treatment == Treatment::Balanced);
        let stream = matches!(content.payload, Payload::Stream(_));
        let reader = match content.payload {
            Payload::Stream(stream) if content.reader => Some(stream.reader(None)),
            _ => None,
        };
        // The receiver that wants settled deliveries answers nothing: sending counts as its acceptance.
        let origin = route.origin;
        let slot = self.outgoing.insert_with(|id| OutgoingDelivery {
            id,
            link,
            chosen,
            hook: Hook::default(),
            origin,
            at: origin.map_or(0, |origin| self.incoming[origin].copies.len() as u32),
            presettled: settled,
            sent: false,
            stream,
            outcome: None,
            neighbour,
            outstanding: counted,
            born: self.now,
            stuck: false,
        });
        let l = &mut self.links[link];
        // What is queued will use the credit; the peer's next flow tells the exact figure.
        l.use_credit(1, self.now);
        l.outgoing.push_back(&mut self.outgoing, slot);
        // Of these the port tells when they have left.
        let waits = stream || settled;
        l.undelivered += u32::from(waits);
        l.queued_whole += u64::from(!waits);
        if let Some((address, neighbour)) = counted.zip(neighbour) {
            self.addresses[address].add_outstanding(neighbour, true);
        }
        if let Some(origin) = origin {
            self.incoming[origin].copies.push(slot);
            self.incoming[origin].undecided += 1;
        }
        let id = self.outgoing[slot].id;
        let from = route.conn.map(|c| &self.conns[c]);
        let (from, from_kind) = (from.map(|c| c.id.number), from.map(|c| c.params.kind));
        self.count_egress(link, address);
        self.count_origin(link, content.annotations);
        let mut annotations = content.annotations.clone();
        if link_id != chosen
            && let Some(name) = self.external_name(chosen)
        {
            annotations.to_override = Some(name);
        }
        if let Some(edge) = self.plane.edge().filter(|_| self.conns[conn].role.is_edge()) {
            annotations.ingress_mesh = Some(edge.mesh_text());
        }
        self.stage(
            conn,
            Effect::Push(Box::new(Push {
                link: link_id,
                id,
                from,
                from_kind,
                settled,
                payload: content.payload.clone(),
                reader,
                annotations,
                state: content.state.cloned(),
            })),
        );
    }

    fn count_egress(&mut self, link: Slot<Link>, address: Option<Slot<Address>>) {
        let Link { conn, kind, .. } = self.links[link];
        let conn = &mut self.conns[conn];
        conn.last_delivery = Some(self.now);
        let Some(a) = address.map(|a| &mut self.addresses[a]) else { return };
        if conn.role.is_inter_router() {
            a.counters.transit += 1;
            self.figures.totals.transit += u64::from(kind != LinkKind::Control);
        } else if conn.is_internal() {
            a.counters.to_container += 1;
        } else {
            let container = u64::from(conn.role.is_route_container());
            let network = u64::from(conn.role.is_inter_network());
            a.counters.egress += 1;
            a.counters.egress_route_container += container;
            a.counters.egress_inter_network += network;
            self.figures.totals.egress += 1;
            self.figures.totals.egress_route_container += container;
            self.figures.totals.egress_inter_network += network;
        }
    }

    /// Sends a message of the core's own, pre-settled, on control links. `to` is its address text.
    pub(super) fn send_control(&mut self, to: &str, payload: bytes::Bytes) {
        let Some(address) = self.addresses.lookup(to) else { return };
        self.addresses[address].counters.from_container += 1;
        let any_way = takes_any_way(to);
        let route = Route { any_way, ..Route::internal(true) };
        self.forward(&route, address, &Payload::One(payload), &Annotations::default(), None);
    }

    /// The streaming link that takes an incomplete message instead of `link`, or `link` itself.
    fn stream_moved(&mut self, link: Slot<Link>, payload: &Payload) -> Slot<Link> {
        let l = &self.links[link];
        let conn = l.conn;
        if !l.kind.moves_streams() || l.streaming || !is_incomplete(payload) || !self.conns[conn].streaming_links {
            return link;
        }
        let base = l.id;
        let Some(moved) = self.streaming_link(conn) else { return link };
        self.links[moved].moved_from = Some(base);
        self.links[link].moved_streams += 1;
        moved
    }
}

/// Whether a message on control links goes where it can. Not so requests for addresses and their answers: that they go
/// where payload goes tells that payload would arrive (see [`crate::mesh::MeshOutput::Reachable`]).
pub(super) fn takes_any_way(to: &str) -> bool {
    !to.ends_with("/qdrouter.ma")
}

fn is_incomplete(payload: &Payload) -> bool {
    matches!(payload, Payload::Stream(stream) if !stream.is_finished())
}
