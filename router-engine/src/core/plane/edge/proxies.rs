//! Links at the interior router that stand for those of this router's clients
//! (spec `inter-router-protocol.md` 9.3, 9.4).

use super::super::super::Core;
use super::super::super::action::Direction;
use super::super::super::attach::OwnLink;
use super::super::super::effect::SessionClass;
use super::super::super::objects::{Address, Link, LinkKind};
use super::super::super::report;
use super::super::super::table::Slot;
use super::super::super::withdraw::Withdrawal;
use super::super::is_propagated;
use super::super::messages::Tracking;
use super::{Proxies, Proxy};
use crate::stream::Payload;

impl Core {
    /// The clients of an address have changed: what stands for them is looked at when the batch is done. What they have
    /// sent, and the outcomes of what they received, goes ahead of that.
    pub(in crate::core) fn proxies_due(&mut self, address: Slot<Address>) {
        if self.plane.edge().is_some() {
            self.addresses[address].holds += 1;
            self.due.proxies.push(address);
        }
    }

    /// Looks at what stands for clients that have changed, and detaches what has done its part: links of an earlier uplink, and
    /// those that take nothing more.
    pub(in crate::core) fn flush_proxies(&mut self) {
        while let Some(link) = self.due.retired.pop() {
            if let Some(link) = self.links.find(link) {
                self.detach_link(link, None);
            }
        }
        while let Some(address) = self.due.proxies.pop() {
            self.reconcile_proxies(address);
            self.addresses[address].holds -= 1;
            self.addresses.release(address);
        }
    }

    /// Nothing is under way any more on a link that takes nothing more: those that it stood for are gone, or it was
    /// told to go.
    pub(in crate::core) fn proxy_idle(&mut self, link: Slot<Link>) {
        self.links[link].retiring = false;
        let proxies = self.plane.edge().map(|edge| &edge.proxies);
        let address = self.proxied_address(link);
        let proxy = proxies.zip(address).and_then(|(proxies, address)| proxies.get(&address));
        match address.filter(|_| proxy.is_some_and(|proxy| proxy.outgoing == Proxy::Link(link))) {
            Some(address) => self.proxies_due(address),
            None => self.due.retired.push(self.links[link].id),
        }
    }

    /// Has links of this router at the interior router, and at other edge routers, stand for exactly those clients of an
    /// address that there are.
    pub(in crate::core) fn reconcile_proxies(&mut self, address: Slot<Address>) {
        self.reconcile_proxy(address, Direction::In);
        self.reconcile_proxy(address, Direction::Out);
        self.reconcile_peers(address);
    }

    pub(super) fn reconcile_proxy(&mut self, address: Slot<Address>, direction: Direction) {
        let Some((edge, uplink)) = self.plane.edge().and_then(|edge| Some((edge, edge.uplink?))) else { return };
        let have = edge.proxies.get(&address).map_or(Proxy::None, |proxies| proxies.get(direction));
        match (self.wants_proxy(address, direction), have) {
            (true, Proxy::None) => {
                let link = OwnLink::new(direction, LinkKind::Endpoint, SessionClass::Endpoint);
                let link = self.attach_own(uplink.conn, link.named(self.addresses[address].text()));
                self.note_proxy(address, direction, Proxy::Link(link));
                // What goes up waits for word from the interior router that somebody consumes the address there.
                if direction == Direction::In {
                    self.bind(link, address);
                }
            }
            // What its producers have sent is still to go.
            (false, Proxy::Link(link)) if !self.links[link].outgoing.is_empty() => self.links[link].retiring = true,
            (false, Proxy::Link(link)) => {
                self.note_proxy(address, direction, Proxy::None);
                self.end_proxy(link);
            }
            (false, Proxy::Refused) => self.note_proxy(address, direction, Proxy::None),
            (true, Proxy::Link(_) | Proxy::Refused) | (false, Proxy::None) => {}
        }
    }

    /// Whether clients of this router consume an address (`In`), or produce for it or want to know who consumes it.
    fn wants_proxy(&self, address: Slot<Address>, direction: Direction) -> bool {
        let Some(a) = self.addresses.get(address).filter(|a| a.class() == b'M' && is_propagated(&a.key)) else {
            return false;
        };
        let reach = a.reach();
        match direction {
            // Clients go on with what they have while this router withdraws.
            Direction::In => reach.consumers.own + reach.in_process > 0 && self.withdrawal == Withdrawal::No,
            Direction::Out => reach.in_process == 0 && (reach.producers.own > 0 || !a.watches.is_empty()),
        }
    }

    /// Detaches a link that stands for nobody any more, at once if nobody has anything of it.
    pub(super) fn end_proxy(&mut self, link: Slot<Link>) {
        if self.links[link].incoming.is_empty() && self.withdrawal == Withdrawal::No {
            self.detach_link(link, None);
        } else {
            self.retire_link(link);
        }
    }

    fn note_proxy(&mut self, address: Slot<Address>, direction: Direction, proxy: Proxy) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let proxies = edge.proxies.entry(address).or_default();
        *proxies.get_mut(direction) = proxy;
        if *proxies == Proxies::default() {
            edge.proxies.remove(&address);
        }
    }

    /// The interior router tells whether an address can be reached by way of it. False when that cannot be understood.
    pub(in crate::core) fn on_tracking(&mut self, payload: &Payload) -> bool {
        let Some(Tracking { key, reachable }) = Tracking::decode(payload) else { return false };
        let Some(address) = self.addresses.with_key(&key) else { return true };
        let proxies = self.plane.edge().and_then(|edge| edge.proxies.get(&address));
        let Some(Proxy::Link(link)) = proxies.map(|proxies| proxies.outgoing) else { return true };
        let bound = self.links[link].address.is_some();
        if reachable != bound {
            report::proxy_bound(self.conns[self.links[link].conn].id, self.links[link].id, &key, reachable);
            if reachable {
                self.bind(link, address);
            } else {
                self.unbind(link);
            }
        }
        true
    }

    /// The address whose clients a link stands for, whether or not it is bound.
    pub(super) fn proxied_address(&self, link: Slot<Link>) -> Option<Slot<Address>> {
        let text = std::str::from_utf8(self.links[link].terminus.as_deref()?).ok()?;
        self.addresses.with_key(&format!("M{text}"))
    }

    /// A link that this router has attached on the connection to the interior router is gone.
    pub(super) fn proxy_lost(&mut self, link: Slot<Link>) {
        let Link { direction, conn, .. } = self.links[link];
        let Some((edge, uplink)) = self.plane.edge().and_then(|edge| Some((edge, edge.uplink?))) else { return };
        let Some(address) = self.proxied_address(link).filter(|_| conn == uplink.conn) else { return };
        if edge.proxies.get(&address).is_some_and(|proxies| proxies.get(direction) == Proxy::Link(link)) {
            self.note_proxy(address, direction, Proxy::Refused);
        }
    }
}

// === impl Proxies ===

impl Proxies {
    const fn get(&self, direction: Direction) -> Proxy {
        match direction {
            Direction::In => self.incoming,
            Direction::Out => self.outgoing,
        }
    }

    const fn get_mut(&mut self, direction: Direction) -> &mut Proxy {
        match direction {
            Direction::In => &mut self.incoming,
            Direction::Out => &mut self.outgoing,
        }
    }
}
