//! Bodies on their way between HTTP and messages.
//!
//! ```text
//!  hyper's Incoming --gather--> whole, if it is short and there, or soon
//!                  '--pump----> data sections of a stream
//!  message --Outgoing--> hyper
//! ```

use super::HttpVersion;
use super::limit::Limit;
use super::message::{BodyForm, BodyReader, MessageError, Part, proper_trailers};
use super::requester::Exchange;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderMap;
use router_engine::exchange::consume;
use router_engine::port::local::{Delivery, SendStream};
use router_engine::stream::{Pressure, Pull, Reader};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Octets of a body that may be gathered to go in one message.
pub(super) const WHOLE_MAX: usize = 32 * 1024;

/// Octets pulled from a stream at once.
const PULL: usize = 64 * 1024;

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The far end has broken it off.
    #[error("broken off at the other end")]
    Aborted(
        /// What HTTP/2 is told.
        #[source]
        h2::Error,
    ),
    /// The message is none of HTTP.
    #[error("message: {0}")]
    Malformed(#[from] MessageError),
}

/// How long a body that is short, or of which something must be there, is waited for before it goes as a stream.
const GATHER_LIMIT: Duration = Duration::from_secs(1);

/// Turns of a connection that a body gets before it is waited for by the clock: what hyper has read is there only when its
/// connection was asked for it.
const TURNS: usize = 2;

/// How long the body of a request may be silent, of HTTP/1 and of HTTP/2.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
pub(super) const STREAM_SILENCE_LIMIT: Duration = Duration::from_secs(300);

/// How long a body is waited for before it goes as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until all of it is there, if it says that it is short.
    Short,
    /// The same; of a longer one, until something of it is there.
    First,
}

/// The peer has broken a body off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A body that a peer sends.
#[derive(Debug)]
pub(super) struct Inbound {
    body: Incoming,
    /// It is one of several streams, which a peer may reset without an error to be seen.
    multiplexed: bool,
    /// It may be silent for a while only.
    silence: Option<Limit>,
    /// Then it may be silent.
    answered: Option<Arc<AtomicBool>>,
}

// === impl BodyError ===

impl BodyError {
    pub(super) fn aborted() -> Self {
        Self::Aborted(h2::Reason::CANCEL.into())
    }
}

// === impl Inbound ===

impl Inbound {
    /// Of a server, which may take its time.
    pub(super) const fn answer(body: Incoming, version: HttpVersion) -> Self {
        Self { body, multiplexed: matches!(version, HttpVersion::Http2), silence: None, answered: None }
    }

    /// Of a client. One that says nothing more keeps its connection or stream, and its server, for nothing; but calls of HTTP/2
    /// that do not tell how long they are may be quiet for as long as they like.
    pub(super) fn request(body: Incoming, version: HttpVersion) -> Self {
        let limit = match version {
            HttpVersion::Http1 => Some(SILENCE_LIMIT),
            HttpVersion::Http2 => body.size_hint().exact().map(|_| STREAM_SILENCE_LIMIT),
        };
        Self { silence: limit.map(Limit::new), ..Self::answer(body, version) }
    }

    /// With HTTP/2 both sides may talk as they like, once the answer has begun.
    pub(super) fn note_answered_by(&mut self, answered: &Arc<AtomicBool>) {
        self.answered = self.multiplexed.then(|| Arc::clone(answered));
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = match self.poll_body(cx) {
            Poll::Pending => {
                if self.answered.as_ref().is_some_and(|answered| answered.load(Ordering::Relaxed)) {
                    self.silence = None;
                }
                let Some(silence) = &mut self.silence else { return Poll::Pending };
                silence.begin();
                return silence.poll(cx).map(|()| Some(Err(Broken)));
            }
            Poll::Ready(frame) => frame,
        };
        // It runs while the client is asked for more, not while that waits for its turn.
        if let Some(silence) = &mut self.silence {
            silence.end();
        }
        Poll::Ready(frame)
    }

    /// As [`Self::poll_frame`], for who does not wait for long.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            // A stream that was reset ends like this, too.
            None if self.multiplexed && !self.body.is_end_stream() => Some(Err(Broken)),
            None => None,
            Some(frame) => Some(frame.map_err(|_| Broken)),
        })
    }
}

/// What has come of a body that is being gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) data: Vec<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    /// There is no more.
    pub(super) complete: bool,
}

/// Takes what there is of a body, up to [`WHOLE_MAX`] octets.
///
/// # Errors
/// When the peer breaks it off.
pub(super) async fn gather(body: &mut Inbound, patience: Patience) -> Result<Gathered, Broken> {
    let short = body.body.size_hint().upper().is_some_and(|octets| octets <= WHOLE_MAX as u64);
    let (mut gathered, mut octets, mut turns) = (Gathered::default(), 0, TURNS);
    let mut limit: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        while !gathered.complete && octets <= WHOLE_MAX {
            if body.is_end_stream() {
                gathered.complete = true;
                break;
            }
            match body.poll_body(cx) {
                Poll::Ready(None) => gathered.complete = true,
                Poll::Ready(Some(Err(broken))) => return Poll::Ready(Err(broken)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        octets += data.len();
                        gathered.data.push(data);
                    }
                    Err(frame) => {
                        gathered.trailers = frame.into_trailers().ok().and_then(proper_trailers);
                        gathered.complete = true;
                    }
                },
                Poll::Pending if turns > 0 => {
                    turns -= 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending if short || (patience == Patience::First && octets == 0) => {
                    let limit = limit.get_or_insert_with(|| Box::pin(sleep(GATHER_LIMIT)));
                    ready!(limit.as_mut().poll(cx));
                    break;
                }
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    Ok(gathered)
}

// === impl Gathered ===

impl Gathered {
    pub(super) fn octets(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }
}

/// How pumping a body has ended.
#[derive(Debug)]
pub(super) enum Pumped {
    /// All was sent; so many octets.
    Whole(u64),
    /// The peer has broken it off, so the stream is broken off too.
    Broken,
}

/// How the body of a message is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    pub(super) form: BodyForm,
    /// The receiver is of this implementation.
    pub(super) own: bool,
}

/// Sends a body as a stream. `room` is ready once there is room again.
pub(super) async fn pump(
    gathered: Gathered,
    mut body: Inbound,
    Sending { form, own }: Sending,
    stream: &SendStream,
    mut room: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Pumped {
    let mut octets = 0;
    let mut full = false;
    let push = |data: Bytes, octets: &mut u64| {
        *octets += data.len() as u64;
        !data.is_empty() && stream.push_all(form.data(data)) == Pressure::Full
    };
    for data in gathered.data {
        full |= push(data, &mut octets);
    }
    let trailers = loop {
        if gathered.complete {
            break gathered.trailers;
        }
        if std::mem::take(&mut full) {
            poll_fn(&mut room).await;
        }
        match poll_fn(|cx| body.poll_frame(cx)).await {
            None => break None,
            Some(Err(Broken)) => return Pumped::Broken,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => full = push(data, &mut octets),
                Err(frame) => break frame.into_trailers().ok().and_then(proper_trailers),
            },
        }
    };
    if let Some(end) = form.end(trailers.as_ref(), octets > 0, own) {
        stream.push(end);
    }
    Pumped::Whole(octets)
}

/// The body of a message, as it comes.
#[derive(Debug)]
pub(super) struct MessageBody {
    /// None once it was given up.
    reader: Option<Reader>,
    chunks: VecDeque<Bytes>,
    body: BodyReader,
    complete: bool,
}

// === impl MessageBody ===

impl MessageBody {
    /// Of a whole message, whose head has so many octets.
    pub(super) fn whole(chunks: &[Bytes], head: usize, body: BodyReader) -> Self {
        let mut chunks: VecDeque<Bytes> = chunks.iter().cloned().collect();
        consume(&mut chunks, head);
        Self { reader: None, chunks, body, complete: true }
    }

    /// Of a stream of which some was read, head included.
    pub(super) fn stream(
        reader: Reader,
        mut chunks: VecDeque<Bytes>,
        head: usize,
        body: BodyReader,
        complete: bool,
    ) -> Self {
        consume(&mut chunks, head);
        Self { reader: Some(reader), chunks, body, complete }
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { reader: None, chunks: VecDeque::new(), body: BodyReader::default(), complete: true }
    }

    /// All of it is there.
    pub(super) const fn is_whole(&self) -> bool {
        self.reader.is_none()
    }

    /// Everything that is there, of a whole message.
    ///
    /// # Errors
    /// When it is malformed.
    pub(super) fn take_whole(&mut self) -> Result<(VecDeque<Bytes>, Option<HeaderMap>), MessageError> {
        let (mut data, mut trailers) = (VecDeque::new(), None);
        while let Some(part) = self.body.next(&mut self.chunks, true)? {
            match part {
                Part::Data(octets) => data.push_back(octets),
                Part::Trailers(map) => trailers = Some(map),
            }
        }
        Ok((data, trailers))
    }

    /// The next part; none at the end. `wait` is told that more is to come, and whom to wake.
    ///
    /// # Errors
    /// When there should have been more, or it is malformed.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        mut wait: impl FnMut(&mut Context<'_>),
    ) -> Poll<Result<Option<Part>, BodyError>> {
        loop {
            if let Some(part) = self.body.next(&mut self.chunks, self.complete)? {
                return Poll::Ready(Ok(Some(part)));
            }
            if self.complete {
                return Poll::Ready(Ok(None));
            }
            // Whoever tells of more does so through that waker, so it is left first.
            wait(cx);
            let Some(reader) = &self.reader else { return Poll::Ready(Ok(None)) };
            match reader.pull(PULL, &mut self.chunks) {
                Pull::Data => {}
                Pull::Empty => return Poll::Pending,
                Pull::Done(_) => self.complete = true,
                Pull::Aborted => return Poll::Ready(Err(BodyError::aborted())),
            }
        }
    }
}

/// The body of an answer to a client.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// There is none.
    Empty,
    /// All of it.
    Whole { data: VecDeque<Bytes>, trailers: Option<HeaderMap> },
    /// What comes as a stream.
    Stream(Box<OutgoingStream>),
}

/// An answer that comes as a stream.
#[derive(Debug)]
pub(super) struct OutgoingStream {
    body: MessageBody,
    /// None once it was read to its end.
    delivery: Option<Delivery>,
    exchange: Exchange,
    length: Length,
    /// The client needs no more of it, and may not ask for its end.
    given: bool,
}

/// How much is still to come of a body that has said so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length(Option<u64>);

// === impl Outgoing ===

impl Outgoing {
    /// A text of the router's own.
    pub(super) fn text(text: String) -> Self {
        Self::Whole { data: VecDeque::from([text.into()]), trailers: None }
    }

    pub(super) fn stream(body: MessageBody, delivery: Delivery, exchange: Exchange, length: Option<u64>) -> Self {
        let (delivery, length) = (Some(delivery), Length(length));
        Self::Stream(Box::new(OutgoingStream { body, delivery, exchange, length, given: false }))
    }
}

// === impl Length ===

impl Length {
    pub(super) const fn new(octets: Option<u64>) -> Self {
        Self(octets)
    }

    /// Whether all that was announced has come.
    fn is_reached(self) -> bool {
        self.0 == Some(0)
    }

    /// Takes a part of the body, or its end.
    ///
    /// # Errors
    /// When that is too much, or the end too early.
    pub(super) fn take(&mut self, part: Result<Option<Part>, BodyError>) -> Result<Option<Part>, BodyError> {
        let part = part?;
        let Some(left) = &mut self.0 else { return Ok(part) };
        match &part {
            Some(Part::Data(data)) => {
                *left = left.checked_sub(data.len() as u64).ok_or(MessageError::Bad("content-length"))?;
            }
            Some(Part::Trailers(_)) => {}
            None if *left > 0 => return Err(BodyError::aborted()),
            None => {}
        }
        Ok(part)
    }
}

impl OutgoingStream {
    fn end_well(&mut self) {
        self.delivery.take().into_iter().for_each(|delivery| self.exchange.end_well(delivery));
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if self.delivery.is_none() {
            return Poll::Ready(None);
        }
        let exchange = &self.exchange;
        let part = ready!(self.body.poll_part(cx, |cx| exchange.wait_for_data(cx)));
        Poll::Ready(match self.length.take(part) {
            Ok(Some(Part::Data(data))) => {
                self.exchange.count_answer(data.len());
                self.given = self.length.is_reached();
                Some(Ok(Frame::data(data)))
            }
            // They are the end.
            Ok(Some(Part::Trailers(trailers))) => {
                self.end_well();
                Some(Ok(Frame::trailers(trailers)))
            }
            Ok(None) => {
                self.end_well();
                None
            }
            Err(error) => {
                self.delivery = None;
                Some(Err(self.exchange.break_off(&error)))
            }
        })
    }
}

impl Drop for OutgoingStream {
    fn drop(&mut self) {
        if self.given {
            self.end_well();
        }
    }
}

/// Why a client does not get the rest of its answer.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct AnswerError {
    pub(super) text: String,
    /// What HTTP/2 is told.
    #[source]
    pub(super) reset: h2::Error,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole { data, trailers } => Poll::Ready(match data.pop_front() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            Self::Stream(stream) => stream.delivery.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole { data, trailers: None } => {
                SizeHint::with_exact(data.iter().map(Bytes::len).sum::<usize>() as u64)
            }
            Self::Whole { .. } | Self::Stream(_) => SizeHint::default(),
        }
    }
}
