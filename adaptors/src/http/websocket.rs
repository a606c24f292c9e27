//! AMQP over WebSocket (RFC 6455): what peers ask for, and the octets in binary messages as a transport has them.
//!
//! ```text
//!  HTTP connection --upgrade--> 101 --> socket moves to the workers --> AMQP connection
//!  (thread of HTTP)   |                                                 octets <-> binary messages <-> TLS, socket
//!                     '--> 4xx, 503
//! ```
//!
//! The boundaries of messages and frames mean nothing: AMQP has its own. What a peer can have the router hold is some
//! four times [`MAX_MESSAGE`]: fragments so far, a frame that is being read, a message that is being handed on.

use super::io::{Cleartext, split_front};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode, Version};
use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// Octets of a message that are taken. Clients send a frame of AMQP, or some that were ready together, as a message; what
/// is too large for one is to be sent as several.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;

/// Octets that are sent as one message at most.
const MAX_SENT: usize = 64 * 1024;

/// Octets that wait to be sent at most: a message, and answers to pings that come while it waits.
const WAITING: usize = 8 * MAX_SENT;

/// Octets of the buffer that a connection reads into, while it is idle too.
const READ_BUFFER: usize = 8 * 1024;

/// Messages without data, for instance pings, that are taken before other tasks get the thread.
const EMPTY_MESSAGES: usize = 64;

/// How long a peer that is sent away at once may take to read why.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The names of AMQP among subprotocols. The second is what clients use that were made for proxies.
const SUBPROTOCOLS: [&str; 2] = ["amqp", "binary"];

/// The version of WebSocket there is.
const VERSION: &str = "13";

/// What a peer asks for that wants to speak WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The subprotocol that is chosen, if it named some.
    pub(super) subprotocol: Option<&'static str>,
    accept: String,
}

/// Why a peer gets no WebSocket, with the answer's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OfferError {
    /// Not a request that could be upgraded.
    #[error("WebSocket needs GET with HTTP/1.1, a key, and no body\n")]
    Malformed,
    /// Another version than the one there is.
    #[error("The version of WebSocket has to be 13\n")]
    Version,
    /// No known subprotocol among those named.
    #[error("The WebSocket subprotocol has to be amqp or binary\n")]
    Subprotocol,
    /// The router takes no clients now.
    #[error("The router is short of memory\n")]
    Memory,
}

/// The octets in binary messages: one stream in, one out.
pub(super) struct BinaryStream<S> {
    socket: WebSocketStream<Cleartext<S>>,
    /// What was not asked for yet of the last message.
    rest: Bytes,
    /// No more is sent than the close frame.
    is_closing: bool,
}

/// Whether a peer wants to speak WebSocket. Other upgrades, as to HTTP/2, may be ignored, and those of HTTP/1.0 have to be
/// (RFC 9110, 7.8).
pub(super) fn is_asked_for(version: Version, headers: &HeaderMap) -> bool {
    version != Version::HTTP_10 && tokens(headers, &UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// The items of a list of names, of all headers of that name.
fn tokens(headers: &HeaderMap, name: impl hyper::header::AsHeaderName) -> impl Iterator<Item = Cow<'_, str>> {
    let values = headers.get_all(name).into_iter();
    let items = values.flat_map(|value| value.as_bytes().split(|&c| c == b','));
    items.map(|item| String::from_utf8_lossy(item.trim_ascii())).filter(|item| !item.is_empty())
}

// === impl Offer ===

impl Offer {
    /// Judges a request without a body (RFC 6455, 4.2.1).
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Result<Self, OfferError> {
        // 16 octets in base64.
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24 && key.as_bytes().ends_with(b"=="));
        let key = key.ok_or(OfferError::Malformed)?;
        let is_meant = tokens(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
        if *method != Method::GET || !is_meant {
            return Err(OfferError::Malformed);
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
            return Err(OfferError::Version);
        }
        let mut named = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).peekable();
        let names_some = named.peek().is_some();
        let subprotocol = named.find_map(|name| SUBPROTOCOLS.into_iter().find(|known| name == *known));
        if names_some && subprotocol.is_none() {
            return Err(OfferError::Subprotocol);
        }
        Ok(Self { subprotocol, accept: derive_accept_key(key.as_bytes()) })
    }

    /// The headers of the answer that accepts it.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(hyper::header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        headers
    }
}

// === impl OfferError ===

impl OfferError {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Subprotocol => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Memory => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The header that tells what would have done.
    pub(super) fn header(self) -> Option<(hyper::header::HeaderName, HeaderValue)> {
        matches!(self, Self::Version).then(|| (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)))
    }
}

// === impl BinaryStream ===

impl<S: AsyncRead + AsyncWrite + Unpin> BinaryStream<S> {
    /// The server's end of a WebSocket whose handshake is done.
    pub(super) async fn new(cleartext: Cleartext<S>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WAITING)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(cleartext, Role::Server, Some(config)).await;
        Self { socket, rest: Bytes::new(), is_closing: false }
    }

    /// Sends the peer away.
    pub(super) async fn refuse(mut self, reason: &'static str, code: CloseCode) {
        self.begin_close(code, reason);
        let finish = async {
            poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await?;
            while poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx)).await.transpose()?.is_some() {}
            Ok::<_, Error>(())
        };
        let _ = timeout(CLOSE_LIMIT, finish).await;
        let _ = timeout(CLOSE_LIMIT, poll_fn(|cx| Pin::new(self.socket.get_mut()).poll_shutdown(cx))).await;
    }

    /// Queues the close frame, once.
    fn begin_close(&mut self, code: CloseCode, reason: &'static str) {
        if !std::mem::replace(&mut self.is_closing, true) {
            let frame = CloseFrame { code, reason: reason.into() };
            // What cannot be sent any more is of no use either.
            let _ = Pin::new(&mut self.socket).start_send(Message::Close(Some(frame)));
        }
    }

    /// Tells the peer why it fails, as far as that goes without waiting.
    fn fail(&mut self, cx: &mut Context<'_>, code: CloseCode, error: Error) -> io::Error {
        self.begin_close(code, "");
        let _ = Pin::new(&mut self.socket).poll_flush(cx);
        match error {
            Error::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }

    /// The next octets; none at the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        for _ in 0..EMPTY_MESSAGES {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(octets))) if !octets.is_empty() => return Poll::Ready(Ok(octets)),
                Some(Ok(Message::Text(_))) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "WebSocket: a text message");
                    return Poll::Ready(Err(self.fail(cx, CloseCode::Unsupported, Error::Io(error))));
                }
                // Pings and close frames are answered within.
                Some(Ok(_)) => {}
                None | Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    // Both ends have said that they are done, or the peer has gone.
                    let _ = Pin::new(self.socket.get_mut()).poll_shutdown(cx);
                    return Poll::Ready(Ok(Bytes::new()));
                }
                Some(Err(Error::Io(error))) => return Poll::Ready(Err(error)),
                Some(Err(error @ Error::Capacity(_))) => {
                    return Poll::Ready(Err(self.fail(cx, CloseCode::Size, error)));
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fail(cx, CloseCode::Protocol, error))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.socket).poll_ready(cx).map_err(io_error)
    }

    fn send(&mut self, octets: Bytes) -> io::Result<usize> {
        let sent = octets.len();
        Pin::new(&mut self.socket).start_send(Message::Binary(octets)).map_err(io_error)?;
        Ok(sent)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BinaryStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            this.rest = ready!(this.poll_message(cx))?;
        }
        buf.put_slice(&split_front(&mut this.rest, buf.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for BinaryStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_ready(cx))?;
        let mut left = MAX_SENT;
        let mut gathered = BytesMut::with_capacity(slices.iter().map(|slice| slice.len()).sum::<usize>().min(left));
        for slice in slices {
            let taken = slice.len().min(left);
            gathered.extend_from_slice(&slice[..taken]);
            left -= taken;
        }
        Poll::Ready(this.send(gathered.freeze()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(io_error)
    }

    /// Sends the close frame. The peer's own is read like the rest, then the socket ends too.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_closing {
            ready!(this.poll_ready(cx))?;
            this.begin_close(CloseCode::Normal, "");
        }
        Pin::new(&mut this.socket).poll_flush(cx).map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        given.iter().map(pair).collect()
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION_13: (&str, &str) = ("sec-websocket-version", "13");
    const UPGRADES: (&str, &str) = ("connection", "keep-alive, Upgrade");

    fn judged(method: Method, more: &[(&'static str, &'static str)]) -> Result<Offer, OfferError> {
        Offer::of(&method, &headers(&[&[KEY, UPGRADES], more].concat()))
    }

    #[test]
    fn upgrades_to_websocket_are_told_from_others() {
        let asked = |upgrades: &[&'static str]| {
            is_asked_for(Version::HTTP_11, &headers(&upgrades.iter().map(|&to| ("upgrade", to)).collect::<Vec<_>>()))
        };
        assert!(!is_asked_for(Version::HTTP_10, &headers(&[("upgrade", "websocket")])));
        assert!(asked(&["websocket"]) && asked(&["h2c", "WebSocket"]) && asked(&["h2c , websocket"]));
        assert!(!asked(&[]) && !asked(&["h2c"]) && !asked(&["websockets"]));
    }

    #[test]
    fn the_accept_key_is_that_of_the_example_in_rfc_6455() {
        let offer = judged(Method::GET, &[VERSION_13]).expect("valid");
        assert_eq!(offer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(offer.subprotocol, None);
    }

    #[test]
    fn the_first_known_subprotocol_of_the_client_is_chosen() {
        let chosen = |named: &[&'static str]| {
            let named = named.iter().map(|&list| ("sec-websocket-protocol", list));
            let more: Vec<_> = [("sec-websocket-version", "13")].into_iter().chain(named).collect();
            judged(Method::GET, &more).map(|offer| offer.subprotocol)
        };
        assert_eq!(chosen(&["amqp"]), Ok(Some("amqp")));
        assert_eq!(chosen(&["mqtt, binary,amqp"]), Ok(Some("binary")));
        assert_eq!(chosen(&["mqtt", "amqp"]), Ok(Some("amqp")));
        assert_eq!(chosen(&["mqtt", "AMQP"]), Err(OfferError::Subprotocol));
    }

    #[test]
    fn requests_that_cannot_be_upgraded() {
        assert_eq!(judged(Method::POST, &[VERSION_13]), Err(OfferError::Malformed));
        assert_eq!(judged(Method::GET, &[]), Err(OfferError::Version));
        assert_eq!(judged(Method::GET, &[("sec-websocket-version", "8")]), Err(OfferError::Version));
        let short = ("sec-websocket-key", "c2hvcnQ=");
        for half in [&[UPGRADES, VERSION_13][..], &[KEY, VERSION_13], &[short, UPGRADES, VERSION_13]] {
            assert_eq!(Offer::of(&Method::GET, &headers(half)), Err(OfferError::Malformed));
        }
        assert_eq!(OfferError::Version.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(OfferError::Version.header().expect("told").1, "13");
    }
}
