//! Flow frames (part 2, 2.5.6 and 2.6.7): credit, drain, echo.

use super::connection::Connection;
use super::error::Violation;
use super::event::Event;
use super::ids::{LinkKey, left_of_grant};
use super::limits::OUTGOING_WINDOW;
use super::link::{Half, Link};
use crate::performative::{Flow, Performative};

// === impl Connection ===

impl Connection {
    /// Gives `credit` more credit to the sender of an incoming link. Told with the next
    /// [`Self::flush`], together with other grants.
    pub fn grant_credit(&mut self, link: LinkKey, credit: u32) {
        if credit > 0 {
            self.with_receiver(link, |l| {
                let told = !l.held || l.credit < l.allowed;
                l.credit = l.credit.saturating_add(credit);
                told
            });
        }
    }

    /// Tells the sender of an incoming link to stop although it has credit (true), or gives it the credit back (false).
    /// Deliveries that it starts before it hears of that are covered by the credit as ever.
    pub fn hold_credit(&mut self, link: LinkKey, hold: bool) {
        self.with_receiver(link, |l| {
            let changes = std::mem::replace(&mut l.held, hold) != hold;
            if changes {
                l.allowed = 0;
            }
            changes
        });
    }

    /// Lets a sender that was told to stop use so much more of its credit.
    pub fn allow_held(&mut self, link: LinkKey, credit: u32) {
        self.with_receiver(link, |l| {
            if l.held {
                l.allowed = l.allowed.saturating_add(credit);
            }
            l.held && credit > 0
        });
    }

    /// Asks the sender of an incoming link to use up its credit (true), or no longer (false).
    pub fn set_drain(&mut self, link: LinkKey, drain: bool) {
        self.with_receiver(link, |l| {
            l.drain = drain;
            true
        });
    }

    /// Tells the receiver of an outgoing link that nothing more can be sent: its credit is used up.
    /// The answer to [`Event::Flow`] with drain, due each time.
    pub fn drained(&mut self, link: LinkKey) {
        let Some(slot) = self.link_slot(link) else { return };
        let Some(l) = self.links.get_mut(slot as usize).filter(|l| l.sender && l.local == Half::Active) else { return };
        l.delivery_count = l.delivery_count.wrapping_add(l.credit);
        l.credit = 0;
        self.mark_link(slot);
    }

    /// Credit left: on outgoing links what we may send, on incoming ones what the peer may.
    #[must_use]
    pub fn credit(&self, link: LinkKey) -> u32 {
        self.links.get(link.slot as usize).filter(|l| l.key == link).map_or(0, |l| l.credit)
    }

    /// Changes an incoming link; `change` tells whether the peer has to hear of it.
    fn with_receiver(&mut self, link: LinkKey, change: impl FnOnce(&mut Link) -> bool) {
        let Some(slot) = self.link_slot(link) else { return };
        if let Some(l) = self.links.get_mut(slot as usize).filter(|l| !l.sender && l.local == Half::Active)
            && change(l)
        {
            self.mark_link(slot);
        }
    }

    pub(super) fn mark_link(&mut self, slot: u32) {
        if let Some(l) = self.links.get_mut(slot as usize)
            && !l.flow_due
        {
            l.flow_due = true;
            self.dirty_links.push(l.key);
        }
    }

    pub(super) fn on_flow(&mut self, channel: u16, flow: &Flow) -> Result<Option<Event>, Violation> {
        let slot = self.by_channel(channel)?;
        let Some(s) = self.sessions.get_mut(slot as usize).filter(|s| !s.ended) else { return Ok(None) };
        s.windows.on_flow(flow.next_incoming_id, flow.incoming_window);
        if s.blocked && s.windows.can_send() > 0 {
            s.blocked = false;
            let event = Event::WindowOpen(s.key);
            self.resume_aborts(slot);
            self.events.push_back(event);
        }
        let Some(handle) = flow.handle else {
            if flow.echo {
                if let Some(s) = self.sessions.get_mut(slot as usize) {
                    s.flow_due = true;
                }
                self.mark_session(slot);
            }
            return Ok(None);
        };
        let link = self.by_handle(slot, handle)?;
        if flow.echo && self.links.get(link as usize).is_some_and(|l| l.local == Half::Active) {
            self.mark_link(link);
        }
        let Some(l) = self.links.get_mut(link as usize).filter(|l| l.local != Half::Done) else { return Ok(None) };
        Ok(if l.sender { flow_from_receiver(l, flow) } else { flow_from_sender(l, flow) })
    }

    /// Writes the flow that a link needs. It carries the session's window too.
    pub(super) fn flush_link(&mut self, link: LinkKey) {
        let Some(l) = self.links.get_mut(link.slot as usize).filter(|l| l.key == link) else { return };
        l.flow_due = false;
        if l.local != Half::Active {
            return;
        }
        let Some(s) = self.sessions.get_mut(l.session as usize).filter(|s| !s.ended) else { return };
        let (next_incoming_id, incoming_window, next_outgoing_id) = s.windows.advertise();
        s.flow_due = false;
        let flow = Flow {
            next_incoming_id,
            incoming_window,
            next_outgoing_id,
            outgoing_window: OUTGOING_WINDOW,
            handle: Some(l.handle),
            // A receiver knows the count from the peer's attach only.
            delivery_count: (l.sender || l.remote != Half::Idle).then_some(l.delivery_count),
            link_credit: Some(if l.held { l.credit.min(l.allowed) } else { l.credit }),
            drain: l.drain && !l.held,
            ..Flow::default()
        };
        self.wire.frame(s.channel, &Performative::Flow(flow));
    }

    /// Writes a flow for the session alone.
    pub(super) fn session_flow(&mut self, slot: u32) {
        let Some(s) = self.sessions.get_mut(slot as usize) else { return };
        s.flow_due = false;
        let (next_incoming_id, incoming_window, next_outgoing_id) = s.windows.advertise();
        let outgoing_window = OUTGOING_WINDOW;
        let flow = Flow { next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, ..Flow::default() };
        self.wire.frame(s.channel, &Performative::Flow(flow));
    }
}

/// The receiver of our outgoing link tells its credit.
fn flow_from_receiver(l: &mut Link, flow: &Flow) -> Option<Event> {
    let granted = flow.link_credit?;
    // Without a count the peer has not seen our attach, whose initial count was 0.
    l.credit = left_of_grant(granted, flow.delivery_count.unwrap_or(0), l.delivery_count);
    l.drain = flow.drain;
    Some(Event::Flow { link: l.key, credit: l.credit, drain: l.drain })
}

/// The sender of our incoming link tells its count, which advances beyond what was received when
/// it answers a drain. The answer may come after more credit was granted and the drain ended.
fn flow_from_sender(l: &mut Link, flow: &Flow) -> Option<Event> {
    let count = flow.delivery_count?;
    let skipped = count.wrapping_sub(l.delivery_count);
    // More than there is is nonsense.
    l.credit = l.credit.checked_sub(skipped)?;
    l.delivery_count = count;
    (skipped > 0 || (l.drain && l.credit == 0)).then_some(Event::Drained { link: l.key, skipped })
}
