//! How edge routers that are connected with each other agree on one identifier for all of them
//! (spec `inter-router-protocol.md` 9.7).

use super::super::messages::{Bid, MeshId};
use bytes::Bytes;

/// The identifier of the mesh that this router is in, alone or not, and how it came to that.
#[derive(Debug)]
pub(super) struct MeshIdentity {
    /// What this router puts forward.
    ordinal: i64,
    /// The lowest ordinal of this router and its peers.
    winner: i64,
    id: MeshId,
    text: Bytes,
}

/// What a bid of a peer makes necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: another identifier stands.
    Ignored,
    /// The identifier is the peer's now.
    Adopted,
    /// Peer and this router drew the same ordinal: both have to draw again, and to tell.
    Tie,
}

// === impl MeshIdentity ===

impl MeshIdentity {
    pub(super) fn new(drawn: Bid) -> Self {
        let Bid { ordinal, id } = drawn;
        Self { ordinal, winner: ordinal, id, text: Bytes::copy_from_slice(&id) }
    }

    pub(super) const fn id(&self) -> MeshId {
        self.id
    }

    /// The identifier as messages carry it.
    pub(super) fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// What peers are told. The identifier may be one that was taken over: so it stays the same for all when the router
    /// that put it forward is gone.
    pub(super) const fn bid(&self) -> Bid {
        Bid { ordinal: self.ordinal, id: self.id }
    }

    pub(super) fn on_bid(&mut self, bid: Bid) -> Verdict {
        if bid.ordinal == self.ordinal {
            return Verdict::Tie;
        }
        if bid.ordinal >= self.winner {
            return Verdict::Ignored;
        }
        (self.winner, self.id, self.text) = (bid.ordinal, bid.id, Bytes::copy_from_slice(&bid.id));
        Verdict::Adopted
    }

    /// A peer is gone whose last bid had that ordinal. True when it had won: then all have to bid again.
    pub(super) const fn peer_lost(&mut self, ordinal: i64) -> bool {
        let lost = ordinal == self.winner && ordinal != self.ordinal;
        if lost {
            self.winner = self.ordinal;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(ordinal: i64, id: u8) -> Bid {
        Bid { ordinal, id: [id; 15] }
    }

    #[test]
    fn the_lowest_ordinal_wins() {
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        assert_eq!(mesh.on_bid(bid(7, b'7')), Verdict::Ignored);
        assert_eq!(mesh.on_bid(bid(3, b'3')), Verdict::Adopted);
        assert_eq!(mesh.on_bid(bid(4, b'4')), Verdict::Ignored);
        assert_eq!(mesh.id(), [b'3'; 15]);
        assert_eq!(mesh.bid(), bid(5, b'3'));
    }

    #[test]
    fn the_identifier_outlives_the_router_that_put_it_forward() {
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        mesh.on_bid(bid(3, b'3'));
        assert!(!mesh.peer_lost(7));
        assert!(mesh.peer_lost(3));
        assert_eq!(mesh.id(), [b'3'; 15]);
        assert_eq!(mesh.on_bid(bid(4, b'3')), Verdict::Adopted);
    }

    #[test]
    fn equal_ordinals_are_drawn_again() {
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        assert_eq!(mesh.on_bid(bid(5, b'6')), Verdict::Tie);
    }
}
