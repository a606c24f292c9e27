//! Links that carry one stream at a time, and the pool in which a connection keeps them between two streams
//! (spec `inter-router-protocol.md` section 12.2).

use super::Core;
use super::action::Direction;
use super::effect::{Effect, SessionClass};
use super::ids::{LinkId, OutId};
use super::objects::{Conn, Link, LinkKind, RouterConn};
use super::report;
use super::table::Slot;
use std::collections::VecDeque;

/// Idle streaming links that a connection keeps, unless [`crate::Router::keep_idle_streams`] says otherwise.
pub(super) const POOL_KEPT: usize = 128;

/// Idle streaming links of a connection.
#[derive(Debug, Default)]
pub(super) struct LinkPool {
    /// Longest idle first. Links that are gone are found out when they are taken.
    idle: VecDeque<LinkId>,
    /// The fewest since the last trim: so many were not needed.
    spare: usize,
}

// === impl LinkPool ===

impl LinkPool {
    /// Links that are looked at for each stream.
    const TRIED: usize = 16;

    /// The link that became idle last of those that are `ready` to send, or of all when none of the latest is.
    pub(super) fn take(&mut self, mut ready: impl FnMut(LinkId) -> bool) -> Option<LinkId> {
        let back = self.idle.iter().rev().take(Self::TRIED).position(|&link| ready(link)).unwrap_or(0);
        let link = self.idle.remove(self.idle.len().checked_sub(1 + back)?);
        self.spare = self.spare.min(self.idle.len());
        link
    }

    pub(super) fn put(&mut self, link: LinkId) {
        self.idle.push_back(link);
    }

    /// Takes out half of the links (rounded up) that were not needed since the last call, longest idle
    /// first, but leaves `keep`.
    pub(super) fn trim(&mut self, keep: usize) -> Vec<LinkId> {
        let surplus = self.spare.div_ceil(2).min(self.idle.len().saturating_sub(keep));
        let taken = self.idle.drain(..surplus).collect();
        self.spare = self.idle.len();
        if self.idle.capacity() > 4 * self.idle.len().max(keep) {
            self.idle.shrink_to_fit();
        }
        taken
    }
}

// === impl Core ===

impl Core {
    /// A link for one stream on a connection, or on a data connection of its group.
    pub(super) fn streaming_link(&mut self, conn: Slot<Conn>) -> Option<Slot<Link>> {
        let conn = self.trunk(conn);
        let links = &self.links;
        // What is gone is taken too, and found out below.
        let ready = |id: LinkId| links.find(id).is_none_or(|slot| links[slot].peer_credit > 0);
        while let Some(link) = self.conns[conn].pool.take(ready) {
            if let Some(slot) = self.links.find(link) {
                self.links[slot].idle = false;
                report::streaming_link(self.conns[conn].id, &self.links[slot], report::TAKEN);
                return Some(slot);
            }
        }
        let slot = self.attach_router_link(conn, Direction::Out, LinkKind::Streaming, SessionClass::Streaming);
        report::streaming_link(self.conns[conn].id, &self.links[slot], report::CREATED);
        Some(slot)
    }

    fn trunk(&mut self, conn: Slot<Conn>) -> Slot<Conn> {
        let Some(router) = self.conns[conn].router.as_mut() else { return conn };
        let RouterConn { trunking, members, next_member, .. } = &mut **router;
        if !*trunking || members.is_empty() {
            return conn;
        }
        *next_member = (*next_member + 1) % members.len();
        members[*next_member]
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

    /// A stream on a streaming link is over: the link waits for the next one. That it has left does not do while its outcome
    /// is open: who has it may not have read it, and keeps the window of the session closed.
    pub(super) fn stream_link_idle(&mut self, slot: Slot<Link>) {
        let Some(link) = self.links.get_mut(slot) else { return };
        if link.kind != LinkKind::Streaming
            || link.direction != Direction::Out
            || link.idle
            || !link.outgoing.is_empty()
        {
            return;
        }
        link.idle = true;
        let (conn, id) = (link.conn, link.id);
        report::streaming_link(self.conns[conn].id, link, report::RETURNED);
        self.conns[conn].pool.put(id);
        self.stream_moved_back(slot);
    }

    /// A moved stream no longer counts on the link it was moved from.
    pub(super) fn stream_moved_back(&mut self, slot: Slot<Link>) {
        let Some(base) = self.links[slot].moved_from.take() else { return };
        if let Some(base) = self.links.find(base) {
            let base = &mut self.links[base];
            base.moved_streams = base.moved_streams.saturating_sub(1);
        }
    }

    /// Detaches streaming links that were not needed lately, beyond what a connection keeps.
    pub(super) fn trim_pools(&mut self) {
        let kept = self.neighbours.pool_kept;
        for conn in self.conns.slots() {
            for id in self.conns[conn].pool.trim(kept) {
                if let Some(slot) = self.links.find(id) {
                    report::streaming_link(self.conns[conn].id, &self.links[slot], report::SURPLUS);
                    self.detach_link(slot, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Identity;
    use super::*;

    fn link(number: u32) -> LinkId {
        LinkId::new(Slot::from_bits(number), number)
    }

    #[test]
    fn link_pool_sheds_what_was_not_needed() {
        let mut pool = LinkPool::default();
        (0..100).for_each(|number| pool.put(link(number)));
        assert!(pool.trim(10).is_empty(), "they have only just become idle");
        // Forty are in use at times.
        let used: Vec<_> = (0..40).filter_map(|_| pool.take(|_| true)).collect();
        assert_eq!(used[0], link(99));
        used.into_iter().for_each(|link| pool.put(link));
        assert_eq!(pool.trim(10), (0..30).map(link).collect::<Vec<_>>());
        for _ in 0..10 {
            pool.trim(10);
        }
        assert_eq!(pool.idle.len(), 10);
    }

    #[test]
    fn link_pool_prefers_what_is_ready() {
        let mut pool = LinkPool::default();
        assert_eq!(pool.take(|_| true), None);
        (0..100).for_each(|number| pool.put(link(number)));
        assert_eq!(pool.take(|l| l.number < 98), Some(link(97)));
        assert_eq!(pool.take(|_| false), Some(link(99)), "better late than a link for every stream");
        assert_eq!(pool.take(|l| l.number == 0), Some(link(98)), "the search is short");
        assert_eq!(pool.idle.len(), 97);
    }
}
