//! Other edge routers that this one is connected to (spec `inter-router-protocol.md` 9.6, 9.7).

use super::super::super::Core;
use super::super::super::action::Direction;
use super::super::super::attach::OwnLink;
use super::super::super::effect::SessionClass;
use super::super::super::objects::{Address, Conn, CoreService, Link, LinkKind};
use super::super::super::table::Slot;
use super::super::is_propagated;
use super::super::messages::Bid;
use super::mesh_id::Verdict;
use super::{Proxy, draw};
use crate::forward::Treatment;
use crate::stream::Payload;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Terminus capability of anonymous links between edge routers.
pub(in crate::core) const CAP_INTER_EDGE: &str = "qd.router-inter-edge";

/// A connected edge router.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its router id, which is the container id of its connections.
    id: String,
    /// Its connections, in the order in which they opened. The first one is used.
    conns: Vec<Slot<Conn>>,
    /// Takes what is addressed to it.
    anonymous: Option<Slot<Link>>,
    /// Brings this router's bids for the identifier of the mesh.
    negotiation: Option<Slot<Link>>,
    /// It was told what this router puts forward.
    told: bool,
    /// The ordinal of its last bid.
    ordinal: Option<i64>,
    /// Links of this router there that stand for its consumers, by their address. It has a record for as long.
    proxies: HashMap<Slot<Address>, Proxy>,
}

impl Core {
    /// A connection to another edge router is open.
    pub(in crate::core) fn peer_opened(&mut self, conn: Slot<Conn>) {
        let id = self.conns[conn].peer.as_ref().map(|peer| peer.container_id.clone()).unwrap_or_default();
        let Some(edge) = self.plane.edge_mut().filter(|_| id != self.config.id) else { return };
        if let Some(peer) = edge.peers.iter_mut().find(|peer| peer.id == id) {
            peer.conns.push(conn);
            return;
        }
        edge.peers.push(Peer {
            id: id.clone(),
            conns: vec![conn],
            anonymous: None,
            negotiation: None,
            told: false,
            ordinal: None,
            proxies: HashMap::new(),
        });
        self.addresses.names.add_edge_peer(&id);
        self.set_up_peer(conn, &id);
    }

    /// Attaches the standing links to a peer, and those that stand for consumers here.
    fn set_up_peer(&mut self, conn: Slot<Conn>, id: &str) {
        let link = OwnLink::new(Direction::Out, LinkKind::InterEdge, SessionClass::Endpoint).capable(CAP_INTER_EDGE);
        let anonymous = self.attach_own(conn, link);
        let negotiation = self.attach_own(conn, OwnLink::to_service(Direction::Out, CoreService::MeshIdNegotiation));
        if let Some(peer) = self.peer_on(conn) {
            (peer.anonymous, peer.negotiation, peer.told) = (Some(anonymous), Some(negotiation), false);
        }
        let key = format!("H{id}");
        let known = self.addresses.with_key(&key);
        let address = known.unwrap_or_else(|| self.addresses.create(key, Treatment::Closest, None));
        self.bind(anonymous, address);
        self.bid_on(conn);
        for address in self.addresses.slots() {
            self.reconcile_peer(conn, address);
        }
    }

    /// A connection to another edge router is about to go. Its links go with it.
    pub(in crate::core) fn peer_closing(&mut self, conn: Slot<Conn>) {
        let Some(peer) = self.peer_on(conn) else { return };
        let primary = peer.conns.first() == Some(&conn);
        peer.conns.retain(|&other| other != conn);
        if primary {
            peer.proxies.clear();
            (peer.anonymous, peer.negotiation) = (None, None);
        }
    }

    /// A connection to another edge router is gone: the next one takes over, or the router is no peer any more.
    pub(in crate::core) fn peer_closed(&mut self) {
        let Some(edge) = self.plane.edge_mut() else { return };
        if let Some(peer) = edge.peers.iter().find(|peer| peer.anonymous.is_none() && !peer.conns.is_empty()) {
            let (conn, id) = (peer.conns[0], peer.id.clone());
            self.set_up_peer(conn, &id);
            return;
        }
        let Some(gone) = edge.peers.iter().position(|peer| peer.conns.is_empty()) else { return };
        let peer = edge.peers.swap_remove(gone);
        let winner_lost = peer.ordinal.is_some_and(|ordinal| edge.mesh.peer_lost(ordinal));
        self.addresses.names.remove_edge_peer(&peer.id);
        if winner_lost {
            self.bid_to_all();
        }
    }

    /// Has links at every peer stand for the consumers of an address here: one each while there are any.
    pub(super) fn reconcile_peers(&mut self, address: Slot<Address>) {
        let Some(edge) = self.plane.edge().filter(|edge| !edge.peers.is_empty()) else { return };
        let set_up = edge.peers.iter().filter(|peer| peer.anonymous.is_some());
        let conns: SmallVec<[Slot<Conn>; 8]> = set_up.filter_map(|peer| peer.conns.first().copied()).collect();
        for conn in conns {
            self.reconcile_peer(conn, address);
        }
    }

    fn reconcile_peer(&mut self, conn: Slot<Conn>, address: Slot<Address>) {
        let a = self.addresses.get(address).filter(|a| a.class() == b'M' && is_propagated(&a.key));
        let wanted = a.is_some_and(|a| a.reach().consumers.own > 0);
        let Some(have) = self.peer_on(conn).map(|peer| peer.proxies.get(&address).copied().unwrap_or_default()) else {
            return;
        };
        match have {
            Proxy::None if wanted => {
                let link = OwnLink::new(Direction::In, LinkKind::Endpoint, SessionClass::Endpoint);
                let link = self.attach_own(conn, link.named(self.addresses[address].text()));
                if let Some(peer) = self.peer_on(conn) {
                    peer.proxies.insert(address, Proxy::Link(link));
                }
                self.bind(link, address);
            }
            Proxy::Link(_) | Proxy::Refused if !wanted => {
                if let Some(peer) = self.peer_on(conn) {
                    peer.proxies.remove(&address);
                }
                if let Some(link) = have.link() {
                    self.detach_link(link, None);
                }
            }
            Proxy::None | Proxy::Link(_) | Proxy::Refused => {}
        }
    }

    /// A link that this router has attached on the connection of a peer is gone.
    pub(super) fn peer_link_lost(&mut self, link: Slot<Link>) {
        let (conn, address) = (self.links[link].conn, self.proxied_address(link));
        let Some(peer) = self.peer_on(conn) else { return };
        if let Some(proxy) = address.and_then(|address| peer.proxies.get_mut(&address))
            && *proxy == Proxy::Link(link)
        {
            *proxy = Proxy::Refused;
        }
        peer.negotiation.take_if(|negotiation| *negotiation == link);
    }

    /// A peer bids for the identifier of the mesh. False when its message cannot be understood.
    pub(in crate::core) fn on_bid(&mut self, conn: Slot<Conn>, payload: &Payload) -> bool {
        let Some(bid) = Bid::decode(payload) else { return false };
        let Some(peer) = self.peer_on(conn) else { return true };
        peer.ordinal = Some(bid.ordinal);
        let Some(edge) = self.plane.edge_mut() else { return true };
        match edge.mesh.on_bid(bid) {
            Verdict::Ignored => {}
            Verdict::Adopted => self.announce_mesh(),
            Verdict::Tie => {
                edge.mesh = super::MeshIdentity::new(draw(edge.started, &mut self.rng));
                self.announce_mesh();
                self.bid_to_all();
            }
        }
        true
    }

    fn bid_to_all(&mut self) {
        let Some(edge) = self.plane.edge_mut() else { return };
        edge.peers.iter_mut().for_each(|peer| peer.told = false);
        let conns: Vec<Slot<Conn>> = edge.peers.iter().filter_map(|peer| peer.conns.first().copied()).collect();
        conns.into_iter().for_each(|conn| self.bid_on(conn));
    }

    /// Tells the peer on a connection what this router puts forward, if it does not know.
    pub(in crate::core) fn bid_on(&mut self, conn: Slot<Conn>) {
        let Some(bid) = self.plane.edge().map(|edge| edge.mesh.bid()) else { return };
        let Some(peer) = self.peer_on(conn).filter(|peer| !peer.told) else { return };
        let Some(link) = peer.negotiation else { return };
        if self.send_service(link, bid.encode())
            && let Some(peer) = self.peer_on(conn)
        {
            peer.told = true;
        }
    }

    fn peer_on(&mut self, conn: Slot<Conn>) -> Option<&mut Peer> {
        self.plane.edge_mut()?.peers.iter_mut().find(|peer| peer.conns.contains(&conn))
    }
}
