//! Services of HTTP/1 between real sockets, with a server that does as it is told.

mod cases;
mod clients;
mod multiplexed;
mod server;
mod servers;

use super::{Aggregation, HttpConnector, HttpConnectorParams, HttpListener, HttpListenerParams, HttpVersion};
use crate::tcp::tests::{eventually, free_port, io};
use router_engine::Router;
use router_engine::core::{AddressConfig, Mode, RouterConfig};
use router_engine::forward::Treatment;
use server::{Server, body, head};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A service, and its listener's port.
struct World {
    router: Arc<Router>,
    listener: HttpListener,
    port: u16,
    address: &'static str,
}

/// A client's connection.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer: its first line, the head, the body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

// === impl World ===

impl World {
    fn new() -> Self {
        Self::with("svc", HttpListenerParams::default())
    }

    fn with(address: &'static str, params: HttpListenerParams) -> Self {
        Self::make(address, params, Duration::ZERO)
    }

    /// Requests wait for so long for servers that are not there.
    fn retrying(stream_retry: Duration) -> Self {
        Self::make("svc", HttpListenerParams::default(), stream_retry)
    }

    fn make(address: &'static str, params: HttpListenerParams, stream_retry: Duration) -> Self {
        let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, stream_retry, ..RouterConfig::default() };
        let router = Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, crate::clock::now()));
        let multicast = AddressConfig { treatment: Treatment::Multicast, priority: None };
        router.add_address_config("multicast/#", multicast).expect("new");
        let port = free_port();
        let params = HttpListenerParams {
            name: "l".into(),
            address: address.into(),
            host: "127.0.0.1".into(),
            port: port.to_string(),
            ..params
        };
        let listener = HttpListener::create(params, &io(&router)).expect("no TLS");
        listener.activate();
        Self { router, listener, port, address }
    }

    /// A connector to a server.
    fn connect(&self, server: &Server) -> HttpConnector {
        self.connect_with(server, HttpConnectorParams::default())
    }

    fn connect_with(&self, server: &Server, params: HttpConnectorParams) -> HttpConnector {
        self.connect_at(server.name, server.at, params)
    }

    fn connect_at(&self, name: &str, at: SocketAddr, params: HttpConnectorParams) -> HttpConnector {
        let params = HttpConnectorParams {
            name: name.into(),
            address: self.address.into(),
            host: at.ip().to_string(),
            port: at.port().to_string(),
            ..params
        };
        let connector = HttpConnector::create(params, &io(&self.router)).expect("no TLS");
        connector.activate();
        connector
    }

    /// A client, once the listener listens.
    async fn client(&self) -> Client {
        let stream = eventually(async || TcpStream::connect(("127.0.0.1", self.port)).await.ok()).await;
        Client { stream, buffer: Vec::new() }
    }
}

/// Waits until a connector's server is reached, or is not any more.
async fn is_up(connector: &HttpConnector, up: bool) {
    eventually(async || (connector.status().0 == up).then_some(())).await;
}

// === impl Client ===

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("sent");
    }

    /// The next answer; none when the connection has ended.
    async fn answer(&mut self, to_head: bool) -> Option<Answer> {
        timeout(PATIENCE, async {
            let head = head(&mut self.stream, &mut self.buffer).await?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let body = if to_head { Vec::new() } else { body(&mut self.stream, &mut self.buffer, &head).await? };
            Some(Answer { status, head, body: String::from_utf8(body).ok()? })
        })
        .await
        .expect("in time")
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await;
        self.answer(false).await.expect("an answer")
    }

    async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes())
            .await;
        self.answer(false).await.expect("an answer")
    }
}
