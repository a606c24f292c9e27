//! Dispositions (part 2, 2.6.12): the peer's are told one delivery at a time, ours are gathered
//! into ranges (spec `amqp-endpoint.md` 14.5).

use super::connection::Connection;
use super::deliveries::NO_TOKEN;
use super::error::Violation;
use super::event::{Event, Update};
use super::ids::{DeliveryKey, LinkKey};
use super::wire::state_room;
use crate::performative::{DeliveryState, Disposition, Performative, Role};

/// A disposition of ours that waits for the flush.
#[derive(Debug, PartialEq)]
pub(super) struct Pending {
    role: Role,
    first: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState>,
}

/// A range that the peer disposed of and that is being told.
#[derive(Debug)]
pub(super) struct DispositionCursor {
    session: u32,
    incoming: bool,
    next: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState>,
}

// === impl Pending ===

impl Pending {
    /// Whether `self` and `other` differ in their ids at most, and may share a frame.
    fn is_like(&self, other: &Self) -> bool {
        self.role == other.role
            && self.settled == other.settled
            && match (&self.state, &other.state) {
                (None, None)
                | (Some(DeliveryState::Accepted), Some(DeliveryState::Accepted))
                | (Some(DeliveryState::Released), Some(DeliveryState::Released)) => true,
                (Some(DeliveryState::Modified(a)), Some(DeliveryState::Modified(b))) => {
                    a.message_annotations.is_none() && a == b
                }
                _ => false,
            }
    }
}

/// Joins neighbours, also those that are out of order when all are alike.
fn coalesce(pending: &mut Vec<Pending>) {
    let [head, tail @ ..] = pending.as_slice() else { return };
    if tail.is_empty() || !tail.iter().all(|p| p.is_like(head)) {
        return;
    }
    // Serial numbers: order by the distance from some id that is not far from any of them.
    let origin = head.first.wrapping_sub(0x4000_0000);
    pending.sort_unstable_by_key(|p| p.first.wrapping_sub(origin));
    pending.dedup_by(|next, kept| {
        let joins = kept.last.wrapping_add(1) == next.first;
        if joins {
            kept.last = next.last;
        }
        joins
    });
}

// === impl Connection ===

impl Connection {
    /// Tells the sender of an incoming delivery a state or settlement. Goes out with the next
    /// [`Self::flush`]. Nothing happens when the delivery is settled already.
    pub fn update_in(&mut self, delivery: DeliveryKey, state: Option<DeliveryState>, settled: bool) {
        let Some(s) = self.sessions.get_mut(delivery.session as usize) else { return };
        let Some(entry) = s.incoming.get(delivery.id) else { return };
        if settled {
            s.incoming.remove(delivery.id);
            if let Some(l) = self.links.get_mut(entry.link.slot as usize) {
                l.unsettled = l.unsettled.saturating_sub(1);
            }
        }
        self.dispose(delivery, Role::Receiver, state, settled);
    }

    /// Tells the receiver of the outgoing delivery that the caller named `token` a state or
    /// settlement. False when there is no such delivery (any more).
    pub fn update_out(&mut self, link: LinkKey, token: u64, state: Option<DeliveryState>, settled: bool) -> bool {
        let Some(l) = self.links.get_mut(link.slot as usize).filter(|l| l.key == link) else { return false };
        let Some(s) = self.sessions.get_mut(l.session as usize) else { return false };
        let Some(id) = s.outgoing.find(link, token) else { return false };
        if settled {
            s.outgoing.remove(id);
            l.unsettled = l.unsettled.saturating_sub(1);
        }
        let session = l.session;
        self.dispose(DeliveryKey { session, id }, Role::Sender, state, settled);
        true
    }

    fn dispose(&mut self, delivery: DeliveryKey, role: Role, state: Option<DeliveryState>, settled: bool) {
        let Some(s) = self.sessions.get_mut(delivery.session as usize) else { return };
        let next = Pending { role, first: delivery.id, last: delivery.id, settled, state };
        match s.pending.last_mut() {
            Some(last) if last.last.wrapping_add(1) == next.first && last.is_like(&next) => last.last = next.last,
            _ => s.pending.push(next),
        }
        self.mark_session(delivery.session);
    }

    /// Writes the dispositions that wait on a session.
    pub(super) fn flush_dispositions(&mut self, slot: u32) {
        let Some(s) = self.sessions.get_mut(slot as usize) else { return };
        if s.pending.is_empty() {
            return;
        }
        coalesce(&mut s.pending);
        let ended = s.ended;
        let room = state_room(self.peer_max_frame);
        for p in s.pending.drain(..).filter(|_| !ended) {
            let disposition = Disposition {
                role: p.role,
                first: p.first,
                last: (p.last != p.first).then_some(p.last),
                settled: p.settled,
                state: p.state.and_then(|s| s.fit(room)),
                batchable: false,
            };
            self.wire.frame(s.channel, &Performative::Disposition(disposition));
        }
        if s.pending.capacity() > 16 {
            s.pending = Vec::new();
        }
    }

    pub(super) fn on_disposition(&mut self, channel: u16, d: Disposition) -> Result<Option<Event>, Violation> {
        let session = self.by_channel(channel)?;
        if self.sessions.get(session as usize).is_none_or(|s| s.ended) {
            return Ok(None);
        }
        self.cursor = Some(DispositionCursor {
            session,
            incoming: d.role == Role::Sender,
            next: d.first,
            last: d.last.unwrap_or(d.first),
            settled: d.settled,
            state: d.state,
        });
        Ok(self.next_update())
    }

    /// The next delivery of the range that is being cursor.
    #[inline]
    pub(super) fn next_update(&mut self) -> Option<Event> {
        let cursor = self.cursor.as_mut()?;
        let found = self.sessions.get_mut(cursor.session as usize).and_then(|s| {
            let table = if cursor.incoming { &mut s.incoming } else { &mut s.outgoing };
            let found = table.first_in(cursor.next, cursor.last)?;
            if cursor.settled && !cursor.incoming {
                table.remove(found.0);
            }
            Some(found)
        });
        let Some((id, entry)) = found else {
            self.cursor = None;
            return None;
        };
        let update = Update {
            incoming: cursor.incoming,
            delivery: DeliveryKey { session: cursor.session, id },
            link: entry.link,
            token: (entry.token != NO_TOKEN).then_some(entry.token),
            state: None,
            settled: cursor.settled,
        };
        if cursor.settled
            && !cursor.incoming
            && let Some(l) = self.links.get_mut(entry.link.slot as usize)
        {
            l.unsettled = l.unsettled.saturating_sub(1);
        }
        let state = if id == cursor.last {
            self.cursor.take().and_then(|t| t.state)
        } else {
            cursor.next = id.wrapping_add(1);
            cursor.state.clone()
        };
        Some(Event::Update(Update { state, ..update }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(first: u32, last: u32, state: Option<DeliveryState>) -> Pending {
        Pending { role: Role::Receiver, first, last, settled: true, state }
    }

    #[test]
    fn neighbours_join_in_any_order() {
        let accepted = || Some(DeliveryState::Accepted);
        let mut list = vec![
            pending(1, 1, accepted()),
            pending(u32::MAX, 0, accepted()),
            pending(2, 3, accepted()),
            pending(7, 7, accepted()),
        ];
        coalesce(&mut list);
        assert_eq!(list, [pending(u32::MAX, 3, accepted()), pending(7, 7, accepted())]);
    }

    #[test]
    fn unlike_ones_stay_in_order() {
        let list = || vec![pending(2, 2, None), pending(1, 1, Some(DeliveryState::Released))];
        let mut sorted = list();
        coalesce(&mut sorted);
        assert_eq!(sorted, list());
        let mut same = vec![
            pending(2, 2, Some(DeliveryState::Rejected(None))),
            pending(1, 1, Some(DeliveryState::Rejected(None))),
        ];
        coalesce(&mut same);
        assert_eq!(same.len(), 2);
    }
}
