//! The two streams of a flow, and how far they have come.

use super::window::{ReceiveWindow, SendWindow};
use bytes::Bytes;
use router_engine::annotations::{Annotations, flags};
use router_engine::core::effect::Push;
use router_engine::stream::{Notify, Payload, Reader, Stream, StreamLimits};
use router_engine::{Action, Deliver, InId, InToken, LinkId, Mailbox, OutId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Mailbox key: the inbound stream has room again.
pub(super) const ROOM: u64 = 0;
/// Mailbox key: the outbound stream has data.
pub(super) const DATA: u64 = 1;

/// From the socket to the mesh.
#[derive(Debug)]
pub(super) struct Inbound {
    link: LinkId,
    pub(super) stream: Arc<Stream>,
    pub(super) id: Option<InId>,
    pub(super) window: SendWindow,
    /// Reading has begun: a client is read only once its server stream has come.
    pub(super) flowing: bool,
    /// The stream is full.
    pub(super) blocked: bool,
    pub(super) ended: bool,
    /// A write has taken the news of a reset from the kernel: an end that is read now is none of the peer's.
    pub(super) doubtful: bool,
    pub(super) settled: bool,
}

/// From the mesh to the socket.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) out: Option<OutId>,
    pub(super) reader: Option<Reader>,
    /// The head is still to come; on the connector side it was read before the socket was opened.
    pub(super) heading: bool,
    pub(super) pending: VecDeque<Bytes>,
    /// The reader said that it would tell when there is more.
    pub(super) dry: bool,
    pub(super) window: ReceiveWindow,
    pub(super) source_ended: bool,
    /// The flow's task knows that only the end of the TLS session is left.
    pub(super) closing: bool,
    /// Nothing more is written: the end was, or the socket takes nothing.
    pub(super) shut: bool,
    /// The socket's sending half has ended in order, while the other had not.
    pub(super) finished: bool,
    /// The socket takes nothing.
    pub(super) broken: bool,
    pub(super) settled: bool,
}

/// The reader of an outgoing stream, whatever form its payload has.
pub(super) fn reader_of(push: &mut Push, mailbox: &Arc<Mailbox>) -> Reader {
    let notify = Notify { mailbox: Arc::clone(mailbox), key: DATA };
    if let Some(reader) = push.reader.take() {
        reader.set_notify(notify);
        return reader;
    }
    let whole = |chunks: &[Bytes]| {
        let stream = Stream::new(StreamLimits::DEFAULT, None);
        for chunk in chunks {
            stream.push(chunk.clone());
        }
        stream.finish();
        stream
    };
    match &push.payload {
        Payload::Stream(stream) => stream.reader(Some(notify)),
        Payload::One(chunk) => whole(std::slice::from_ref(chunk)).reader(Some(notify)),
        Payload::Many(chunks) => whole(chunks).reader(Some(notify)),
    }
}

// === impl Inbound ===

impl Inbound {
    /// A stream into the mesh on `link` that begins with `head`.
    pub(super) fn new(link: LinkId, head: Bytes, mailbox: &Arc<Mailbox>, flowing: bool) -> Self {
        let notify = Notify { mailbox: Arc::clone(mailbox), key: ROOM };
        let stream = Stream::new(StreamLimits::DEFAULT, Some(notify));
        stream.push(head);
        Self {
            link,
            stream,
            id: None,
            window: SendWindow::default(),
            flowing,
            blocked: false,
            ended: false,
            doubtful: false,
            settled: false,
        }
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

    /// Whether the socket is read.
    pub(super) fn reads(&self) -> bool {
        self.flowing && !self.ended && !self.blocked && !self.window.is_closed()
    }
}

// === impl Outbound ===

impl Outbound {
    /// Waits for the server stream.
    pub(super) fn waiting() -> Self {
        Self {
            out: None,
            reader: None,
            heading: true,
            pending: VecDeque::new(),
            dry: false,
            window: ReceiveWindow::default(),
            source_ended: false,
            closing: false,
            shut: false,
            finished: false,
            broken: false,
            settled: false,
        }
    }

    /// Continues a stream whose head was read; `pending` came behind it.
    pub(super) fn started(out: OutId, reader: Reader, pending: VecDeque<Bytes>) -> Self {
        Self { out: Some(out), reader: Some(reader), heading: false, pending, ..Self::waiting() }
    }

    /// Octets that wait for the socket.
    pub(super) fn weight(&self) -> usize {
        let pending: usize = self.pending.iter().map(Bytes::len).sum();
        pending + self.reader.as_ref().map_or(0, |reader| reader.stream().buffered())
    }

    /// Takes octets off the front of what waits to be written.
    pub(super) fn consume(pending: &mut VecDeque<Bytes>, mut octets: usize) {
        while octets > 0 {
            let Some(front) = pending.front_mut() else { return };
            if front.len() > octets {
                *front = front.slice(octets..);
                return;
            }
            octets -= front.len();
            pending.pop_front();
        }
    }
}
