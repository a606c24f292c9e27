//! What becomes of a request of a client: it goes into the network, and its answer comes back.
//!
//! ```text
//!  Sent --answer----------------------------------------> answered
//!   |  '-released: nobody takes it----------------------> 503
//!   |--modified: its server has failed--+--idempotent, and all of it is here--> Sent, once
//!   |                                   '--else---------> 502
//!   '--rejected: it makes no sense----------------------> 400
//! ```

use super::aggregate;
use super::body::{Broken, Gathered, Inbound, MessageBody, Outgoing, Patience, Pumped, Sending, gather, pump};
use super::listener::Shared;
use super::message::{
    self, Address, Answer, BodyForm, BodyReader, Decoded, Dialect, MessageError, request_head, strip_hop_by_hop,
};
use super::nursery::Nursery;
use super::record::{Records, RequestRecord};
use super::requester::{End, Exchange, RequestSide, Requester, Turn, Wants};
use super::serve::is_bodiless;
use super::server::text_headers;
use super::tally::{Answered, Open, Outcome, Tally};
use super::{Aggregation, HttpVersion};
use crate::clock;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use parking_lot::Mutex;
use router_engine::port::local::{Delivery, SendStream};
use router_engine::stream::Pull;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{sleep, timeout, timeout_at};

/// Octets of a head that are pulled at once.
const HEAD_PULL: usize = 64 * 1024;

/// How long a client that waits for leave to send a body does so, if its server says nothing (RFC 9110 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// How long an answer may take that its sender says has left.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long a request waits, at least, that nobody has taken.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The same once nobody has taken it several times.
const AGAIN_AT_LEAST: Duration = Duration::from_millis(500);

/// How often a request is sent in all.
const ATTEMPTS: u32 = 2;

/// What the requests of one client have in common.
pub(super) struct Client {
    pub(super) requester: Arc<Requester>,
    pub(super) nursery: Nursery,
    pub(super) version: HttpVersion,
    pub(super) address: String,
    pub(super) site: Option<String>,
    pub(super) scheme: &'static str,
    pub(super) aggregation: Option<Aggregation>,
    pub(super) event_channel: bool,
    pub(super) tally: Tally,
    /// What the connection is to carry from its next answer on.
    pub(super) agreed: Mutex<Option<Agreed>>,
    pub(super) records: Records,
    /// The listener.
    pub(super) place: Arc<Shared>,
    pub(super) peer: SocketAddr,
    /// For how long a request waits for a server that is not there.
    pub(super) patience: Duration,
}

/// Another protocol, which a server has agreed to.
pub(super) struct Agreed {
    pub(super) exchange: Exchange,
    pub(super) incoming: MessageBody,
    pub(super) delivery: Delivery,
    pub(super) stream: SendStream,
}

/// A request on its way.
struct Outbound<'a> {
    parts: http::request::Parts,
    /// The protocol that is asked for.
    upgrade: Option<String>,
    begun: Instant,
    record: RequestRecord,
    /// Goes with an answer that comes as a stream.
    open: &'a mut Option<Open>,
}

/// Why a client gets an answer of the router's own.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    text: String,
    outcome: Outcome,
}

/// The head of an answer, and where its body is.
pub(super) struct Head {
    pub(super) answer: Answer,
    pub(super) body: MessageBody,
    pub(super) delivery: Delivery,
}

impl Failure {
    fn new(status: StatusCode, outcome: Outcome, text: impl Into<String>) -> Self {
        Self { status, outcome, text: text.into() }
    }
}

// === impl Client ===

impl Client {
    /// Answers a request.
    pub(super) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Outgoing> {
        let mut open = Some(self.tally.open());
        let method = request.method().clone();
        let begun = clock::now();
        match self.answer(request, begun, &mut open).await {
            Ok(response) => response,
            Err(Failure { status, text, outcome }) => {
                let (bytes_in, bytes_out, latency) = (0, text.len() as u64, clock::now().since(begun));
                if let Some(open) = &mut open {
                    open.failed(outcome);
                    open.answered(&Answered { method: &method, status, site: None, bytes_in, bytes_out, latency });
                }
                self.own_answer(status, text, &method)
            }
        }
    }

    /// The client takes nothing of an answer, which is given up.
    pub(super) fn note_stalled(&self) {
        self.place.note_stalled(self.peer);
    }

    /// An answer of the router's own.
    fn own_answer(&self, status: StatusCode, text: String, method: &Method) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing::text(text + "\n"));
        *response.status_mut() = status;
        *response.headers_mut() = text_headers();
        // The HTTP/2 of hyper sends what there is.
        if self.version == HttpVersion::Http2 && *method == Method::HEAD {
            *response.body_mut() = Outgoing::Empty;
        }
        // What follows is in the way of whoever has asked for another protocol, or is a body that nobody reads.
        if self.version == HttpVersion::Http1
            && (*method == Method::CONNECT || status == StatusCode::METHOD_NOT_ALLOWED)
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        begun: Instant,
        open: &mut Option<Open>,
    ) -> Result<Response<Outgoing>, Failure> {
        let (parts, body) = request.into_parts();
        if self.event_channel && parts.method != Method::POST {
            let text = "Invalid method for event channel httpListener, only POST is allowed.";
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, Outcome::Refused, text));
        }
        let mut outbound = self.prepare(parts, &body, begun, open)?;
        let answered = self.carry(&mut outbound, body).await;
        if let Err(failure) = &answered {
            outbound.record.failed(&failure.text);
        }
        answered
    }

    /// Carries a request into the network, and its answer back.
    async fn carry(
        self: &Arc<Self>,
        outbound: &mut Outbound<'_>,
        body: Incoming,
    ) -> Result<Response<Outgoing>, Failure> {
        self.place.await_server(self.patience).await;
        let mut body = Inbound::request(body, self.version);
        if outbound.upgrade.is_some() || outbound.parts.method == Method::CONNECT {
            if self.is_multicast() {
                let text = "another protocol is not possible here";
                return Err(Failure::new(StatusCode::NOT_IMPLEMENTED, Outcome::Refused, text));
            }
            return self.tunnel(outbound).await;
        }
        let expects = outbound.parts.headers.contains_key(header::EXPECT);
        let gathered = if expects && !body.is_end_stream() {
            Gathered::default()
        } else {
            outbound.parts.headers.remove(header::EXPECT);
            gather(&mut body, Patience::Short).await.map_err(|Broken| broken_request())?
        };
        let dialect = self.version.dialect();
        let known = gathered.complete && (gathered.trailers.is_none() || dialect == Dialect::Http2);
        let known = known.then(|| gathered.octets());
        let form = BodyForm::of(dialect, &mut outbound.parts.headers, known);
        if !gathered.complete {
            let mut exchange = self.open()?;
            let head = self.head(outbound, &exchange, 0).freeze();
            let stream = exchange.send_stream(head);
            let sending = Sending { form, own: false };
            let answered = Arc::default();
            body.note_answered_by(&answered);
            self.nursery.spawn(send_body(gathered, body, sending, stream, exchange.request_side(), expects));
            return match self.head_of(&mut exchange).await? {
                Ok(head) => {
                    answered.store(true, Ordering::Relaxed);
                    self.deliver(outbound, exchange, head).await
                }
                Err(outcome) => self.on_outcome(outbound, exchange, &outcome).await,
            };
        }
        self.exchange_whole(outbound, &gathered, form).await
    }

    /// Sends a request that is there as a whole, and again if its server fails and that does no harm.
    async fn exchange_whole(
        self: &Arc<Self>,
        outbound: &mut Outbound<'_>,
        gathered: &Gathered,
        form: BodyForm,
    ) -> Result<Response<Outgoing>, Failure> {
        let mut attempts = 0;
        let mut pause = AGAIN_AFTER;
        loop {
            attempts += 1;
            let mut exchange = self.open()?;
            let mut message = self.head(outbound, &exchange, gathered.octets() + 64);
            form.put_whole(&mut message, &gathered.data, gathered.trailers.as_ref(), false);
            exchange.send(message.freeze());
            exchange.request_side().count(gathered.octets() as u64);
            match self.head_of(&mut exchange).await? {
                Ok(head) => return self.deliver(outbound, exchange, head).await,
                Err(DeliveryState::Modified(_))
                    if outbound.parts.method.is_idempotent() && attempts < ATTEMPTS && !self.is_multicast() =>
                {
                    self.tally.retried();
                }
                Err(DeliveryState::Released) if !self.is_multicast() && self.awaits_server(outbound, pause).await => {
                    attempts -= 1;
                    pause = (pause * 2).min(AGAIN_AT_LEAST);
                }
                Err(outcome) => return self.on_outcome(outbound, exchange, &outcome).await,
            }
        }
    }

    /// Waits until somebody serves the address, who may have come back by then. False when that takes too long.
    async fn awaits_server(&self, outbound: &Outbound<'_>, pause: Duration) -> bool {
        let left = self.patience.saturating_sub(clock::now().since(outbound.begun));
        if left.is_zero() {
            return false;
        }
        // The news of a server that went may still be on its way here.
        sleep(left.min(pause)).await;
        timeout(left.saturating_sub(pause), self.place.reachable()).await.is_ok()
    }

    const fn is_multicast(&self) -> bool {
        self.event_channel || self.aggregation.is_some()
    }

    fn open(&self) -> Result<Exchange, Failure> {
        let refused = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::Unreachable, "the router is stopping");
        let wants = match (self.event_channel, self.aggregation) {
            (true, _) => Wants::Nothing,
            (false, Some(_)) => Wants::All,
            (false, None) => Wants::One,
        };
        self.requester.open(wants).map_err(refused)
    }

    fn head(&self, outbound: &Outbound<'_>, exchange: &Exchange, body: usize) -> bytes::BytesMut {
        let address = Address {
            to: &self.address,
            reply_to: exchange.reply_to(),
            id: Some(exchange.id),
            site: self.site.as_deref(),
            record: outbound.record.identity(),
            aggregates: self.aggregation.is_some(),
        };
        request_head(self.version.dialect(), &address, &outbound.parts, outbound.upgrade.as_deref(), body)
    }

    /// Makes the request what its server may get.
    fn prepare<'a>(
        &self,
        mut parts: http::request::Parts,
        body: &Incoming,
        begun: Instant,
        open: &'a mut Option<Open>,
    ) -> Result<Outbound<'a>, Failure> {
        let bad = |text: &str| Failure::new(StatusCode::BAD_REQUEST, Outcome::Refused, text);
        let upgrade = upgrade_of(&parts, body);
        if parts.uri.path() == "*" && parts.method != Method::OPTIONS {
            return Err(bad("bad request target"));
        }
        let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii().len() != value.len();
        if parts.headers.values().any(is_padded) {
            return Err(bad("a field's value begins or ends with a space"));
        }
        strip_hop_by_hop(&mut parts.headers);
        if self.version == HttpVersion::Http1 {
            if let Some(authority) = parts.uri.authority().filter(|_| parts.method != Method::CONNECT) {
                // What is asked of a proxy is asked of the server in the form for servers (RFC 9112 3.2.2).
                if parts.uri.scheme().is_none() || authority.as_str().contains('@') {
                    return Err(bad("bad request target"));
                }
                let host = HeaderValue::try_from(authority.as_str()).map_err(|_| bad("bad host"))?;
                parts.headers.insert(header::HOST, host);
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                parts.uri = path.parse().map_err(|_| bad("bad request target"))?;
            }
        } else {
            if parts.method == Method::CONNECT {
                let text = "CONNECT is not possible here";
                return Err(Failure::new(StatusCode::NOT_IMPLEMENTED, Outcome::Refused, text));
            }
            if parts.uri.scheme().is_none() {
                let mut uri = parts.uri.into_parts();
                uri.scheme = self.scheme.parse().ok();
                uri.authority = uri.authority.or_else(|| {
                    parts
                        .headers
                        .get(header::HOST)
                        .and_then(|host| http::uri::Authority::try_from(host.as_bytes()).ok())
                });
                parts.uri = Uri::from_parts(uri).map_err(|_| bad("no authority"))?;
            }
        }
        let record = self.records.request(&parts);
        Ok(Outbound { parts, upgrade, begun, record, open })
    }

    /// Waits for the head of the answer; or for what becomes of the request without one.
    async fn head_of(&self, exchange: &mut Exchange) -> Result<Result<Head, DeliveryState>, Failure> {
        let mut until = None;
        loop {
            let turn = match until {
                Some(until) => timeout_at(until, poll_fn(|cx| exchange.poll_turn(cx))).await,
                None => Ok(poll_fn(|cx| exchange.poll_turn(cx)).await),
            };
            let Ok(turn) = turn else { return Err(bad_answer("it was lost on its way")) };
            match turn {
                // Its receiver has answered; that is on its way.
                Turn::Outcome(DeliveryState::Accepted) if !self.is_multicast() => {
                    until = Some(tokio::time::Instant::now() + ANSWER_LIMIT);
                }
                Turn::Outcome(outcome) => return Ok(Err(outcome)),
                Turn::Broken => return Err(broken_request()),
                Turn::TooMuch => return Err(aggregate::too_much()),
                Turn::Answer(delivery) => {
                    let head = read_answer(exchange, delivery).await?;
                    match head.answer.id {
                        Some(id) if id != exchange.id => {
                            exchange.settle(head.delivery, DeliveryState::Released);
                            continue;
                        }
                        number => exchange.note_number(number.is_some()),
                    }
                    match head.answer.status {
                        StatusCode::CONTINUE => exchange.want_body(),
                        status if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {}
                        _ if self.aggregation.is_some() => {
                            aggregate::keep(exchange, head).await?;
                            continue;
                        }
                        _ => return Ok(Ok(head)),
                    }
                    exchange.settle(head.delivery, DeliveryState::Accepted);
                }
            }
        }
    }

    /// The request has an outcome, and no answer.
    async fn on_outcome(
        &self,
        outbound: &mut Outbound<'_>,
        mut exchange: Exchange,
        outcome: &DeliveryState,
    ) -> Result<Response<Outgoing>, Failure> {
        let (status, failed, text) = match outcome {
            DeliveryState::Accepted => {
                let put_together = self.aggregation.and_then(|aggregation| aggregate::answer(aggregation, &exchange));
                let response = put_together.unwrap_or_else(|| {
                    let mut response = Response::new(Outgoing::Empty);
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    response
                });
                Self::count(outbound, response.status(), None, &exchange);
                exchange.settled();
                return Ok(response);
            }
            DeliveryState::Rejected(_) => {
                (StatusCode::BAD_REQUEST, Outcome::Refused, "the request makes no sense to the server".to_owned())
            }
            DeliveryState::Modified(_) => {
                (StatusCode::BAD_GATEWAY, Outcome::ServerFailed, "the server failed before it answered".to_owned())
            }
            _ => {
                let text = format!("no server for {} can be reached", self.address);
                (StatusCode::SERVICE_UNAVAILABLE, Outcome::Unreachable, text)
            }
        };
        Err(Failure::new(status, failed, text))
    }

    /// Hands an answer to the client.
    async fn deliver(
        self: &Arc<Self>,
        outbound: &mut Outbound<'_>,
        mut exchange: Exchange,
        head: Head,
    ) -> Result<Response<Outgoing>, Failure> {
        let Head { answer, mut body, delivery } = head;
        self.tally.waited(clock::now().since(outbound.begun));
        let Answer { status, mut headers, site, .. } = answer;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(bad_answer("another protocol that was not asked for"));
        }
        let bodiless = outbound.parts.method == Method::HEAD || is_bodiless(status);
        strip_hop_by_hop(&mut headers);
        let length: Option<u64> =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_none() {
            headers.remove(header::CONTENT_LENGTH);
        }
        let outgoing = if bodiless {
            exchange.end_well(delivery);
            Self::count(outbound, status, site.as_deref(), &exchange);
            Outgoing::Empty
        } else if body.is_whole() {
            let (data, trailers) = body.take_whole().map_err(|error| bad_answer(&error.to_string()))?;
            let octets = data.iter().map(Bytes::len).sum::<usize>();
            exchange.count_answer(octets);
            if length.is_some_and(|length| length != octets as u64) {
                return Err(bad_answer("a body of another length than its content-length"));
            }
            if let Some(trailers) = &trailers {
                self.announce(&mut headers, trailers);
            }
            exchange.end_well(delivery);
            Self::count(outbound, status, site.as_deref(), &exchange);
            Outgoing::Whole { data, trailers }
        } else {
            let (method, begun, record) = (outbound.parts.method.clone(), outbound.begun, outbound.record.clone());
            let mut open = outbound.open.take();
            exchange.on_end(move |end, octets| {
                let (bytes_in, bytes_out) = octets;
                let latency = clock::now().since(begun);
                let (method, site) = (&method, site.as_deref());
                let Some(open) = &mut open else { return };
                match end {
                    End::Whole => {
                        open.answered(&Answered { method, status, site, bytes_in, bytes_out, latency });
                        record.answered(status, octets, latency);
                    }
                    End::Broken => {
                        open.failed(Outcome::ServerFailed);
                        record.failed("the server has broken its answer off");
                    }
                    End::Left => {
                        open.failed(Outcome::Cancelled);
                        record.failed("the client has left before its answer was complete");
                    }
                }
            });
            Outgoing::stream(body, delivery, exchange, length)
        };
        let mut response = Response::new(outgoing);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }

    /// The client has its answer.
    fn count(outbound: &mut Outbound<'_>, status: StatusCode, site: Option<&str>, exchange: &Exchange) {
        let octets = exchange.octets();
        let latency = clock::now().since(outbound.begun);
        let (method, (bytes_in, bytes_out)) = (&outbound.parts.method, octets);
        if let Some(open) = outbound.open {
            open.answered(&Answered { method, status, site, bytes_in, bytes_out, latency });
        }
        outbound.record.answered(status, octets, latency);
    }

    /// Trailers of HTTP/1 are sent only where they were announced.
    fn announce(&self, headers: &mut HeaderMap, trailers: &HeaderMap) {
        if self.version == HttpVersion::Http1 {
            headers.remove(header::CONTENT_LENGTH);
            for name in trailers.keys() {
                headers.append(header::TRAILER, HeaderValue::from_name(name.clone()));
            }
        }
    }

    /// Asks for another protocol.
    async fn tunnel(self: &Arc<Self>, outbound: &mut Outbound<'_>) -> Result<Response<Outgoing>, Failure> {
        let mut exchange = self.open()?;
        let head = self.head(outbound, &exchange, 0).freeze();
        let stream = exchange.send_stream(head);
        let head = match self.head_of(&mut exchange).await? {
            Ok(head) => head,
            Err(outcome) => {
                drop(stream);
                return self.on_outcome(outbound, exchange, &outcome).await;
            }
        };
        let status = head.answer.status;
        let connects = outbound.parts.method == Method::CONNECT;
        let granted = if connects { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
        if !granted {
            // It has no body, so the server has all of it.
            stream.finish(clock::now());
            let mut response = self.deliver(outbound, exchange, head).await?;
            if connects {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            return Ok(response);
        }
        self.tally.waited(clock::now().since(outbound.begun));
        let Head { answer: Answer { mut headers, site, .. }, body, delivery } = head;
        let protocol = headers.remove(header::UPGRADE);
        strip_hop_by_hop(&mut headers);
        if let Some(protocol) = protocol.filter(|_| !connects) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        }
        Self::count(outbound, status, site.as_deref(), &exchange);
        *self.agreed.lock() = Some(Agreed { exchange, incoming: body, delivery, stream });
        let mut response = Response::new(Outgoing::Empty);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

pub(super) fn bad_answer(text: &str) -> Failure {
    Failure::new(StatusCode::BAD_GATEWAY, Outcome::ServerFailed, format!("bad answer: {text}"))
}

fn broken_request() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, Outcome::Cancelled, "the body of the request broke off")
}

/// The protocol that a client of HTTP/1 asks for. Who sends a body as well gets none.
fn upgrade_of(parts: &http::request::Parts, body: &Incoming) -> Option<String> {
    let asks = parts.version == Version::HTTP_11
        && parts.headers.get_all(header::CONNECTION).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")))
        });
    if !asks || !body.is_end_stream() {
        return None;
    }
    let given = parts.headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    protocols(given)
}

/// Protocols of lists, as one list; none where there are none. HTTP/2 over the connection is not among them: that is what
/// TLS and prior knowledge are for.
pub(super) fn protocols<'a>(lists: impl Iterator<Item = &'a str>) -> Option<String> {
    let all = lists.flat_map(|list| list.split(',')).map(str::trim);
    let is_http2 = |protocol: &str| protocol.split('/').next().is_some_and(|name| name.eq_ignore_ascii_case("h2c"));
    let kept: Vec<&str> = all.filter(|protocol| !protocol.is_empty() && !is_http2(protocol)).collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// Reads the head of an answer.
pub(super) async fn read_answer(exchange: &Exchange, mut delivery: Delivery) -> Result<Head, Failure> {
    let bad = |error: MessageError| bad_answer(&error.to_string());
    if let Some(chunks) = delivery.message() {
        let decoded = message::answer(chunks, true).map_err(bad)?.ok_or_else(|| bad(MessageError::Malformed))?;
        let Decoded { head: answer, len } = decoded;
        let body = MessageBody::whole(chunks, len, BodyReader::new(answer.dialect, &answer.headers));
        return Ok(Head { answer, body, delivery });
    }
    let reader = delivery.take_reader(exchange.notify());
    let mut chunks = VecDeque::new();
    let (Decoded { head, len }, complete) = poll_fn(|cx| {
        loop {
            exchange.wait_for_data(cx);
            let pull = reader.pull(HEAD_PULL, &mut chunks);
            let complete = matches!(pull, Pull::Done(_));
            if pull == Pull::Aborted {
                return Poll::Ready(Err(bad_answer("broken off")));
            }
            match message::answer(chunks.make_contiguous(), complete).map_err(bad)? {
                Some(decoded) => return Poll::Ready(Ok((decoded, complete))),
                None if complete => return Poll::Ready(Err(bad(MessageError::Malformed))),
                None if pull == Pull::Empty => return Poll::Pending,
                None => {}
            }
        }
    })
    .await?;
    let body = BodyReader::new(head.dialect, &head.headers);
    let body = MessageBody::stream(reader, chunks, len, body, complete);
    Ok(Head { answer: head, body, delivery })
}

/// Sends the body of a request, until it ends or nobody wants it any more.
async fn send_body(
    gathered: Gathered,
    body: Inbound,
    sending: Sending,
    stream: SendStream,
    side: RequestSide,
    expects: bool,
) {
    if expects {
        let wanted = tokio::select! {
            wanted = poll_fn(|cx| side.poll_wanted(cx)) => wanted,
            () = sleep(CONTINUE_WAIT) => true,
        };
        if !wanted {
            return;
        }
    }
    let pumped = {
        let mut pumping = pin!(pump(gathered, body, sending, &stream, |cx| side.poll_room(cx)));
        poll_fn(|cx| match pumping.as_mut().poll(cx) {
            Poll::Ready(pumped) => Poll::Ready(Some(pumped)),
            Poll::Pending => side.poll_over(cx).map(|()| None),
        })
        .await
    };
    match pumped {
        Some(Pumped::Whole(octets)) => {
            side.count(octets);
            stream.finish(clock::now());
        }
        Some(Pumped::Broken) => side.broke(),
        None => {}
    }
}
