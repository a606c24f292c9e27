//! Pairs of links: one on the connection of a peer, and its partner on the connection of a part of the router that serves
//! the address, or that has attached the link to the peer. What comes on one leaves by the other, without an address
//! between them, and with one it goes the other.
//!
//! ```text
//!  peer --attach--> link . . . partner --PeerEvent::Attach--> server     served address
//!  peer <--attach-- link . . . partner <----- PeerAttach ---- server     link to a peer
//!  peer --message-> link ----> partner --> server, and back, by credit that the receiving end gives
//! ```
//!
//! A router on which nobody serves anything pays a look at an empty table for it with each attach.

use super::action::{AttachRequest, Direction};
use super::attach::node_terminus;
use super::effect::{Effect, PeerEvent, SessionClass};
use super::forwarding::{Content, Route};
use super::ids::{ConnId, LinkId};
use super::objects::{Conn, Link, LinkKind};
use super::table::Slot;
use super::{Core, Router};
use crate::annotations::Annotations;
use crate::stream::Payload;
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Error, Source, Target};
use std::collections::HashMap;

/// Who serves what.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Who answers attaches, by the key of the address.
    addresses: HashMap<String, ConnId>,
    /// Who is told of peers, by container id.
    containers: HashMap<String, ConnId>,
    /// Attaches that wait for an answer, by the server's link.
    asked: HashMap<LinkId, AttachRequest>,
}

/// The attach of a link between a peer and a part of the router.
#[derive(Debug, Clone)]
pub struct PeerAttach {
    /// The connection of the peer.
    pub conn: ConnId,
    /// `In` when the peer sends.
    pub direction: Direction,
    /// The source terminus.
    pub source: Box<Source>,
    /// The target terminus.
    pub target: Box<Target>,
}

// === impl Router ===

impl Router {
    /// From now on `server` is asked about links that peers attach to an address: it gets [`PeerEvent::Attach`].
    pub fn serve(&self, server: ConnId, address: &str) {
        self.with(|core| {
            let key = core.addresses.key_of(address);
            core.served.addresses.insert(key, server);
        });
    }

    /// From now on `server` is told, by [`PeerEvent::Opened`], when a peer with that container id opens its connection.
    pub fn await_container(&self, server: ConnId, container: &str) {
        self.with(|core| core.served.containers.insert(container.to_owned(), server));
    }

    /// Answers [`PeerEvent::Attach`]. A peer that sends gets so much `credit`, and more as deliveries are settled.
    pub fn answer_attach(&self, link: LinkId, credit: Result<u32, Error>, now: Instant) {
        self.with(|core| {
            core.advance(now);
            core.answer_attach(link, credit);
        });
    }

    /// Attaches a link to a peer. The peer, if it sends, gets `credit`. None when the peer is gone.
    pub fn attach_to_peer(&self, server: ConnId, attach: PeerAttach, credit: u32, now: Instant) -> Option<LinkId> {
        self.with(|core| {
            core.advance(now);
            let (server, conn) = (core.conns.find(server)?, core.conns.find(attach.conn)?);
            core.conns[conn].peer.is_some().then(|| core.attach_to_peer(server, conn, attach, credit))
        })
    }
}

// === impl Core ===

impl Core {
    /// Who is to be asked about an attach.
    pub(super) fn server_of(&mut self, request: &AttachRequest) -> Option<Slot<Conn>> {
        if self.served.addresses.is_empty() {
            return None;
        }
        let key = self.addresses.key_of(&node_terminus(request).0?);
        self.conns.find(*self.served.addresses.get(&key)?)
    }

    /// Asks whoever serves an address about an attach.
    pub(super) fn ask(&mut self, server: Slot<Conn>, conn: Slot<Conn>, request: AttachRequest) {
        let (_, own) = self.pair(server, conn, request.name.clone(), request.direction);
        let link = self.links[own].id;
        let attach = PeerAttach {
            conn: self.conns[conn].id,
            direction: request.direction,
            source: request.source.clone().unwrap_or_default(),
            target: request.target.clone().unwrap_or_default(),
        };
        self.served.asked.insert(link, request);
        self.stage(server, Effect::Peer(Box::new(PeerEvent::Attach { link, attach })));
    }

    /// Links on the connections of a peer and of a server that are each other's partner, in this order.
    fn pair(
        &mut self,
        server: Slot<Conn>,
        conn: Slot<Conn>,
        name: String,
        direction: Direction,
    ) -> (Slot<Link>, Slot<Link>) {
        let link = self.insert_link(conn, name.clone(), direction, LinkKind::Endpoint);
        let own = self.insert_link(server, name, direction.reverse(), LinkKind::Endpoint);
        (self.links[link].partner, self.links[own].partner) = (Some(own), Some(link));
        self.links[own].up = true;
        (link, own)
    }

    fn answer_attach(&mut self, link: LinkId, credit: Result<u32, Error>) {
        let Some(own) = self.links.find(link) else { return };
        let Some(partner) = self.links[own].partner else { return };
        match credit {
            Ok(credit) => {
                let Some(request) = self.served.asked.remove(&link) else { return };
                if request.direction == Direction::In {
                    self.links[partner].capacity = credit;
                }
                self.accept_pair(partner, request);
            }
            Err(error) => self.detach_link_with(own, &error),
        }
    }

    /// Detaches both links of a pair; the peer is told why.
    fn detach_link_with(&mut self, own: Slot<Link>, error: &Error) {
        self.part(own, Some(error));
        self.detach_link(own, None);
    }

    fn attach_to_peer(&mut self, server: Slot<Conn>, conn: Slot<Conn>, attach: PeerAttach, credit: u32) -> LinkId {
        let PeerAttach { direction, source, target, .. } = attach;
        let name = crate::address::name::link_name(&mut self.rng);
        let (link, own) = self.pair(server, conn, name, direction);
        if direction == Direction::In {
            self.links[link].capacity = credit;
        }
        self.stage_attach(link, *source, *target, SessionClass::Endpoint, false);
        self.links[own].id
    }

    /// Ends the partner of a link that ends.
    pub(super) fn part(&mut self, slot: Slot<Link>, error: Option<&Error>) {
        let Some(partner) = self.links[slot].partner.take() else { return };
        self.links[partner].partner = None;
        let own = self.links[slot].id;
        self.served.asked.remove(&self.links[partner].id);
        if let Some(request) = self.served.asked.remove(&own) {
            let gone = || Error::new("amqp:not-found", "Node not found");
            let error = error.cloned().unwrap_or_else(gone);
            self.refuse(self.links[partner].conn, &request, error);
        }
        // A link that was refused has no name at its port, which has detached it by itself.
        self.detach_link(partner, error.cloned());
    }

    /// Sends a delivery on by the partner of the link that it came on.
    pub(super) fn pass_on(
        &mut self,
        route: &Route,
        partner: Slot<Link>,
        payload: &Payload,
        annotations: &Annotations,
        state: Option<&DeliveryState>,
    ) -> usize {
        if !self.takes(route, partner) {
            return 0;
        }
        self.push(route, partner, None, None, &Content { payload, annotations, state, reader: false });
        1
    }

    /// A peer has credit for what the server sends. What waits at the peer's port will use some of it.
    pub(super) fn tell_peer_credit(&mut self, link: Slot<Link>, own: Slot<Link>, credit: u32, drain: bool) {
        let (waiting, _) = self.links[link].pending();
        let Link { conn, id: link, .. } = self.links[own];
        let event = PeerEvent::Credit { link, credit: credit.saturating_sub(waiting), drain };
        self.stage(conn, Effect::Peer(Box::new(event)));
    }

    pub(super) fn tell_peer_attached(
        &mut self,
        own: Slot<Link>,
        source: Option<Box<Source>>,
        target: Option<Box<Target>>,
    ) {
        let Link { conn, id: link, .. } = self.links[own];
        self.stage(conn, Effect::Peer(Box::new(PeerEvent::Attached { link, source, target })));
    }

    pub(super) fn tell_peer_opened(&mut self, conn: Slot<Conn>) {
        if self.served.containers.is_empty() {
            return;
        }
        let conn = &self.conns[conn];
        let server = conn.peer.as_ref().and_then(|peer| self.served.containers.get(&peer.container_id));
        if let Some(server) = server.and_then(|&server| self.conns.find(server)) {
            let opened = PeerEvent::Opened(conn.id);
            self.stage(server, Effect::Peer(Box::new(opened)));
        }
    }
}
