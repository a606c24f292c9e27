//! Faults in the tasks of TCP services: none leaves anything behind in the core, and both sockets are reset.
//!
//! A task is made to panic where it logs something.

use super::record::testing::Records;
use super::report::capture;
use super::tests::{client, eventually, io, listener, read_to_reset, reset, router};
use super::{TcpConnector, TcpConnectorParams, TcpListener};
use router_engine::Router;
use router_engine::core::Population;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A service with its two ends.
struct Bed {
    router: Arc<Router>,
    listener: TcpListener,
    connector: TcpConnector,
    port: u16,
    records: Records,
    /// What there is without flows.
    before: Population,
}

impl Bed {
    fn new(server: SocketAddr) -> Self {
        let router = router();
        let records = Records::of(&router);
        let (listener, port) = listener(&router);
        let params = TcpConnectorParams {
            name: "c".into(),
            address: "svc".into(),
            host: server.ip().to_string(),
            port: server.port().to_string(),
            tls: None,
            verify_hostname: true,
            process_id: None,
            ..TcpConnectorParams::default()
        };
        let connector = TcpConnector::create(params, &io(&router)).expect("no TLS");
        connector.activate();
        let before = router.population();
        Self { router, listener, connector, port, records, before }
    }

    /// Has the task panic that comes to this place.
    fn arm(place: &'static str) {
        capture::start();
        capture::fail_at(place);
    }

    /// The records of all flows have ended.
    fn what_has_begun_has_ended(&mut self) {
        let ended = self.records.ended("BIFLOW_TPORT");
        assert_eq!(ended.len() as u64, self.listener.service().opened(), "{ended:?}");
    }

    /// Waits until there are no flows, and ends the service.
    async fn nothing_is_left(mut self) {
        eventually(async || (self.router.population() == self.before).then_some(())).await;
        let open = |service: &super::Service| service.opened() - service.closed();
        eventually(async || (open(self.listener.service()) == 0 && open(self.connector.service()) == 1).then_some(()))
            .await;
        assert!(capture::has_failed(), "there was no fault");
        self.what_has_begun_has_ended();
        self.listener.delete(true);
        self.connector.delete(true);
        assert_eq!(self.router.population(), Population::default());
    }
}

async fn server() -> (tokio::net::TcpListener, SocketAddr) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = server.local_addr().expect("bound");
    (server, at)
}

/// The two sockets of a flow that has carried something in both directions.
async fn flowing(bed: &Bed, server: &tokio::net::TcpListener) -> (TcpStream, TcpStream) {
    let mut near = client(bed.port).await;
    let (mut far, _) = server.accept().await.expect("connected");
    near.write_all(b"hello").await.expect("sent");
    far.read_exact(&mut [0; 5]).await.expect("received");
    far.write_all(b"hello").await.expect("sent");
    near.read_exact(&mut [0; 5]).await.expect("received");
    (near, far)
}

#[tokio::test]
async fn of_the_listener_as_a_flow_begins() {
    let (_server, at) = server().await;
    let bed = Bed::new(at);
    Bed::arm("in");
    let mut near = client(bed.port).await;
    read_to_reset(&mut near).await;
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn of_the_dispatcher_which_goes_on() {
    let (server, at) = server().await;
    let bed = Bed::new(at);
    Bed::arm("dispatch");
    let mut near = client(bed.port).await;
    read_to_reset(&mut near).await;
    let panicked = "ERROR (error) Internal error: a task has panicked: dispatcher of tcpConnector c";
    assert_eq!(capture::with("panicked"), [panicked]);
    let (near, far) = flowing(&bed, &server).await;
    reset(near);
    drop(far);
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn of_a_client_streams_start_without_a_server() {
    let (server, at) = server().await;
    drop(server);
    let bed = Bed::new(at);
    Bed::arm("Connection failed");
    let mut near = client(bed.port).await;
    read_to_reset(&mut near).await;
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn of_a_client_streams_start_with_a_server() {
    let (server, at) = server().await;
    let bed = Bed::new(at);
    Bed::arm("out");
    let mut near = client(bed.port).await;
    let (mut far, _) = server.accept().await.expect("connected");
    read_to_reset(&mut near).await;
    read_to_reset(&mut far).await;
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn of_a_flow_at_the_clients_side() {
    let (server, at) = server().await;
    let bed = Bed::new(at);
    let (near, mut far) = flowing(&bed, &server).await;
    Bed::arm("Listener");
    reset(near);
    read_to_reset(&mut far).await;
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn of_a_flow_at_the_servers_side() {
    let (server, at) = server().await;
    let bed = Bed::new(at);
    let (mut near, far) = flowing(&bed, &server).await;
    Bed::arm("Connector");
    reset(far);
    read_to_reset(&mut near).await;
    bed.nothing_is_left().await;
}
