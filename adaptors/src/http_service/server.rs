//! One connection to a server: requests are carried out there, one after the other (HTTP/1) or side by side (HTTP/2).

mod multiplexed;

use super::body::MessageBody;
use super::connector::{Established, Shared};
use super::io::ServiceIo;
use super::message::{Address, answer_head};
use super::record::ServerRecord;
use super::responder::{Progress, Responder, Serving};
use super::serve::{Asked, Job, Read, RequestBody};
use super::tally::{Answered, Outcome, UnderWay};
use super::tunnel::Tunnel;
use crate::clock;
use amqp_core::performative::DeliveryState;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use router_engine::log::{Level, LogModule};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

pub(super) use multiplexed::run_http2;

/// Octets in the head of an answer.
const HEAD_MAX: usize = 64 * 1024;

/// Fields in it.
const FIELDS_MAX: usize = 256;

/// How long a connection may be without requests, unless it is the last one.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// How long a server of HTTP/1 that has answered may read nothing of what is left of the request.
const LINGER_LIMIT: Duration = Duration::from_secs(5);

type Conn1 = http1::Connection<ServiceIo, RequestBody>;

/// How carrying out a request on a connection has ended.
enum Done {
    /// The connection can take another one.
    Kept,
    /// The connection is of no use any more.
    Spent,
    /// Nothing of the request has left.
    Unsent(Box<Job>),
    /// The connection was none any more when the request was sent, which may be sent again.
    Stale(Box<Job>),
    /// The connection speaks something else from now on.
    Tunnel(Box<Upgrade>),
}

/// What is carried in a tunnel.
struct Upgrade {
    job: Job,
    asked: Asked,
    response: Response<Incoming>,
    incoming: MessageBody,
    /// What the reader of `incoming` is told through.
    serving: Arc<Serving>,
}

/// What is to be known of the connection that a request goes by.
#[derive(Debug, Clone, Copy)]
struct Reach {
    local: Option<SocketAddr>,
    /// It has carried requests before.
    reused: bool,
}

/// A request whose head was read.
struct Begun {
    read: Read,
    asked: Asked,
    record: ServerRecord,
    _under_way: UnderWay,
}

/// What drives a connection of HTTP/1, and the work on it.
struct Driver {
    /// None once it has ended.
    conn: Option<Pin<Box<Conn1>>>,
    /// What is left of it then.
    rest: Option<http1::Parts<ServiceIo>>,
    responder: Arc<Responder>,
}

/// The connection, or its owner, is to end.
struct Closed;

// === HTTP/1 ===

/// Carries requests out over a connection of HTTP/1, the first of which may be there, until it ends.
pub(super) async fn run_http1(
    shared: &Arc<Shared>,
    io: ServiceIo,
    responder: &Arc<Responder>,
    first: Option<Job>,
    established: &mut Established,
) {
    let local = io.local();
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        // Names may be in any case (RFC 9110 5.1), but there are peers that know this one only.
        .title_case_headers(true)
        // A folded line is made one (RFC 9112 5.2).
        .allow_obsolete_multiline_headers_in_responses(true)
        .handshake::<_, RequestBody>(io)
        .await;
    let Ok((mut sender, conn)) = handshake else {
        return first.into_iter().for_each(|job| shared.again(job));
    };
    let mut driver = Driver { conn: Some(Box::pin(conn)), rest: None, responder: Arc::clone(responder) };
    let mut next = first;
    let mut reused = false;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => match idle(shared, &mut driver).await {
                Some(job) => {
                    reused = true;
                    job
                }
                None => break,
            },
        };
        if driver.is_over().await {
            // Of a server that closes connections at once it is not asked for ever.
            if reused {
                shared.elsewhere(job)
            } else {
                shared.again(job)
            }
            break;
        }
        established.note_asked();
        let progress = Arc::clone(&job.progress);
        let done = match driver.drive(carry_out(shared, responder, job, &mut sender, Reach { local, reused })).await {
            Ok(done) => done,
            Err(Closed) => return,
        };
        match done {
            Done::Kept if driver.until_ready(shared, &mut sender, &progress).await => reused = true,
            Done::Kept => break,
            Done::Stale(job) => return shared.afresh(*job),
            // Whatever is still under way there is given up.
            Done::Spent => return,
            Done::Unsent(job) => {
                shared.again(*job);
                break;
            }
            Done::Tunnel(upgrade) => {
                drop(sender);
                established.retire();
                return tunnel(shared, driver, *upgrade).await;
            }
        }
    }
    established.retire();
    // TLS of some servers waits for its end to be acknowledged.
    if let Some(parts) = driver.into_parts() {
        parts.io.finish().await;
    }
}

/// Waits for a request. None when the connection ends, or was idle for long and others are there.
async fn idle(shared: &Arc<Shared>, driver: &mut Driver) -> Option<Job> {
    loop {
        let (sender, mut receiver) = oneshot::channel();
        let number = shared.offer(sender);
        let waited = driver
            .drive_while_open(async {
                tokio::select! {
                    biased;
                    job = &mut receiver => job.ok(),
                    () = shared.draining() => None,
                    () = sleep(IDLE_LIMIT) => None,
                }
            })
            .await;
        if let Ok(Some(job)) = waited {
            return Some(job);
        }
        shared.withdraw_offer(number);
        receiver.close();
        // It may have come in the meantime.
        if let Ok(job) = receiver.try_recv() {
            if waited.is_ok() {
                return Some(job);
            }
            shared.elsewhere(job);
            return None;
        }
        if waited.is_err() || !shared.is_last() {
            return None;
        }
    }
}

// === impl Driver ===

impl Driver {
    /// Does work while the connection is served. A connection that ends leaves the work to find that out.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Closed> {
        let mut work = pin!(work);
        poll_fn(|cx| self.poll_work(cx, work.as_mut())).await
    }

    /// As [`Self::drive`], for work that is of no use once the connection has ended.
    async fn drive_while_open<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Closed> {
        let mut work = pin!(work);
        poll_fn(|cx| match self.poll_work(cx, work.as_mut()) {
            Poll::Pending if self.has_ended() => Poll::Ready(Err(Closed)),
            polled => polled,
        })
        .await
    }

    fn poll_work<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<Result<T, Closed>> {
        if self.responder.poll_events(cx).is_ready() {
            return Poll::Ready(Err(Closed));
        }
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        if !self.has_ended() && self.poll_conn(cx).is_ready() {
            // Whatever waits for the connection alone is woken by it.
            cx.waker().wake_by_ref();
        }
        work.poll(cx).map(Ok)
    }

    /// Waits until the connection can take another request. False when it never will: it has ended, no more requests come, or
    /// the server leaves the rest of the last one, which it has answered, unread.
    async fn until_ready(
        &mut self,
        shared: &Shared,
        sender: &mut http1::SendRequest<RequestBody>,
        last: &Progress,
    ) -> bool {
        // Usually it takes one turn of the connection.
        let at_once = poll_fn(|cx| {
            let polled = self.poll_work(cx, pin!(poll_fn(|cx| sender.poll_ready(cx))));
            Poll::Ready(matches!(polled, Poll::Ready(Ok(Ok(())))))
        });
        if at_once.await {
            return true;
        }
        let ready = self.drive_while_open(async {
            let mut ready = pin!(poll_fn(|cx| sender.poll_ready(cx)));
            let mut draining = pin!(shared.draining());
            loop {
                let sent = last.sent();
                tokio::select! {
                    biased;
                    ready = &mut ready => return ready.is_ok(),
                    () = &mut draining => return false,
                    () = sleep(LINGER_LIMIT) => {
                        if last.sent() == sent {
                            return false;
                        }
                    }
                }
            }
        });
        matches!(ready.await, Ok(true))
    }

    fn poll_conn(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let Some(conn) = &mut self.conn else { return Poll::Ready(Ok(())) };
        let ended = ready!(conn.poll_without_shutdown(cx));
        // A request that was handed over just as the connection ended would wait for as long as that lives.
        self.rest = self.conn.take().map(|conn| Pin::into_inner(conn).into_parts());
        Poll::Ready(ended)
    }

    const fn has_ended(&self) -> bool {
        self.conn.is_none()
    }

    fn into_parts(self) -> Option<http1::Parts<ServiceIo>> {
        self.rest.or_else(|| self.conn.map(|conn| Pin::into_inner(conn).into_parts()))
    }

    /// Whether the server has closed the connection meanwhile.
    async fn is_over(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_conn(cx).is_ready())).await
    }
}

/// Carries a request out.
async fn carry_out(
    shared: &Arc<Shared>,
    responder: &Arc<Responder>,
    mut job: Job,
    sender: &mut http1::SendRequest<RequestBody>,
    Reach { local, reused }: Reach,
) -> Done {
    let serving = responder.serve(&job.progress);
    let Begun { read, asked, record, _under_way } = match begin(shared, &mut job, &serving, local).await {
        Ok(begun) => begun,
        Err(outcome) => {
            job.settle(outcome);
            return Done::Kept;
        }
    };
    let tunnels = asked.method == Method::CONNECT || read.request.upgrade.is_some();
    let (read, mut incoming) = if tunnels { read.without_body() } else { (read, None) };
    let request = match shared.target().request(read, &serving) {
        Ok(request) => request,
        Err(error) => {
            shared.reject(&job, &asked, &error);
            job.settle(DeliveryState::Rejected(None));
            return Done::Kept;
        }
    };
    let request = informing(request, responder, &asked);
    let begun = clock::now();
    let sent = tokio::select! {
        biased;
        sent = sender.try_send_request(request) => sent,
        () = poll_fn(|cx| serving.progress().poll_cancelled(cx)) => {
            shared.target().tally.failed(Outcome::Cancelled);
            job.settle(DeliveryState::failed());
            return Done::Spent;
        }
    };
    let response = match sent {
        Ok(response) => response,
        Err(error) => return unanswered(shared, job, &asked, error, Sent { begun, reused }),
    };
    let taken = clock::now().since(begun);
    shared.target().tally.waited(taken);
    shared.note_attempt(begun, Ok(()));
    record.waited(taken);
    let granted = response.status() == StatusCode::SWITCHING_PROTOCOLS
        || (asked.method == Method::CONNECT && response.status().is_success());
    if let Some(incoming) = incoming.take_if(|_| granted) {
        return Done::Tunnel(Box::new(Upgrade { job, asked, response, incoming, serving }));
    }
    if granted {
        // Nobody has asked for it.
        job.settle(DeliveryState::failed());
        return Done::Spent;
    }
    if shared.target().answer(response, &asked, &serving, job.request, begun).await { Done::Kept } else { Done::Spent }
}

/// Reads the head of a request that somebody still waits for. Otherwise how that is to be settled.
async fn begin(
    shared: &Arc<Shared>,
    job: &mut Job,
    serving: &Serving,
    local: Option<SocketAddr>,
) -> Result<Begun, DeliveryState> {
    let read = tokio::select! {
        biased;
        () = poll_fn(|cx| serving.progress().poll_cancelled(cx)) => {
            shared.target().tally.failed(Outcome::Cancelled);
            return Err(DeliveryState::failed());
        }
        read = job.read(serving) => read,
    };
    let (outcome, error) = match read {
        Ok(read) => {
            let asked = Asked::of(&read.request);
            let annotations = job.request.delivery.annotations();
            let record = ServerRecord::join(read.request.record, shared.record(), annotations);
            record.proxy(local);
            return Ok(Begun { read, asked, record, _under_way: shared.target().tally.begin() });
        }
        Err(refusal) => refusal,
    };
    if let Some(error) = error {
        shared.target().tally.failed(Outcome::Refused);
        let conn = job.request.delivery.connection();
        router_engine::log!(LogModule::HttpAdaptor, Level::Warning, conn = conn, "Invalid request message: {error}");
    }
    Err(outcome)
}

/// Has the client told what the server says before it answers.
fn informing(mut request: Request<RequestBody>, responder: &Arc<Responder>, asked: &Asked) -> Request<RequestBody> {
    // Other routers die of an answer that overtakes this.
    if asked.own && request.headers().contains_key(header::EXPECT) {
        let (responder, asked) = (Arc::clone(responder), asked.clone());
        hyper::ext::on_informational(&mut request, move |information| {
            if let (StatusCode::CONTINUE, Some(reply_to)) = (information.status(), asked.reply_to.as_deref()) {
                let address = Address { to: reply_to, id: asked.id, ..Address::default() };
                let none = HeaderMap::new();
                let head = answer_head(asked.dialect, &address, StatusCode::CONTINUE, &asked.path, &none, 0);
                responder.inform(reply_to, head.freeze());
            }
        });
    }
    request
}

/// When a request was sent, and whether by a connection that had carried others.
#[derive(Debug, Clone, Copy)]
struct Sent {
    begun: amqp_core::Instant,
    reused: bool,
}

/// The server has given no answer.
fn unanswered(
    shared: &Shared,
    job: Job,
    asked: &Asked,
    mut error: TrySendError<Request<RequestBody>>,
    Sent { begun, reused }: Sent,
) -> Done {
    if error.take_message().is_some() || is_refused(error.error()) {
        if job.is_whole() {
            return Done::Unsent(Box::new(job));
        }
        // Somebody else may have it from the beginning.
        job.settle(DeliveryState::Released);
        return Done::Spent;
    }
    // The server may have closed a connection that was idle just when it was used again.
    let may_be_stale = reused && !job.renewed && has_ended(error.error());
    if may_be_stale && asked.method.is_idempotent() && job.is_whole() {
        return Done::Stale(Box::new(job));
    }
    if job.progress.has_broken_off() {
        // What ails the request is no fault of the server.
        shared.target().tally.failed(Outcome::Cancelled);
        job.settle(DeliveryState::failed());
        return Done::Spent;
    }
    shared.note_attempt(begun, Err(&format!("no answer: {}", error.error())));
    let conn = job.request.delivery.connection();
    let Asked { method, .. } = asked;
    router_engine::log!(
        LogModule::HttpAdaptor,
        Level::Debug,
        conn = conn,
        "{}: {method} failed before its answer: {}",
        shared.describe(),
        error.error()
    );
    shared.target().tally.failed(Outcome::ServerFailed);
    job.settle(DeliveryState::failed());
    Done::Spent
}

/// Whether the server vouches that it has done nothing about a request (RFC 9113 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let Some(error) = source::<h2::Error>(error) else { return false };
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Whether a connection has ended before any octet of an answer.
fn has_ended(error: &hyper::Error) -> bool {
    let broken = source::<std::io::Error>(error).is_some_and(|error| {
        matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
    });
    broken || error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

fn source<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Copies between a server that has agreed to another protocol and its client.
async fn tunnel(shared: &Arc<Shared>, mut driver: Driver, upgrade: Upgrade) {
    let Upgrade { job, asked, response, incoming, serving } = upgrade;
    // It ends as soon as what comes before the other protocol is done.
    let ended = poll_fn(|cx| {
        if driver.responder.poll_events(cx).is_ready() || serving.progress().poll_cancelled(cx).is_ready() {
            return Poll::Ready(None);
        }
        driver.poll_conn(cx).map(Some)
    });
    if !matches!(ended.await, Some(Ok(()))) {
        return job.settle(DeliveryState::failed());
    }
    let responder = Arc::clone(&driver.responder);
    let Some(http1::Parts { io, read_buf, .. }) = driver.into_parts() else { return };
    let mut io = io.unframed(read_buf);
    let Some(reply_to) = asked.reply_to.as_deref() else { return job.settle(DeliveryState::Accepted) };
    let address = Address { to: reply_to, id: asked.id, ..Address::default() };
    let mut headers = response.headers().clone();
    let protocol = headers.get(header::UPGRADE).cloned();
    super::message::strip_hop_by_hop(&mut headers);
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
    }
    let head = answer_head(asked.dialect, &address, response.status(), &asked.path, &headers, 0);
    let stream = serving.begin_answer(reply_to, head.freeze());
    let copying = Tunnel {
        io: &mut io,
        incoming,
        wait: |cx: &mut Context<'_>| serving.progress().wait_for_data(cx),
        room: |cx: &mut Context<'_>| serving.poll_room(cx),
    };
    let mut copying = pin!(copying.run(stream));
    let ended = poll_fn(|cx| {
        if responder.poll_events(cx).is_ready() || serving.progress().poll_cancelled(cx).is_ready() {
            return Poll::Ready(None);
        }
        copying.as_mut().poll(cx).map(Some)
    })
    .await;
    let outcome = if matches!(ended, Some(Ok(()))) { DeliveryState::Accepted } else { DeliveryState::failed() };
    let (bytes_in, bytes_out, latency) = (0, 0, Duration::ZERO);
    let status = response.status();
    let (method, site) = (&asked.method, asked.site.as_deref());
    shared.target().tally.answered(&Answered { method, status, site, bytes_in, bytes_out, latency });
    job.settle(outcome);
}

/// What a text of the router itself looks like.
pub(super) fn text_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers
}

impl Read {
    /// The request alone, and its body for what comes after the head.
    fn without_body(self) -> (Self, Option<MessageBody>) {
        let Self { request, body } = self;
        (Self { request, body: MessageBody::none() }, Some(body))
    }
}
