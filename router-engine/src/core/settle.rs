//! Outcomes and settlement (spec `amqp-endpoint.md` sections 14, 15.2).

use super::Core;
use super::action::Side;
use super::effect::Effect;
use super::forwarding::Route;
use super::ids::{InId, LinkId, OutId};
use super::objects::{In, LinkCounters, Out, Resend};
use crate::log::{Level, LogModule};
use crate::stream::Payload;
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Modified};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

impl Core {
    pub(super) fn on_update(&mut self, side: Side, state: Option<DeliveryState>, settled: bool, now: Instant) {
        let state = state.map(relayed);
        match side {
            Side::Out(id) => {
                if let Some(slot) = self.outs.find(id.slot, id.number) {
                    self.conclude_sent(slot);
                    self.update_out(slot, state, settled, now);
                }
            }
            Side::In(id) => {
                if let Some(slot) = self.ins.find(id.slot, id.number) {
                    self.update_in(slot, state.as_ref(), settled);
                }
            }
        }
    }

    /// The receiver of a copy reports.
    fn update_out(&mut self, slot: u32, state: Option<DeliveryState>, settled: bool, now: Instant) {
        let out = &mut self.outs[slot];
        let decided = out.outcome.is_some();
        let outcome = state.as_ref().filter(|s| !decided && s.is_terminal());
        if let Some(outcome) = outcome {
            out.outcome = Some(outcome.clone());
            if let Some(origin) = out.origin {
                self.ins[origin].undecided -= 1;
            }
        }
        let Some(origin) = out.origin else {
            if settled {
                self.remove_out(slot, now);
            }
            return;
        };
        if self.ins[origin].multicast {
            if matches!(outcome, Some(DeliveryState::Other { .. })) {
                self.warn_of_transaction(origin);
            }
            self.update_multicast(slot, origin, decided, settled, now);
        } else {
            let state = state.filter(|_| !decided);
            self.update_anycast(slot, origin, state, settled, now);
        }
    }

    fn update_anycast(&mut self, slot: u32, origin: u32, state: Option<DeliveryState>, settled: bool, now: Instant) {
        if let Some(state) = &state
            && self.ins[origin].resend.is_some()
        {
            if *state == DeliveryState::Released && self.forward_again(slot, origin, now) {
                return;
            }
            self.end_resend(origin);
        }
        if settled {
            self.remove_out(slot, now);
            if !self.ins[origin].presettled || !self.ins[origin].complete {
                self.settle_in(origin, state, true);
            } else {
                self.remove_in(origin);
            }
            return;
        }
        let Some(state) = state else { return };
        if state.is_terminal() {
            self.ins[origin].state = Some(state.clone());
        }
        self.tell_sender(origin, Some(state), false);
    }

    /// Tells the sender of a delivery a state without forgetting the delivery.
    fn tell_sender(&mut self, origin: u32, state: Option<DeliveryState>, settled: bool) {
        let delivery = &self.ins[origin];
        if delivery.presettled {
            return;
        }
        let token = delivery.token;
        let link = &self.links[delivery.link];
        let (conn, link) = (link.conn, link.id);
        self.stage(conn, Effect::UpdateIn { link, token, state, settled, discard: false });
    }

    fn warn_of_transaction(&self, origin: u32) {
        let delivery = &self.ins[origin];
        let link = &self.links[delivery.link];
        crate::log!(
            LogModule::RouterCore,
            Level::Warning,
            conn = self.conns[link.conn].id,
            link = link.id,
            delivery = delivery.id,
            "Transactions are not supported for multicast messages"
        );
    }

    /// Aggregates the outcomes of copies: rejected > accepted > modified > released (14.3). `decided`: this copy had an
    /// outcome before.
    fn update_multicast(&mut self, slot: u32, origin: u32, decided: bool, settled: bool, now: Instant) {
        let outcome = self.outs[slot].outcome.clone();
        let rank = outcome.as_ref().map_or(0, rank);
        if rank > self.ins[origin].state.as_ref().map_or(0, self::rank) {
            // Details of one copy's outcome say nothing about the others: only the kind is kept.
            self.ins[origin].state = Some(bare(rank));
        }
        if settled {
            self.remove_out(slot, now);
            if self.ins[origin].outs.is_empty() {
                let state = self.ins[origin].state.clone();
                if self.ins[origin].complete {
                    self.settle_in(origin, state, true);
                } else {
                    // Every consumer is gone while the message still comes in.
                    self.settle_in(origin, state.or(Some(DeliveryState::Released)), true);
                }
                return;
            }
        }
        let last = !decided && (settled || outcome.is_some()) && self.ins[origin].undecided == 0;
        if last {
            let state = self.ins[origin].state.clone();
            self.tell_sender(origin, state, false);
        }
    }

    /// The sender of a delivery reports a state or settles first.
    fn update_in(&mut self, slot: u32, state: Option<&DeliveryState>, settled: bool) {
        let outs = self.ins[slot].outs.clone();
        for out in outs {
            let link = &self.links[self.outs[out].link];
            let (conn, link, id) = (link.conn, link.id, self.outs[out].id);
            if !self.outs[out].presettled {
                self.stage(conn, Effect::UpdateOut { link, id, state: state.cloned(), settled });
            }
            if settled {
                self.orphan_out(out);
            }
        }
        if settled {
            let delivery = &self.ins[slot];
            let (link, owed) = (delivery.link, delivery.credit_at_settlement);
            let outcome = delivery.state.clone();
            self.count_in(slot, outcome.as_ref());
            if owed {
                self.give_credit(link, 1);
            }
            self.remove_in(slot);
        }
    }

    pub(super) fn on_complete(&mut self, id: InId, aborted: bool, now: Instant) {
        let Some(slot) = self.ins.find(id.slot, id.number) else { return };
        let delivery = &mut self.ins[slot];
        delivery.complete = true;
        let (link, presettled, owed) = (delivery.link, delivery.presettled, delivery.credit_at_settlement);
        if !(aborted || presettled) {
            return;
        }
        // The copies end by themselves: their ports see the end of the stream and report `Sent`.
        self.orphan_outs(slot);
        if aborted && owed {
            self.give_credit(link, 1);
        }
        self.count_in(slot, None);
        self.remove_in(slot);
        let _ = now;
    }

    /// A port takes an outgoing stream over to a link of its own (spec `tcp-adaptor.md` 7.2).
    pub(super) fn on_move(&mut self, conn: u32, delivery: OutId, link: LinkId) {
        let (Some(slot), Some(to)) =
            (self.outs.find(delivery.slot, delivery.number), self.links.find(link.slot, link.number))
        else {
            // It was taken away in the meantime, and whoever had it was told: so must be who asks for it now.
            self.stage(conn, Effect::AbortOut { link, id: delivery });
            return;
        };
        let from = self.outs[slot].link;
        if self.links[to].conn != conn || from == to || self.links[to].moved_from.is_some() {
            return;
        }
        let waiting = u32::from(self.outs[slot].waits());
        self.links[from].deliveries.remove(&mut self.outs, slot);
        self.links[from].undelivered -= waiting;
        self.links[from].moved_streams += 1;
        self.links[to].moved_from = Some(self.links[from].id);
        self.links[to].deliveries.push_back(&mut self.outs, slot);
        self.links[to].undelivered += waiting;
        self.outs[slot].link = to;
    }

    pub(super) fn on_sent(&mut self, id: OutId, now: Instant) {
        let Some(slot) = self.outs.find(id.slot, id.number) else { return };
        let out = &mut self.outs[slot];
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
                self.remove_out(slot, now);
            }
            return;
        }
        match origin {
            // Settled on sending for an unsettled sender: sending was acceptance.
            Some(origin) if !self.ins[origin].presettled => {
                self.update_out(slot, Some(DeliveryState::Accepted), true, now);
            }
            _ => self.remove_out(slot, now),
        }
    }

    pub(super) fn on_dropped(&mut self, id: OutId, now: Instant) {
        let Some(slot) = self.outs.find(id.slot, id.number) else { return };
        let link = self.outs[slot].link;
        self.links[link].counters.presettled += 1;
        self.links[link].counters.dropped_presettled += 1;
        self.totals.outcomes.dropped_presettled += 1;
        match self.outs[slot].origin {
            Some(origin) if !self.ins[origin].presettled => {
                self.update_out(slot, Some(DeliveryState::Released), true, now);
            }
            _ => self.remove_out(slot, now),
        }
    }

    /// Sends a released delivery to somebody else. False when nobody is left, or its beginning.
    fn forward_again(&mut self, slot: u32, origin: u32, now: Instant) -> bool {
        let link = self.outs[slot].link;
        let conn = self.links[link].conn;
        let base = self.links[link].moved_from.unwrap_or(self.links[link].id);
        let bit = self.outs[slot].neighbour;
        let Some(resend) = self.ins[origin].resend.as_mut() else { return false };
        match bit {
            Some(bit) => resend.neighbours |= 1 << bit,
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
        let (id, link_id) = (self.outs[slot].id, self.links[link].id);
        let streaming = self.outs[slot].stream && !self.outs[slot].sent;
        let route = Route {
            origin: Some(origin),
            conn: Some(self.links[self.ins[origin].link].conn),
            control: false,
            any_way: false,
            settled: false,
            priority,
            now,
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
        self.remove_out(slot, now);
        true
    }

    /// Keeps what it takes to send a delivery again, until [`Self::end_resend`].
    pub(super) fn begin_resend(&mut self, slot: u32, resend: Resend) {
        if let Payload::Stream(stream) = &resend.payload {
            stream.retain();
        }
        self.addresses[resend.address].holds += 1;
        self.ins[slot].resend = Some(Box::new(resend));
    }

    fn end_resend(&mut self, slot: u32) {
        if let Some(resend) = self.ins[slot].resend.take() {
            if let Payload::Stream(stream) = &resend.payload {
                stream.stop_retaining();
            }
            self.addresses[resend.address].holds -= 1;
            self.release_address(resend.address);
        }
    }

    /// An outgoing link is gone: what was not sent is released, what was sent is modified. Beside `unsent` the port has
    /// not sent what it has not taken from its mailbox.
    pub(super) fn settle_lost_outgoing(&mut self, link: u32, unsent: &[OutId], now: Instant) {
        let unsent: HashSet<OutId> = unsent.iter().copied().collect();
        let taken = self.conns[self.links[link].conn].mailbox.taken();
        let last = self.outs.last_number();
        while let Some(slot) = self.links[link].deliveries.head() {
            let out = &self.outs[slot];
            let untold = unsent.contains(&out.id) || (out.stream && !out.sent) || out.id.is_after(taken, last);
            if out.presettled {
                if untold {
                    self.links[link].counters.dropped_presettled += 1;
                    self.totals.outcomes.dropped_presettled += 1;
                }
                if out.origin.is_none_or(|o| self.ins[o].presettled && self.ins[o].complete) {
                    self.remove_out(slot, now);
                    continue;
                }
            }
            if !untold {
                self.conclude_sent(slot);
            }
            let state = if untold { DeliveryState::Released } else { DeliveryState::failed() };
            self.update_out(slot, Some(state), true, now);
        }
    }

    /// An incoming link is gone: incomplete deliveries end by abort, complete ones are settled as modified.
    pub(super) fn settle_lost_incoming(&mut self, link: u32, now: Instant) {
        while let Some(slot) = self.links[link].deliveries.head() {
            let delivery = &self.ins[slot];
            if delivery.complete && !delivery.presettled {
                self.update_in(slot, Some(&DeliveryState::failed()), true);
            } else {
                if let Some(Payload::Stream(stream)) = delivery.resend.as_ref().map(|r| &r.payload) {
                    stream.abort();
                }
                let id = delivery.id;
                self.on_complete(id, true, now);
            }
        }
    }

    fn orphan_outs(&mut self, slot: u32) {
        let outs = std::mem::take(&mut self.ins[slot].outs);
        for out in outs {
            self.outs[out].origin = None;
            if self.outs[out].sent || !self.outs[out].stream {
                self.forget_out(out);
            }
        }
    }

    /// The sender no longer cares about a copy: it goes once it has left completely.
    fn orphan_out(&mut self, out: u32) {
        self.leave_origin(out);
        self.conclude_sent(out);
        if self.outs[out].sent || !self.outs[out].stream {
            self.forget_out(out);
        }
    }

    /// Removes a copy and counts its outcome.
    pub(super) fn remove_out(&mut self, slot: u32, now: Instant) {
        self.count_out(slot, now);
        self.leave_origin(slot);
        self.forget_out(slot);
    }

    /// Parts a copy from the incoming delivery.
    fn leave_origin(&mut self, slot: u32) {
        let out = &mut self.outs[slot];
        let Some(origin) = out.origin.take() else { return };
        let (at, undecided) = (out.at, out.outcome.is_none());
        let delivery = &mut self.ins[origin];
        delivery.undecided -= u32::from(undecided);
        delivery.outs.swap_remove(at as usize);
        if let Some(&moved) = delivery.outs.get(at as usize) {
            self.outs[moved].at = at;
        }
    }

    fn forget_out(&mut self, slot: u32) {
        let link = self.outs[slot].link;
        self.links[link].deliveries.remove(&mut self.outs, slot);
        self.links[link].undelivered -= u32::from(self.outs[slot].waits());
        let Out { outstanding, neighbour, .. } = self.outs[slot];
        if let Some((address, bit)) = outstanding.zip(neighbour)
            && let Some(a) = self.addresses.get_mut(address)
        {
            a.add_outstanding(bit, false);
            self.release_address(address);
        }
        if self.outs[slot].stream && !self.outs[slot].sent {
            self.stream_link_idle(link);
        }
        self.outs.remove(slot);
    }

    pub(super) fn remove_in(&mut self, slot: u32) {
        self.end_resend(slot);
        self.orphan_outs(slot);
        let link = self.ins[slot].link;
        self.links[link].deliveries.remove(&mut self.ins, slot);
        self.links[link].undelivered -= u32::from(self.ins[slot].presettled);
        self.ins.remove(slot);
    }

    pub(super) fn count_in(&mut self, slot: u32, outcome: Option<&DeliveryState>) {
        let In { link, presettled, born, .. } = self.ins[slot];
        if presettled {
            return;
        }
        let age = born.map(|born| self.now.since(born));
        count(&mut self.links[link].counters, outcome, age);
        if !self.conns[self.links[link].conn].is_internal() {
            count(&mut self.totals.outcomes, outcome, age);
        }
    }

    fn count_out(&mut self, slot: u32, now: Instant) {
        let presettled = self.is_presettled(slot);
        let Out { link, stream, born, ref outcome, .. } = self.outs[slot];
        let outcome = outcome.as_ref().filter(|_| !presettled);
        count(&mut self.links[link].counters, outcome, (!stream).then(|| now.since(born)));
    }

    /// An unsettled whole message must have left: somebody has spoken of it, or nobody will.
    fn conclude_sent(&mut self, slot: u32) {
        let out = &mut self.outs[slot];
        if !(out.stream || out.presettled || out.sent) {
            out.sent = true;
            let link = &mut self.links[out.link];
            link.counters.deliveries += u64::from(link.gauge.is_none());
        }
    }

    /// Whether the sender of a copy's original settled it, and not only the router because the receiver wants that.
    fn is_presettled(&self, out: u32) -> bool {
        let out = &self.outs[out];
        out.presettled && out.origin.is_none_or(|origin| self.ins[origin].presettled)
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
