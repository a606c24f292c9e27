//! Deliveries that go out.

use super::tell_dropped;
use crate::annotations::{Annotations, flags};
use crate::core::ids::ConnId;
use crate::stream::{Payload, Pressure, Producer};
use crate::{Action, Deliver, InId, InToken, LinkId, Router};
use amqp_core::Instant;
use amqp_core::message::header::DEFAULT_PRIORITY;
use bytes::Bytes;
use std::sync::Arc;

/// How a message is sent.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The address, on links that have none.
    pub to: Option<Bytes>,
    /// Nothing is to be heard of it.
    pub settled: bool,
    /// 0..=9; 4 is usual.
    pub priority: u8,
    /// Annotation flags, see [`flags`].
    pub flags: u32,
    /// Nobody waits to hear that it was accepted.
    pub unattended: bool,
}

/// A stream on its way into the core. Dropped before its end, it is aborted.
///
/// It may outlive its endpoint, and be fed by another task.
#[derive(Debug)]
pub struct SendStream {
    producer: Producer,
    router: Arc<Router>,
    conn: ConnId,
    token: InToken,
    /// None when nobody takes it, or once it has ended.
    id: Option<InId>,
}

// === impl Envelope ===

impl Default for Envelope {
    fn default() -> Self {
        Self { to: None, settled: false, priority: DEFAULT_PRIORITY, flags: 0, unattended: false }
    }
}

impl Envelope {
    /// Unsettled, to an address.
    #[must_use]
    pub fn to(address: &str) -> Self {
        Self { to: Some(Bytes::copy_from_slice(address.as_bytes())), ..Self::default() }
    }

    /// Nothing is to be heard of it.
    #[must_use]
    pub fn settled(self) -> Self {
        Self { settled: true, ..self }
    }

    /// Forwarded at once, and not held up for its size: the two ends have a window of their own.
    #[must_use]
    pub fn streaming(self) -> Self {
        Self { flags: self.flags | flags::STREAMING | flags::DISABLE_Q2, ..self }
    }

    /// Forwarded at once.
    #[must_use]
    pub fn streamed(self) -> Self {
        Self { flags: self.flags | flags::STREAMING, ..self }
    }

    /// Sent to another consumer, if there is one, when the first releases it.
    #[must_use]
    pub fn resent(self) -> Self {
        Self { flags: self.flags | flags::RESEND_RELEASED, ..self }
    }

    /// Nobody waits to hear that it was accepted: [`super::Event::Update`] tells that with whatever comes next.
    #[must_use]
    pub fn unattended(self) -> Self {
        Self { unattended: true, ..self }
    }

    /// What tells the core of the message. The answers to it name `token`.
    #[must_use]
    pub fn deliver(self, link: LinkId, token: InToken, payload: Payload) -> Action {
        let Self { to, settled, priority, flags, unattended } = self;
        let annotations = Annotations { flags, ..Annotations::default() };
        let state = None;
        let deliver = Deliver { link, token, settled, payload, to, annotations, priority, state, unattended };
        Action::Deliver(Box::new(deliver))
    }
}

// === impl SendStream ===

impl SendStream {
    pub(super) fn new(
        producer: Producer,
        router: &Arc<Router>,
        conn: ConnId,
        token: InToken,
        id: Option<InId>,
    ) -> Self {
        Self { producer, router: Arc::clone(router), conn, token, id }
    }

    /// What [`super::Event::Update`] calls it.
    #[must_use]
    pub const fn token(&self) -> InToken {
        self.token
    }

    /// Appends octets. After [`Pressure::Full`] the key of the stream becomes ready when there is room.
    pub fn push(&self, octets: Bytes) -> Pressure {
        self.producer.push(octets)
    }

    /// Appends several chunks.
    pub fn push_all(&self, chunks: impl IntoIterator<Item = Bytes>) -> Pressure {
        self.producer.push_all(chunks)
    }

    /// None when nobody takes it.
    #[must_use]
    pub const fn id(&self) -> Option<InId> {
        self.id
    }

    /// Octets that wait to be read.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.producer.buffered()
    }

    /// The message is complete.
    pub fn finish(mut self, now: Instant) {
        self.producer.finish();
        if let Some(delivery) = self.id.take() {
            let mut complete = vec![Action::Complete { delivery, aborted: false }];
            self.router.submit(self.conn, &mut complete, &mut Vec::new(), now);
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.producer.abort();
        if let Some(delivery) = self.id.take() {
            tell_dropped(&self.router, self.conn, vec![Action::Complete { delivery, aborted: true }]);
        }
    }
}
