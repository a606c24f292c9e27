//! What this router and its peers tell each other to agree on the identifier of their mesh
//! (spec `inter-router-protocol.md` 9.7).

use super::super::super::Core;
use super::super::super::action::Direction;
use super::super::super::attach::OwnLink;
use super::super::super::objects::{Conn, CoreService, Link};
use super::super::super::report;
use super::super::super::table::Slot;
use super::super::messages::Bid;
use super::draw;
use super::peers::EdgePeer;
use crate::stream::Payload;

/// Bids that a peer may replace until another peer is lost, which gives it a reason for more. It draws again only when
/// another router has drawn the same.
const REPLACEMENTS: u8 = 8;

/// What a peer was told, and has told.
#[derive(Debug, Default)]
pub(super) struct Negotiation {
    /// Brings the peer this router's bid.
    link: Option<Slot<Link>>,
    /// The connections on which the peer has refused the link, since it lost one.
    refused: Vec<Slot<Conn>>,
    /// It knows this router's bid.
    told: bool,
    /// What it puts forward.
    bid: Option<Bid>,
    replacements: u8,
}

/// What a bid says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Bid,
    /// The peer keeps replacing its bid, which is said once.
    TooMany,
}

// === impl Negotiation ===

impl Negotiation {
    fn hear(&mut self, bid: Bid) -> News {
        match self.bid {
            Some(last) if last == bid => return News::None,
            Some(_) if self.replacements > REPLACEMENTS => return News::None,
            Some(_) => self.replacements += 1,
            None => {}
        }
        if self.replacements > REPLACEMENTS {
            return News::TooMany;
        }
        self.bid = Some(bid);
        News::Bid
    }

    /// The link is gone that was on a connection.
    fn link_gone(&mut self) {
        (self.link, self.told) = (None, false);
    }
}

// === impl Core ===

impl Core {
    /// Attaches the link to a peer on the first of its connections on which it does not refuse it.
    pub(super) fn negotiate(&mut self, peer: Slot<EdgePeer>) {
        let Some(edge) = self.plane.edge() else { return };
        let EdgePeer { conns, negotiation, .. } = &edge.peers[peer];
        let Some(&conn) = conns.iter().find(|conn| !negotiation.refused.contains(conn)) else { return };
        if negotiation.link.is_some() {
            return;
        }
        let link = self.attach_own(conn, OwnLink::to_service(Direction::Out, CoreService::MeshIdNegotiation));
        if let Some(edge) = self.plane.edge_mut() {
            edge.peers[peer].negotiation.link = Some(link);
        }
        self.bid_to(peer);
    }

    /// A peer has detached a link on a connection.
    pub(super) fn negotiation_refused(&mut self, peer: Slot<EdgePeer>, conn: Slot<Conn>, link: Slot<Link>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let negotiation = &mut edge.peers[peer].negotiation;
        if negotiation.link == Some(link) {
            negotiation.refused.push(conn);
            negotiation.link_gone();
            self.negotiate(peer);
        }
    }

    /// A connection of a peer is about to go: it may take on another one what it refused there.
    pub(super) fn negotiation_closing(&mut self, peer: Slot<EdgePeer>, conn: Slot<Conn>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let negotiation = &mut edge.peers[peer].negotiation;
        negotiation.refused.clear();
        if negotiation.link.is_some_and(|link| self.links[link].conn == conn) {
            negotiation.link_gone();
        }
    }

    /// A peer is gone. The last one may have taken this router's identifier, and keep it.
    pub(super) fn negotiation_over(&mut self, gone: &Negotiation) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let winner_lost = gone.bid.is_some_and(|bid| edge.mesh.is_of(bid));
        if edge.peers.len() == 0 {
            let own = edge.mesh.own();
            edge.mesh.put_forward(Bid { ordinal: own.ordinal, ..draw(edge.started, &mut self.rng) });
        }
        for peer in edge.peers.slots() {
            edge.peers[peer].negotiation.replacements = 0;
        }
        if winner_lost {
            self.bid_to_all();
        }
        self.elect();
    }

    /// A peer bids. False when its message cannot be understood.
    pub(in crate::core) fn on_bid(&mut self, conn: Slot<Conn>, payload: &Payload) -> bool {
        let Some(bid) = Bid::decode(payload) else { return false };
        let Some((edge, peer)) = self.plane.edge_mut().zip(self.conns[conn].edge_peer) else { return true };
        match edge.peers[peer].negotiation.hear(bid) {
            News::None => {}
            News::TooMany => report::bid_ignored(self.conns[conn].id, &edge.peers[peer].router),
            News::Bid => {
                // Whom that ties with draws again as well.
                if bid.ordinal == edge.mesh.own().ordinal {
                    edge.mesh.put_forward(draw(edge.started, &mut self.rng));
                    self.bid_to_all();
                }
                self.elect();
            }
        }
        true
    }

    fn elect(&mut self) {
        if let Some(edge) = self.plane.edge_mut() {
            edge.mesh.elect(edge.peers.iter().filter_map(|peer| peer.negotiation.bid));
            self.announce_mesh();
        }
    }

    fn bid_to_all(&mut self) {
        let peers = self.plane.edge().map(|edge| edge.peers.slots()).unwrap_or_default();
        for peer in peers {
            if let Some(edge) = self.plane.edge_mut() {
                edge.peers[peer].negotiation.told = false;
            }
            self.bid_to(peer);
        }
    }

    /// The peer on a connection has settled a bid: there may be room for another that waits.
    pub(in crate::core) fn bid_settled(&mut self, conn: Slot<Conn>) {
        if let Some(peer) = self.conns[conn].edge_peer {
            self.bid_to(peer);
        }
    }

    /// Tells a peer what this router puts forward, if it does not know.
    fn bid_to(&mut self, peer: Slot<EdgePeer>) {
        let Some(edge) = self.plane.edge() else { return };
        let bid = edge.mesh.own();
        let Negotiation { link: Some(link), told: false, .. } = edge.peers[peer].negotiation else { return };
        if self.send_service(link, bid.encode())
            && let Some(edge) = self.plane.edge_mut()
        {
            edge.peers[peer].negotiation.told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(ordinal: i64) -> Bid {
        Bid { ordinal, id: [b'x'; 15] }
    }

    #[test]
    fn a_peer_may_repeat_its_bid_but_not_replace_it_for_ever() {
        let mut negotiation = Negotiation::default();
        for ordinal in 0..=i64::from(REPLACEMENTS) {
            assert_eq!(negotiation.hear(bid(ordinal)), News::Bid);
            assert_eq!(negotiation.hear(bid(ordinal)), News::None);
        }
        assert_eq!(negotiation.hear(bid(100)), News::TooMany);
        assert_eq!(negotiation.hear(bid(101)), News::None);
        assert_eq!(negotiation.bid, Some(bid(i64::from(REPLACEMENTS))));
    }
}
