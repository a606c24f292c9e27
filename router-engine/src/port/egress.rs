//! Deliveries that go out (spec `amqp-endpoint.md` sections 10.4, 12.6, 13).
//!
//! Links with something to send stand in ready queues by priority, control links in the highest.
//! Each turn serves them one after the other, a bounded share at a time, until the output is full.

use super::AmqpPort;
use super::limits::{LINK_SHARE, OUTPUT_TARGET};
use super::link::{OutLink, OutgoingDelivery, PortLink, notify_key};
use crate::annotations::flags;
use crate::core::action::{Action, Direction};
use crate::core::effect::{PRIORITIES, Push};
use crate::core::ids::{LinkId, OutId};
use crate::stream::{Finish, Notify, Payload, Pull};
use amqp_core::engine::{LinkKey, Outgoing, Sent, SessionKey};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Why serving a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// It has had its share; there is more.
    Share,
    /// It waits for the session's window.
    NoWindow,
    /// It has nothing to send, or no credit, or waits for a stream.
    Idle,
}

/// How a delivery fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It is gone, or has sent all it had for now: go on.
    Next,
    Pause(Served),
}

// === impl AmqpPort ===

impl AmqpPort {
    /// Queues a delivery.
    pub(super) fn push(&mut self, push: Box<Push>) {
        let Some(idx) = self.links.by_id(push.link) else { return discard(&push) };
        let capacity = self.params.conn.links.capacity as usize;
        let Some(out) = self.links.get_mut(idx).and_then(PortLink::out) else { return discard(&push) };
        if push.settled {
            let waiting = out.queue.len() + usize::from(out.current.is_some());
            if waiting >= capacity && out.settled > 0 {
                drop_settled(out, &mut self.actions);
            }
            out.settled += 1;
        }
        out.queue.push_back(push);
        self.make_ready(idx);
    }

    /// Lists a link among those that have something to do.
    pub(super) fn make_ready(&mut self, idx: u32) {
        let Some(link) = self.links.get_mut(idx) else { return };
        let rank = usize::from(link.priority).min(PRIORITIES - 1);
        let Some(out) = link.out() else { return };
        if !out.ready {
            out.ready = true;
            self.ready[rank].push_back(idx);
        }
    }

    /// The peer's window has opened on a session.
    pub(super) fn on_window(&mut self, session: SessionKey) {
        let blocked = std::mem::take(&mut self.blocked);
        for idx in blocked {
            let Some(link) = self.links.get_mut(idx) else { continue };
            let same = link.session == session;
            let Some(out) = link.out().filter(|out| out.blocked) else { continue };
            if same {
                out.blocked = false;
                self.make_ready(idx);
            } else {
                self.blocked.push(idx);
            }
        }
    }

    /// Serves links until none is ready or the output is full. True when some are still ready.
    pub(super) fn run_egress(&mut self) -> bool {
        loop {
            if self.engine.output().len() >= OUTPUT_TARGET {
                return self.ready.iter().any(|q| !q.is_empty());
            }
            let Some(idx) = self.ready.iter_mut().rev().find_map(VecDeque::pop_front) else { return false };
            let Some(out) = self.links.get_mut(idx).and_then(PortLink::out) else { continue };
            out.ready = false;
            match self.serve(idx) {
                Served::Share => self.make_ready(idx),
                Served::NoWindow => {
                    if let Some(out) = self.links.get_mut(idx).and_then(PortLink::out)
                        && !out.blocked
                    {
                        out.blocked = true;
                        self.blocked.push(idx);
                    }
                }
                Served::Idle => {}
            }
            self.answer_drain(idx);
        }
    }

    fn serve(&mut self, idx: u32) -> Served {
        let start = self.engine.output().total();
        loop {
            let spent = usize::try_from(self.engine.output().total() - start).unwrap_or(usize::MAX);
            if spent >= LINK_SHARE {
                return Served::Share;
            }
            let Some(link) = self.links.get_mut(idx) else { return Served::Idle };
            let (key, annotated) = (link.key, link.annotations);
            let Some(out) = link.out() else { return Served::Idle };
            let left = if let Some(current) = out.current.take() {
                self.go_on(idx, key, current, LINK_SHARE - spent)
            } else {
                if out.queue.is_empty() {
                    return Served::Idle;
                }
                if !self.engine.can_start(key) {
                    // An abort may be waiting for the window.
                    return if self.engine.is_sending(key) { Served::NoWindow } else { Served::Idle };
                }
                let Some(push) = out.queue.pop_front() else { return Served::Idle };
                out.settled -= usize::from(push.settled);
                self.begin(idx, key, annotated, *push, LINK_SHARE - spent)
            };
            if let Left::Pause(served) = left {
                return served;
            }
        }
    }

    /// Starts the next delivery of a link that can start one.
    fn begin(&mut self, idx: u32, key: LinkKey, annotated: bool, mut push: Push, budget: usize) -> Left {
        let wide = push.annotations.flags & flags::WIDE != 0;
        push.annotations.flags = self.known(push.annotations.flags);
        let mut buffer = std::mem::take(&mut self.buffer);
        if annotated {
            buffer.push_back(self.annotations.encode(&push.annotations));
        }
        let mut reader = None;
        match push.payload {
            Payload::One(octets) => buffer.push_back(octets),
            Payload::Many(chunks) => buffer.extend(chunks.iter().cloned()),
            Payload::Stream(stream) => {
                let notify = Notify { mailbox: Arc::clone(&self.handle.mailbox), key: notify_key(idx, key) };
                let attached = push.reader.unwrap_or_else(|| stream.reader(None));
                attached.set_notify(notify);
                reader = Some(attached);
            }
        }
        let (id, settled) = (push.id, push.settled);
        if reader.is_none() {
            // A whole message: mostly it leaves at once, and then nothing needs to be kept of it.
            self.log_leaving(idx, &mut buffer);
            self.engine.start(key, outgoing(id, settled, push.state));
            let sent = self.engine.send(key, &mut buffer, Some(settled), budget);
            if sent == Sent::Done {
                self.buffer = buffer;
                self.report(idx, id, settled);
                return Left::Next;
            }
            let current = OutgoingDelivery {
                id,
                settled,
                report: settled,
                state: None,
                buffer,
                reader,
                finish: Finish::Orderly,
                started: true,
                settle_last: settled,
                wide,
            };
            self.keep(idx, Box::new(current));
            return pause(sent);
        }
        let state = push.state;
        let (report, finish, started, settle_last) = (true, Finish::Orderly, false, settled);
        let current =
            OutgoingDelivery { id, settled, report, state, buffer, reader, finish, started, settle_last, wide };
        self.go_on(idx, key, Box::new(current), budget)
    }

    /// Sends more of the delivery on its way.
    fn go_on(&mut self, idx: u32, key: LinkKey, mut current: Box<OutgoingDelivery>, budget: usize) -> Left {
        let mut pull = if current.reader.is_some() { Pull::Data } else { Pull::Done(current.finish) };
        if let Some(reader) = &current.reader
            && (!current.started || current.buffer.is_empty())
        {
            pull = reader.pull(budget, &mut current.buffer);
        }
        match pull {
            Pull::Aborted => {
                if current.started {
                    self.engine.abort(key);
                }
                self.actions.push(Action::Sent { delivery: current.id });
                self.recycle(*current);
                return Left::Next;
            }
            // Nothing to show for a stream that has not begun.
            Pull::Empty if !current.started && current.buffer.is_empty() => {
                self.keep(idx, current);
                return Left::Pause(Served::Idle);
            }
            Pull::Done(finish) => (current.reader, current.finish) = (None, finish),
            Pull::Empty | Pull::Data => {}
        }
        if !current.started {
            if !self.engine.can_start(key) {
                self.keep(idx, current);
                return Left::Pause(Served::Idle);
            }
            current.started = true;
            let state = current.state.take();
            self.log_leaving(idx, &mut current.buffer);
            self.engine.start(key, outgoing(current.id, current.settled, state));
        }
        let last = current.reader.is_none().then_some(current.settle_last);
        if last.is_some() {
            self.mark_finish(key, current.finish);
        }
        match self.engine.send(key, &mut current.buffer, last, budget) {
            Sent::Done => {
                self.report(idx, current.id, current.report);
                self.recycle(*current);
                Left::Next
            }
            Sent::Gone => {
                self.recycle(*current);
                Left::Next
            }
            Sent::Hungry if pull == Pull::Empty => {
                self.keep(idx, current);
                Left::Pause(Served::Idle)
            }
            Sent::Hungry => {
                self.keep(idx, current);
                Left::Next
            }
            sent => {
                self.keep(idx, current);
                pause(sent)
            }
        }
    }

    /// A delivery has left: the core is told, or it is only counted.
    fn report(&mut self, idx: u32, delivery: OutId, tell: bool) {
        if tell {
            self.actions.push(Action::Sent { delivery });
        } else if let Some(out) = self.links.get_mut(idx).and_then(PortLink::out) {
            out.count_left();
        }
    }

    fn log_leaving(&self, idx: u32, beginning: &mut VecDeque<Bytes>) {
        if !self.params.message_fields.is_empty() {
            self.log_message(idx, Direction::Out, beginning.make_contiguous());
        }
    }

    /// Whether a delivery is a stream on its way whose sender takes grants.
    pub(super) fn takes_grants(&mut self, idx: u32, id: OutId) -> bool {
        let current = self.links.get_mut(idx).and_then(PortLink::out).and_then(|out| out.current.as_ref());
        current.is_some_and(|current| current.id == id && current.wide)
    }

    /// The peer settled a delivery; if it is still on its way there is no use in sending the rest.
    pub(super) fn settled_by_peer(&mut self, idx: u32, id: OutId) {
        let Some(link) = self.links.get_mut(idx) else { return };
        let key = link.key;
        let Some(out) = link.out() else { return };
        if let Some(current) = out.current.take_if(|c| c.id == id && c.started) {
            if !current.report {
                out.count_left();
            }
            self.engine.abort(key);
            self.recycle(*current);
            self.make_ready(idx);
        }
    }

    /// The sender of a delivery tells a state or settles.
    pub(super) fn update_out(&mut self, link: LinkId, id: OutId, state: Option<DeliveryState>, settled: bool) {
        let Some(idx) = self.links.by_id(link) else { return };
        let Some(link) = self.links.get_mut(idx) else { return };
        let key = link.key;
        let Some(out) = link.out() else { return };
        if let Some(current) = out.current.as_mut().filter(|c| c.id == id) {
            current.settle_last |= settled;
            if !current.started {
                current.state = state.or(current.state.take());
            } else if state.is_some() {
                // Settlement comes with the last frame.
                self.engine.update_out(key, token(id), state, false);
            }
        } else if let Some(at) = position(&out.queue, id) {
            if let Some(push) = out.queue.get_mut(at) {
                let settles = settled && !push.settled;
                out.settled += usize::from(settles);
                if settles && !matches!(push.payload, Payload::Stream(_)) {
                    // It leaves as a settled one.
                    out.gauge.iter().for_each(|gauge| gauge.add_one());
                }
                push.settled |= settled;
                push.state = state.or(push.state.take());
            }
        } else {
            self.engine.update_out(key, token(id), state, settled);
        }
    }

    /// Abandons a delivery.
    pub(super) fn abort_out(&mut self, link: LinkId, id: OutId) {
        let Some(idx) = self.links.by_id(link) else { return };
        let Some(link) = self.links.get_mut(idx) else { return };
        let key = link.key;
        let Some(out) = link.out() else { return };
        if let Some(current) = out.current.take_if(|c| c.id == id) {
            if !current.report {
                out.count_left();
            }
            if current.started {
                self.engine.abort(key);
            }
            self.recycle(*current);
            self.make_ready(idx);
        } else if let Some(at) = position(&out.queue, id)
            && let Some(push) = out.queue.remove(at)
        {
            out.settled -= usize::from(push.settled);
            if !(push.settled || matches!(push.payload, Payload::Stream(_))) {
                out.count_left();
            }
            discard(&push);
        }
    }

    /// Gives up everything that waits on a link that is lost, and tells what it was.
    pub(super) fn lose_queue(&mut self, link: &mut PortLink) -> Vec<OutId> {
        let Some(out) = link.out() else { return Vec::new() };
        let mut unsent = Vec::with_capacity(out.queue.len() + usize::from(out.current.is_some()));
        if let Some(current) = out.current.take() {
            unsent.push(current.id);
            self.recycle(*current);
        }
        for push in out.queue.drain(..) {
            unsent.push(push.id);
            discard(&push);
        }
        unsent
    }

    /// Answers the peer's drain request once nothing more can be sent.
    fn answer_drain(&mut self, idx: u32) {
        let Some(link) = self.links.get_mut(idx) else { return };
        let key = link.key;
        let Some(out) = link.out().filter(|out| out.drain) else { return };
        // A stream that has begun has its credit and may go on for long.
        let none_waits =
            !out.credit_is_used_up && out.queue.is_empty() && (out.current.is_none() || self.engine.has_begun(key));
        if none_waits || self.engine.credit(key) == 0 {
            out.drain = false;
            let id = link.id;
            self.engine.drained(key);
            if let Some(link) = id {
                self.actions.push(Action::PeerCredit { link, credit: 0, drain: false });
            }
        }
    }

    fn keep(&mut self, idx: u32, current: Box<OutgoingDelivery>) {
        if let Some(out) = self.links.get_mut(idx).and_then(PortLink::out) {
            out.current = Some(current);
        }
    }

    /// Keeps the buffer of a delivery for the next one.
    fn recycle(&mut self, current: OutgoingDelivery) {
        let mut buffer = current.buffer;
        if self.buffer.capacity() == 0 && buffer.capacity() <= 64 {
            buffer.clear();
            self.buffer = buffer;
        }
    }
}

/// Discards the settled deliveries of a full queue but for the first (spec `amqp-endpoint.md` 12.6).
fn drop_settled(out: &mut OutLink, actions: &mut Vec<Action>) {
    let mut head = out.current.is_none();
    out.queue.retain(|push| {
        let kept = std::mem::take(&mut head) || !push.settled;
        if !kept {
            actions.push(Action::Dropped { delivery: push.id });
            discard(push);
        }
        kept
    });
    out.settled = out.queue.iter().filter(|push| push.settled).count();
}

/// A delivery that will not be sent: its stream, if any, must not wait for a reader.
pub(super) fn discard(push: &Push) {
    if let (Payload::Stream(stream), None) = (&push.payload, &push.reader) {
        drop(stream.reader(None));
    }
}

/// Where in a queue a delivery is. Their numbers ascend from that of the first, and may begin anew on the way.
pub(super) fn position(queue: &VecDeque<Box<Push>>, id: OutId) -> Option<usize> {
    let first = queue.front()?.id.number;
    let after_first = |id: OutId| id.number.wrapping_sub(first);
    let at = queue.partition_point(|push| after_first(push.id) < after_first(id));
    (queue.get(at)?.id == id).then_some(at)
}

fn outgoing(id: OutId, settled: bool, state: Option<DeliveryState>) -> Outgoing {
    // The core's number of a delivery is unique in the router, as a tag has to be on its link.
    Outgoing { tag: u64::from(id.number), settled, state, token: token(id) }
}

/// The core's id as the engine's token.
const fn token(id: OutId) -> u64 {
    id.to_bits()
}

/// The core's id in the engine's token.
pub(super) const fn out_id(token: u64) -> OutId {
    OutId::from_bits(token)
}

const fn pause(sent: Sent) -> Left {
    match sent {
        Sent::NoCredit => Left::Pause(Served::Idle),
        Sent::NoWindow => Left::Pause(Served::NoWindow),
        Sent::Limit | Sent::Hungry => Left::Pause(Served::Share),
        Sent::Done | Sent::Gone => Left::Next,
    }
}
