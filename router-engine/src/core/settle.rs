//! Outcomes and settlement (spec `amqp-endpoint.md` sections 14, 15.2).

use super::Core;
use super::action::Side;
use super::effect::Effect;
use super::forwarding::Route;
use super::ids::{InId, LinkId, OutId};
use super::objects::{Conn, IncomingDelivery, Link, LinkCounters, OutgoingDelivery, Resend};
use super::table::Slot;
use crate::log::{Level, LogModule};
use crate::stream::Payload;
use amqp_core::performative::{DeliveryState, Modified};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Why an outgoing delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its receiver has settled it, or nobody waits for what becomes of it: its outcome is counted.
    Settled,
    /// Its sender is done with it. A stream goes on until it has left completely.
    Orphaned,
}

impl Core {
    pub(super) fn on_update(&mut self, side: Side, state: Option<DeliveryState>, settled: bool) {
        let state = state.map(relayed);
        match side {
            Side::Out(id) => {
                if let Some(slot) = self.outgoing.find(id) {
                    self.conclude_sent(slot);
                    self.update_outgoing(slot, state, settled);
                }
            }
            Side::In(id) => {
                if let Some(slot) = self.incoming.find(id) {
                    self.update_incoming(slot, state.as_ref(), settled);
                }
            }
        }
    }

    /// The receiver of a copy reports.
    fn update_outgoing(&mut self, slot: Slot<OutgoingDelivery>, state: Option<DeliveryState>, settled: bool) {
        let out = &mut self.outgoing[slot];
        let decided = out.outcome.is_some();
        let outcome = state.as_ref().filter(|s| !decided && s.is_terminal());
        if let Some(outcome) = outcome {
            out.outcome = Some(outcome.clone());
            if let Some(origin) = out.origin {
                self.incoming[origin].undecided -= 1;
            }
        }
        let Some(origin) = out.origin else {
            if settled {
                self.end_outgoing(slot, End::Settled);
            }
            return;
        };
        if self.incoming[origin].multicast {
            if matches!(outcome, Some(DeliveryState::Other { .. })) {
                self.warn_of_transaction(origin);
            }
            self.update_multicast(slot, origin, decided, settled);
        } else {
            let state = state.filter(|_| !decided);
            self.update_anycast(slot, origin, state, settled);
        }
    }

    fn update_anycast(
        &mut self,
        slot: Slot<OutgoingDelivery>,
        origin: Slot<IncomingDelivery>,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        if let Some(state) = &state
            && self.incoming[origin].resend.is_some()
        {
            if *state == DeliveryState::Released && self.forward_again(slot, origin) {
                return;
            }
            self.end_resend(origin);
        }
        if settled {
            self.end_outgoing(slot, End::Settled);
            if !self.incoming[origin].presettled || !self.incoming[origin].complete {
                self.settle_incoming(origin, state, true);
            } else {
                self.remove_incoming(origin);
            }
            return;
        }
        let Some(state) = state else { return };
        if state.is_terminal() {
            self.incoming[origin].state = Some(state.clone());
        }
        self.tell_sender(origin, Some(state), false);
    }

    /// Tells the sender of a delivery a state without forgetting the delivery.
    fn tell_sender(&mut self, origin: Slot<IncomingDelivery>, state: Option<DeliveryState>, settled: bool) {
        let delivery = &self.incoming[origin];
        if delivery.presettled {
            return;
        }
        let token = delivery.token;
        let link = &self.links[delivery.link];
        let (conn, link) = (link.conn, link.id);
        self.stage(conn, Effect::UpdateIn { link, token, state, settled, discard: false });
    }

    fn warn_of_transaction(&self, origin: Slot<IncomingDelivery>) {
        let delivery = &self.incoming[origin];
        let link = &self.links[delivery.link];
        crate::log!(
            LogModule::RouterCore,
            Level::Warning,
            "[C{}][L{}][D{}] Transactions are not supported for multicast messages",
            self.conns[link.conn].id,
            link.id.number,
            delivery.id.number
        );
    }

    /// Aggregates the outcomes of copies: rejected > accepted > modified > released (14.3). `decided`: this copy had an
    /// outcome before.
    fn update_multicast(
        &mut self,
        slot: Slot<OutgoingDelivery>,
        origin: Slot<IncomingDelivery>,
        decided: bool,
        settled: bool,
    ) {
        let outcome = self.outgoing[slot].outcome.clone();
        let rank = outcome.as_ref().map_or(0, rank);
        if rank > self.incoming[origin].state.as_ref().map_or(0, self::rank) {
            // Details of one copy's outcome say nothing about the others: only the kind is kept.
            self.incoming[origin].state = Some(bare(rank));
        }
        if settled {
            self.end_outgoing(slot, End::Settled);
            if self.incoming[origin].copies.is_empty() {
                let state = self.incoming[origin].state.clone();
                if self.incoming[origin].complete {
                    self.settle_incoming(origin, state, true);
                } else {
                    // Every consumer is gone while the message still comes in.
                    self.settle_incoming(origin, state.or(Some(DeliveryState::Released)), true);
                }
                return;
            }
        }
        let last = !decided && (settled || outcome.is_some()) && self.incoming[origin].undecided == 0;
        if last {
            let state = self.incoming[origin].state.clone();
            self.tell_sender(origin, state, false);
        }
    }

    /// The sender of a delivery reports a state or settles first.
    fn update_incoming(&mut self, slot: Slot<IncomingDelivery>, state: Option<&DeliveryState>, settled: bool) {
        let copies = self.incoming[slot].copies.clone();
        for copy in copies {
            let link = &self.links[self.outgoing[copy].link];
            let (conn, link, id) = (link.conn, link.id, self.outgoing[copy].id);
            if !self.outgoing[copy].presettled {
                self.stage(conn, Effect::UpdateOut { link, id, state: state.cloned(), settled });
            }
            if settled {
                self.end_outgoing(copy, End::Orphaned);
            }
        }
        if settled {
            let delivery = &self.incoming[slot];
            let (link, owed) = (delivery.link, delivery.credit_at_settlement);
            let outcome = delivery.state.clone();
            self.count_incoming(slot, outcome.as_ref());
            if owed {
                self.give_credit(link, 1);
            }
            self.remove_incoming(slot);
        }
    }

    pub(super) fn on_complete(&mut self, id: InId, aborted: bool) {
        let Some(slot) = self.incoming.find(id) else { return };
        let delivery = &mut self.incoming[slot];
        delivery.complete = true;
        let (link, presettled, owed) = (delivery.link, delivery.presettled, delivery.credit_at_settlement);
        if !(aborted || presettled) {
            return;
        }
        // The copies end by themselves: their ports see the end of the stream and report `Sent`.
        self.orphan_copies(slot);
        if aborted && owed {
            self.give_credit(link, 1);
        }
        self.count_incoming(slot, None);
        self.remove_incoming(slot);
    }

    /// A port takes an outgoing stream over to a link of its own (spec `tcp-adaptor.md` 7.2).
    pub(super) fn on_move(&mut self, conn: Slot<Conn>, delivery: OutId, link: LinkId) {
        let (Some(slot), Some(to)) = (self.outgoing.find(delivery), self.links.find(link)) else {
            // It was taken away in the meantime, and whoever had it was told: so must be who asks for it now.
            self.stage(conn, Effect::AbortOut { link, id: delivery });
            return;
        };
        let from = self.outgoing[slot].link;
        if self.links[to].conn != conn || from == to || self.links[to].moved_from.is_some() {
            return;
        }
        let waiting = u32::from(self.outgoing[slot].waits());
        self.links[from].outgoing.remove(&mut self.outgoing, slot);
        self.links[from].undelivered -= waiting;
        self.links[from].moved_streams += 1;
        self.links[to].moved_from = Some(self.links[from].id);
        self.links[to].outgoing.push_back(&mut self.outgoing, slot);
        self.links[to].undelivered += waiting;
        self.outgoing[slot].link = to;
    }

    pub(super) fn on_sent(&mut self, id: OutId) {
        let Some(slot) = self.outgoing.find(id) else { return };
        let out = &mut self.outgoing[slot];
        let waited = out.waits();
        out.sent = true;
        let (link, presettled, origin) = (out.link, out.presettled, out.origin);
        let counts_as_presettled = self.is_presettled(slot);
        let l = &mut self.links[link];
        l.undelivered -= u32::from(waited);
        l.counters.deliveries += 1;
        l.counters.presettled += u64::from(counts_as_presettled);
        self.stream_link_idle(link);
        if !presettled {
            if origin.is_none() {
                self.end_outgoing(slot, End::Settled);
            }
            return;
        }
        match origin {
            // Settled on sending for an unsettled sender: sending was acceptance.
            Some(origin) if !self.incoming[origin].presettled => {
                self.update_outgoing(slot, Some(DeliveryState::Accepted), true);
            }
            _ => self.end_outgoing(slot, End::Settled),
        }
    }

    pub(super) fn on_dropped(&mut self, id: OutId) {
        let Some(slot) = self.outgoing.find(id) else { return };
        let link = self.outgoing[slot].link;
        self.links[link].counters.presettled += 1;
        self.links[link].counters.dropped_presettled += 1;
        self.totals.outcomes.dropped_presettled += 1;
        match self.outgoing[slot].origin {
            Some(origin) if !self.incoming[origin].presettled => {
                self.update_outgoing(slot, Some(DeliveryState::Released), true);
            }
            _ => self.end_outgoing(slot, End::Settled),
        }
    }

    /// Sends a released delivery to somebody else. False when nobody is left, or its beginning.
    fn forward_again(&mut self, slot: Slot<OutgoingDelivery>, origin: Slot<IncomingDelivery>) -> bool {
        let link = self.outgoing[slot].link;
        let conn = self.links[link].conn;
        let base = self.links[link].moved_from.unwrap_or(self.links[link].id);
        let neighbour = self.outgoing[slot].neighbour;
        let Some(resend) = self.incoming[origin].resend.as_mut() else { return false };
        match neighbour {
            Some(neighbour) => resend.neighbours.insert(neighbour),
            None => resend.links.push(base),
        }
        let (address, priority) = (resend.address, resend.priority);
        let (payload, annotations, state) = (resend.payload.clone(), resend.annotations.clone(), resend.state.clone());
        // While this reader is there, so is the beginning of a stream.
        let _beginning = match &payload {
            Payload::Stream(stream) => {
                let Some(reader) = stream.reader_anew() else { return false };
                Some(reader)
            }
            Payload::One(_) | Payload::Many(_) => None,
        };
        let (id, link_id) = (self.outgoing[slot].id, self.links[link].id);
        let streaming = self.outgoing[slot].stream && !self.outgoing[slot].sent;
        let route = Route {
            origin: Some(origin),
            conn: Some(self.links[self.incoming[origin].link].conn),
            control: false,
            any_way: false,
            settled: false,
            priority,
        };
        if self.forward(&route, address, &payload, &annotations, state.as_ref()) == 0 {
            return false;
        }
        if streaming {
            self.stage(conn, Effect::AbortOut { link: link_id, id });
        } else {
            // The released copy may still be unsettled at its receiver: the router settles it.
            self.stage(conn, Effect::UpdateOut { link: link_id, id, state: None, settled: true });
        }
        self.end_outgoing(slot, End::Settled);
        true
    }

    /// Keeps what it takes to send a delivery again, until [`Self::end_resend`].
    pub(super) fn begin_resend(&mut self, slot: Slot<IncomingDelivery>, resend: Resend) {
        if let Payload::Stream(stream) = &resend.payload {
            stream.retain();
        }
        self.addresses[resend.address].holds += 1;
        self.incoming[slot].resend = Some(Box::new(resend));
    }

    fn end_resend(&mut self, slot: Slot<IncomingDelivery>) {
        if let Some(resend) = self.incoming[slot].resend.take() {
            if let Payload::Stream(stream) = &resend.payload {
                stream.stop_retaining();
            }
            self.addresses[resend.address].holds -= 1;
            self.addresses.release(resend.address);
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
                    self.totals.outcomes.dropped_presettled += 1;
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
    fn orphan_copies(&mut self, slot: Slot<IncomingDelivery>) {
        while let Some(&copy) = self.incoming[slot].copies.last() {
            self.end_outgoing(copy, End::Orphaned);
        }
    }

    /// Ends a copy, whose incoming delivery no longer has it then.
    fn end_outgoing(&mut self, slot: Slot<OutgoingDelivery>, end: End) {
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
        let link = self.outgoing[slot].link;
        self.links[link].outgoing.remove(&mut self.outgoing, slot);
        self.links[link].undelivered -= u32::from(self.outgoing[slot].waits());
        let OutgoingDelivery { outstanding, neighbour, .. } = self.outgoing[slot];
        if let Some((address, neighbour)) = outstanding.zip(neighbour)
            && let Some(a) = self.addresses.get_mut(address)
        {
            a.add_outstanding(neighbour, false);
            self.addresses.release(address);
        }
        if self.outgoing[slot].stream && !self.outgoing[slot].sent {
            self.stream_link_idle(link);
        }
        self.outgoing.remove(slot);
    }

    pub(super) fn remove_incoming(&mut self, slot: Slot<IncomingDelivery>) {
        self.end_resend(slot);
        self.orphan_copies(slot);
        let link = self.incoming[slot].link;
        self.links[link].incoming.remove(&mut self.incoming, slot);
        self.links[link].undelivered -= u32::from(self.incoming[slot].presettled);
        self.incoming.remove(slot);
    }

    pub(super) fn count_incoming(&mut self, slot: Slot<IncomingDelivery>, outcome: Option<&DeliveryState>) {
        let IncomingDelivery { link, presettled, born, .. } = self.incoming[slot];
        if presettled {
            return;
        }
        let age = born.map(|born| self.now.since(born));
        count(&mut self.links[link].counters, outcome, age);
        if !self.conns[self.links[link].conn].is_internal() {
            count(&mut self.totals.outcomes, outcome, age);
        }
    }

    fn count_outgoing(&mut self, slot: Slot<OutgoingDelivery>) {
        let presettled = self.is_presettled(slot);
        let OutgoingDelivery { link, stream, born, ref outcome, .. } = self.outgoing[slot];
        let outcome = outcome.as_ref().filter(|_| !presettled);
        count(&mut self.links[link].counters, outcome, (!stream).then(|| self.now.since(born)));
    }

    /// An unsettled whole message must have left: somebody has spoken of it, or nobody will.
    fn conclude_sent(&mut self, slot: Slot<OutgoingDelivery>) {
        let out = &mut self.outgoing[slot];
        if !(out.stream || out.presettled || out.sent) {
            out.sent = true;
            let link = &mut self.links[out.link];
            link.counters.deliveries += u64::from(link.gauge.is_none());
        }
    }

    /// Whether the sender of a copy's original settled it, and not only the router because the receiver wants that.
    fn is_presettled(&self, out: Slot<OutgoingDelivery>) -> bool {
        let out = &self.outgoing[out];
        out.presettled && out.origin.is_none_or(|origin| self.incoming[origin].presettled)
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

/// A state as the other side is told it: what was modified has failed, whatever the peer says (14.2).
fn relayed(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Modified(modified) if !modified.delivery_failed => {
            DeliveryState::Modified(Arc::new(Modified { delivery_failed: true, ..Arc::unwrap_or_clone(modified) }))
        }
        state => state,
    }
}

fn rank(state: &DeliveryState) -> u8 {
    match state {
        DeliveryState::Released => 1,
        DeliveryState::Modified(_) => 2,
        DeliveryState::Accepted => 3,
        // Declared: there are no transactions over several consumers.
        DeliveryState::Rejected(_) | DeliveryState::Other { .. } => 4,
        DeliveryState::Received { .. } => 0,
    }
}

fn bare(rank: u8) -> DeliveryState {
    match rank {
        4 => DeliveryState::Rejected(None),
        3 => DeliveryState::Accepted,
        2 => DeliveryState::failed(),
        _ => DeliveryState::Released,
    }
}
