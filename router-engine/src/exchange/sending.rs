//! The stream that an exchange sends: from the transport to the mesh.

use super::ROOM;
use super::window::SendWindow;
use crate::annotations::{Annotations, flags};
use crate::stream::{Notify, Payload, Pressure, Stream, StreamLimits};
use crate::{Action, Deliver, InId, InToken, LinkId, Mailbox};
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
    /// Its end was sent, after the peer's.
    Finished,
    /// It was broken off.
    Aborted,
}

/// A stream that is sent.
#[derive(Debug)]
pub(super) struct Sending {
    link: LinkId,
    stream: Arc<Stream>,
    pub(super) delivery: Option<InId>,
    pub(super) window: SendWindow,
    state: SendingState,
}

// === impl Sending ===

impl Sending {
    /// A stream into the mesh on `link` that begins with `head`.
    pub(super) fn new(link: LinkId, head: Bytes, mailbox: &Arc<Mailbox>, state: SendingState) -> Self {
        let notify = Notify { mailbox: Arc::clone(mailbox), key: ROOM };
        let stream = Stream::new(StreamLimits::DEFAULT, Some(notify));
        stream.push(head);
        Self { link, stream, delivery: None, window: SendWindow::default(), state }
    }

    /// The delivery that carries the stream.
    pub(super) fn deliver(&self, to: Option<String>) -> Action {
        let annotations = Annotations { flags: flags::STREAMING | flags::DISABLE_Q2, ..Annotations::default() };
        Action::Deliver(Box::new(Deliver {
            link: self.link,
            token: InToken(0),
            settled: false,
            payload: Payload::Stream(Arc::clone(&self.stream)),
            to: to.map(Bytes::from),
            annotations,
            priority: 4,
            state: None,
        }))
    }

    /// Whether the transport is read.
    pub(super) fn reads(&self) -> bool {
        self.state == SendingState::Open && !self.window.is_closed()
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.state, SendingState::Finished | SendingState::Aborted)
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

    /// The reply has come: there is somebody who takes what the transport gives.
    pub(super) fn release(&mut self) {
        if self.state == SendingState::Held {
            self.state = SendingState::Open;
        }
    }

    /// Finishes the stream or breaks it off, unless it has ended.
    pub(super) fn end(&mut self, end: SendingState, actions: &mut Vec<Action>) {
        if self.is_ended() {
            return;
        }
        self.state = end;
        let aborted = end == SendingState::Aborted;
        if aborted {
            self.stream.abort();
        } else {
            self.stream.finish();
        }
        if let Some(delivery) = self.delivery {
            actions.push(Action::Complete { delivery, aborted });
        }
    }
}
