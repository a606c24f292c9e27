//! How edge routers that are connected with each other agree on one identifier for all of them
//! (spec `inter-router-protocol.md` 9.7).
//!
//! Each puts an identifier forward, and the one of the lowest ordinal is taken by all. What is put forward is a router's
//! own, not what it has taken: routers that have lost the one that won come to another identifier than that one keeps, for
//! between equal ones interior routers carry nothing. Routers that are still connected come to the same by themselves, as
//! they know each other's bids.

use super::super::messages::{Bid, MeshId};
use bytes::Bytes;

/// The identifier of the mesh that this router is in, alone or not, and how it came to that.
#[derive(Debug)]
pub(super) struct MeshIdentity {
    /// What this router puts forward.
    own: Bid,
    /// The lowest bid of this router and its peers.
    winner: Bid,
    /// The winner's identifier.
    text: Bytes,
}

// === impl MeshIdentity ===

impl MeshIdentity {
    pub(super) fn new(drawn: Bid) -> Self {
        Self { own: drawn, winner: drawn, text: Bytes::copy_from_slice(&drawn.id) }
    }

    pub(super) const fn id(&self) -> MeshId {
        self.winner.id
    }

    /// The identifier as messages carry it.
    pub(super) fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// What peers are told.
    pub(super) const fn own(&self) -> Bid {
        self.own
    }

    /// Has this router put something else forward from the next election on.
    pub(super) const fn put_forward(&mut self, drawn: Bid) {
        self.own = drawn;
    }

    /// Whether the identifier is that of a peer with this bid.
    pub(super) fn is_of(&self, bid: Bid) -> bool {
        bid == self.winner && bid != self.own
    }

    /// Takes the identifier that counts, now that these are the bids of the peers.
    pub(super) fn elect(&mut self, peers: impl Iterator<Item = Bid>) {
        let winner = peers.fold(self.own, Bid::min);
        if self.winner.id != winner.id {
            self.text = Bytes::copy_from_slice(&winner.id);
        }
        self.winner = winner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(ordinal: i64, id: u8) -> Bid {
        Bid { ordinal, id: [id; 15] }
    }

    fn elected(mesh: &mut MeshIdentity, peers: &[Bid]) -> MeshId {
        mesh.elect(peers.iter().copied());
        assert_eq!(mesh.text(), mesh.id().as_slice());
        mesh.id()
    }

    #[test]
    fn the_lowest_ordinal_wins() {
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        assert_eq!(elected(&mut mesh, &[bid(7, b'7')]), [b'5'; 15]);
        assert_eq!(elected(&mut mesh, &[bid(7, b'7'), bid(3, b'3'), bid(4, b'4')]), [b'3'; 15]);
        assert_eq!(mesh.own(), bid(5, b'5'));
    }

    #[test]
    fn who_has_lost_the_winner_takes_what_others_come_to() {
        let (winner, peer) = (bid(3, b'3'), bid(4, b'4'));
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        mesh.elect([winner, peer].into_iter());
        assert!(mesh.is_of(winner) && !mesh.is_of(peer) && !mesh.is_of(mesh.own()));
        assert_eq!(elected(&mut mesh, &[peer]), [b'4'; 15]);
        assert_eq!(elected(&mut mesh, &[]), [b'5'; 15]);
    }

    #[test]
    fn what_is_put_forward_anew_counts_from_the_next_election_on() {
        let mut mesh = MeshIdentity::new(bid(5, b'5'));
        mesh.put_forward(bid(5, b'6'));
        assert_eq!(mesh.id(), [b'5'; 15]);
        assert_eq!(elected(&mut mesh, &[]), [b'6'; 15]);
    }
}
