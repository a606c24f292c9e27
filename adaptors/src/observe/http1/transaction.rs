//! Requests under way, in the order in which they are answered.

use super::Error;
use super::start::{RequestLine, StatusLine, Version};
use crate::observe::records::{Fact, Protocol, Recorder, Records, RequestHead, first_forwarded, text};
use amqp_core::Instant;
use std::collections::VecDeque;

/// Requests under way that have a record at most.
const RECORDED: usize = 64;

/// Requests under way at most.
const LIMIT: usize = 1024;

/// The requests of a connection that are not complete or not answered.
#[derive(Debug)]
pub(super) struct Transactions<S> {
    /// The oldest first. Only it can be answered, and only the newest incomplete.
    queue: VecDeque<Transaction<S>>,
    /// Those of them that have a record.
    recorded: usize,
}

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Transaction<S> {
    slot: Option<S>,
    began: Instant,
    request_octets: u64,
    response_octets: u64,
    /// Of the last answer that has begun, informational ones included; 0 before the first.
    pub(super) status: u16,
    pub(super) method: Method,
    /// An `X-Forwarded-For` was seen.
    forwarded: bool,
    request_complete: bool,
    response_complete: bool,
}

/// The methods whose answers have no body, or one of another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

// === impl Method ===

impl From<&[u8]> for Method {
    fn from(word: &[u8]) -> Self {
        match word {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

// === impl Transactions ===

impl<S> Transactions<S> {
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), recorded: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn begin<R>(&mut self, request: &RequestLine<'_>, recorder: &mut Recorder<'_, R>) -> Result<(), Error>
    where
        R: Records<Slot = S>,
    {
        if self.queue.len() >= LIMIT {
            return Err(Error::Pipelined);
        }
        let slot = if self.recorded < RECORDED { begin_record(request, recorder) } else { None };
        self.recorded += usize::from(slot.is_some());
        self.queue.push_back(Transaction::new(slot, request.method.into(), recorder.now));
        Ok(())
    }

    /// The request that the client sends.
    pub(super) fn newest(&mut self) -> Option<&mut Transaction<S>> {
        self.queue.back_mut()
    }

    /// The request that the server answers.
    pub(super) fn unanswered(&mut self) -> Option<&mut Transaction<S>> {
        self.queue.front_mut().filter(|transaction| !transaction.response_complete)
    }

    pub(super) fn on_request_end<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        if let Some(transaction) = self.queue.back_mut() {
            transaction.request_complete = true;
        }
        self.retire(recorder);
    }

    pub(super) fn on_response_end<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        if let Some(transaction) = self.queue.front_mut() {
            transaction.response_complete = true;
        }
        self.retire(recorder);
    }

    /// Ends the oldest transaction once both its messages are complete.
    fn retire<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        let complete = |transaction: &mut Transaction<S>| transaction.request_complete && transaction.response_complete;
        if let Some(transaction) = self.queue.pop_front_if(complete) {
            self.recorded -= usize::from(transaction.slot.is_some());
            recorder.end(transaction.slot);
        }
    }

    /// Ends all of them as they are.
    pub(super) fn end<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        self.recorded = 0;
        for transaction in std::mem::take(&mut self.queue) {
            recorder.end(transaction.slot);
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        self.queue.capacity() * size_of::<Transaction<S>>()
    }
}

fn begin_record<R: Records>(request: &RequestLine<'_>, recorder: &mut Recorder<'_, R>) -> Option<R::Slot> {
    let protocol = match request.version {
        Version::Http10 => Protocol::Http10,
        Version::Http11 => Protocol::Http11,
    };
    let head = RequestHead::new(protocol, request.method, None);
    let mut slot = recorder.begin(&head)?;
    recorder.update(Some(&mut slot), Fact::RequestOctets(0));
    recorder.update(Some(&mut slot), Fact::ResponseOctets(0));
    Some(slot)
}

// === impl Transaction ===

impl<S> Transaction<S> {
    const fn new(slot: Option<S>, method: Method, began: Instant) -> Self {
        Self {
            slot,
            began,
            request_octets: 0,
            response_octets: 0,
            status: 0,
            method,
            forwarded: false,
            request_complete: false,
            response_complete: false,
        }
    }

    pub(super) fn on_forwarded_for<R: Records<Slot = S>>(&mut self, value: &[u8], recorder: &mut Recorder<'_, R>) {
        if self.slot.is_none() || std::mem::replace(&mut self.forwarded, true) {
            return;
        }
        if let Some(host) = first_forwarded(value) {
            recorder.update(self.slot.as_mut(), Fact::SourceHost(text(host)));
        }
    }

    /// An answer has begun. It is final if it is not informational, or changes the protocol.
    pub(super) fn on_status<R: Records<Slot = S>>(&mut self, line: &StatusLine<'_>, recorder: &mut Recorder<'_, R>) {
        let first = std::mem::replace(&mut self.status, line.status) == 0;
        if self.slot.is_none() {
            return;
        }
        if first {
            recorder.update(self.slot.as_mut(), Fact::Latency(recorder.now.since(self.began)));
        }
        if !matches!(line.status, 100 | 102..=199) {
            let result = Fact::Result { status: line.status, reason: Some(text(line.reason)) };
            recorder.update(self.slot.as_mut(), result);
        }
    }

    pub(super) fn on_request_body<R: Records<Slot = S>>(&mut self, octets: u64, recorder: &mut Recorder<'_, R>) {
        self.request_octets += octets;
        recorder.update(self.slot.as_mut(), Fact::RequestOctets(self.request_octets));
    }

    pub(super) fn on_response_body<R: Records<Slot = S>>(&mut self, octets: u64, recorder: &mut Recorder<'_, R>) {
        self.response_octets += octets;
        recorder.update(self.slot.as_mut(), Fact::ResponseOctets(self.response_octets));
    }
}
