//! What messages mean for the transactions: those of the client begin them, those of the server answer the oldest.

use super::decoder::Messages;
use super::header::{Body, Framing};
use super::start::{RequestLine, StatusLine, Version};
use super::transaction::{Method, Transactions};
use super::{Error, Stop};
use crate::observe::records::{Recorder, Records};

/// The client's messages.
pub(super) struct Requests<'a, 'r, R: Records> {
    pub(super) transactions: &'a mut Transactions<R::Slot>,
    pub(super) recorder: &'a mut Recorder<'r, R>,
}

/// The server's messages.
pub(super) struct Responses<'a, 'r, R: Records> {
    pub(super) transactions: &'a mut Transactions<R::Slot>,
    pub(super) recorder: &'a mut Recorder<'r, R>,
}

// === impl Requests ===

impl<R: Records> Messages for Requests<'_, '_, R> {
    fn on_start_line(&mut self, line: &[u8]) -> Result<Version, Error> {
        let request = RequestLine::parse(line)?;
        self.transactions.begin(&request, self.recorder)?;
        Ok(request.version)
    }

    fn on_forwarded_for(&mut self, value: &[u8]) {
        if let Some(transaction) = self.transactions.newest() {
            transaction.on_forwarded_for(value, self.recorder);
        }
    }

    fn on_head(&mut self, framing: Framing) -> Result<Body, Error> {
        framing.request_body()
    }

    fn on_body(&mut self, octets: u64) {
        if let Some(transaction) = self.transactions.newest() {
            transaction.on_request_body(octets, self.recorder);
        }
    }

    fn on_end(&mut self) -> Result<(), Stop> {
        self.transactions.on_request_end(self.recorder);
        Ok(())
    }
}

// === impl Responses ===

impl<R: Records> Messages for Responses<'_, '_, R> {
    fn on_start_line(&mut self, line: &[u8]) -> Result<Version, Error> {
        let transaction = self.transactions.unanswered().ok_or(Error::Spurious)?;
        let response = StatusLine::parse(line)?;
        transaction.on_status(&response, self.recorder);
        Ok(response.version)
    }

    fn on_forwarded_for(&mut self, _value: &[u8]) {}

    /// RFC 9112 section 6.3: some answers have no body, whatever their fields say.
    fn on_head(&mut self, framing: Framing) -> Result<Body, Error> {
        let transaction = self.transactions.unanswered().ok_or(Error::Spurious)?;
        let bodiless = match transaction.status {
            100..=199 | 204 | 205 | 304 => true,
            200..=299 => matches!(transaction.method, Method::Head | Method::Connect),
            _ => transaction.method == Method::Head,
        };
        Ok(if bodiless { Body::Length(0) } else { framing.response_body() })
    }

    fn on_body(&mut self, octets: u64) {
        if let Some(transaction) = self.transactions.unanswered() {
            transaction.on_response_body(octets, self.recorder);
        }
    }

    fn on_end(&mut self) -> Result<(), Stop> {
        let transaction = self.transactions.unanswered().ok_or(Error::Spurious)?;
        match (transaction.status, transaction.method) {
            (101, _) | (200..=299, Method::Connect) => return Err(Stop::Tunnel),
            (100..=199, _) => {}
            _ => self.transactions.on_response_end(self.recorder),
        }
        Ok(())
    }
}
