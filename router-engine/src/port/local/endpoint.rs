//! A peer of the core with whole messages and streams.

use super::arriving::{Arrived, Gatherer};
use super::tell_dropped;
use super::{Attach, Attached, Closer, Connection, Delivery, Envelope, Event, GatherLimits, Identity, SendStream};
use crate::core::Accepted;
use crate::core::action::PeerOpen;
use crate::core::ids::ConnId;
use crate::stream::{Notify, Payload, Producer, StreamLimits};
use crate::{Action, Effect, InId, InToken, LinkId, Mailbox, OutId, Router, Side};
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Error};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A peer of the core inside this process. See the module documentation for what becomes of it when it is dropped.
///
/// What its owner tells is gathered and goes with [`Self::submit`], one batch for all. Some events leave something to
/// tell too: who has seen those that there are submits.
#[derive(Debug)]
pub struct Endpoint {
    connection: Connection,
    actions: Vec<Action>,
    links: Vec<Link>,
    next_token: u64,
    gatherer: Option<Gatherer>,
    // What was taken from the mailbox and its owner has not seen.
    effects: VecDeque<Effect>,
    keys: VecDeque<u64>,
}

/// The credit of a sender, or what a receiver gives.
#[derive(Debug)]
struct Link {
    id: LinkId,
    credit: u32,
}

// === impl Endpoint ===

impl Endpoint {
    /// Joins the core, and is open with the first batch. `open` is what is shown of the peer.
    #[must_use]
    pub fn join(router: &Arc<Router>, identity: Identity, open: PeerOpen, now: Instant) -> Self {
        Self::join_with(router, identity, open, Arc::default(), now)
    }

    /// As [`Self::join`], with a mailbox in which others may leave something, too.
    #[must_use]
    pub fn join_with(
        router: &Arc<Router>,
        identity: Identity,
        open: PeerOpen,
        mailbox: Arc<Mailbox>,
        now: Instant,
    ) -> Self {
        Self {
            connection: Connection::join(router, identity, mailbox, now),
            actions: vec![Action::Opened(Box::new(open))],
            links: Vec::new(),
            next_token: 0,
            gatherer: None,
            effects: VecDeque::new(),
            keys: VecDeque::new(),
        }
    }

    /// From now on deliveries are handed out when they are whole, and no larger than that.
    pub fn gather(&mut self, limits: GatherLimits) {
        self.gatherer = Some(Gatherer::new(limits));
    }

    /// The core's id.
    #[must_use]
    pub const fn id(&self) -> ConnId {
        self.connection.id()
    }

    /// The router that it belongs to.
    #[must_use]
    pub const fn router(&self) -> &Arc<Router> {
        self.connection.router()
    }

    /// Closes the endpoint on behalf of somebody else.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.connection.closer()
    }

    /// Whom a stream or a watch shall tell. Keys come back as [`Event::Ready`] and [`Event::Watch`]; those with the
    /// highest bit set are taken.
    #[must_use]
    pub fn notify(&self, key: u64) -> Notify {
        Notify { mailbox: Arc::clone(self.mailbox()), key }
    }

    fn mailbox(&self) -> &Arc<Mailbox> {
        self.connection.mailbox()
    }

    /// Attaches links, in one batch with what was told before. The core answers within the call.
    ///
    /// # Errors
    /// Of each link: why the core refuses it.
    pub fn attach<const N: usize>(
        &mut self,
        links: [Attach<'_>; N],
        now: Instant,
    ) -> [Result<Attached, Box<Error>>; N] {
        let answers = self.connection.attach(&mut self.actions, links, now);
        for (answer, Attach { credit, .. }) in answers.iter().zip(links) {
            if let Ok(Attached { link: id, .. }) = *answer {
                self.links.push(Link { id, credit });
                self.show_credit(id, credit);
            }
        }
        self.submit(now);
        answers
    }

    /// Messages that may be sent on a link before the network gives more credit. What is sent nevertheless is taken as
    /// far as there is somebody for it, and released otherwise.
    #[must_use]
    pub fn credit(&self, link: LinkId) -> u32 {
        self.links.iter().find(|l| l.id == link).map_or(0, |l| l.credit)
    }

    /// Sends a whole message. [`Event::Update`] will name it so, unless it is settled.
    pub fn send(&mut self, link: LinkId, payload: Payload, envelope: Envelope) -> InToken {
        let token = InToken(self.next_token);
        self.next_token += 1;
        if let Some(link) = self.link_mut(link) {
            link.credit = link.credit.saturating_sub(1);
        }
        self.actions.push(envelope.deliver(link, token, payload));
        token
    }

    /// Begins to send a stream, at once. `key` is told when there is room again in it.
    pub fn send_stream(&mut self, link: LinkId, envelope: Envelope, key: u64, now: Instant) -> SendStream {
        let producer = Producer::new(StreamLimits::DEFAULT, Some(self.notify(key)));
        let token = self.send(link, Payload::Stream(producer.share()), envelope);
        let mut accepted = Vec::<Accepted>::new();
        self.connection.submit(&mut self.actions, &mut accepted, now);
        let id = accepted.iter().find(|a| a.token == token).map(|a| a.id);
        SendStream::new(producer, self.connection.router(), self.id(), token, id)
    }

    /// Sends a whole message at once. The id, by which [`Self::cancel`] knows it, is none when nobody takes it.
    pub fn send_now(
        &mut self,
        link: LinkId,
        payload: Payload,
        envelope: Envelope,
        now: Instant,
    ) -> (InToken, Option<InId>) {
        let token = self.send(link, payload, envelope);
        let mut accepted = Vec::<Accepted>::new();
        self.connection.submit(&mut self.actions, &mut accepted, now);
        (token, accepted.iter().find(|a| a.token == token).map(|a| a.id))
    }

    /// Nothing more is to be heard of a message: its receiver, who may still be at it, is told that it is settled.
    pub fn cancel(&mut self, message: InId) {
        self.actions.push(Action::Update { delivery: Side::In(message), state: None, settled: true });
    }

    /// Has a receiver get nothing more; what it was sent goes on to its end.
    pub fn unbind(&mut self, link: LinkId) {
        self.actions.push(Action::Unbind { link });
    }

    /// Settles a delivery, and gives its credit anew.
    pub fn settle(&mut self, mut delivery: Delivery, outcome: DeliveryState) {
        delivery.conclude(Some(outcome), &mut self.actions);
        let link = delivery.link();
        self.show_credit(link, self.credit(link));
    }

    /// Tells a state of a delivery without settling it, for instance how much was received.
    pub fn update(&mut self, delivery: &Delivery, state: DeliveryState) {
        self.actions.push(delivery.update(state));
    }

    /// Tells the core what was gathered.
    pub fn submit(&mut self, now: Instant) {
        if !self.actions.is_empty() {
            self.connection.submit(&mut self.actions, &mut Vec::new(), now);
        }
    }

    /// The next event. When there is none, the task is woken by the next.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.next_event() {
                return Poll::Ready(event);
            }
            if !self.take() && self.mailbox().park(cx.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// The next of the events that came together; none is waited for.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(effect) = self.effects.pop_front() {
            if let Some(event) = self.on_effect(effect) {
                return Some(event);
            }
        }
        while let Some(key) = self.keys.pop_front() {
            if !Gatherer::owns(key) {
                return Some(Event::Ready(key));
            }
            if let Some(arrived) = self.gatherer.as_mut().and_then(|gatherer| gatherer.advance(key)) {
                return Some(self.on_arrived(arrived));
            }
        }
        None
    }

    /// Takes the mailbox, once everything from before was seen. False when it was empty.
    pub fn take(&mut self) -> bool {
        debug_assert!(self.effects.is_empty() && self.keys.is_empty(), "events wait");
        // The buffers go round.
        let mut effects = Vec::from(std::mem::take(&mut self.effects));
        let mut keys = Vec::from(std::mem::take(&mut self.keys));
        let some = self.mailbox().take(&mut effects, &mut keys);
        (self.effects, self.keys) = (effects.into(), keys.into());
        some
    }

    /// Leaves the core in good order. Deliveries that were read to their end and not settled have failed; others are
    /// released.
    pub fn close(mut self, now: Instant) {
        self.release_unseen();
        self.actions.push(Action::Closed);
        self.submit(now);
    }

    /// A link is no more.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.links.retain(|l| l.id != link);
    }

    /// Adds something to what is told with the next batch.
    pub(super) fn gather_action(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn on_effect(&mut self, effect: Effect) -> Option<Event> {
        Some(match effect {
            Effect::Push(push) => return self.on_delivery(Delivery::new(&self.connection, push)),
            Effect::AbortOut { id, .. } => self.on_withdrawn(id),
            Effect::Credit { link, credit, drain } => return self.on_credit(link, credit, drain),
            Effect::UpdateIn { token, state, settled, .. } => Event::Update { token, state, settled },
            Effect::UpdateOut { id, state, settled, .. } => Event::SenderUpdate { delivery: id, state, settled },
            Effect::Detach { link, error } => {
                self.links.retain(|l| l.id != link);
                Event::Detached { link, error }
            }
            Effect::Close { error, .. } => Event::Close(error),
            Effect::Watch { key, counts } => Event::Watch { key, counts },
            Effect::Peer(event) => Event::Peer(*event),
            Effect::Weigh => {
                self.mailbox().set_load(self.weight());
                return None;
            }
            // Answers are taken by `attach`; the rest concerns peers with sockets.
            Effect::AttachReply(_) | Effect::Attach(_) | Effect::Trace(_) => return None,
        })
    }

    fn on_delivery(&mut self, delivery: Delivery) -> Option<Event> {
        let Some(gatherer) = &mut self.gatherer else { return Some(Event::Delivery(delivery)) };
        let arrived = gatherer.begin(delivery, self.connection.mailbox())?;
        Some(self.on_arrived(arrived))
    }

    fn on_arrived(&mut self, arrived: Arrived) -> Event {
        match arrived {
            Arrived::Whole(delivery) => Event::Delivery(delivery),
            Arrived::Oversized(delivery, excess) => Event::Oversized(delivery, excess),
            Arrived::Aborted(mut delivery) => {
                // The core waits to hear that nothing more is read.
                delivery.conclude(None, &mut self.actions);
                Event::Withdrawn(delivery.id())
            }
        }
    }

    fn on_withdrawn(&mut self, id: OutId) -> Event {
        if let Some(gatherer) = &mut self.gatherer {
            gatherer.withdraw(id);
        }
        Event::Withdrawn(id)
    }

    /// Nothing waits for credit here, so a drain is answered at once.
    fn on_credit(&mut self, id: LinkId, credit: u32, drain: bool) -> Option<Event> {
        let link = self.link_mut(id)?;
        link.credit = link.credit.saturating_add(credit);
        if drain {
            let skipped = std::mem::take(&mut link.credit);
            self.actions.push(Action::Drained { link: id, skipped });
        }
        Some(Event::Credit { link: id, credit: self.credit(id) })
    }

    /// Tells the core what credit a receiver gives.
    fn show_credit(&mut self, link: LinkId, credit: u32) {
        if credit > 0 {
            self.actions.push(Action::PeerCredit { link, credit, drain: false });
        }
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.iter_mut().find(|l| l.id == id)
    }

    /// Octets held of what has come in and was not handed out.
    fn weight(&self) -> usize {
        let waiting = |effect: &Effect| if let Effect::Push(push) = effect { push.payload.octets() } else { 0 };
        self.effects.iter().map(waiting).sum::<usize>() + self.gatherer.as_ref().map_or(0, Gatherer::held)
    }

    /// What its owner has not seen cannot have failed.
    fn release_unseen(&mut self) {
        for effect in self.effects.drain(..) {
            if let Effect::Push(push) = effect {
                let (delivery, state) = (Side::Out(push.id), Some(DeliveryState::Released));
                self.actions.push(Action::Update { delivery, state, settled: true });
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.release_unseen();
        // What was decided before stands.
        let actions = std::mem::take(&mut self.actions);
        if !actions.is_empty() {
            tell_dropped(self.connection.router(), self.connection.id(), actions);
        }
    }
}
