//! Requests under way, by stream.

use super::fields::Fields;
use crate::observe::Side;
use crate::observe::records::{Fact, Protocol, Recorder, Records, RequestHead, first_forwarded, text};
use amqp_core::Instant;

/// Requests under way that have a record at most.
const RECORDED: usize = 256;

/// The streams with a record.
#[derive(Debug)]
pub(super) struct Streams<S> {
    /// By increasing id.
    open: Vec<Stream<S>>,
    /// The last one that the client opened. Ids of later ones are higher (RFC 9113 section 5.1.1).
    last: u32,
}

#[derive(Debug)]
struct Stream<S> {
    id: u32,
    slot: S,
    began: Instant,
    request_octets: u64,
    response_octets: u64,
    /// The server has sent a head.
    answered: bool,
}

// === impl Streams ===

impl<S> Streams<S> {
    pub(super) const fn new() -> Self {
        Self { open: Vec::new(), last: 0 }
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn find(&mut self, id: u32) -> Option<&mut Stream<S>> {
        self.position(id).map(|at| &mut self.open[at])
    }

    /// The client has sent a header block: of a request if it opens the stream, of trailers if not.
    pub(super) fn on_request<R>(&mut self, id: u32, fields: &Fields, recorder: &mut Recorder<'_, R>)
    where
        R: Records<Slot = S>,
    {
        if id <= self.last {
            return;
        }
        self.last = id;
        if self.open.len() >= RECORDED {
            return;
        }
        let head = RequestHead::new(Protocol::Http2, &fields.method, Some(id));
        let Some(mut slot) = recorder.begin(&head) else { return };
        recorder.update(Some(&mut slot), Fact::RequestOctets(0));
        if let Some(host) = fields.forwarded_for.as_deref().and_then(first_forwarded) {
            recorder.update(Some(&mut slot), Fact::SourceHost(text(host)));
        }
        let began = recorder.now;
        self.open.push(Stream { id, slot, began, request_octets: 0, response_octets: 0, answered: false });
    }

    /// The server has sent a header block: of an answer, maybe an informational one, or of trailers.
    pub(super) fn on_response<R>(&mut self, id: u32, fields: &Fields, recorder: &mut Recorder<'_, R>)
    where
        R: Records<Slot = S>,
    {
        let Some(stream) = self.find(id) else { return };
        if !std::mem::replace(&mut stream.answered, true) {
            recorder.update(Some(&mut stream.slot), Fact::Latency(recorder.now.since(stream.began)));
        }
        if let Some(status) = fields.status.filter(|status| *status >= 200) {
            recorder.update(Some(&mut stream.slot), Fact::Result { status, reason: None });
        }
    }

    /// Octets of a body have passed.
    pub(super) fn on_body<R>(&mut self, side: Side, id: u32, octets: usize, recorder: &mut Recorder<'_, R>)
    where
        R: Records<Slot = S>,
    {
        let Some(stream) = self.find(id) else { return };
        let fact = match side {
            Side::Client => {
                stream.request_octets += octets as u64;
                Fact::RequestOctets(stream.request_octets)
            }
            Side::Server => {
                stream.response_octets += octets as u64;
                Fact::ResponseOctets(stream.response_octets)
            }
        };
        recorder.update(Some(&mut stream.slot), fact);
    }

    /// A stream has ended.
    pub(super) fn end<R: Records<Slot = S>>(&mut self, id: u32, recorder: &mut Recorder<'_, R>) {
        if let Some(at) = self.position(id) {
            recorder.end(Some(self.open.remove(at).slot));
        }
    }

    /// All streams above this one have ended.
    pub(super) fn end_above<R: Records<Slot = S>>(&mut self, id: u32, recorder: &mut Recorder<'_, R>) {
        let left = self.open.partition_point(|stream| stream.id <= id);
        for stream in self.open.drain(left..) {
            recorder.end(Some(stream.slot));
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        self.open.capacity() * size_of::<Stream<S>>()
    }
}
