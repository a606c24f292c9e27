//! The life of an HTTP connection.

use super::io::{Cleartext, HttpIo};
use super::listener::Http;
use super::seats::Seat;
use super::site::Site;
use super::timer::TokioTimer;
use super::websocket::{self, BinaryStream, Offer, OfferError};
use crate::amqp::Upgraded;
use crate::listening::{Listening, Service};
use crate::start::{Begun, StartError, begin, tls_opening};
use crate::tls::TlsServer;
use crate::transport::Transport;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use parking_lot::Mutex;
use router_engine::log::{Level, LogModule};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// How long a peer may take for its TLS handshake, for the head of a request, and until the next one begins.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Octets in the head of a request.
const MAX_HEAD: usize = 16 * 1024;

/// The life of an accepted connection.
pub(super) async fn serve(listening: Arc<Listening<Http>>, stream: TcpStream, peer: SocketAddr) {
    let seat = listening.service.seats.take();
    tokio::select! {
        () = run(&listening, stream, peer, &seat) => {}
        () = seat.evicted() => {
            let address = listening.address();
            router_engine::log!(LogModule::Http, Level::Debug, "Too many connections to {address}: {peer} is cut off");
        }
        () = listening.owner.stopped() => {}
    }
}

async fn run(listening: &Arc<Listening<Http>>, stream: TcpStream, peer: SocketAddr, seat: &Arc<Seat>) {
    let mut transport = Transport::plain(stream);
    let begun = begin(&mut transport, tls_opening, listening.service.require_ssl, || listening.tls());
    match timeout(HEAD_LIMIT, begun).await {
        Ok(Ok(Begun { first, tls })) => converse(listening, HttpIo::new(transport, first), tls, peer, seat).await,
        Ok(Err(StartError::NoHeader)) | Err(_) => {}
        Ok(Err(error)) => {
            log_refusal(listening, peer, &error);
            HttpIo::new(transport, Default::default()).finish().await;
        }
    }
}

fn log_refusal(listening: &Listening<Http>, peer: SocketAddr, error: &StartError) {
    let address = listening.address();
    router_engine::log!(LogModule::Http, Level::Info, "Connection from {peer} (to {address}) failed: {error}");
}

/// Answers requests until either side has enough.
async fn converse(
    listening: &Arc<Listening<Http>>,
    io: HttpIo<TcpStream>,
    tls: Option<TlsServer>,
    peer: SocketAddr,
    seat: &Arc<Seat>,
) {
    let agreed = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let (busy, agreed) = (seat.busy(), &agreed);
        Box::pin(async move {
            if !websocket::is_asked_for(request.version(), request.headers()) {
                return Ok::<_, Infallible>(listening.service.site.answer(request, busy).await);
            }
            let offer = judge(&listening.service, &request);
            let answer = Site::answer_offer(offer.as_ref().map_err(|error| *error), busy);
            *agreed.lock() = offer.ok();
            Ok(answer)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer)
        // Who has nothing more to ask may still want the answer.
        .half_close(true)
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false)
        .serve_connection(io, service);
    let mut ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = last_request(listening, tls.as_ref()) => None,
    };
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        ended = Some(poll_fn(|cx| connection.poll_without_shutdown(cx)).await);
    }
    if let Some(Err(error)) = &ended {
        router_engine::log!(LogModule::Http, Level::Debug, "Connection from {peer} failed: {error}");
    }
    let Parts { io, read_buf, .. } = connection.into_parts();
    match (ended, agreed.into_inner()) {
        (Some(Ok(())), Some(offer)) => upgrade(listening, io.into_cleartext(read_buf), offer, tls, peer).await,
        _ => io.finish().await,
    }
}

/// What becomes of a request for WebSocket.
fn judge(http: &Http, request: &Request<Incoming>) -> Result<Offer, OfferError> {
    if http.amqp.refuses() {
        return Err(OfferError::Memory);
    }
    // What follows the head has to be WebSocket.
    if !request.body().is_end_stream() {
        return Err(OfferError::Malformed);
    }
    Offer::of(request.method(), request.headers())
}

/// Has a connection that speaks WebSocket from now on speak AMQP, on the threads that move traffic.
async fn upgrade(
    listening: &Arc<Listening<Http>>,
    cleartext: Cleartext<TcpStream>,
    offer: Offer,
    tls: Option<TlsServer>,
    peer: SocketAddr,
) {
    let refusal = match offer.subprotocol {
        _ if !listening.service.websockets => Some(("cannot-upgrade", CloseCode::Error)),
        None => Some(("the subprotocol has to be amqp or binary", CloseCode::Protocol)),
        Some(_) => None,
    };
    if let Some((reason, code)) = refusal {
        let host = peer.ip();
        router_engine::log!(LogModule::Http, Level::Error, "Error on HTTP connection from {host}: {reason}");
        return BinaryStream::new(cleartext).await.refuse(reason, code).await;
    }
    let (transport, rest) = cleartext.into_parts();
    let local = transport.socket().local_addr().ok();
    let tls = transport.info().cloned().zip(tls);
    let upgraded = Upgraded { protocol: "WebSocket", peer, local, tls };
    let Ok(transport) = transport.try_map(TcpStream::into_std) else { return };
    let served = Arc::clone(listening);
    let serve = async move {
        // Its readiness is told to the threads that serve it now.
        let Ok(transport) = transport.try_map(TcpStream::from_std) else { return };
        let octets = Transport::plain(BinaryStream::new(Cleartext::new(transport, rest)).await);
        served.service.amqp.serve_upgraded(octets, upgraded, &served.owner).await;
    };
    listening.owner.spawn_on(listening.service.amqp.io().tasks().executor(), "connection", serve);
}

/// Ready when a connection that was made with these credentials is to take no further request.
async fn last_request(listening: &Listening<Http>, tls: Option<&TlsServer>) {
    let expired = async {
        let Some(tls) = tls else { return pending().await };
        let mut oldest_valid = listening.service.oldest_valid.subscribe();
        let _ = oldest_valid.wait_for(|oldest| tls.ordinal() < *oldest).await;
    };
    tokio::select! {
        () = expired => {}
        () = listening.owner.draining() => {}
    }
}
