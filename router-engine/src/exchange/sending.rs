//! The stream that an exchange sends: from the transport to the mesh.

use super::ROOM;
use super::window::SendWindow;
use crate::annotations::flags;
use crate::port::local::Envelope;
use crate::stream::{Finish, Notify, Payload, Pressure, Producer, StreamLimits};
use crate::{Action, InId, InToken, LinkId, Mailbox};
use bytes::Bytes;
use std::sync::Arc;

/// Where a stream that is sent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendingState {
    /// The transport is not read before the reply has come.
    Held,
    /// The transport is read.
    Open,
    /// The stream has no room; it will tell.
    Full,
    /// Its end was sent, after the peer's and like it.
    Finished(Finish),
    /// It was broken off.
    Aborted,
}

/// A stream that is sent.
#[derive(Debug)]
pub(super) struct Sending {
    stream: Producer,
    pub(super) delivery: Option<InId>,
    pub(super) window: SendWindow,
    state: SendingState,
    /// Which of the streams that the exchange has sent: what is told of others counts no more.
    pub(super) token: InToken,
}

// === impl Sending ===

impl Sending {
    /// A stream into the mesh that begins with `head`.
    pub(super) fn new(head: Bytes, mailbox: &Arc<Mailbox>, state: SendingState) -> Self {
        let notify = Notify { mailbox: Arc::clone(mailbox), key: ROOM };
        let stream = Producer::new(StreamLimits::DEFAULT, Some(notify));
        stream.push(head);
        Self { stream, delivery: None, window: SendWindow::default(), state, token: InToken(0) }
    }

    /// A stream that takes the place of this one, of which nothing was read from the transport.
    pub(super) fn replace(&mut self, head: Bytes, mailbox: &Arc<Mailbox>) {
        let token = InToken(self.token.0 + 1);
        *self = Self { token, ..Self::new(head, mailbox, SendingState::Held) };
    }

    /// The delivery that carries the stream.
    pub(super) fn deliver(&self, link: LinkId, to: Option<String>) -> Action {
        let envelope = Envelope { to: to.map(Bytes::from), flags: flags::WIDE, ..Envelope::default() };
        envelope.streaming().deliver(link, self.token, Payload::Stream(self.stream.share()))
    }

    /// Whether the transport is read.
    pub(super) fn reads(&self) -> bool {
        self.state == SendingState::Open && !self.window.is_closed()
    }

    /// Whether nothing was read from the transport, not even its end.
    pub(super) const fn is_unread(&self) -> bool {
        matches!(self.state, SendingState::Held | SendingState::Open) && self.window.produced() == 0
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.state, SendingState::Finished(_) | SendingState::Aborted)
    }

    pub(super) fn push(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        if self.stream.push_all(chunks) == Pressure::Full {
            self.state = SendingState::Full;
        }
    }

    pub(super) fn on_room(&mut self) {
        if self.state == SendingState::Full {
            self.state = SendingState::Open;
        }
    }

    /// The reply has come: there is somebody who takes what the transport gives. False: that was known.
    pub(super) fn release(&mut self) -> bool {
        let held = self.state == SendingState::Held;
        if held {
            self.state = SendingState::Open;
        }
        held
    }

    /// Finishes the stream or breaks it off, unless it has ended.
    pub(super) fn end(&mut self, end: SendingState, actions: &mut Vec<Action>) {
        if self.is_ended() {
            return;
        }
        self.state = end;
        match end {
            SendingState::Finished(finish) => self.stream.finish_as(finish),
            _ => self.stream.abort(),
        }
        if let Some(delivery) = self.delivery {
            actions.push(Action::Complete { delivery, aborted: end == SendingState::Aborted });
        }
    }
}
