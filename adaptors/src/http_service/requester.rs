//! The client's side of requests: what one connection of a client sends into the network, and what comes back.
//!
//! ```text
//!  respond --open, send--> Requester --one batch--> core --> service address
//!     ^                        |
//!     '---- Exchange <--event--+<---- reply address of the exchange <--- answers
//! ```
//!
//! Every exchange has a reply address to itself while it lasts: answers of the HTTP/2 form do not tell whose they are. One
//! that has ended well is used again.

use super::aggregate::{Kept, Waiting};
use super::body::{AnswerError, BodyError};
use crate::clock;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::port::local::{Attach, Attached, Delivery, Endpoint, Envelope, Event, SendStream};
use router_engine::stream::Payload;
use router_engine::{InId, InToken, LinkId};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Answers that wait to be seen in an exchange that has one. More are refused.
const ANSWERS_MAX: usize = 64;

/// Reply addresses that are kept for the next exchanges of a connection.
const SPARE_REPLIES: usize = 128;

/// How late it may be told that answers have come to their ends.
const LATER: Duration = Duration::from_millis(20);

/// What a key of the mailbox is about, in its lowest bits.
const DATA: u64 = 0;
const ROOM: u64 = 1;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Requester {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    /// The link to the service address.
    to: LinkId,
    exchanges: Slab<Arc<Shared>>,
    sent: HashMap<InToken, usize>,
    replies: HashMap<LinkId, usize>,
    spare: Vec<Reply>,
    next_id: u64,
    /// The core is to be told something now.
    urgent: bool,
    later: Later,
}

/// What may be told the core with the next request: that answers have come to their ends. Nobody waits for it, but their
/// senders' routers keep them in mind until then.
#[derive(Debug, Default)]
struct Later {
    /// There is something to tell.
    armed: bool,
    runs: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A reply address.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    link: LinkId,
    pub(super) address: Arc<str>,
}

/// What is known of an exchange.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Octets of the bodies of request and answer.
    octets: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Delivery>,
    /// Where the answers of all servers become one: how much waits in `answers`.
    waiting: Option<Waiting>,
    /// What became of the request.
    outcome: Option<DeliveryState>,
    /// Somebody has had its answer; more goes nowhere.
    over: bool,
    /// The client has broken its request off.
    broken: bool,
    /// There is room in the stream of the request.
    room: bool,
    /// The server wants the body of the request.
    wanted: bool,
    answer_waker: Option<Waker>,
    data_waker: Option<Waker>,
    room_waker: Option<Waker>,
}

/// An exchange that is under way. Dropped before it has ended well, its request is taken back.
#[derive(Debug)]
pub(super) struct Exchange {
    requester: Arc<Requester>,
    key: usize,
    shared: Arc<Shared>,
    reply: Option<Reply>,
    pub(super) id: u64,
    token: Option<InToken>,
    message: Option<InId>,
    ended_well: bool,
    /// Its answers tell whose they are; none while there was none.
    numbered: Option<bool>,
    /// The server has broken its answer off.
    broken: bool,
    /// Parts of an answer that is put together once all have come.
    pub(super) kept: Kept,
    at_end: Option<AtEnd>,
}

/// Is told how an exchange has ended, with the octets of the bodies of request and answer.
struct AtEnd(Box<dyn FnOnce(End, (u64, u64)) + Send + Sync>);

/// How an exchange has ended whose answer is a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client was given all of the answer.
    Whole,
    /// The server has broken its answer off.
    Broken,
    /// The client wants no more of it.
    Left,
}

impl fmt::Debug for AtEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtEnd")
    }
}

/// What a pump of the body of a request knows of its exchange.
#[derive(Debug)]
pub(super) struct RequestSide(Arc<Shared>);

/// What has come of an exchange.
#[derive(Debug)]
pub(super) enum Turn {
    /// An answer, of which there may be several.
    Answer(Delivery),
    /// The request has an outcome, and there is no answer yet.
    Outcome(DeliveryState),
    /// The client has broken its request off.
    Broken,
    /// There are more answers to be put together than can be kept.
    TooMuch,
}

/// Which answers an exchange is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// What becomes of the request is enough.
    Nothing,
    /// The first one.
    One,
    /// Those of all servers.
    All,
}

/// No more exchanges can be had.
#[derive(Debug)]
pub(super) struct Refused;

// === impl Requester ===

impl Requester {
    /// Requests to an address, through an endpoint that has joined. None when the core refuses the address.
    pub(super) fn new(mut endpoint: Endpoint, address: &str) -> Option<Self> {
        let [to] = endpoint.attach([Attach::sender("http.lside.in", address)], clock::now());
        let to = to.ok()?.link;
        let inner = Inner {
            endpoint,
            to,
            exchanges: Slab::new(),
            sent: HashMap::new(),
            replies: HashMap::new(),
            spare: Vec::new(),
            next_id: 1,
            urgent: false,
            later: Later::default(),
        };
        Some(Self { inner: Mutex::new(inner) })
    }

    /// Takes what the core tells, and hands it to the exchanges. Ready when the connection is to end.
    pub(super) fn poll_events(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.lock();
        while let Poll::Ready(event) = inner.endpoint.poll_event(cx) {
            if let Event::Close(_) = event {
                return Poll::Ready(());
            }
            inner.on_event(event);
        }
        inner.submit(cx);
        Poll::Pending
    }

    /// Tells the core what it is to be told now.
    pub(super) fn submit(&self, cx: &mut Context<'_>) {
        self.inner.lock().submit(cx);
    }

    /// Tells the core everything.
    pub(super) fn flush(&self) {
        self.inner.lock().flush();
    }

    /// Begins an exchange.
    ///
    /// # Errors
    /// When the core refuses another address.
    pub(super) fn open(self: &Arc<Self>, wants: Wants) -> Result<Exchange, Refused> {
        let inner = &mut *self.inner.lock();
        let reply = if wants == Wants::Nothing { None } else { Some(inner.reply().ok_or(Refused)?) };
        let waiting = (wants == Wants::All).then(Waiting::default);
        let shared = Arc::new(Shared { state: Mutex::new(State { waiting, ..State::default() }), ..Shared::default() });
        let key = inner.exchanges.insert(Arc::clone(&shared));
        if let Some(reply) = &reply {
            inner.replies.insert(reply.link, key);
        }
        let id = inner.next_id;
        inner.next_id += 1;
        let requester = Arc::clone(self);
        Ok(Exchange {
            requester,
            key,
            shared,
            reply,
            id,
            token: None,
            message: None,
            ended_well: false,
            numbered: None,
            broken: false,
            kept: Kept::default(),
            at_end: None,
        })
    }

    /// Requests under way.
    pub(super) fn under_way(&self) -> usize {
        self.inner.lock().exchanges.len()
    }
}

// === impl Inner ===

impl Inner {
    fn submit(&mut self, cx: &mut Context<'_>) {
        if self.urgent || self.later.poll(cx).is_ready() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.urgent = false;
        self.later.armed = false;
        self.endpoint.submit(clock::now());
    }

    /// Gives an answer back.
    fn refuse(&mut self, answer: Delivery) {
        self.endpoint.settle(answer, DeliveryState::Released);
        self.urgent = true;
    }

    fn reply(&mut self) -> Option<Reply> {
        if let Some(spare) = self.spare.pop() {
            return Some(spare);
        }
        let links = [Attach::dynamic_receiver("http.lside.out")];
        let [reply] = self.endpoint.attach(links, clock::now());
        let Attached { link, source } = reply.ok()?;
        Some(Reply { link, address: source?.into() })
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => self.on_answer(delivery),
            Event::Update { token, state: Some(state), .. } if state.is_terminal() => {
                if let Some(exchange) = self.sent.remove(&token).and_then(|key| self.exchanges.get(key)) {
                    exchange.note(|shared| shared.outcome = Some(state), |shared| &mut shared.answer_waker);
                }
            }
            Event::Update { token, settled: true, .. } => {
                if let Some(exchange) = self.sent.remove(&token).and_then(|key| self.exchanges.get(key)) {
                    let accepted = DeliveryState::Accepted;
                    exchange.note(|shared| shared.outcome = Some(accepted), |shared| &mut shared.answer_waker);
                }
            }
            Event::Ready(key) => {
                let Some(exchange) = self.exchanges.get((key >> 1) as usize) else { return };
                if key & 1 == DATA {
                    exchange.note(|_| {}, |shared| &mut shared.data_waker);
                    exchange.note(|_| {}, |shared| &mut shared.answer_waker);
                } else {
                    exchange.note(|shared| shared.room = true, |shared| &mut shared.room_waker);
                }
            }
            _ => {}
        }
    }

    /// Who has no exchange, or has had enough, gets no answer.
    fn on_answer(&mut self, delivery: Delivery) {
        let exchange = self.replies.get(&delivery.link()).and_then(|key| self.exchanges.get(*key));
        let Some(exchange) = exchange else { return self.refuse(delivery) };
        let full = {
            let state = &mut *exchange.state.lock();
            let full = match &mut state.waiting {
                Some(waiting) => !waiting.add(&delivery),
                None => state.answers.len() >= ANSWERS_MAX,
            };
            if state.over || full {
                state.answer_waker.take().into_iter().for_each(Waker::wake);
                Some(delivery)
            } else {
                state.answers.push_back(delivery);
                state.answer_waker.take().into_iter().for_each(Waker::wake);
                None
            }
        };
        full.into_iter().for_each(|delivery| self.refuse(delivery));
    }

    /// An exchange is over.
    fn end(&mut self, exchange: &mut Exchange) {
        self.exchanges.try_remove(exchange.key);
        if let Some(token) = exchange.token {
            self.sent.remove(&token);
        }
        if let Some(message) = exchange.message.filter(|_| !exchange.ended_well) {
            self.endpoint.cancel(message);
            self.urgent = true;
        }
        let Some(reply) = exchange.reply.take() else { return };
        self.replies.remove(&reply.link);
        // What is still to come there would be taken for the next one's, where answers do not tell whose they are.
        if exchange.ended_well && exchange.numbered == Some(true) && self.spare.len() < SPARE_REPLIES {
            self.spare.push(reply);
        } else {
            self.endpoint.detach(reply.link, None);
            self.urgent = true;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.flush();
    }
}

// === impl Later ===

impl Later {
    /// Ready when it is late. The timer begins when this is asked, and goes on to its end even if all was told before: the
    /// next thing to tell is early then.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.runs {
            if !self.armed {
                return Poll::Pending;
            }
            self.runs = true;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(Instant::now() + LATER),
                None => self.timer = Some(Box::pin(sleep(LATER))),
            }
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        self.runs = false;
        if self.armed { Poll::Ready(()) } else { Poll::Pending }
    }
}

// === impl Shared ===

impl Shared {
    fn note(&self, change: impl FnOnce(&mut State), waker: impl FnOnce(&mut State) -> &mut Option<Waker>) {
        let waker = {
            let state = &mut *self.state.lock();
            change(state);
            waker(state).take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

// === impl Exchange ===

impl Exchange {
    /// Where answers go.
    pub(super) fn reply_to(&self) -> Option<&str> {
        self.reply.as_ref().map(|reply| &*reply.address)
    }

    /// Sends a whole request.
    pub(super) fn send(&mut self, message: Bytes) {
        let inner = &mut *self.requester.inner.lock();
        let payload = Payload::One(message);
        let (token, id) = inner.endpoint.send_now(inner.to, payload, Envelope::default().resent(), clock::now());
        inner.sent.insert(token, self.key);
        (self.token, self.message) = (Some(token), id);
    }

    /// Begins to send a request whose head is there.
    pub(super) fn send_stream(&mut self, head: Bytes) -> SendStream {
        let inner = &mut *self.requester.inner.lock();
        let envelope = Envelope::default().streamed().resent();
        let key = (self.key as u64) << 1 | ROOM;
        let stream = inner.endpoint.send_stream(inner.to, envelope, key, clock::now());
        stream.push(head);
        inner.sent.insert(stream.token(), self.key);
        // Once it was sent as a whole, it can be taken back like any other.
        (self.token, self.message) = (Some(stream.token()), stream.id());
        stream
    }

    /// What the pump of the body needs to know.
    pub(super) fn request_side(&self) -> RequestSide {
        RequestSide(Arc::clone(&self.shared))
    }

    /// The server, or the time, has it that the body of the request is sent.
    pub(super) fn want_body(&self) {
        self.request_side().want();
    }

    /// The next thing that happens.
    pub(super) fn poll_turn(&self, cx: &Context<'_>) -> Poll<Turn> {
        let state = &mut *self.shared.state.lock();
        if let Some(waiting) = &state.waiting
            && waiting.is_too_much()
        {
            return Poll::Ready(Turn::TooMuch);
        }
        if let Some(answer) = state.answers.pop_front() {
            if let Some(waiting) = &mut state.waiting {
                waiting.take(&answer);
            }
            return Poll::Ready(Turn::Answer(answer));
        }
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(Turn::Outcome(outcome));
        }
        if state.broken {
            return Poll::Ready(Turn::Broken);
        }
        state.answer_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// For the reader of an answer that is a stream.
    pub(super) fn notify(&self) -> router_engine::stream::Notify {
        self.requester.inner.lock().endpoint.notify((self.key as u64) << 1 | DATA)
    }

    /// Whom to wake when more of an answer comes.
    pub(super) fn wait_for_data(&self, cx: &Context<'_>) {
        self.shared.state.lock().data_waker = Some(cx.waker().clone());
    }

    /// Settles an answer with the next batch.
    pub(super) fn settle(&self, delivery: Delivery, outcome: DeliveryState) {
        let inner = &mut *self.requester.inner.lock();
        inner.endpoint.settle(delivery, outcome);
        inner.urgent = true;
    }

    /// The answer has come to its end.
    pub(super) fn end_well(&mut self, delivery: Delivery) {
        {
            let inner = &mut *self.requester.inner.lock();
            inner.endpoint.settle(delivery, DeliveryState::Accepted);
            inner.later.armed = true;
        }
        self.ended_well = true;
        self.shared.state.lock().over = true;
    }

    /// An answer has come, with the number of this exchange or without any.
    pub(super) fn note_number(&mut self, numbered: bool) {
        self.numbered = Some(numbered && self.numbered != Some(false));
    }

    /// The request has its outcome, and nothing more is to come.
    pub(super) fn settled(&mut self) {
        self.ended_well = true;
        self.shared.state.lock().over = true;
    }

    /// Has that told how the exchange has ended, with the octets of the bodies of request and answer.
    pub(super) fn on_end(&mut self, tell: impl FnOnce(End, (u64, u64)) + Send + Sync + 'static) {
        self.at_end = Some(AtEnd(Box::new(tell)));
    }

    /// The rest of the answer does not come.
    pub(super) fn break_off(&mut self, error: &BodyError) -> AnswerError {
        self.broken = true;
        let reset = match error {
            BodyError::Aborted(_) => h2::Reason::CANCEL,
            BodyError::Malformed(_) => h2::Reason::PROTOCOL_ERROR,
        };
        AnswerError { text: format!("answer {error}"), reset: reset.into() }
    }

    pub(super) fn count_answer(&self, octets: usize) {
        self.shared.octets[1].fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Octets of the bodies of request and answer so far.
    pub(super) fn octets(&self) -> (u64, u64) {
        let [request, answer] = &self.shared.octets;
        (request.load(Ordering::Relaxed), answer.load(Ordering::Relaxed))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        {
            let state = &mut *self.shared.state.lock();
            state.over = true;
            state.room_waker.take().into_iter().for_each(Waker::wake);
            // What nobody has looked at may have no number.
            self.numbered = self.numbered.filter(|_| state.answers.is_empty());
            state.answers.clear();
        }
        let octets = self.octets();
        let end = match (self.ended_well, self.broken) {
            (true, _) => End::Whole,
            (false, true) => End::Broken,
            (false, false) => End::Left,
        };
        self.at_end.take().into_iter().for_each(|AtEnd(tell)| tell(end, octets));
        let requester = Arc::clone(&self.requester);
        requester.inner.lock().end(self);
    }
}

// === impl RequestSide ===

impl RequestSide {
    /// The body of the request is to be sent.
    pub(super) fn want(&self) {
        self.0.note(|state| state.wanted = true, |state| &mut state.room_waker);
    }

    /// Ready when the body of the request is to be sent, true; or when nobody wants it any more.
    pub(super) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<bool> {
        let state = &mut *self.0.state.lock();
        if state.wanted || state.over {
            return Poll::Ready(!state.over);
        }
        state.room_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when there is room again.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.0.state.lock();
        if std::mem::take(&mut state.room) {
            return Poll::Ready(());
        }
        state.room_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The client has broken its request off.
    pub(super) fn broke(&self) {
        self.0.note(|state| state.broken = true, |state| &mut state.answer_waker);
    }

    /// Ready when the exchange is over.
    pub(super) fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.0.state.lock();
        if state.over {
            return Poll::Ready(());
        }
        state.room_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn count(&self, octets: u64) {
        self.0.octets[0].fetch_add(octets, Ordering::Relaxed);
    }
}
