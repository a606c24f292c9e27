//! The server's side of requests: what one connection to a server gets from the network, and what it sends back.

use super::connector::Load;
use super::serve::Taken;
use crate::clock;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::port::local::{Attach, Endpoint, Envelope, Event, SendStream};
use router_engine::stream::{Notify, Payload};
use router_engine::{InToken, LinkId};
use slab::Slab;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// What a key of the mailbox is about, in its lowest bit.
const DATA: u64 = 0;
const ROOM: u64 = 1;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Responder {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    /// The link for answers, each to the address of its request.
    into: LinkId,
    requests: Slab<Arc<Progress>>,
    /// Answers without an outcome, for whom that is something.
    answers: HashMap<InToken, Outstanding>,
}

/// Who waits for the outcome of an answer.
#[derive(Debug)]
enum Outstanding {
    /// A request whose answer is under way: it is told when nobody reads that.
    Sending(Arc<Progress>),
    /// A request that is settled when the answer has arrived: those of all servers become one.
    Sent(Taken),
}

/// How far a request has come.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>, AtomicU64);

#[derive(Debug, Default)]
struct State {
    /// Who has asked is no longer there.
    cancelled: bool,
    /// The body of the request has ended before its end, or is malformed.
    broken_off: bool,
    /// There is room in the stream of the answer.
    room: bool,
    waker: Option<Waker>,
    data_waker: Option<Waker>,
}

/// A request that is carried out on a connection.
#[derive(Debug)]
pub(super) struct Serving {
    responder: Arc<Responder>,
    key: usize,
    progress: Arc<Progress>,
    /// The place that it takes on a connection of HTTP/2: for as long as its body is there.
    load: OnceLock<Load>,
}

// === impl Responder ===

impl Responder {
    /// Answers through an endpoint that has joined. None when the core refuses that.
    pub(super) fn new(mut endpoint: Endpoint) -> Option<Self> {
        let [into] = endpoint.attach([Attach::anonymous_sender("http.cside.in")], clock::now());
        let into = into.ok()?.link;
        Some(Self { inner: Mutex::new(Inner { endpoint, into, requests: Slab::new(), answers: HashMap::new() }) })
    }

    /// Takes what the core tells. Ready when the connection is to end.
    pub(super) fn poll_events(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.lock();
        while let Poll::Ready(event) = inner.endpoint.poll_event(cx) {
            if let Event::Close(_) = event {
                return Poll::Ready(());
            }
            inner.on_event(event);
        }
        inner.endpoint.submit(clock::now());
        Poll::Pending
    }

    /// Takes a request on.
    pub(super) fn serve(self: &Arc<Self>, progress: &Arc<Progress>) -> Arc<Serving> {
        let key = self.inner.lock().requests.insert(Arc::clone(progress));
        let (responder, progress) = (Arc::clone(self), Arc::clone(progress));
        Arc::new(Serving { responder, key, progress, load: OnceLock::new() })
    }

    /// Sends what comes before the answer.
    pub(super) fn inform(&self, reply_to: &str, message: Bytes) {
        let inner = &mut *self.inner.lock();
        inner.endpoint.send_now(inner.into, Payload::One(message), Envelope::to(reply_to).settled(), clock::now());
    }
}

// === impl Inner ===

impl Inner {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Update { token, state, settled }
                if settled || state.as_ref().is_some_and(DeliveryState::is_terminal) =>
            {
                self.on_outcome(token, state.as_ref());
            }
            Event::Ready(key) => {
                let Some(progress) = self.requests.get((key >> 1) as usize) else { return };
                if key & 1 == DATA {
                    progress.note(|_| {}, |state| state.data_waker.take());
                } else {
                    progress.note(|state| state.room = true, |state| state.waker.take());
                }
            }
            // Nothing is consumed here.
            Event::Delivery(delivery) => self.endpoint.settle(delivery, DeliveryState::Released),
            _ => {}
        }
    }

    fn on_outcome(&mut self, token: InToken, state: Option<&DeliveryState>) {
        match self.answers.remove(&token) {
            // Who has all that was announced may not wait for the end.
            Some(Outstanding::Sending(_)) if state == Some(&DeliveryState::Accepted) => {}
            Some(Outstanding::Sending(progress)) => progress.cancel(),
            Some(Outstanding::Sent(request)) => request.settle(DeliveryState::Accepted),
            None => {}
        }
    }
}

impl Drop for Inner {
    /// What was answered has been carried out, whatever becomes of the answer.
    fn drop(&mut self) {
        for (_, outstanding) in self.answers.drain() {
            if let Outstanding::Sent(request) = outstanding {
                request.settle(DeliveryState::Accepted);
            }
        }
    }
}

// === impl Progress ===

impl Progress {
    fn note(&self, change: impl FnOnce(&mut State), waker: impl FnOnce(&mut State) -> Option<Waker>) {
        let waker = {
            let state = &mut *self.0.lock();
            change(state);
            waker(state)
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Who has asked is no longer there.
    pub(super) fn cancel(&self) {
        self.note(|state| state.cancelled = true, |state| state.waker.take());
        self.note(|_| {}, |state| state.data_waker.take());
    }

    /// The body of the request does not come to its end.
    pub(super) fn break_off(&self) {
        self.0.lock().broken_off = true;
    }

    /// Whether the request is one that no server could answer any more.
    pub(super) fn has_broken_off(&self) -> bool {
        let state = &*self.0.lock();
        state.broken_off || state.cancelled
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    /// Ready when who has asked is no longer there.
    pub(super) fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.0.lock();
        if state.cancelled {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when there is room again for the answer.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.0.lock();
        if std::mem::take(&mut state.room) {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// More of the body of the request has left.
    pub(super) fn count(&self, octets: usize) {
        self.1.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Octets of the body of the request that have left.
    pub(super) fn sent(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// Whom to wake when more of the request comes.
    pub(super) fn wait_for_data(&self, cx: &Context<'_>) {
        self.0.lock().data_waker = Some(cx.waker().clone());
    }
}

// === impl Serving ===

impl Serving {
    pub(super) const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Holds a place until it is gone itself.
    pub(super) fn hold(&self, load: Load) {
        let _ = self.load.set(load);
    }

    /// For the reader of a request that is a stream.
    pub(super) fn notify(&self) -> Notify {
        self.responder.inner.lock().endpoint.notify((self.key as u64) << 1 | DATA)
    }

    /// Sends a whole answer, and settles the request: at once, in one batch, or when the answer has arrived, if it `waits` for
    /// that.
    pub(super) fn answer(&self, reply_to: &str, message: Bytes, request: Taken, waits: bool) {
        let inner = &mut *self.responder.inner.lock();
        let envelope = Envelope::to(reply_to);
        let envelope = if waits { envelope } else { envelope.unattended() };
        let token = inner.endpoint.send(inner.into, Payload::One(message), envelope);
        if waits {
            inner.answers.insert(token, Outstanding::Sent(request));
        } else {
            inner.endpoint.settle(request.delivery, DeliveryState::Accepted);
        }
        inner.endpoint.submit(clock::now());
    }

    /// Begins to send an answer.
    pub(super) fn begin_answer(&self, reply_to: &str, head: Bytes) -> SendStream {
        let inner = &mut *self.responder.inner.lock();
        let key = (self.key as u64) << 1 | ROOM;
        let envelope = Envelope::to(reply_to).streamed();
        let stream = inner.endpoint.send_stream(inner.into, envelope, key, clock::now());
        stream.push(head);
        if stream.id().is_some() {
            inner.answers.insert(stream.token(), Outstanding::Sending(Arc::clone(&self.progress)));
        } else {
            self.progress.cancel();
        }
        stream
    }

    /// The answer was sent to its end. As with [`Self::answer`].
    pub(super) fn end_answer(&self, stream: SendStream, request: Taken, waits: bool) {
        let request = {
            let inner = &mut *self.responder.inner.lock();
            // It may have an outcome already.
            match inner.answers.remove(&stream.token()) {
                Some(_) if waits => {
                    inner.answers.insert(stream.token(), Outstanding::Sent(request));
                    None
                }
                _ => Some(request),
            }
        };
        stream.finish(clock::now());
        request.into_iter().for_each(|request| request.settle(DeliveryState::Accepted));
    }

    /// The answer breaks off.
    pub(super) fn break_off(&self, stream: SendStream) {
        self.responder.inner.lock().answers.remove(&stream.token());
        drop(stream);
    }

    /// Ready when there is room again for the answer.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.progress.poll_room(cx)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.responder.inner.lock().requests.try_remove(self.key);
    }
}
