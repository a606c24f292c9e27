//! Deliveries that are sent to somebody else when they are released (spec `amqp-endpoint.md` 14.6), and those that a TCP flow
//! sends when one before was refused.

use super::Core;
use super::connection::PeerKind;
use super::deliveries::{IncomingDelivery, OutgoingDelivery, Refusals, Resend};
use super::effect::Effect;
use super::ending::End;
use super::forwarding::Route;
use super::objects::{Address, Conn, Link};
use super::table::Slot;
use crate::annotations::{Annotations, flags};
use crate::stream::Payload;
use amqp_core::performative::DeliveryState;

impl Core {
    /// Sends a released delivery to somebody else. False when nobody is left, or its beginning.
    pub(super) fn forward_again(&mut self, slot: Slot<OutgoingDelivery>, origin: Slot<IncomingDelivery>) -> bool {
        let link = self.outgoing[slot].link;
        let conn = self.links[link].conn;
        let Some(resend) = self.incoming[origin].resend.as_mut() else { return false };
        resend.refusals.add(&self.outgoing[slot]);
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
        let Link { conn: from, address: bound, .. } = self.links[self.incoming[origin].link];
        let route = Route {
            origin: Some(origin),
            conn: Some(from),
            control: false,
            any_way: false,
            refused: true,
            passes_by: false,
            settled: false,
            priority,
            uplink: if bound.is_some() { None } else { self.uplink_address(from) },
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

    pub(super) fn end_resend(&mut self, slot: Slot<IncomingDelivery>) {
        if let Some(resend) = self.incoming[slot].resend.take() {
            if let Payload::Stream(stream) = &resend.payload {
                stream.stop_retaining();
            }
            self.addresses[resend.address].holds -= 1;
            self.addresses.release(resend.address);
        }
    }

    /// A copy has an outcome. What is refused of a TCP flow's, or lost, the flow sends anew: to somebody else then.
    pub(super) fn note_refusal(
        &mut self,
        slot: Slot<OutgoingDelivery>,
        origin: Slot<IncomingDelivery>,
        outcome: &DeliveryState,
    ) {
        if !matches!(outcome, DeliveryState::Released | DeliveryState::Modified(_)) {
            return;
        }
        let sender = &mut self.conns[self.links[self.incoming[origin].link].conn];
        if sender.params.kind == PeerKind::TcpFlow {
            sender.refusals.get_or_insert_default().add(&self.outgoing[slot]);
        }
    }

    /// Whether what a connection sent before was refused, which its next delivery then tells the routers on its way.
    pub(super) fn was_refused(&self, conn: Slot<Conn>, annotations: &mut Annotations) -> bool {
        let Some(refusals) = &self.conns[conn].refusals else { return false };
        annotations.flags |= refusals.flags();
        true
    }

    /// Whether a delivery passes the consumers here by, as others beyond may take what these have refused.
    pub(super) fn passes_by(&self, address: Option<Slot<Address>>, annotations: &mut Annotations) -> bool {
        let passes = annotations.flags & flags::PASSES_BY != 0
            && address.is_some_and(|address| !self.addresses[address].consumers.is_empty());
        if passes {
            annotations.flags -= flags::PASS_BY_ONE;
        }
        passes
    }

    /// Makes the first copies of a delivery. When nobody is left of those that it was to go to, anybody gets it: all have
    /// refused what its sender sent before, or there are no consumers beyond this router.
    pub(super) fn forward_first(
        &mut self,
        route: &Route,
        address: Slot<Address>,
        payload: &Payload,
        annotations: &Annotations,
        state: Option<&DeliveryState>,
    ) -> usize {
        let copies = self.forward(route, address, payload, annotations, state);
        let chosen_among = (route.refused || route.passes_by) && !self.addresses[address].treatment.is_multicast();
        if copies > 0 || !chosen_among {
            return copies;
        }
        let mut annotations = annotations.clone();
        if let Some(refusals) = route.conn.and_then(|sender| self.conns[sender].refusals.as_mut()) {
            annotations.flags &= !flags::PASSES_BY;
            refusals.begin_round();
            annotations.flags |= refusals.flags();
        }
        self.forward(&Route { refused: false, passes_by: false, ..*route }, address, payload, &annotations, state)
    }

    /// Whether one of those who have refused a delivery, or what its sender sent before, is meant by `who`.
    pub(super) fn has_refused(&self, route: &Route, who: impl Fn(&Refusals) -> bool) -> bool {
        if !route.refused {
            return false;
        }
        let of_delivery = route.origin.and_then(|origin| self.incoming[origin].resend.as_ref()).map(|r| &r.refusals);
        let of_sender = route.conn.and_then(|sender| self.conns[sender].refusals.as_deref());
        of_delivery.into_iter().chain(of_sender).any(who)
    }
}
