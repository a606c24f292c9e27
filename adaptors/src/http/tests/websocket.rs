//! AMQP over WebSocket, with a client that others wrote.

use super::{PATIENCE, Served, capture, get, well};
use futures_util::{Sink, Stream};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn open(served: &Served, subprotocol: Option<&'static str>) -> Result<Self, Error> {
        let mut request = "ws://localhost/anywhere".into_client_request().expect("valid");
        if let Some(named) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", named.parse().expect("valid"));
        }
        client_async(request, served.connect().await).await.map(|(socket, _)| Self(socket))
    }

    async fn amqp(served: &Served) -> Self {
        Self::open(served, Some("amqp")).await.expect("upgraded")
    }

    async fn send(&mut self, message: Message) {
        poll_fn(|cx| Pin::new(&mut self.0).poll_ready(cx)).await.expect("room");
        Pin::new(&mut self.0).start_send(message).expect("sent");
        poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)).await.expect("sent");
    }

    async fn send_octets(&mut self, octets: &'static [u8]) {
        self.send(Message::Binary(octets.into())).await;
    }

    async fn next(&mut self) -> Option<Message> {
        let next = poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx));
        timeout(PATIENCE, next).await.expect("in time").and_then(Result::ok)
    }

    /// Octets that come in binary messages, so many of them at least.
    async fn octets(&mut self, at_least: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        while octets.len() < at_least {
            match self.next().await.expect("octets") {
                Message::Binary(more) => octets.extend_from_slice(&more),
                other => assert!(other.is_pong(), "{other:?}"),
            }
        }
        octets
    }

    /// The code and the reason with which it is closed, whatever comes before.
    async fn closed(&mut self) -> (CloseCode, String) {
        loop {
            match self.next().await.expect("a close frame") {
                Message::Close(frame) => {
                    let frame = frame.expect("a code");
                    return (frame.code, frame.reason.to_string());
                }
                _ => continue,
            }
        }
    }
}

/// A listener whose peers speak AMQP without SASL.
fn served() -> Served {
    Served::with(&[well()], 10)
}

#[tokio::test]
async fn amqp_is_spoken_whatever_messages_it_comes_in() {
    let served = served();
    for subprotocol in ["amqp", "binary", "mqtt, amqp"] {
        let mut client = Client::open(&served, Some(subprotocol)).await.expect("upgraded");
        for at in 0..HEADER.len() {
            client.send_octets(&HEADER[at..=at]).await;
            client.send_octets(b"").await;
            client.send(Message::Ping("still there?".into())).await;
        }
        assert_eq!(&client.octets(8).await[..8], HEADER, "the header, and an open");
    }
}

#[tokio::test]
async fn an_end_of_amqp_is_an_end_of_websocket() {
    let served = served();
    let mut client = Client::amqp(&served).await;
    client.send_octets(b"what?!?!").await;
    assert_eq!(client.closed().await, (CloseCode::Normal, String::new()), "told in AMQP what is wrong");
    assert_eq!(client.next().await, None);
    served.listener.delete();
    timeout(PATIENCE, served.listener.shared().owner.left()).await.expect("nothing is left");
}

#[tokio::test]
async fn messages_that_no_amqp_client_sends() {
    let served = served();
    let mut client = Client::amqp(&served).await;
    client.send(Message::Text("AMQP".into())).await;
    assert_eq!(client.closed().await.0, CloseCode::Unsupported);
    let mut client = Client::amqp(&served).await;
    let too_large = vec![0; super::super::websocket::MAX_MESSAGE + 1];
    // The rest of it may find a closed socket.
    let _ = timeout(PATIENCE, async {
        let _ = Pin::new(&mut client.0).start_send(Message::Binary(too_large.into()));
        assert_eq!(client.closed().await.0, CloseCode::Size);
    })
    .await;
    let mut client = Client::amqp(&served).await;
    let raw = client.0.get_mut();
    raw.write_all(b"\x82\x01A").await.expect("sent");
    assert_eq!(client.closed().await.0, CloseCode::Protocol, "not masked");
}

#[tokio::test]
async fn who_names_no_subprotocol_is_told_so() {
    capture::start();
    let served = served();
    let mut client = Client::open(&served, None).await.expect("upgraded");
    let reason = "the subprotocol has to be amqp or binary";
    assert_eq!(client.closed().await, (CloseCode::Protocol, reason.to_owned()));
    let told = capture::with(reason);
    assert_eq!(told.len(), 1, "{told:?}");
    let refused = Client::open(&served, Some("mqtt")).await.map(drop).expect_err("unknown");
    assert!(matches!(&refused, Error::Http(answer) if answer.status() == 400), "{refused:?}");
}

#[tokio::test]
async fn where_it_is_off_nobody_gets_it() {
    capture::start();
    let served = Served::having(&[well()], 10, |params| params.websockets = false);
    let mut client = Client::amqp(&served).await;
    assert_eq!(client.closed().await, (CloseCode::Error, "cannot-upgrade".to_owned()));
    assert_eq!(capture::with("Error on HTTP connection from 127.0.0.1: cannot-upgrade").len(), 1);
    assert_eq!(served.get("/well").await.status, 200);
}

#[tokio::test]
async fn other_upgrades_and_half_requests() {
    let served = served();
    let upgrade = |more: &str| format!("GET /well HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n{more}\r\n");
    assert_eq!(served.ask(&upgrade("upgrade: h2c\r\n")).await[0].status, 200);
    assert_eq!(served.ask(&upgrade("upgrade: WebSocket\r\n")).await[0].status, 400);
    let key = "upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = &served.ask(&upgrade(key)).await[0];
    assert_eq!(answer.status, 426);
    assert!(answer.head.to_ascii_lowercase().contains("sec-websocket-version: 13"), "{}", answer.head);
}

#[tokio::test]
async fn octets_behind_the_request_are_not_lost() {
    let served = served();
    let mut client = served.connect().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-protocol: amqp\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Masked with zeros.
    let octets = [request.as_bytes(), b"\x82\x88\0\0\0\0", HEADER].concat();
    client.write_all(&octets).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.windows(HEADER.len()).any(|octets| octets == HEADER) {
        let more = timeout(PATIENCE, client.read_buf(&mut answer)).await.expect("in time").expect("octets");
        assert_ne!(more, 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn a_connection_outlives_its_listener_and_ends_with_the_router() {
    let served = served();
    let mut client = Client::amqp(&served).await;
    client.send_octets(HEADER).await;
    client.octets(8).await;
    served.listener.delete();
    assert!(!served.listener.has_left());
    client.send(Message::Ping("1".into())).await;
    while !client.next().await.expect("it lives").is_pong() {}
    assert_eq!(served.io.shutdown().await, []);
    while client.next().await.is_some() {}
    assert!(served.listener.has_left());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_after_the_upgrade_is_sent_away() {
    let limit = Duration::from_secs(3);
    let served = Served::having(&[well()], 10, |params| params.amqp.handshake_timeout = Some(limit));
    let mut client = Client::amqp(&served).await;
    let begun = Instant::now();
    while poll_fn(|cx| Pin::new(&mut client.0).poll_next(cx)).await.is_some_and(|next| next.is_ok()) {}
    assert_eq!(begun.elapsed().as_secs(), limit.as_secs());
    // Requests of HTTP have limits of their own.
    let mut probe = served.connect().await;
    probe.write_all(get("/well").as_bytes()).await.expect("sent");
    probe.readable().await.expect("an answer");
}
