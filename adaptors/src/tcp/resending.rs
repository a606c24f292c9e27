//! Clients whose streams fail before they reach a server, with real sockets.

use super::TcpListener;
use super::tests::{FarEnd, Served, client, connector, eventually, listener, read_to_reset, retrying_router};
use crate::clock;
use router_engine::Router;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as Server, TcpSocket, TcpStream};

/// As the router is told unless the configuration says otherwise.
const RETRY: Duration = Duration::from_secs(2);
/// For clients that nobody comes for.
const SHORT: Duration = Duration::from_millis(300);

/// A client whose stream has come to a server that has left since, and nobody else is there.
async fn stranded(router: &Arc<Router>) -> (TcpListener, TcpStream) {
    let far = FarEnd::new(router);
    let (listener, port) = listener(router);
    let client = client(port).await;
    let _served = far.serve().await;
    far.leave();
    (listener, client)
}

/// Answers a client stream, and expects the answer at the client.
async fn is_served(far: &FarEnd, served: &Served, client: &mut TcpStream) {
    far.answer(served);
    served.say(b"hello");
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).await.expect("served");
    assert_eq!(&greeting, b"hello");
}

#[tokio::test]
async fn a_server_that_comes_later_gets_the_client() {
    let router = retrying_router(RETRY);
    let (_listener, mut client) = stranded(&router).await;
    client.write_all(b"waits").await.expect("sent");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let far = FarEnd::new(&router);
    let begun = Instant::now();
    let mut served = far.serve().await;
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    is_served(&far, &served, &mut client).await;
    client.shutdown().await.expect("sent");
    served.expect(b"waits").await;
}

#[tokio::test]
async fn a_client_that_nobody_comes_for_hears_of_it_in_time() {
    let router = retrying_router(SHORT);
    let begun = Instant::now();
    let (_listener, mut client) = stranded(&router).await;
    read_to_reset(&mut client).await;
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    assert!(router.connection_rows(clock::now()).is_empty());
}

#[tokio::test]
async fn a_client_whose_server_refuses_gets_another_one() {
    let router = retrying_router(RETRY);
    let server = Server::bind("127.0.0.1:0").await.expect("a server");
    let deaf = TcpSocket::new_v4().expect("a socket");
    deaf.bind(([127, 0, 0, 1], 0).into()).expect("a port that does not listen");
    let _refusing = connector(&router, deaf.local_addr().expect("bound"));
    let _serving = connector(&router, server.local_addr().expect("bound"));
    let (listener, port) = listener(&router);
    for round in 1..=6 {
        let mut client = client(port).await;
        let (mut peer, _) = server.accept().await.expect("a connection");
        client.write_all(b"ping").await.expect("sent");
        client.shutdown().await.expect("half-closed");
        let mut received = Vec::new();
        peer.read_to_end(&mut received).await.expect("an end");
        assert_eq!(received, b"ping");
        drop(peer);
        assert_eq!(client.read_to_end(&mut received).await.expect("an end in order"), 0);
        assert_eq!(listener.service().opened(), round, "each client counts once");
    }
}

#[tokio::test]
async fn a_client_that_waits_can_be_cut() {
    let router = retrying_router(Duration::from_secs(60));
    let (listener, mut client) = stranded(&router).await;
    listener.delete(true);
    read_to_reset(&mut client).await;
}

#[tokio::test]
async fn a_client_that_waits_and_resets_is_forgotten() {
    let router = retrying_router(Duration::from_secs(60));
    let (_listener, client) = stranded(&router).await;
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("an open socket");
    drop(client);
    eventually(async || router.connection_rows(clock::now()).is_empty().then_some(())).await;
}
