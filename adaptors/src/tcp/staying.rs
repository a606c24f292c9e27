//! Listeners whose last consumer has gone, with real sockets.

use super::report::capture;
use super::tests::{FarEnd, PATIENCE, active, eventually, free_port, listener, params, read_to_reset, retrying_router};
use super::{Strategy, TcpListener, TcpListenerParams};
use crate::net;
use router_engine::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// As the router is told unless the configuration says otherwise.
const RETRY: Duration = Duration::from_secs(2);
/// For listeners that nobody comes back for.
const SHORT: Duration = Duration::from_millis(300);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(60);

/// Waits until a listener listens, then its only consumer goes.
async fn desert(listener: &TcpListener, far: FarEnd) {
    eventually(async || listener.status().0.then_some(())).await;
    far.leave();
}

/// A listener whose only consumer has just gone.
async fn deserted(router: &Arc<Router>) -> (TcpListener, u16) {
    let far = FarEnd::new(router);
    let (listener, port) = listener(router);
    desert(&listener, far).await;
    (listener, port)
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.expect("it listens")
}

/// Waits until the listener has taken its first client, and with that knows what became of its consumers.
async fn first_client_taken(listener: &TcpListener) {
    eventually(async || (listener.service().opened() > 0).then_some(())).await;
}

/// The listener has logged these words so many times, now or soon.
async fn logged(words: &str, count: usize) {
    timeout(PATIENCE, capture::heard(words, count)).await.expect("in time");
    assert_eq!(capture::with(words).len(), count);
}

/// All of these clients get an answer, in whichever order they come.
async fn all_are_served(far: &FarEnd, clients: Vec<TcpStream>) {
    let mut served = Vec::new();
    for _ in &clients {
        let next = far.serve().await;
        far.answer(&next);
        next.say(b"hello");
        served.push(next);
    }
    for mut client in clients {
        let mut greeting = [0; 5];
        timeout(PATIENCE, client.read_exact(&mut greeting)).await.expect("in time").expect("served");
        assert_eq!(&greeting, b"hello");
    }
}

#[tokio::test]
async fn clients_that_come_while_nobody_is_there_are_served_later() {
    capture::start();
    let router = retrying_router(RETRY);
    let (listener, port) = deserted(&router).await;
    let mut clients = vec![connect(port).await, connect(port).await];
    sleep(Duration::from_millis(500)).await;
    clients.push(connect(port).await);
    assert_eq!(listener.status(), (true, String::new()));
    all_are_served(&FarEnd::new(&router), clients).await;
    logged(": listening for client", 1).await;
    assert!(capture::with(": stopped listening").is_empty());
}

#[tokio::test]
async fn a_listener_that_nobody_comes_back_for_closes() {
    capture::start();
    let router = retrying_router(SHORT);
    let (listener, port) = deserted(&router).await;
    let begun = Instant::now();
    sleep(SHORT / 2).await;
    let (mut late, came) = (connect(port).await, Instant::now());
    logged(": stopped listening", 1).await;
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    assert_eq!(listener.status(), (false, String::new()));
    TcpStream::connect(("127.0.0.1", port)).await.expect_err("closed");
    read_to_reset(&mut late).await;
    assert!(came.elapsed() >= SHORT, "a client has the whole time: {:?}", came.elapsed());
    let _far = FarEnd::new(&router);
    logged(": listening for client", 2).await;
}

#[tokio::test]
async fn a_consumer_that_comes_back_begins_another_wait() {
    capture::start();
    let router = retrying_router(SHORT);
    let (listener, _) = deserted(&router).await;
    sleep(SHORT / 2).await;
    let far = FarEnd::new(&router);
    sleep(SHORT).await;
    assert!(capture::with(": stopped listening").is_empty(), "the first wait is over");
    let begun = Instant::now();
    desert(&listener, far).await;
    logged(": stopped listening", 1).await;
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_router_that_sends_nothing_again_closes_at_once() {
    capture::start();
    let router = retrying_router(Duration::ZERO);
    let (listener, _) = deserted(&router).await;
    timeout(SHORT, logged(": stopped listening", 1)).await.expect("at once");
    assert_eq!(listener.status(), (false, String::new()));
}

#[tokio::test]
async fn nothing_is_left_of_a_listener_that_is_deleted_while_it_waits() {
    let router = retrying_router(LONG);
    let (listener, port) = deserted(&router).await;
    let mut client = connect(port).await;
    first_client_taken(&listener).await;
    listener.delete(true);
    let _other = net::listen_on(SocketAddr::from(([127, 0, 0, 1], port)), 16).expect("the port is free");
    read_to_reset(&mut client).await;
    timeout(PATIENCE, listener.service().owner().left()).await.expect("no task is left");
}

#[tokio::test]
async fn the_address_that_was_lost_last_is_waited_for() {
    capture::start();
    let router = retrying_router(LONG);
    let port = free_port();
    let listener = active(TcpListenerParams { strategy: Strategy::Priority, ..params(port) }, &router);
    listener.add_address("never", "other", 9);
    listener.add_address("lost", "svc", 1);
    desert(&listener, FarEnd::new(&router)).await;
    let client = connect(port).await;
    first_client_taken(&listener).await;
    let far = FarEnd::new(&router);
    all_are_served(&far, vec![client]).await;
    far.leave();
    assert!(listener.remove_address("lost"));
    logged(": stopped listening", 1).await;
}
