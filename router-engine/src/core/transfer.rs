//! Deliveries that come in (spec `amqp-endpoint.md` sections 11, 12.1).

use super::action::Deliver;
use super::deliveries::{IncomingDelivery, Refusals, Resend};
use super::effect::Effect;
use super::forwarding::Route;
use super::objects::{Address, Conn, Link, LinkKind};
use super::send::takes_any_way;
use super::table::{Hook, Slot};
use super::{Accepted, Core};
use crate::annotations::flags;
use crate::forward::Treatment;
use crate::stream::Payload;
use amqp_core::performative::DeliveryState;
use smallvec::SmallVec;

impl Core {
    pub(super) fn on_deliver(&mut self, conn: Slot<Conn>, deliver: Deliver, accepted: &mut Vec<Accepted>) {
        let Some(link) = self.links.find(deliver.link) else { return };
        self.conns[conn].last_delivery = Some(self.now);
        if let LinkKind::Service(service) = self.links[link].kind {
            self.on_service_message(conn, link, service, deliver);
            return;
        }
        let Deliver { token, settled, payload, to, mut annotations, priority, state, unattended, .. } = deliver;
        let l = &mut self.links[link];
        l.counters.deliveries += 1;
        l.counters.presettled += u64::from(settled);
        l.use_credit(1, self.now);
        annotations.flags |= l.annotation_flags();
        let enters = self.is_ingress(link);
        self.figures.totals.outcomes.presettled += u64::from(settled && enters);
        let l = &self.links[link];
        let targeted = l.address.is_some();
        if let Some(text) = l.terminus.as_ref().filter(|_| targeted) {
            annotations.to_override = Some(text.clone());
        }
        let address = match l.address {
            Some(address) => Some(address),
            None => self.destination(conn, to.as_deref(), &mut annotations),
        };
        // An edge router leaves what it does not know to its interior router.
        let uplink = if targeted { None } else { self.uplink_address(conn) };
        let address = address.or(uplink);
        let complete = !matches!(&payload, Payload::Stream(s) if !s.is_finished());
        let early_credit = settled || self.credit_at_forward(link);
        self.count_ingress(conn, link, address, enters);

        // A settled message that is complete has no future: nothing remembers it.
        let delivery = (!(settled && complete)).then(|| {
            let slot = self.incoming.insert_with(|id| IncomingDelivery {
                id,
                link,
                hook: Hook::default(),
                token,
                presettled: settled,
                complete,
                born: complete.then_some(self.now),
                stuck: false,
                multicast: false,
                copies: SmallVec::new(),
                undecided: 0,
                state: None,
                credit_at_settlement: !early_credit,
                unattended,
                resend: None,
            });
            let l = &mut self.links[link];
            l.incoming.push_back(&mut self.incoming, slot);
            l.undelivered += u32::from(settled);
            slot
        });
        let control = self.links[link].kind == LinkKind::Control;
        let text = || to.as_deref().and_then(|to| std::str::from_utf8(to).ok()).unwrap_or_default();
        let any_way = control && takes_any_way(text());
        let is_credible = !control || self.is_credible(conn, &payload);
        if let Some(address) = address.filter(|_| control && !any_way && is_credible) {
            self.address_request_passes(address, &payload);
        }
        let passes_by = self.passes_by(address, &mut annotations);
        let refused = self.was_refused(conn, &mut annotations);
        let (origin, from) = (delivery, Some(conn));
        let route = Route { origin, conn: from, control, any_way, refused, passes_by, settled, priority, uplink };
        // Edge routers are the last on the way, however long it was. What is flooded ends where its trace leads back to, and
        // tells of routers that the radius does not count yet.
        let flooded = address.is_some_and(|a| self.addresses[a].treatment == Treatment::Flood);
        let radius = self.plane.mesh().filter(|_| !flooded).map(|_| self.plane.routing().radius);
        let within_radius = radius.is_none_or(|radius| annotations.trace.count() <= radius + 1);
        let copies = match (self.links[link].partner, address) {
            _ if !is_credible => 0,
            (Some(partner), _) => self.pass_on(&route, partner, &payload, &annotations, state.as_ref()),
            (None, Some(address)) if within_radius => {
                self.forward_first(&route, address, &payload, &annotations, state.as_ref())
            }
            _ => 0,
        };
        if copies == 0 {
            self.undeliverable(delivery, link, address, to.as_deref(), within_radius);
            return;
        }
        if settled {
            self.links[link].settle_rate.add(self.now);
        }
        if early_credit {
            self.give_credit(link, 1);
        }
        if let Some(slot) = delivery {
            if let Some(address) = address
                && annotations.flags & flags::RESEND_RELEASED != 0
                && !settled
                && !self.incoming[slot].multicast
            {
                let refusals = Refusals::default();
                self.begin_resend(slot, Resend { address, payload, annotations, priority, state, refusals });
            }
            accepted.push(Accepted { token, id: self.incoming[slot].id });
            self.note_young_stream(conn, slot);
        }
    }

    /// Nobody takes the delivery: released, or rejected where the address is unavailable, or dropped.
    fn undeliverable(
        &mut self,
        delivery: Option<Slot<IncomingDelivery>>,
        link: Slot<Link>,
        address: Option<Slot<Address>>,
        to: Option<&[u8]>,
        within_radius: bool,
    ) {
        let role = self.conns[self.links[link].conn].role;
        let router = role.is_inter_router();
        let targeted = self.links[link].address.is_some();
        let unavailable = within_radius && !router && self.is_unavailable(address, to);
        if delivery.is_none_or(|slot| self.incoming[slot].presettled) {
            self.links[link].counters.dropped_presettled += 1;
            self.figures.totals.outcomes.dropped_presettled += u64::from(self.is_ingress(link));
        }
        // While it has a path the address only has no way for the moment: nothing would tell when it is back.
        let closed = unavailable || address.is_none_or(|a| self.addresses[a].paths() == 0);
        if let Some(slot) = delivery {
            let delivery = &self.incoming[slot];
            let state = (!delivery.presettled).then(|| {
                if unavailable {
                    DeliveryState::rejected("amqp:not-found", "Deliveries cannot be sent to an unavailable address")
                } else {
                    DeliveryState::Released
                }
            });
            self.settle_incoming(slot, state, false);
        }
        // Links of edge routers always have credit: they share the connection.
        if targeted && !router && !role.is_edge() && closed {
            self.withhold_and_drain(link);
        } else {
            self.give_credit(link, 1);
        }
    }

    fn is_unavailable(&mut self, address: Option<Slot<Address>>, to: Option<&[u8]>) -> bool {
        if let Some(slot) = address {
            return self.addresses[slot].treatment == Treatment::Unavailable;
        }
        let Some(to) = to.and_then(|to| std::str::from_utf8(to).ok()) else { return false };
        self.addresses.is_unavailable(to)
    }

    /// Counts a delivery that `enters` the network here, or does not.
    fn count_ingress(&mut self, conn: Slot<Conn>, link: Slot<Link>, address: Option<Slot<Address>>, enters: bool) {
        let conn = &self.conns[conn];
        let container = u64::from(enters && conn.role.is_route_container());
        let network = u64::from(enters && conn.role.is_inter_network());
        self.figures.totals.ingress += u64::from(enters);
        self.figures.totals.ingress_route_container += container;
        self.figures.totals.ingress_inter_network += network;
        // What has nowhere to go on a link with an address is not one of that address's deliveries.
        let targeted = self.links[link].address.is_some();
        let Some(a) = address.map(|a| &mut self.addresses[a]).filter(|a| !targeted || a.paths() > 0) else { return };
        a.counters.ingress += u64::from(enters);
        a.counters.ingress_route_container += container;
        a.counters.ingress_inter_network += network;
        a.counters.from_container += u64::from(conn.is_internal());
    }

    /// Whether what comes in on a link enters the network there.
    fn is_ingress(&self, link: Slot<Link>) -> bool {
        let link = &self.links[link];
        let conn = &self.conns[link.conn];
        link.kind == LinkKind::Endpoint && !conn.role.is_inter_router() && !conn.is_internal()
    }

    /// Tells the sender the end of a delivery and forgets it. Its copies must be gone already.
    pub(super) fn settle_incoming(&mut self, slot: Slot<IncomingDelivery>, state: Option<DeliveryState>, credit: bool) {
        let delivery = &self.incoming[slot];
        let (link, token, presettled, complete) =
            (delivery.link, delivery.token, delivery.presettled, delivery.complete);
        let owed = delivery.credit_at_settlement && credit;
        // Settlement repeats the outcome that was told before.
        let outcome = state.or_else(|| delivery.state.clone());
        if !(presettled && complete) {
            let (conn, id) = (self.links[link].conn, self.links[link].id);
            let state = outcome.clone();
            let awaited = !(delivery.unattended && complete && state == Some(DeliveryState::Accepted));
            let update = Effect::UpdateIn { link: id, token, state, settled: true, discard: true };
            if awaited { self.stage(conn, update) } else { self.stage_quietly(conn, update) }
        }
        self.count_incoming(slot, outcome.as_ref());
        if owed {
            self.give_credit(link, 1);
        }
        self.remove_incoming(slot);
    }
}
