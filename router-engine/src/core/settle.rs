//! Outcomes and settlement (spec `amqp-endpoint.md` sections 14, 15.2).

use super::Core;
use super::action::Side;
use super::deliveries::{IncomingDelivery, OutgoingDelivery};
use super::effect::Effect;
use super::ending::End;
use super::ids::{InId, OutId};
use super::objects::LinkKind;
use super::table::Slot;
use crate::log::{Level, LogModule};
use amqp_core::performative::{DeliveryState, Modified};
use std::sync::Arc;

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
    pub(super) fn update_outgoing(
        &mut self,
        slot: Slot<OutgoingDelivery>,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        let out = &mut self.outgoing[slot];
        let decided = out.outcome.is_some();
        let outcome = state.as_ref().filter(|s| !decided && s.is_terminal());
        if let Some(outcome) = outcome {
            out.outcome = Some(outcome.clone());
            if let Some(origin) = out.origin {
                self.incoming[origin].undecided -= 1;
                self.note_refusal(slot, origin, outcome);
            }
        }
        let out = &self.outgoing[slot];
        let Some(origin) = out.origin else {
            if settled {
                let link = out.link;
                self.end_outgoing(slot, End::Settled);
                self.service_settled(link);
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
        // How much was received is no outcome: it may still be released.
        if let Some(outcome) = state.as_ref().filter(|state| state.is_terminal())
            && self.incoming[origin].resend.is_some()
        {
            if *outcome == DeliveryState::Released && self.forward_again(slot, origin) {
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
            conn = self.conns[link.conn].id,
            link = link.id,
            delivery = delivery.id,
            "Transactions are not supported for multicast messages"
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
    pub(super) fn update_incoming(
        &mut self,
        slot: Slot<IncomingDelivery>,
        state: Option<&DeliveryState>,
        settled: bool,
    ) {
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
        if counts_as_presettled {
            l.settle_rate.add(self.now);
        }
        if self.links[link].kind == LinkKind::Streaming {
            self.stream_moved_back(link);
        }
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
        self.figures.totals.outcomes.dropped_presettled += 1;
        match self.outgoing[slot].origin {
            Some(origin) if !self.incoming[origin].presettled => {
                self.update_outgoing(slot, Some(DeliveryState::Released), true);
            }
            _ => self.end_outgoing(slot, End::Settled),
        }
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
