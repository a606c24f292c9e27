//! HTTP listeners with real sockets, on their own thread, with and without TLS.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::amqp::{EndpointParams, ListenerParams};
use adaptors::clock;
use adaptors::http::{CreateError, HttpParams, Listener, Page};
use adaptors::runtime::Io;
use adaptors::tls::{ClientOptions, Consumer, TlsClient, TlsProfile};
use adaptors::transport::{Transport, TransportError};
use common::Certs;
use router_engine::Router;
use router_engine::core::connection::ConnectionRole;
use router_engine::core::{Mode, RouterConfig};
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells which thread made it.
fn thread() -> Page {
    Page::new("/thread", |_| thread_name())
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

fn io() -> Io {
    let config = RouterConfig { id: "A".into(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now());
    Io::new(Arc::new(router), Handle::current(), 1)
}

fn params(port: u16, tls: Option<TlsProfile>) -> HttpParams {
    let endpoint = EndpointParams {
        name: "h".into(),
        host: "127.0.0.1".into(),
        port: port.to_string(),
        family: None,
        role: ConnectionRole::Normal,
        cost: 1,
        max_frame_size: 16384,
        max_sessions: 100,
        max_session_frames: None,
        idle_timeout: Duration::from_secs(16),
        liveness: None,
        link_capacity: 250,
        message_fields: router_engine::port::MessageFields::default(),
        strip_in: true,
        strip_out: true,
        open_properties: amqp_core::value::Map::default(),
        policy_vhost: None,
        tls,
    };
    let amqp = ListenerParams {
        endpoint,
        authenticate_peer: false,
        require_encryption: false,
        require_ssl: false,
        mechanisms: vec!["EXTERNAL".to_owned()],
        demand_certificate: false,
        handshake_timeout: None,
        failover_list: None,
        authenticator: None,
    };
    HttpParams { amqp, websockets: true, pages: vec![thread()], documents: None, root: None }
}

/// A listener whose peers must use TLS, with a certificate.
fn demanding(profile: TlsProfile) -> HttpParams {
    let mut params = params(0, Some(profile));
    (params.amqp.require_ssl, params.amqp.authenticate_peer) = (true, true);
    params
}

fn listening(params: HttpParams, io: &Io) -> (Listener, SocketAddr) {
    let listener = Listener::create(params, io).unwrap();
    listener.activate().unwrap();
    let bound = listener.bound()[0];
    (listener, bound)
}

/// A client of the profile's authority, with the profile's certificate or without one.
fn client(profile: &TlsProfile, has_certificate: bool) -> TlsClient {
    let mut profile = profile.clone();
    if !has_certificate {
        (profile.cert_file, profile.private_key_file) = (None, None);
    }
    TlsClient::load(&profile, Consumer::Amqp, &ClientOptions { verify_hostname: true }).unwrap()
}

/// A client's end of a connection.
struct Client(Transport<TcpStream>);

impl Client {
    async fn plain(to: SocketAddr) -> Self {
        Self(Transport::plain(TcpStream::connect(to).await.unwrap()))
    }

    async fn secured(to: SocketAddr, tls: &TlsClient, alpn: Option<&[u8]>) -> Result<Self, TransportError> {
        let socket = TcpStream::connect(to).await.unwrap();
        let mut transport = Transport::tls(socket, tls.session("localhost", alpn).unwrap());
        timeout(PATIENCE, poll_fn(|cx| transport.poll_handshake(cx))).await.unwrap()?;
        Ok(Self(transport))
    }

    /// The answer, or what came before the connection ended.
    async fn get(&mut self, path: &str) -> Result<String, TransportError> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        poll_fn(|cx| self.0.poll_write(cx, &[IoSlice::new(request.as_bytes())])).await?;
        poll_fn(|cx| self.0.poll_flush(cx)).await?;
        let mut answer = String::new();
        while !is_whole(&answer) {
            let Some(more) = timeout(PATIENCE, poll_fn(|cx| self.0.poll_read(cx))).await.unwrap()? else { break };
            answer.push_str(std::str::from_utf8(&more).unwrap());
        }
        Ok(answer)
    }

    async fn has_ended(&mut self) -> bool {
        timeout(PATIENCE, poll_fn(|cx| self.0.poll_read(cx))).await.unwrap().is_ok_and(|data| data.is_none())
    }
}

fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() == length.parse::<usize>().unwrap()
}

#[track_caller]
fn assert_well(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhttp-waiting"), "{answer}");
}

#[tokio::test]
async fn pages_are_made_on_threads_that_may_wait() {
    let io = io();
    let (listener, bound) = listening(params(0, None), &io);
    let mut client = Client::plain(bound).await;
    for _ in 0..3 {
        assert_well(&client.get("/thread").await.unwrap());
    }
    listener.delete();
    assert!(client.has_ended().await);
    let (_second, again) = listening(params(bound.port(), None), &io);
    assert_well(&Client::plain(again).await.get("/thread/x").await.unwrap());
}

#[tokio::test]
async fn a_shutdown_leaves_no_task() {
    let io = io();
    let (_listener, bound) = listening(params(0, None), &io);
    let mut client = Client::plain(bound).await;
    assert_well(&client.get("/thread").await.unwrap());
    assert_eq!(io.shutdown().await, []);
    assert_eq!(io.tasks().live().len(), 0);
    let _ = client.has_ended().await;
}

#[tokio::test]
async fn tls_and_cleartext_share_a_port() {
    let certs = Certs::new();
    let profile = certs.profile();
    let tls = client(&profile, false);
    let (_listener, bound) = listening(params(0, Some(profile)), &io());
    for alpn in [None, Some(&b"http/1.1"[..])] {
        let mut secured = Client::secured(bound, &tls, alpn).await.unwrap();
        assert_well(&secured.get("/thread").await.unwrap());
        assert_well(&secured.get("/thread").await.unwrap());
    }
    assert!(Client::secured(bound, &tls, Some(b"h2")).await.is_err(), "HTTP/2 is not spoken");
    assert_well(&Client::plain(bound).await.get("/thread").await.unwrap());
}

#[tokio::test]
async fn cleartext_is_refused_without_a_word_where_tls_is_required() {
    let certs = Certs::new();
    let tls = client(&certs.profile(), false);
    let mut params = params(0, Some(certs.profile()));
    params.amqp.require_ssl = true;
    let (_listener, bound) = listening(params, &io());
    let refused = Client::plain(bound).await.get("/thread").await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.is_empty()));
    assert_well(&Client::secured(bound, &tls, None).await.unwrap().get("/thread").await.unwrap());
}

#[tokio::test]
async fn a_client_certificate_may_be_demanded() {
    let certs = Certs::new();
    let profile = certs.profile();
    let (_listener, bound) = listening(demanding(profile.clone()), &io());
    // In TLS 1.3 a client hears of it with the answer.
    let refused = async { Client::secured(bound, &client(&profile, false), None).await?.get("/thread").await };
    let refused = refused.await.unwrap_err();
    assert!(refused.is_tls(), "{refused}");
    assert_well(&Client::secured(bound, &client(&profile, true), None).await.unwrap().get("/thread").await.unwrap());
    let unknown = TlsProfile { ca_cert_file: None, ..profile };
    assert!(matches!(Listener::create(demanding(unknown), &io()), Err(CreateError::Tls(_))));
}

#[tokio::test]
async fn new_credentials_hold_for_new_connections() {
    let (old, new) = (Certs::new(), Certs::new());
    let (listener, bound) = listening(params(0, Some(old.profile())), &io());
    let [of_old, of_new] = [&old, &new].map(|certs| client(&certs.profile(), false));
    let mut open = Client::secured(bound, &of_old, None).await.unwrap();
    assert_well(&open.get("/thread").await.unwrap());
    assert!(listener.prepare_tls(&TlsProfile { cert_file: Some("/missing".into()), ..new.profile() }).is_err());
    let newer = TlsProfile { ordinal: 1, ..new.profile() };
    listener.prepare_tls(&newer).unwrap().apply();
    assert_well(&open.get("/thread").await.unwrap());
    assert!(Client::secured(bound, &of_old, None).await.is_err());
    let mut newest = Client::secured(bound, &of_new, None).await.unwrap();
    assert_well(&newest.get("/thread").await.unwrap());
    // The former ones are no longer valid.
    listener.prepare_tls(&TlsProfile { oldest_valid_ordinal: 1, ..newer }).unwrap().apply();
    assert!(open.has_ended().await);
    assert_well(&newest.get("/thread").await.unwrap());
}
