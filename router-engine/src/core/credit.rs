//! Credit of incoming links (spec `amqp-endpoint.md` section 10).

use super::Core;
use super::connection::PeerKind;
use super::deliveries::IncomingDelivery;
use super::effect::Effect;
use super::ids::LinkId;
use super::objects::{Address, Conn, Link, LinkKind};
use super::table::Slot;
use super::withdraw::Withdrawal;

impl Core {
    /// Grants the first credit of a link that was just attached.
    pub(super) fn grant_initial(&mut self, slot: Slot<Link>) {
        let link = &self.links[slot];
        let capacity = match link.kind {
            LinkKind::Service(service) => service.credit(),
            _ => link.capacity,
        };
        let reachable = match link.address {
            None => true,
            Some(address) => self.addresses[address].paths() > 0,
        };
        if reachable {
            self.give_credit(slot, capacity);
        } else {
            self.links[slot].credit_withheld = capacity;
        }
    }

    /// Adds credit, to be granted at the end of the batch. Another router has plenty: it gets more once it has used some of
    /// it, as a frame for every message would cost as much as the message.
    pub(super) fn give_credit(&mut self, slot: Slot<Link>, credit: u32) {
        let link = &mut self.links[slot];
        link.credit_due += credit;
        if !link.credit_queued && !link.has_plenty() {
            link.credit_queued = true;
            self.due.links.push(slot);
        }
    }

    pub(super) fn flush_credit(&mut self) {
        while let Some(slot) = self.due.links.pop() {
            let Some(link) = self.links.get_mut(slot) else { continue };
            link.credit_queued = false;
            let credit = std::mem::take(&mut link.credit_due);
            let winds_down = self.withdrawal == Withdrawal::WindingDown;
            if link.retiring || winds_down && self.conns[link.conn].is_of_client() {
                continue;
            }
            if credit > 0 {
                link.peer_credit = link.peer_credit.saturating_add(credit);
                link.zero_credit_since = None;
                self.figures.totals.links_blocked -= u32::from(std::mem::take(&mut link.blocked));
                link.draining = false;
                let (conn, link) = (link.conn, link.id);
                let grant = Effect::Credit { link, credit, drain: false };
                // Tasks of this process send without waiting for credit.
                if self.conns[conn].params.kind == PeerKind::Amqp {
                    self.stage(conn, grant);
                } else {
                    self.stage_quietly(conn, grant);
                }
            }
        }
    }

    /// A delivery on a targeted link found no path: its credit is kept back and the link drained (10.3).
    pub(super) fn withhold_and_drain(&mut self, slot: Slot<Link>) {
        let link = &mut self.links[slot];
        link.credit_withheld = (link.credit_withheld + 1).min(link.capacity);
        if !link.draining {
            link.draining = true;
            let (conn, link) = (link.conn, link.id);
            self.stage(conn, Effect::Credit { link, credit: 0, drain: true });
        }
    }

    pub(super) fn on_drained(&mut self, link: LinkId, skipped: u32) {
        let Some(slot) = self.links.find(link) else { return };
        self.links[slot].use_credit(skipped, self.now);
        let link = &mut self.links[slot];
        // What the peer gave up is owed to it, also when credit granted in the meantime has ended the drain. Deliveries
        // that went nowhere have left theirs before, and those that are unsettled bring it back themselves.
        link.credit_withheld = link.credit_withheld.saturating_add(skipped).min(link.capacity);
        if link.retiring {
            return self.review_retiring(slot);
        }
        // The path may have returned while the drain was under way.
        self.release_if_reachable(slot);
    }

    /// Grants what was kept back of a link whose address has a path.
    pub(super) fn release_if_reachable(&mut self, slot: Slot<Link>) {
        if self.links[slot].address.is_none_or(|a| self.addresses[a].paths() > 0) {
            self.release_withheld(slot);
        }
    }

    fn release_withheld(&mut self, slot: Slot<Link>) {
        let credit = std::mem::take(&mut self.links[slot].credit_withheld);
        if credit > 0 {
            self.give_credit(slot, credit);
        }
    }

    /// The first path of an address has come: its producers get what was kept back.
    pub(super) fn restart_producers(&mut self, address: Slot<Address>) {
        let mut next = self.addresses[address].producers.head();
        while let Some(slot) = next {
            next = self.links[slot].hook.next();
            self.release_withheld(slot);
        }
    }

    pub(super) fn on_peer_credit(&mut self, link: LinkId, credit: u32, drain: bool) {
        let Some(slot) = self.links.find(link) else { return };
        let link = &mut self.links[slot];
        link.peer_credit = credit;
        link.zero_credit_since = (credit == 0).then_some(link.zero_credit_since.unwrap_or(self.now));
        if credit > 0 {
            self.figures.totals.links_blocked -= u32::from(std::mem::take(&mut link.blocked));
        }
        if let Some(own) = link.partner {
            self.tell_peer_credit(slot, own, credit, drain);
        }
    }

    /// The port refused a delivery by itself.
    pub(super) fn on_refused(&mut self, link: LinkId) {
        let Some(slot) = self.links.find(link) else { return };
        let link = &mut self.links[slot];
        link.use_credit(1, self.now);
        link.counters.deliveries += 1;
        link.counters.rejected += 1;
        self.give_credit(slot, 1);
    }

    /// Whether credit comes back when a delivery is forwarded rather than when it is settled.
    pub(super) fn credit_at_forward(&self, slot: Slot<Link>) -> bool {
        let link = &self.links[slot];
        matches!(link.kind, LinkKind::Control | LinkKind::Data(_)) || self.conns[link.conn].role.is_edge()
    }

    /// Remembers a stream from another router until the next tick, if its credit is owed.
    pub(super) fn note_young_stream(&mut self, conn: Slot<Conn>, slot: Slot<IncomingDelivery>) {
        let delivery = &self.incoming[slot];
        if !delivery.complete && delivery.credit_at_settlement && self.conns[conn].role.is_router() {
            self.timers.young_streams.push(delivery.id);
        }
    }

    /// Gives the credit back of streams from other routers that last, where settlement may be hours away.
    ///
    /// The C router looks for octets of a stream before it asks to be told of them. What its own peer has sent in between,
    /// such as a server's greeting, stays there until something else makes it look again, as this credit does. Streams that
    /// end sooner get their credit with their settlement, which costs no frame of its own.
    pub(super) fn credit_lasting_streams(&mut self) {
        for id in std::mem::take(&mut self.timers.young_streams) {
            let Some(slot) = self.incoming.find(id) else { continue };
            let delivery = &mut self.incoming[slot];
            if !delivery.complete && std::mem::take(&mut delivery.credit_at_settlement) {
                let link = delivery.link;
                self.give_credit(link, 1);
            }
        }
    }
}
