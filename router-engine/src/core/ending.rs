//! How deliveries end: by settlement, or with a link (spec `amqp-endpoint.md` 15.2).

use super::Core;
use super::action::{Action, Direction};
use super::deliveries::{IncomingDelivery, OutgoingDelivery};
use super::ids::{LinkId, OutId};
use super::objects::{Conn, Link, LinkCounters};
use super::table::Slot;
use crate::stream::Payload;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use std::collections::HashSet;
use std::time::Duration;

/// Why an outgoing delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its receiver has settled it, or nobody waits for what becomes of it: its outcome is counted.
    Settled,
    /// Its sender is done with it. A stream goes on until it has left completely.
    Orphaned,
}

impl Core {
    /// Links that a batch is going to end take nothing more: what one of them has lost would else go to the next of them,
    /// and from there to the one after that.
    pub(super) fn unbind_ending(&mut self, batch: &[Action]) {
        for action in batch {
            if let Action::Detached { link, .. } = action
                && let Some(link) = self.links.find(*link)
                && self.links[link].direction == Direction::Out
            {
                self.unbind(link);
            }
        }
    }

    /// A peer takes nothing more by a link, which goes with the last of what was sent on it.
    pub(super) fn on_unbind(&mut self, conn: Slot<Conn>, link: LinkId) {
        let own = |slot: &Slot<Link>| self.links[*slot].conn == conn && self.links[*slot].direction == Direction::Out;
        if let Some(slot) = self.links.find(link).filter(own) {
            self.retire_link(slot);
        }
    }

    /// An outgoing link is gone: what was not sent is released, what was sent is modified. Beside `unsent` the port has
    /// not sent what it has not taken from its mailbox.
    pub(super) fn settle_lost_outgoing(&mut self, link: Slot<Link>, unsent: &[OutId]) {
        let unsent: HashSet<OutId> = unsent.iter().copied().collect();
        let taken = self.conns[self.links[link].conn].mailbox.taken();
        let last = self.outgoing.last_number();
        while let Some(slot) = self.links[link].outgoing.head() {
            let out = &self.outgoing[slot];
            let untold = unsent.contains(&out.id) || (out.stream && !out.sent) || out.id.is_after(taken, last);
            if out.presettled {
                if untold {
                    self.links[link].counters.dropped_presettled += 1;
                    self.figures.totals.outcomes.dropped_presettled += 1;
                }
                if out.origin.is_none_or(|o| self.incoming[o].presettled && self.incoming[o].complete) {
                    self.end_outgoing(slot, End::Settled);
                    continue;
                }
            }
            if !untold {
                self.conclude_sent(slot);
            }
            let state = if untold { DeliveryState::Released } else { DeliveryState::failed() };
            self.update_outgoing(slot, Some(state), true);
        }
    }

    /// Nothing more is read of the streams that a connection has taken: from here on they can only have failed.
    pub(super) fn conclude_streams(&mut self, conn: Slot<Conn>) {
        let (taken, last) = (self.conns[conn].mailbox.taken(), self.outgoing.last_number());
        for link in self.conns[conn].links.clone() {
            if self.links[link].direction == Direction::In {
                continue;
            }
            let mut next = self.links[link].outgoing.head();
            while let Some(slot) = next {
                next = self.outgoing[slot].hook.next();
                let copy = &self.outgoing[slot];
                if copy.waits() && !(copy.presettled || copy.id.is_after(taken, last)) {
                    // It has not left completely, so it is not counted as delivered.
                    self.outgoing[slot].sent = true;
                    self.links[link].undelivered -= 1;
                }
            }
        }
    }

    /// An incoming link is gone: incomplete deliveries end by abort, complete ones are settled as modified.
    pub(super) fn settle_lost_incoming(&mut self, link: Slot<Link>) {
        while let Some(slot) = self.links[link].incoming.head() {
            let delivery = &self.incoming[slot];
            if delivery.complete && !delivery.presettled {
                self.update_incoming(slot, Some(&DeliveryState::failed()), true);
            } else {
                if let Some(Payload::Stream(stream)) = delivery.resend.as_ref().map(|r| &r.payload) {
                    stream.abort();
                }
                let id = delivery.id;
                self.on_complete(id, true);
            }
        }
    }

    /// Ends all copies of a delivery whose sender no longer cares.
    pub(super) fn orphan_copies(&mut self, slot: Slot<IncomingDelivery>) {
        while let Some(&copy) = self.incoming[slot].copies.last() {
            self.end_outgoing(copy, End::Orphaned);
        }
    }

    /// Ends a copy, whose incoming delivery no longer has it then.
    pub(super) fn end_outgoing(&mut self, slot: Slot<OutgoingDelivery>, end: End) {
        match end {
            End::Settled => self.count_outgoing(slot),
            End::Orphaned => self.conclude_sent(slot),
        }
        self.part_from_origin(slot);
        let copy = &self.outgoing[slot];
        if end == End::Settled || copy.sent || !copy.stream {
            self.remove_outgoing(slot);
        }
    }

    /// Parts a copy from the incoming delivery.
    fn part_from_origin(&mut self, slot: Slot<OutgoingDelivery>) {
        let copy = &mut self.outgoing[slot];
        let Some(origin) = copy.origin.take() else { return };
        let (at, undecided) = (copy.at, copy.outcome.is_none());
        let delivery = &mut self.incoming[origin];
        delivery.undecided -= u32::from(undecided);
        delivery.copies.swap_remove(at as usize);
        if let Some(&moved) = delivery.copies.get(at as usize) {
            self.outgoing[moved].at = at;
        }
    }

    fn remove_outgoing(&mut self, slot: Slot<OutgoingDelivery>) {
        let OutgoingDelivery { link, stuck, .. } = self.outgoing[slot];
        self.links[link].outgoing.remove(&mut self.outgoing, slot);
        self.no_longer_stuck(link, stuck);
        self.links[link].undelivered -= u32::from(self.outgoing[slot].waits());
        let OutgoingDelivery { outstanding, neighbour, .. } = self.outgoing[slot];
        if let Some((address, neighbour)) = outstanding.zip(neighbour)
            && let Some(a) = self.addresses.get_mut(address)
        {
            a.add_outstanding(neighbour, false);
            self.addresses.release(address);
        }
        self.outgoing.remove(slot);
        self.stream_link_idle(link);
        if self.links[link].retiring && self.links[link].outgoing.is_empty() {
            self.proxy_idle(link);
        }
    }

    pub(super) fn remove_incoming(&mut self, slot: Slot<IncomingDelivery>) {
        self.end_resend(slot);
        self.orphan_copies(slot);
        let IncomingDelivery { link, stuck, .. } = self.incoming[slot];
        self.links[link].incoming.remove(&mut self.incoming, slot);
        self.no_longer_stuck(link, stuck);
        self.links[link].undelivered -= u32::from(self.incoming[slot].presettled);
        self.incoming.remove(slot);
        self.review_retiring(link);
    }

    pub(super) fn count_incoming(&mut self, slot: Slot<IncomingDelivery>, outcome: Option<&DeliveryState>) {
        let IncomingDelivery { link, presettled, born, .. } = self.incoming[slot];
        if presettled {
            return;
        }
        let age = born.map(|born| self.now.since(born));
        self.links[link].count(outcome, age, self.now);
        if !self.conns[self.links[link].conn].is_internal() {
            count(&mut self.figures.totals.outcomes, outcome, age);
        }
    }

    fn count_outgoing(&mut self, slot: Slot<OutgoingDelivery>) {
        let presettled = self.is_presettled(slot);
        let OutgoingDelivery { link, stream, born, ref outcome, .. } = self.outgoing[slot];
        let outcome = outcome.as_ref().filter(|_| !presettled);
        self.links[link].count(outcome, (!stream).then(|| self.now.since(born)), self.now);
    }

    /// An unsettled whole message must have left: somebody has spoken of it, or nobody will.
    pub(super) fn conclude_sent(&mut self, slot: Slot<OutgoingDelivery>) {
        let out = &mut self.outgoing[slot];
        if !(out.stream || out.presettled || out.sent) {
            out.sent = true;
            let link = &mut self.links[out.link];
            link.counters.deliveries += u64::from(link.gauge.is_none());
        }
    }

    /// Whether the sender of a copy's original settled it, and not only the router because the receiver wants that.
    pub(super) fn is_presettled(&self, out: Slot<OutgoingDelivery>) -> bool {
        let out = &self.outgoing[out];
        out.presettled && out.origin.is_none_or(|origin| self.incoming[origin].presettled)
    }
}

impl Link {
    /// Counts the end of a delivery. `age` is none for streams.
    fn count(&mut self, outcome: Option<&DeliveryState>, age: Option<Duration>, now: Instant) {
        count(&mut self.counters, outcome, age);
        if matches!(outcome, Some(DeliveryState::Accepted | DeliveryState::Rejected(_))) {
            self.settle_rate.add(now);
        }
    }
}

/// Counts the end of a delivery. `age` is none for streams.
fn count(counters: &mut LinkCounters, outcome: Option<&DeliveryState>, age: Option<Duration>) {
    match age.map_or(0, |age| age.as_secs()) {
        0 | 1 => {}
        2..=10 => counters.delayed_1sec += 1,
        _ => counters.delayed_10sec += 1,
    }
    match outcome {
        Some(DeliveryState::Accepted) => counters.accepted += 1,
        Some(DeliveryState::Rejected(_)) => counters.rejected += 1,
        Some(DeliveryState::Released) => counters.released += 1,
        Some(DeliveryState::Modified(_)) => counters.modified += 1,
        _ => {}
    }
}
