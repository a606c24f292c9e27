//! The life of a client's connection: hyper, what its requests are doing, and their events, all in one task.

use super::HttpVersion;
use super::body::Outgoing;
use super::io::ServiceIo;
use super::limit::Limit;
use super::nursery::Jobs;
use super::pace::{Pace, Paced, PacedBody, STALL_LIMIT};
use super::requester::Requester;
use super::respond::{Agreed, Client};
use super::tunnel::Tunnel;
use crate::http::timer::TokioTimer;
use amqp_core::performative::DeliveryState;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Octets in the head of a request.
pub(super) const HEAD_MAX: usize = 64 * 1024;

/// Fields in it.
const FIELDS_MAX: usize = 128;

/// How long a connection may be without requests.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Requests side by side on one connection.
const STREAMS: u32 = 256;

/// Streams that a client may reset before they were seen, and that it may have reset for its faults.
const RESETS: usize = 20;
const FAULTS: usize = 64;

/// Octets that a client may send ahead, for one request and for all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Octets of answers that wait for a client of HTTP/2, of each stream.
const SEND_BUFFER: usize = 128 * 1024;

/// How often an HTTP/2 client is asked whether it is there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_LIMIT: Duration = Duration::from_secs(120);

type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

/// Serves a client until either side has enough; `draining` is ready when nothing new is to begin. Hands the socket back
/// where that is not closed yet.
pub(super) async fn serve(client: Arc<Client>, io: ServiceIo, jobs: Jobs, draining: impl Future<Output = ()>) {
    match client.version {
        HttpVersion::Http1 => serve_http1(client, io, jobs, draining).await,
        HttpVersion::Http2 => serve_http2(client, io, jobs, draining).await,
    }
}

fn answering(client: &Arc<Client>) -> impl Fn(Request<Incoming>) -> Answering<Outgoing> + Send + 'static {
    let client = Arc::clone(client);
    move |request| {
        let client = Arc::clone(&client);
        Box::pin(async move { Ok(client.respond(request).await) })
    }
}

/// The same, with answers that are looked after.
fn answering_paced(
    client: &Arc<Client>,
    pace: &Pace,
) -> impl Fn(Request<Incoming>) -> Answering<PacedBody<Outgoing>> + Send + 'static {
    let (client, pace) = (Arc::clone(client), pace.clone());
    move |request| {
        let (client, pace) = (Arc::clone(&client), pace.clone());
        Box::pin(async move { Ok(client.respond(request).await.map(|body| pace.body(body))) })
    }
}

async fn serve_http1(client: Arc<Client>, io: ServiceIo, mut jobs: Jobs, draining: impl Future<Output = ()>) {
    let mut conn = http1::Builder::new()
        .timer(TokioTimer)
        .header_read_timeout(IDLE_LIMIT)
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .auto_date_header(false)
        // Names may be in any case (RFC 9110 5.1), but there are peers that know this one only.
        .title_case_headers(true)
        .serve_connection(io, service_fn(answering(&client)));
    let mut draining = pin!(draining);
    let mut drains = false;
    let ended = poll_fn(|cx| {
        if client.requester.poll_events(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !drains && draining.as_mut().poll(cx).is_ready() {
            drains = true;
            Pin::new(&mut conn).graceful_shutdown();
        }
        let polled = turn(cx, &client.requester, &mut jobs, |cx| conn.poll_without_shutdown(cx));
        polled.map(Some)
    })
    .await;
    let http1::Parts { io, read_buf, .. } = conn.into_parts();
    let agreed = client.agreed.lock().take();
    match (ended, agreed) {
        (Some(Ok(())), Some(agreed)) => {
            let _ = tunnel(&client, io.unframed(read_buf), agreed).await;
        }
        // It was told to end at once; a good end would be that of an answer that is under way.
        (None, _) => io.reset(),
        (Some(_), _) if io.is_stalled() => {
            client.note_stalled();
            io.reset();
        }
        // A good end of the connection would be that of the answer.
        (Some(Err(error)), _) if error.is_user() => io.reset(),
        _ => {
            client.requester.flush();
            io.finish().await;
        }
    }
}

async fn serve_http2(client: Arc<Client>, io: ServiceIo, mut jobs: Jobs, draining: impl Future<Output = ()>) {
    let pace = Pace::default();
    let mut conn = pin!(
        http2::Builder::new(Paced { nursery: jobs.nursery(), pace: pace.clone() })
            .timer(TokioTimer)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_MAX as u32)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(FAULTS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_LIMIT)
            .auto_date_header(false)
            .serve_connection(io, service_fn(answering_paced(&client, &pace)))
    );
    let mut draining = pin!(draining);
    let mut idle = pin!(sleep_until(Instant::now() + IDLE_LIMIT));
    let mut drains = false;
    // What hyper has given away whole waits for its client, too.
    let mut ending = Limit::new(STALL_LIMIT);
    let mut told = false;
    poll_fn(|cx| {
        if client.requester.poll_events(cx).is_ready() {
            return Poll::Ready(());
        }
        let idles = client.requester.under_way() == 0 && jobs.is_empty();
        if !idles {
            idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
        }
        if !drains && (draining.as_mut().poll(cx).is_ready() || (idles && idle.as_mut().poll(cx).is_ready())) {
            drains = true;
            conn.as_mut().graceful_shutdown();
        }
        let over = turn(cx, &client.requester, &mut jobs, |cx| conn.as_mut().poll(cx)).map(drop);
        if pace.has_given_up() && !told {
            told = true;
            client.note_stalled();
        }
        if drains && idles && over.is_pending() {
            ending.begin();
            if ending.poll(cx).is_ready() {
                client.note_stalled();
                return Poll::Ready(());
            }
        } else {
            ending.end();
        }
        over
    })
    .await;
}

/// Does what can be done for a connection: first what is under way beside it, as that may give it something to do, and again
/// after it, as it may have given that something to do.
fn turn<T>(
    cx: &mut Context<'_>,
    requester: &Requester,
    jobs: &mut Jobs,
    mut conn: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    jobs.poll(cx);
    let mut polled = conn(cx);
    // What has begun with this turn may be over already.
    while polled.is_pending() && jobs.poll(cx) {
        polled = conn(cx);
    }
    requester.submit(cx);
    polled
}

/// Copies between a client and the server that has agreed to another protocol. What breaks off there is reset here.
async fn tunnel(client: &Client, mut io: ServiceIo, agreed: Agreed) -> Option<()> {
    let requester = &client.requester;
    let Agreed { mut exchange, incoming, delivery, stream } = agreed;
    let side = exchange.request_side();
    let ended = {
        let copying = Tunnel {
            io: &mut io,
            incoming,
            wait: |cx: &mut Context<'_>| exchange.wait_for_data(cx),
            room: |cx: &mut Context<'_>| side.poll_room(cx),
        };
        let mut copying = pin!(copying.run(stream));
        poll_fn(|cx| {
            if requester.poll_events(cx).is_ready() {
                return Poll::Ready(None);
            }
            copying.as_mut().poll(cx).map(Some)
        })
        .await
    };
    let Some(ended) = ended else {
        io.reset();
        return None;
    };
    if io.is_stalled() {
        client.note_stalled();
    }
    let outcome = if ended.is_ok() { DeliveryState::Accepted } else { DeliveryState::failed() };
    if ended.is_ok() {
        exchange.end_well(delivery);
    } else {
        exchange.settle(delivery, outcome);
        io.reset();
    }
    drop(exchange);
    requester.flush();
    Some(())
}
