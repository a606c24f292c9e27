//! Transfers in both directions (part 2, 2.6.12 to 2.6.14).

use super::connection::Connection;
use super::deliveries::{Entry, NO_TOKEN};
use super::error::Violation;
use super::event::{Event, Incoming};
use super::ids::{DeliveryKey, LinkKey};
use super::link::{Half, Link};
use super::wire::{Last, state_room, total};
use crate::performative::{DeliveryState, DeliveryTag, Performative, Transfer};
use bytes::Bytes;
use std::collections::VecDeque;

/// An outgoing delivery to start.
#[derive(Debug)]
pub struct Outgoing {
    /// The delivery tag: this number in eight octets, low octet first.
    pub tag: u64,
    /// Sent settled.
    pub settled: bool,
    /// The state to put on the first transfer.
    pub state: Option<DeliveryState>,
    /// The caller's name for the delivery, handed back in [`Event::Update`].
    pub token: u64,
}

/// How far [`Connection::send`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The delivery left completely.
    Done,
    /// Everything given was sent; more payload is needed.
    Hungry,
    /// The peer took its credit back before the first frame; [`Event::Flow`] tells of new credit.
    NoCredit,
    /// The peer's session window is shut; [`Event::WindowOpen`] will tell.
    NoWindow,
    /// The limit of octets is reached.
    Limit,
    /// No such link, or nothing was started on it.
    Gone,
}

/// The outgoing delivery in progress on a link.
#[derive(Debug)]
pub(super) struct Sending {
    delivery: Outgoing,
    /// The delivery-id, once the first frame was sent.
    id: Option<u32>,
    /// The state to put on the last transfer.
    last_state: Option<DeliveryState>,
    /// To be aborted as soon as the window allows a frame.
    aborting: bool,
}

// === impl Connection ===

impl Connection {
    /// Whether a delivery can be started on an outgoing link: attached, with credit, and no other
    /// delivery in progress.
    #[must_use]
    pub fn can_start(&self, link: LinkKey) -> bool {
        self.links
            .get(link.slot as usize)
            .is_some_and(|l| l.key == link && l.sender && l.is_up() && l.credit > 0 && l.sending.is_none())
    }

    /// Whether a delivery is in progress on an outgoing link.
    #[must_use]
    pub fn is_sending(&self, link: LinkKey) -> bool {
        self.links.get(link.slot as usize).is_some_and(|l| l.key == link && l.sending.is_some())
    }

    /// Whether a delivery in progress on an outgoing link has had its first frame written, and so taken its credit.
    #[must_use]
    pub fn has_begun(&self, link: LinkKey) -> bool {
        let link = self.links.get(link.slot as usize).filter(|l| l.key == link);
        link.and_then(|l| l.sending.as_ref()).is_some_and(|sending| sending.id.is_some())
    }

    /// Starts a delivery. Nothing is written, and no credit taken, until [`Self::send`]. False, with the delivery
    /// dropped, when [`Self::can_start`] is false.
    pub fn start(&mut self, link: LinkKey, delivery: Outgoing) -> bool {
        if !self.can_start(link) {
            return false;
        }
        let Some(l) = self.links.get_mut(link.slot as usize) else { return false };
        l.sending = Some(Sending { delivery, id: None, last_state: None, aborting: false });
        true
    }

    /// Puts a state on the last transfer of the delivery in progress, in the place of any other there.
    pub fn set_last_state(&mut self, link: LinkKey, state: DeliveryState) {
        let link = self.links.get_mut(link.slot as usize).filter(|l| l.key == link);
        if let Some(sending) = link.and_then(|l| l.sending.as_mut()) {
            sending.last_state = state.fit(state_room(self.peer_max_frame));
        }
    }

    /// Writes payload of the delivery in progress as transfer frames, taking what is written out of
    /// `payload`, and stops once `limit` octets of payload were written. `last` says that `payload`
    /// ends the delivery, and whether the delivery is settled at the end even if it was not
    /// started so.
    pub fn send(&mut self, link: LinkKey, payload: &mut VecDeque<Bytes>, last: Option<bool>, limit: usize) -> Sent {
        let Some(l) = self.links.get_mut(link.slot as usize).filter(|l| l.key == link) else { return Sent::Gone };
        let Some(s) = self.sessions.get_mut(l.session as usize) else { return Sent::Gone };
        let Some(sending) = l.sending.as_mut().filter(|s| !s.aborting) else { return Sent::Gone };
        let settles = last == Some(true);
        let last = last.map(|settled| Last { settled, state: sending.last_state.as_ref() });
        let max = self.peer_max_frame as usize;
        let mut available = total(payload);
        let mut budget = limit;
        loop {
            if available == 0 && last.is_none() {
                return Sent::Hungry;
            }
            let first = sending.id.is_none();
            if first && l.credit == 0 {
                return Sent::NoCredit;
            }
            if s.windows.can_send() == 0 {
                s.blocked = true;
                return Sent::NoWindow;
            }
            if budget == 0 {
                return Sent::Limit;
            }
            let id = *sending.id.get_or_insert(s.next_delivery_id);
            let mut transfer = Transfer { handle: l.handle, ..Transfer::default() };
            if first {
                s.next_delivery_id = id.wrapping_add(1);
                l.delivery_count = l.delivery_count.wrapping_add(1);
                l.credit -= 1;
                transfer.delivery_id = Some(id);
                transfer.delivery_tag = Some(DeliveryTag::from_slice(&sending.delivery.tag.to_le_bytes()));
                transfer.message_format = Some(0);
                transfer.settled = sending.delivery.settled.then_some(true);
                transfer.state = sending.delivery.state.take().and_then(|s| s.fit(state_room(self.peer_max_frame)));
                if !sending.delivery.settled {
                    s.outgoing.insert(id, Entry { link, token: sending.delivery.token });
                    l.unsettled += 1;
                }
            }
            let (taken, done) = self.wire.transfer(s.channel, &mut transfer, payload, available, max, last);
            s.windows.sent();
            available -= taken;
            budget = budget.saturating_sub(taken.max(1));
            if done {
                l.sending = None;
                if settles && s.outgoing.remove(id).is_some() {
                    l.unsettled = l.unsettled.saturating_sub(1);
                }
                return Sent::Done;
            }
        }
    }

    /// Gives up the delivery in progress. Nothing is written when none of it was sent; otherwise an
    /// aborted transfer, now or as soon as the peer's window allows. Returns whether anything of
    /// the delivery had been sent.
    pub fn abort(&mut self, link: LinkKey) -> bool {
        let Some(slot) = self.link_slot(link) else { return false };
        let Some(l) = self.links.get_mut(slot as usize) else { return false };
        let Some(sending) = &mut l.sending else { return false };
        let Some(id) = sending.id else {
            l.sending = None;
            return false;
        };
        let Some(s) = self.sessions.get_mut(l.session as usize) else { return false };
        if s.outgoing.remove(id).is_some() {
            l.unsettled = l.unsettled.saturating_sub(1);
        }
        if s.windows.can_send() == 0 {
            sending.aborting = true;
            s.blocked = true;
            return true;
        }
        l.sending = None;
        let transfer = Transfer {
            handle: l.handle,
            delivery_id: Some(id),
            settled: Some(true),
            aborted: true,
            ..Transfer::default()
        };
        s.windows.sent();
        self.wire.frame(s.channel, &Performative::Transfer(transfer));
        true
    }

    /// Writes the aborts that waited for the window.
    pub(super) fn resume_aborts(&mut self, session: u32) {
        for slot in self.links_of(session) {
            let Some(l) = self.links.get_mut(slot as usize) else { continue };
            if let Some(sending) = &mut l.sending
                && sending.aborting
            {
                sending.aborting = false;
                let link = l.key;
                self.abort(link);
            }
        }
    }

    /// Names an incoming delivery; the name is handed back in [`Event::Update`]. Settled deliveries
    /// have no name.
    pub fn set_token(&mut self, delivery: DeliveryKey, token: u64) {
        if let Some(s) = self.sessions.get_mut(delivery.session as usize) {
            s.incoming.set_token(delivery.id, token);
        }
    }

    /// The name of an incoming delivery, if it has one.
    #[must_use]
    pub fn token(&self, delivery: DeliveryKey) -> Option<u64> {
        let entry = self.sessions.get(delivery.session as usize)?.incoming.get(delivery.id)?;
        (entry.token != NO_TOKEN).then_some(entry.token)
    }

    /// Forgets an incoming delivery that its sender settled.
    pub fn forget_in(&mut self, delivery: DeliveryKey) {
        let Some(s) = self.sessions.get_mut(delivery.session as usize) else { return };
        if let Some(entry) = s.incoming.remove(delivery.id)
            && let Some(l) = self.links.get_mut(entry.link.slot as usize)
        {
            l.unsettled = l.unsettled.saturating_sub(1);
        }
    }

    pub(super) fn on_transfer(
        &mut self,
        channel: u16,
        transfer: Transfer,
        payload: Bytes,
    ) -> Result<Option<Event>, Violation> {
        let slot = self.by_channel(channel)?;
        let Some(s) = self.sessions.get_mut(slot as usize).filter(|s| !s.ended) else { return Ok(None) };
        if !s.windows.on_transfer() {
            return Err(Violation::WindowExceeded);
        }
        let wants_flow = s.windows.wants_flow();
        let link = s.remote_handles.get(transfer.handle).ok_or(Violation::NoSuchHandle(transfer.handle))?;
        let Some(l) = self.links.get_mut(link as usize) else { return Ok(None) };
        if l.sender {
            return Err(Violation::TransferByReceiver);
        }
        let settled = transfer.settled == Some(true);
        let (id, first) = match l.receiving {
            Some(id) => {
                check_sequence(id, transfer.delivery_id.unwrap_or(id))?;
                (id, false)
            }
            None => {
                let id = transfer.delivery_id.ok_or(Violation::NoDeliveryId)?;
                check_sequence(s.next_incoming_delivery.unwrap_or(id), id)?;
                s.next_incoming_delivery = Some(id.wrapping_add(1));
                count_delivery(l)?;
                (id, true)
            }
        };
        l.receiving = (transfer.more && !transfer.aborted).then_some(id);
        let key = l.key;
        s.receiving = Some(key);
        let told = l.local == Half::Active;
        if settled || transfer.aborted {
            if !first && s.incoming.remove(id).is_some() {
                l.unsettled = l.unsettled.saturating_sub(1);
            }
        } else if first && told {
            s.incoming.insert(id, Entry { link: key, token: NO_TOKEN });
            l.unsettled += 1;
        }
        if wants_flow {
            self.mark_session(slot);
        }
        Ok(told.then_some(Event::Transfer(Incoming {
            link: key,
            delivery: DeliveryKey { session: slot, id },
            first,
            more: transfer.more && !transfer.aborted,
            aborted: transfer.aborted,
            settled,
            state: transfer.state,
            payload,
        })))
    }
}

fn check_sequence(expected: u32, got: u32) -> Result<(), Violation> {
    if expected == got { Ok(()) } else { Err(Violation::Sequencing { expected, got }) }
}

/// Counts the start of an incoming delivery against the link's credit.
fn count_delivery(l: &mut Link) -> Result<(), Violation> {
    if l.local == Half::Active {
        l.credit = l.credit.checked_sub(1).ok_or(Violation::CreditExceeded)?;
        l.allowed = l.allowed.saturating_sub(1);
    }
    l.delivery_count = l.delivery_count.wrapping_add(1);
    Ok(())
}
