//! Other edge routers that this one is connected to (spec `inter-router-protocol.md` 9.6).

use super::super::super::Core;
use super::super::super::action::Direction;
use super::super::super::attach::OwnLink;
use super::super::super::effect::SessionClass;
use super::super::super::ids::EdgePeerId;
use super::super::super::objects::{Address, Conn, Link, LinkKind};
use super::super::super::table::{Slot, entry};
use super::super::super::withdraw::Withdrawal;
use super::super::is_propagated;
use super::Proxy;
use super::negotiation::Negotiation;
use crate::forward::Treatment;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Terminus capability of anonymous links between edge routers.
pub(in crate::core) const CAP_INTER_EDGE: &str = "qd.router-inter-edge";

/// A connected edge router.
#[derive(Debug)]
pub(in crate::core) struct EdgePeer {
    id: EdgePeerId,
    /// Its router id, which is the container id of its connections.
    pub(super) router: String,
    /// Its connections, in the order in which they opened. The first one is used.
    pub(super) conns: Vec<Slot<Conn>>,
    /// The first connection has this router's links.
    set_up: bool,
    pub(super) negotiation: Negotiation,
    /// Links of this router there that stand for its consumers, by their address. It has a record for as long.
    proxies: HashMap<Slot<Address>, Proxy>,
}

entry!(EdgePeer, EdgePeerId);

// === impl Core ===

impl Core {
    /// A connection to another edge router is open.
    pub(in crate::core) fn peer_opened(&mut self, conn: Slot<Conn>) {
        let router = self.conns[conn].peer.as_ref().map(|peer| peer.container_id.clone()).unwrap_or_default();
        let Some(edge) = self.plane.edge_mut().filter(|_| router != self.config.id) else { return };
        let known = edge.peers.entries().find(|(_, peer)| peer.router == router).map(|(slot, _)| slot);
        let peer = known.unwrap_or_else(|| {
            self.addresses.names.add_edge_peer(&router);
            edge.peers.insert_with(|id| EdgePeer {
                id,
                router,
                conns: Vec::new(),
                set_up: false,
                negotiation: Negotiation::default(),
                proxies: HashMap::new(),
            })
        });
        edge.peers[peer].conns.push(conn);
        self.conns[conn].edge_peer = Some(peer);
        self.set_up_peer(peer);
    }

    /// Attaches what is missing of the standing links to a peer, and the links that stand for consumers here.
    fn set_up_peer(&mut self, peer: Slot<EdgePeer>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let had_links = std::mem::replace(&mut edge.peers[peer].set_up, true);
        if !had_links {
            self.attach_anonymous(peer);
        }
        self.negotiate(peer);
        if !had_links {
            for address in self.addresses.slots() {
                self.reconcile_peer(peer, address);
            }
        }
    }

    /// Attaches the link that takes what is addressed to a peer.
    fn attach_anonymous(&mut self, peer: Slot<EdgePeer>) {
        let Some(edge) = self.plane.edge() else { return };
        let EdgePeer { conns, router, .. } = &edge.peers[peer];
        let (conn, key, up) = (conns[0], format!("H{router}"), edge.uplink_address);
        let link = OwnLink::new(Direction::Out, LinkKind::InterEdge, SessionClass::Endpoint).capable(CAP_INTER_EDGE);
        let link = self.attach_own(conn, link);
        let known = self.addresses.with_key(&key);
        let address = known.unwrap_or_else(|| self.addresses.create(key, Treatment::Closest, None));
        self.bind(link, address);
        self.redirect_producers(up);
    }

    /// A connection to another edge router is about to go. Its links go with it.
    pub(in crate::core) fn peer_closing(&mut self, conn: Slot<Conn>) {
        let Some((edge, slot)) = self.plane.edge_mut().zip(self.conns[conn].edge_peer) else { return };
        let peer = &mut edge.peers[slot];
        if peer.conns.first() == Some(&conn) {
            peer.proxies.clear();
            peer.set_up = false;
        }
        peer.conns.retain(|&other| other != conn);
        self.negotiation_closing(slot, conn);
    }

    /// A connection to another edge router is gone: the next one takes over, or the router is no peer any more.
    pub(in crate::core) fn peer_closed(&mut self, lost: &Conn) {
        let Some((edge, slot)) = self.plane.edge_mut().zip(lost.edge_peer) else { return };
        if !edge.peers[slot].conns.is_empty() {
            self.set_up_peer(slot);
        } else if let Some(gone) = edge.peers.remove(slot) {
            self.addresses.names.remove_edge_peer(&gone.router);
            if let Some(address) = self.addresses.with_key(&format!("H{}", gone.router)) {
                self.redirect_producers(address);
            }
            self.negotiation_over(&gone.negotiation);
        }
    }

    /// Binds producers of an address to another one if that is what their text means by now: what is for an edge router goes
    /// to it directly while it is a peer, else by the uplink.
    fn redirect_producers(&mut self, from: Slot<Address>) {
        let producers: Vec<Slot<Link>> = self.producers(from).collect();
        for link in producers {
            let text = self.links[link].terminus.as_deref().and_then(|text| std::str::from_utf8(text).ok());
            let meant = text.and_then(|text| self.addresses.lookup(text));
            if let Some(to) = meant.filter(|&to| to != from) {
                self.unbind(link);
                self.bind(link, to);
                self.release_if_reachable(link);
            }
        }
    }

    /// Leaves one link to each peer among the receivers of a message: one with several connections may have attached one
    /// on each of them for the same consumers.
    pub(in crate::core) fn once_per_peer(&self, receivers: &mut Vec<Slot<Link>>) {
        let Some(edge) = self.plane.edge() else { return };
        let mut served: SmallVec<[Slot<EdgePeer>; 4]> = SmallVec::new();
        receivers.retain(|&link| match self.conns[self.links[link].conn].edge_peer {
            Some(peer) if edge.peers[peer].conns.len() > 1 => {
                let first = !served.contains(&peer);
                served.push(peer);
                first
            }
            _ => true,
        });
    }

    /// Has links at every peer stand for the consumers of an address here: one each while there are any.
    pub(super) fn reconcile_peers(&mut self, address: Slot<Address>) {
        let Some(edge) = self.plane.edge() else { return };
        let set_up = edge.peers.entries().filter(|(_, peer)| peer.set_up);
        let peers: SmallVec<[Slot<EdgePeer>; 8]> = set_up.map(|(slot, _)| slot).collect();
        for peer in peers {
            self.reconcile_peer(peer, address);
        }
    }

    fn reconcile_peer(&mut self, peer: Slot<EdgePeer>, address: Slot<Address>) {
        let a = self.addresses.get(address).filter(|a| a.class() == b'M' && is_propagated(&a.key));
        let wanted = a.is_some_and(|a| a.reach().consumers.own > 0) && self.withdrawal == Withdrawal::No;
        let Some(EdgePeer { conns, proxies, .. }) = self.plane.edge_mut().map(|edge| &mut edge.peers[peer]) else {
            return;
        };
        match proxies.get(&address) {
            None if wanted => {
                let conn = conns[0];
                let link = OwnLink::new(Direction::In, LinkKind::Endpoint, SessionClass::Endpoint);
                let link = self.attach_own(conn, link.named(self.addresses[address].text()));
                if let Some(edge) = self.plane.edge_mut() {
                    edge.peers[peer].proxies.insert(address, Proxy::Link(link));
                }
                self.bind(link, address);
            }
            Some(_) if !wanted => {
                if let Some(link) = proxies.remove(&address).and_then(Proxy::link) {
                    self.end_proxy(link);
                }
            }
            None | Some(_) => {}
        }
    }

    /// A link that this router has attached on the connection of a peer is gone.
    pub(super) fn peer_link_lost(&mut self, link: Slot<Link>) {
        let conn = self.links[link].conn;
        let Some(peer) = self.conns[conn].edge_peer else { return };
        if let Some(address) = self.proxied_address(link)
            && let Some(edge) = self.plane.edge_mut()
            && let Some(proxy) = edge.peers[peer].proxies.get_mut(&address)
            && *proxy == Proxy::Link(link)
        {
            *proxy = Proxy::Refused;
        }
        self.negotiation_refused(peer, conn, link);
    }
}
