//! Deliveries that are sent to somebody else when they are released (spec `amqp-endpoint.md` 14.6).

use super::Core;
use super::deliveries::{IncomingDelivery, OutgoingDelivery, Resend};
use super::effect::Effect;
use super::ending::End;
use super::forwarding::Route;
use super::objects::Link;
use super::table::Slot;
use crate::stream::Payload;

impl Core {
    /// Sends a released delivery to somebody else. False when nobody is left, or its beginning.
    pub(super) fn forward_again(&mut self, slot: Slot<OutgoingDelivery>, origin: Slot<IncomingDelivery>) -> bool {
        let OutgoingDelivery { link, chosen, neighbour, .. } = self.outgoing[slot];
        let conn = self.links[link].conn;
        let Some(resend) = self.incoming[origin].resend.as_mut() else { return false };
        match neighbour {
            Some(neighbour) => resend.neighbours.insert(neighbour),
            None => {
                resend.links.insert(chosen);
            }
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
        let Link { conn: from, address: bound, .. } = self.links[self.incoming[origin].link];
        let route = Route {
            origin: Some(origin),
            conn: Some(from),
            control: false,
            any_way: false,
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
}
