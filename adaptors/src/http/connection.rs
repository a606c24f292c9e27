//! The life of an HTTP connection.

use super::io::HttpIo;
use super::listener::Http;
use super::seats::Seat;
use super::site::asks_for_websocket;
use super::timer::TokioTimer;
use crate::listening::Listening;
use crate::start::{Begun, StartError, begin, tls_opening};
use crate::tls::TlsServer;
use crate::transport::Transport;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use router_engine::log::{Level, LogModule};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    let service = service_fn(|request: Request<Incoming>| {
        if asks_for_websocket(request.headers()) {
            listening.service.log_websocket(peer);
        }
        let busy = seat.busy();
        Box::pin(async { Ok::<_, Infallible>(listening.service.site.answer(request, busy).await) })
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
    if let Some(Err(error)) = ended {
        router_engine::log!(LogModule::Http, Level::Debug, "Connection from {peer} failed: {error}");
    }
    connection.into_parts().io.finish().await;
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
